"""``python -m parity_tests.selftest.measures.arithmetic``: the gate over ``rnn_np`` with other kernels, and versions, of NumPy and torch.

Each setting is run in a process of its own, which says what is in effect there. A setting that is not in effect
says so and counts for nothing. Exit status: 0 if every setting in effect gives EQUAL, else 1.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info, threadpool_limits

ROOT = Path(__file__).parents[2]
DEFAULT_CASES = 500
TIMEOUT = 3600
KERNELS = ("Prescott", "Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids")
SAME_KERNELS = {"Katmai": "Prescott"}
"""What OpenBLAS calls a kernel, where it is not the name that it was asked for."""
CAPABILITIES = ("default", "avx2", "avx512")
VARIABLES = (
    "OPENBLAS_CORETYPE",
    "ATEN_CPU_CAPABILITY",
    "NPY_DISABLE_CPU_FEATURES",
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
)
"""Taken out of the environment of every process, but for those that its setting has."""

Effect = dict[str, Any]
"""What is in effect in a process: ``blas``, ``threads``, ``torch``, ``onednn``, ``numpy``."""


@dataclass(frozen=True)
class Setting:
    """One way to compute.

    Attributes:
        name: shown in the table.
        variables: of the environment.
        is_in_effect: whether a process computes so, from what it says is in effect.
        options: of the process itself.
        python: the interpreter.
    """

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    is_in_effect: Callable[[Effect], bool] = lambda effect: True
    options: tuple[str, ...] = ()
    python: str = sys.executable

    @property
    def is_optional(self) -> bool:
        """Whether a machine may be unable to run it."""
        return bool(self.variables)


def settings(plain: Effect, pythons: Sequence[str]) -> Iterator[Setting]:
    """Every setting for a machine.

    Args:
        plain: what is in effect where nothing is set.
        pythons: further interpreters, with NumPy and what the gate needs.
    """
    yield Setting("as installed")
    for kernel in KERNELS:
        yield Setting(
            f"OPENBLAS_CORETYPE={kernel}",
            {"OPENBLAS_CORETYPE": kernel},
            lambda effect, kernel=kernel: effect["blas"] == kernel,  # type: ignore[misc]
        )
    for name in CAPABILITIES if plain["torch"] else ():
        yield Setting(
            f"ATEN_CPU_CAPABILITY={name}",
            {"ATEN_CPU_CAPABILITY": name},
            lambda effect, name=name: effect["torch"].lower() == name,  # type: ignore[misc]
        )
    if plain["onednn"]:
        yield Setting("oneDNN off", {}, lambda effect: not effect["onednn"], ("--no-onednn",))
    for cut in range(len(plain["numpy"])):
        names = plain["numpy"][cut:]
        yield Setting(
            f"NPY_DISABLE_CPU_FEATURES={' '.join(names)}",
            {"NPY_DISABLE_CPU_FEATURES": " ".join(names)},
            lambda effect, names=names: not {*names} & {*effect["numpy"]},  # type: ignore[misc]
        )
    for threads in (2, 4):
        yield Setting(
            f"{threads} threads",
            {},
            lambda effect, threads=threads: effect["threads"] == threads,  # type: ignore[misc]
            ("--threads", str(threads)),
        )
    for python in pythons:
        yield Setting(python, {}, lambda effect: True, (), python)


def measured(setting: Setting, cases: int, seed: int) -> dict[str, Any]:
    """Run a setting in a process of its own; without cases, only say what is in effect there.

    Returns:
        What ``child`` has printed, or ``{"error": why}``.
    """
    command = [setting.python, "-m", "parity_tests.selftest.measures.arithmetic", "--child", *setting.options]
    command += ["--cases", str(cases), "--seed", str(seed)]
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment |= {"PYTHONPATH": str(ROOT), **setting.variables}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=TIMEOUT, check=False
        )
        return dict(json.loads(done.stdout.strip().rpartition("\n")[2]))
    except subprocess.TimeoutExpired:
        return {"error": f"it took more than {TIMEOUT} s"}
    except OSError as error:
        return {"error": f"it cannot be started: {error.strerror}"}
    except ValueError:
        return {"error": (done.stderr.strip().rpartition("\n")[2] or f"exit status {done.returncode}")[:120]}


def child(cases: int, seed: int, threads: int, onednn: bool) -> dict[str, Any]:
    """Judge the layers in this process, and say what was in effect.

    It takes the place of ``check``, which computes on one thread whatever is set.
    """
    from parity_tests.run.options import checked_options
    from parity_tests.run.runner import Run

    effect = in_effect(threads, onednn)
    result: dict[str, Any] = {"effect": effect, "versions": installed()}
    if not cases:
        return result
    given = {"cases": cases, "seed": seed} if effect["torch"] else {"reference": "recorded"}
    with Run.open(checked_options(given)) as run:
        plan = run.plan
        run.expect(plan.batches, len(plan.checks))
        for check in plan.checks:
            run.add(run.judge_check(*check))
        for batch in plan.batches:
            run.add(run.judge_batch(batch), batch)
        report = run.finish()
    name, tally = max(report.tensors.items(), key=lambda entry: entry[1].worst)
    return result | {
        "verdict": str(report.verdict),
        "ok": report.ok,
        "cases": report.cases,
        "headline": report.headline,
        "worst": tally.worst,
        "where": f"{name}, {tally.case}",
        "seconds": report.seconds,
    }


def in_effect(threads: int = 1, onednn: bool = True) -> Effect:
    """Set what no variable sets, and return what this process computes with."""
    features = _numpy_features()
    threadpool_limits(threads)
    effect: Effect = {"blas": "", "threads": 0, "torch": "", "onednn": False, "numpy": features}
    try:
        torch: Any = import_module("torch")
    except ImportError:
        pass
    else:
        torch.set_num_threads(threads)
        if not onednn:
            torch.backends.mkldnn.set_flags(False)
        effect["torch"] = torch.backends.cpu.get_cpu_capability()
        effect["onednn"] = bool(torch._C._get_mkldnn_enabled() and torch.backends.mkldnn.is_available())
        effect["threads"] = torch.get_num_threads()
    for library in threadpool_info():
        if library["internal_api"] == "openblas":
            effect["blas"] = SAME_KERNELS.get(library["architecture"], library["architecture"])
            effect["threads"] = min(effect["threads"] or threads, library["num_threads"])
    return effect


def installed() -> str:
    """The versions of this process."""
    found = [f"Python {platform.python_version()}"]
    for package in ("numpy", "torch"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)


def _numpy_features() -> list[str]:
    """The features that NumPy chooses kernels by here, from the lowest on, without those that it cannot do without."""
    try:
        found: Any = import_module("numpy._core._multiarray_umath")
    except ImportError:  # before NumPy 2
        found = import_module("numpy.core._multiarray_umath")
    return [name for name in found.__cpu_dispatch__ if found.__cpu_features__.get(name)]


def row(setting: Setting, result: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """The row of a table for a setting, and whether it is as it should be."""
    if "error" in result:
        return (setting.name, "NOT RUN", result["error"], "", ""), setting.is_optional
    effect, works = result["effect"], setting.is_in_effect(result["effect"])
    parts = [
        effect["blas"],
        effect["torch"],
        f"{effect['threads']} threads",
        " ".join(effect["numpy"]) or "baseline",
    ]
    shown = ", ".join(filter(None, [*parts, "" if effect["onednn"] else "no oneDNN"]))
    if setting.python != sys.executable:
        shown = f"{result['versions']}; {shown}"
    if not works:
        return (setting.name, "NOT IN EFFECT", shown, "", ""), True
    verdict = f"{result['verdict']} ({result['cases']})" if result["ok"] else result["headline"]
    return (setting.name, "yes", shown, verdict, f"{result['worst']:.3g} ({result['where']})"), result["ok"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every setting and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m parity_tests.selftest.measures.arithmetic", description=__doc__
    )
    parser.add_argument(
        "--cases", type=int, default=DEFAULT_CASES, help="random cases of each setting (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="TEXT", help="settings whose name has this text")
    parser.add_argument(
        "--python", action="append", default=[], metavar="PATH", help="a further interpreter; may be repeated"
    )
    for hidden in ("--child", "--no-onednn"):
        parser.add_argument(hidden, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(child(options.cases, options.seed, options.threads, not options.no_onednn)))
        return 0
    from rich.console import Console  # another interpreter need not have it
    from rich.table import Table

    plain = measured(Setting("as installed"), 0, 0)
    table = Table("setting", "in effect", "computes with", "verdict (cases)", "worst error / allowed")
    all_right = True
    for setting in settings(plain["effect"], options.python):
        if options.only in setting.name:
            cells, right = row(setting, measured(setting, options.cases, options.seed))
            table.add_row(*cells)
            all_right &= right
            print(f"{setting.name}: {' '.join(filter(None, cells[1:4:2]))}", file=sys.stderr)
    Console(width=200).print(table)
    return 0 if all_right else 1


if __name__ == "__main__":
    sys.exit(main())
