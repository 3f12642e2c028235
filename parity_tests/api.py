"""The gate for Python code: a call, an assertion, and tests of one's own.

What a run needs is imported when it is opened: a child process imports this package too, and starts
without it.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity_tests.report import Report

if TYPE_CHECKING:
    import pytest

    from parity_tests.run.runner import Run

CASES_OF_TESTS = 400
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
        target: a class or function, judged in this process without a sandbox; or what the command
            takes, such as ``"path/to/file.py:Name"``, judged in a child process.
        kind: the target's interface, if it is not recognised: ``layer``, ``cell``, ``module`` or
            ``adapter``.
        without: what the target lacks: names of features, tensors and checks.
        known: a file that lists what the target is known to fail.
        cases: how many random cases; None: 2000, fewer once a fault is found.
        seed: of the random cases, a number or ``"fresh"``; None: 0.
        case: the token of the only case to judge.
        reference: ``"torch"`` or ``"recorded"``; None: torch if it is installed.
        timeout: seconds that a target in a child process may take for a case; None: 10.

    Returns:
        The report: ``ok``, ``findings``, and all of it in words as ``str(report)``.

    Raises:
        ValueError: an option is bad, or the target cannot be loaded; the message says why.

    Example:
        >>> import parity_tests, rnn_np
        >>> parity_tests.check(rnn_np.TimeRNN, case="B2T3D4H5-f64-s0").ok
        True
    """
    from parity_tests.run.render import verdict
    from parity_tests.run.runner import run as run_plan

    with _open(target, kind, without, known, cases, seed, case, reference, timeout) as run:
        report = run_plan(run.plan, run.session)
        report.text = verdict(report, run.plan)
    return report


def assert_parity(target: Any, **options: Any) -> None:
    """Raise AssertionError, with the report in words, unless a target passes ``check``.

    Args:
        target: as in ``check``.
        options: those of ``check``.

    Raises:
        AssertionError: the target does not pass, or not all of it could be judged.
        ValueError: an option is bad, or the target cannot be loaded.

    Example:
        >>> import parity_tests, rnn_np
        >>> parity_tests.assert_parity(rnn_np.RNN, case="cell-B2D4H5-f64-s0")
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
    cases: int = CASES_OF_TESTS,
    seed: int | None = None,
    reference: str | None = None,
    timeout: float | None = None,
) -> "pytest.MarkDecorator":
    """Make a pytest test for each check of a target; in it, ``check()`` raises AssertionError.

    Args:
        target: as in ``check``, like all others.
        kind: as there.
        without: as there.
        known: as there; a known failure that passes is not noticed here.
        cases: how many random cases, in tests of 50.
        seed: of the cases.
        reference: as there.
        timeout: as there.

    Raises:
        ValueError: an option is bad, or the target cannot be loaded.

    Example:
        >>> import parity_tests, rnn_np
        >>> @parity_tests.parametrize(rnn_np.TimeRNN, cases=50)
        ... def test_my_rnn(check):
        ...     check()
    """
    import pytest

    run = _open(target, kind, without, known, cases, seed, None, reference, timeout)
    checks: dict[str, Callable[[], None]] = {
        " ".join(names): partial(_assert, run, run.judge_check, *names) for names in run.plan.checks
    }
    for batch in range(run.plan.batches):
        checks[f"batch {batch}"] = partial(_assert, run, run.judge_batch, batch)
    return pytest.mark.parametrize("check", checks.values(), ids=checks.keys())


def _assert(run: "Run", judge: Callable[..., Report], *arguments: Any) -> None:
    from parity_tests.run.render import verdict
    from parity_tests.run.threads import one_thread

    if run.first_error:
        raise AssertionError(run.first_error)
    with one_thread(run.plan.reference == "torch"):
        report = judge(*arguments)
    missing = report.cases < report.planned or report.checks < report.planned_checks
    if report.faults or report.errors or missing:
        raise AssertionError(f"\n{verdict(report, run.plan)}")


def _open(
    target: Any,
    kind: str | None,
    without: Iterable[str],
    known: str | Path | None,
    cases: int | None,
    seed: int | str | None,
    case: str | None,
    reference: str | None,
    timeout: float | None,
) -> "Run":
    from parity_tests.references.recorded import RecordedError
    from parity_tests.run.options import checked_options
    from parity_tests.run.runner import Run
    from parity_tests.subjects.interfaces import TargetError

    given = {"target": target, "kind": kind, "without": without, "known": known, "cases": cases}
    given |= {"seed": seed, "case": case, "reference": reference, "timeout": timeout}
    try:
        return Run.open(checked_options(given))
    except (TargetError, RecordedError) as error:
        raise ValueError(str(error)) from error
