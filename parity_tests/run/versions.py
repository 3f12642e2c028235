"""The versions that a verdict rests on, and those that a bug report needs."""

import importlib.metadata
import platform
from pathlib import Path

import numpy as np

import rnn_np
from parity_tests.references.recorded import default_recorded, recorded_versions
from parity_tests.run.plan import Plan
from parity_tests.run.threads import blas_name

PACKAGES = ("torch", "hypothesis", "pytest", "pytest-xdist")
"""Whose versions a bug report needs besides NumPy's."""


def versions_of(plan: Plan) -> dict[str, str]:
    """The versions that a plan's verdict rests on, by name."""
    found = {"rnn-np": rnn_np.__version__, "python": platform.python_version(), "numpy": np.__version__}
    if plan.reference == "torch":
        used = ("torch", "hypothesis") if plan.draws else ("torch",)
        return found | {name: importlib.metadata.version(name) for name in used}
    recorded = dict(default_recorded().versions)
    torch = {"torch": recorded.pop("torch")}  # whose answers are the truth, as of live torch
    return found | torch | {f"recorded {name}": version for name, version in recorded.items()}


def notices_of(plan: Plan) -> list[str]:
    """That the reference is another torch than the one whose answers are recorded; empty if it is the same."""
    if plan.reference != "torch":
        return []
    installed, recorded = importlib.metadata.version("torch"), recorded_versions().get("torch")
    if recorded is None or _public(installed) == _public(recorded):
        return []
    return [f"torch {installed} is the reference; the recorded answers are those of torch {recorded}"]


def _public(version: str) -> str:
    """A version without the build, such as ``+cpu``."""
    return version.partition("+")[0]


def machine() -> dict[str, str]:
    """The layers' and NumPy's versions, the platform and the processor, by name."""
    return {
        "rnn-np": rnn_np.__version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "NumPy": f"{np.__version__}, BLAS: {blas_name()}",
        "platform": platform.platform(),
        "processor": _processor(),
    }


def version_text() -> str:
    """Everything about this installation that a bug report needs, a line each."""
    lines = machine() | {name: _installed(name) for name in PACKAGES}
    return "\n".join(f"{name} {value}" for name, value in lines.items())


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
