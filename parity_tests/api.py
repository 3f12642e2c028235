"""Doors to the gate for Python code: a call, an assertion, and tests of one's own."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from parity_tests.report import Report
from parity_tests.run.plan import LOCAL, Plan, PlanError
from parity_tests.subjects.interfaces import TargetError, recognise

HERE = Path(__file__).parent
ENGINE = (
    *("-c", str(HERE / "run" / "gate.ini"), "--rootdir", str(HERE)),
    *("-p", "parity_tests.run.plugin", "-p", "no:cacheprovider"),
)
"""How every door starts pytest, whatever project it is called in."""
TESTED = 400
"""Cases of ``parametrize``, in tests of 50."""


def check(
    target: Any,
    *,
    kind: str | None = None,
    without: Iterable[str] = (),
    known: str | Path | None = None,
    cases: int | None = None,
    seed: int | str | None = None,
    case: str | None = None,
    reference: str | None = None,
    timeout: float | None = None,
) -> Report:
    """Judge a layer against ``torch.nn.RNN``: the command ``rnn-parity`` as a call, in one process.

    Args:
        target: a class or function, judged in this process; or what the command takes, such as
            ``"path/to/file.py:Name"``, judged in a child process.
        kind: ``layer``, ``cell``, ``module`` or ``adapter``, where the interface does not tell it.
        without: what the target lacks: features, tensors, checks.
        known: a file of what it is known to fail.
        cases: how many random cases; None: 2000, fewer once a fault is found.
        seed: of the cases, a number or ``"fresh"``; None: 0.
        case: the token of the only case to judge.
        reference: ``"torch"`` or ``"recorded"``; None: torch where it is installed.
        timeout: seconds that a target in a child process may take for a case; None: 10.

    Returns:
        The report: ``ok``, ``findings``, and all of it in words as ``str(report)``.

    Raises:
        ValueError: an option is bad, or the target cannot be loaded; the message says why.
    """
    options = _options(target, kind, without, known, cases, seed, case, reference, timeout)
    _plan(options)  # what cannot be done is said here, not by pytest
    command = [f"--parity-{name}={value}" for name, value in options.items() if value is not None]
    command += [*ENGINE, "-p", "no:terminal", str(HERE / "run" / "test_gate.py")]
    watcher = Watcher()
    with plain_pytest():
        pytest.main(command, plugins=[watcher])
    if watcher.report is None:
        raise RuntimeError(f"check: pytest came to no report of {options['target']}")
    return watcher.report


def assert_parity(target: Any, **options: Any) -> None:
    """Raise AssertionError, with the report in words, unless a target passes ``check``.

    Args:
        target: as in ``check``.
        options: those of ``check``.

    Raises:
        AssertionError: it does not pass, or not all of it could be judged.
        ValueError: an option is bad, or the target cannot be loaded.
    """
    report = check(target, **options)
    if not report.ok:
        raise AssertionError(f"\n{report}")


def parametrize(
    target: Any,
    *,
    kind: str | None = None,
    without: Iterable[str] = (),
    known: str | Path | None = None,
    cases: int = TESTED,
    seed: int | None = None,
    reference: str | None = None,
    timeout: float | None = None,
) -> pytest.MarkDecorator:
    """Make a test of one's own a test for each check; in it, ``check()`` raises AssertionError.

    ``@parity_tests.parametrize(MyRNN)`` stands over ``def test_my_rnn(check): check()``.

    Args:
        target: as in ``check``, like all others.
        kind: as there.
        without: as there.
        known: as there; here a known failure that passes is not noticed.
        cases: how many random cases, in tests of 50.
        seed: of the cases.
        reference: as there.
        timeout: as there.

    Raises:
        ValueError: an option is bad, or the target cannot be loaded.
    """
    plan = _plan(_options(target, kind, without, known, cases, seed, None, reference, timeout))
    checks: dict[str, Callable[[], None]] = {
        " ".join(names): partial(_assert, plan, plan.judge_contract, *names) for names in plan.checks
    }
    for batch in range(plan.batches):
        checks[f"batch {batch}"] = partial(_assert, plan, plan.judge_batch, batch)
    return pytest.mark.parametrize("check", checks.values(), ids=checks.keys())


def _assert(plan: Plan, judge: Callable[..., Report], *arguments: Any) -> None:
    from parity_tests.run.render import verdict

    report = judge(*arguments)
    wrong = report.faults or report.unjudged or report.cases < report.planned
    if wrong:
        raise AssertionError(f"\n{verdict(report, plan, None)}")


def _options(
    target: Any,
    kind: str | None,
    without: Iterable[str],
    known: str | Path | None,
    cases: int | None,
    seed: int | str | None,
    case: str | None,
    reference: str | None,
    timeout: float | None,
) -> dict[str, str | None]:
    """The options of the plugin; a target at hand stands under a spec of its own."""
    spec = target if isinstance(target, str) else _local(target, kind)
    values: dict[str, object] = {"cases": cases, "seed": seed, "case": case, "reference": reference}
    values |= {"target": spec, "kind": None if spec in LOCAL else kind, "timeout": timeout, "known": known}
    values["without"] = without if isinstance(without, str) else ",".join(without)
    return {name: None if value is None else str(value) for name, value in values.items()}


def _local(target: Any, kind: str | None) -> str:
    name = getattr(target, "__qualname__", type(target).__qualname__)
    spec = f"{getattr(target, '__module__', '?')}.{name}"
    try:
        LOCAL[spec] = target, kind or recognise(target, spec)
    except TargetError as error:
        raise ValueError(str(error)) from error
    return spec


def _plan(options: dict[str, str | None]) -> Plan:
    try:
        return Plan.make(**options)
    except PlanError as error:
        raise ValueError(str(error)) from error


class Watcher:
    """Sees the report that the run's controller has added up."""

    report: Report | None = None

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        controller = config.pluginmanager.get_plugin("parity-controller")
        if controller is not None and (controller.report.planned or controller.planned_checks):
            self.report = controller.report


@contextmanager
def plain_pytest() -> Iterator[None]:
    """Without plugins and options of the caller's own project, which may reorder or skip."""
    before = dict(os.environ)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
