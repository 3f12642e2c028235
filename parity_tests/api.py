"""The gate for Python code: a call, an assertion, and tests of one's own.

What a run needs is imported when it is opened: a child process imports this package too, and starts
without it.
"""

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from parity_tests.cases.case import Case
from parity_tests.report import Report

if TYPE_CHECKING:
    import pytest

    from parity_tests.run.runner import Run

Interface = Literal["layer", "cell", "module", "adapter", "package"]
Reference = Literal["torch", "recorded"]
Nonlinearity = Literal["tanh", "relu", "sigmoid", "identity"]

NEEDED = ("threadpoolctl",)
"""Modules of the extra ``recorded`` without which nothing can be judged."""
CASES_OF_TESTS = 400
"""Cases of ``parametrize`` with live torch, in tests of 50."""


class CheckOptions(TypedDict, total=False):
    """The options of ``check``, which says what they mean."""

    kind: Interface | None
    without: Iterable[str]
    nonlinearity: Nonlinearity | None
    accuracy: float | None
    known: str | Path | None
    cases: int | None
    seed: int | Literal["fresh"] | None
    case: str | Case | None
    reference: Reference | None
    timeout: float | None
    lines: bool | None
    shard: str | None
    resume: str | Path | None


def check(
    target: Any,
    *,
    kind: Interface | None = None,
    without: Iterable[str] = (),
    nonlinearity: Nonlinearity | None = None,
    accuracy: float | None = None,
    known: str | Path | None = None,
    cases: int | None = None,
    seed: int | Literal["fresh"] | None = None,
    case: str | Case | None = None,
    reference: Reference | None = None,
    timeout: float | None = None,
    lines: bool | None = None,
    shard: str | None = None,
    resume: str | Path | None = None,
) -> Report:
    """Judge a layer against ``torch.nn.RNN``: the command ``rnn-parity`` as a call, in one process.

    Args:
        target: a class or function, judged in this process without a sandbox; or what the command
            takes, such as ``"path/to/file.py:Name"``, judged in a child process.
        kind: the target's interface, if it is not recognised: ``"layer"``, ``"cell"``, ``"module"``,
            ``"adapter"`` or ``"package"``.
        without: what the target lacks: names of features, tensors and checks.
        nonlinearity: of the target: ``"tanh"``, ``"relu"``, ``"sigmoid"`` or ``"identity"``; nothing of another
            one is then asked. None: tanh, and relu where it is an option.
        accuracy: of a target that is approximate on purpose: how far every value that it computes may be off,
            relative to its size; ``None``: by its rounding.
        known: a file that lists what the target is known to fail.
        cases: how many random cases; None: 2000, fewer once a fault is found. Where torch is not
            installed, None: all recorded cases.
        seed: of the random cases, a number or ``"fresh"``; None: 0.
        case: the only case to judge, or its token.
        reference: ``"torch"`` or ``"recorded"``; None: torch if it is installed.
        timeout: seconds that a target in a child process may take for a case; None: 10.
        lines: whether the wrong lines of the target's source are looked for; None: they are. The file of
            a class is then loaded once more, in a child process.
        shard: ``"I/N"``: judge part I of N alone, whose verdict is ``PART`` if all of it is equal; ``"auto"``:
            the part that Bazel or GitLab say. None: all.
        resume: a file that keeps what is judged; a call with the same file and options goes on from there.

    Returns:
        The report: ``ok``, ``findings``, and all of it in words as ``str(report)``.

    Raises:
        ValueError: an option is bad, or the target cannot be loaded; the message says why.
        ModuleNotFoundError: an extra is not installed; the message names it.

    Example:
        >>> import parity_tests, rnn_np
        >>> parity_tests.check(rnn_np.TimeRNN, case="B2T3D4H5-f64-s0").ok
        True
    """
    options: CheckOptions = {"kind": kind, "without": without, "known": known, "cases": cases}
    options |= {
        "nonlinearity": nonlinearity,
        "accuracy": accuracy,
        "seed": seed,
        "case": case,
        "reference": reference,
        "timeout": timeout,
        "lines": lines,
        "shard": shard,
        "resume": resume,
    }
    run = _open(target, options)
    from parity_tests.run.runner import judged
    from parity_tests.run.show.layout import layout_of_call
    from parity_tests.run.show.progress import CallProgress
    from parity_tests.run.show.render import verdict

    progress = CallProgress()
    with run:
        if resume is not None and not run.first_error:
            run.resume(Path(resume))
        try:
            progress.watch(run)
            report = judged(run)
        finally:
            progress.end()
        report.text = verdict(report, run.plan, layout_of_call())
    return report


def assert_parity(target: Any, **options: Unpack[CheckOptions]) -> None:
    """Raise AssertionError, with the report in words, unless a target passes ``check``.

    Args:
        target: as in ``check``.
        **options: those of ``check``.

    Raises:
        AssertionError: the target does not pass, or not all of it could be judged.
        ValueError: an option is bad, or the target cannot be loaded.
        ModuleNotFoundError: an extra is not installed; the message names it.

    Example:
        >>> import parity_tests, rnn_np
        >>> parity_tests.assert_parity(rnn_np.RNN, case="cell-B2D4H5-f64-s0")
    """
    __tracebackhide__ = True
    report = check(target, **options)
    if not report.ok:
        raise AssertionError(f"{report.headline}\n\n{report}")


def parametrize(
    target: Any,
    *,
    kind: Interface | None = None,
    without: Iterable[str] = (),
    nonlinearity: Nonlinearity | None = None,
    accuracy: float | None = None,
    known: str | Path | None = None,
    cases: int | None = None,
    seed: int | None = None,
    reference: Reference | None = None,
    timeout: float | None = None,
    lines: bool | None = None,
) -> "pytest.MarkDecorator":
    """Make a pytest test for each check of a target; in it, ``check()`` raises AssertionError.

    Args:
        target: as in ``check``, like all others.
        kind: as there.
        without: as there.
        nonlinearity: as there.
        accuracy: as there.
        known: as there. Each known failure has a test of its own, which fails once the target passes.
        cases: how many random cases, in tests of 50; None: 400, or all recorded cases where torch is
            not installed.
        seed: of the cases.
        reference: as there.
        timeout: as there.
        lines: as there.

    Raises:
        ValueError: an option is bad, or the target cannot be loaded.
        ModuleNotFoundError: an extra is not installed; the message names it.

    Example:
        >>> import parity_tests, rnn_np
        >>> @parity_tests.parametrize(rnn_np.TimeRNN, cases=50)
        ... def test_my_rnn(check):
        ...     check()
    """
    options: CheckOptions = {"kind": kind, "without": without, "known": known, "cases": cases}
    options |= {
        "nonlinearity": nonlinearity,
        "accuracy": accuracy,
        "seed": seed,
        "reference": reference,
        "timeout": timeout,
        "lines": lines,
    }
    tests = _Tests(_open(target, options, (*NEEDED, "pytest"), CASES_OF_TESTS))
    import pytest

    checks = [_Check(name, judge) for name, judge in tests.named()]
    return pytest.mark.parametrize("check", checks, ids=[check.name for check in checks])


class _Check:
    """What a test of ``parametrize`` calls: judges a part of a run, and raises AssertionError."""

    def __init__(self, name: str, judge: Callable[[], None]) -> None:
        self.name, self._judge = name, judge

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __call__(self) -> None:
        __tracebackhide__ = True
        self._judge()


class _Tests:
    """The tests of a target. Any process may run any of them, in any order."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._seen: set[str] = set()
        """What has been found in this process, such as ``values of dx``."""

    def named(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Every test and its name."""
        plan = self._run.plan
        for kind, name in plan.checks:
            yield f"{kind} {name}", partial(self._passes, self._run.judge_check, kind, name)
        for batch in plan.batches:
            yield f"batch {batch}", partial(self._passes, self._run.judge_batch, batch)
        for what in plan.known:
            yield f"known failure {what}", partial(self._still_fails, what)

    def _judged(self, judge: Callable[..., Report], *arguments: Any) -> Report:
        from parity_tests.run.show.layout import layout_of_call
        from parity_tests.run.show.render import verdict
        from parity_tests.run.threads import one_thread

        __tracebackhide__ = True
        if self._run.first_error:
            raise AssertionError(f"NOT JUDGED: {self._run.first_error}")
        with one_thread(self._run.plan.reference == "torch"):
            report = judge(*arguments)
            self._seen |= {finding.what for finding in report.findings}
            if report.faults:
                self._run.explain(report)
        report.text = verdict(report, self._run.plan, layout_of_call())
        return report

    def _passes(self, judge: Callable[..., Report], *arguments: Any) -> None:
        __tracebackhide__ = True
        report = self._judged(judge, *arguments)
        if report.faults or not _is_complete(report):
            raise AssertionError(f"{report.headline}\n\n{report}")

    def _still_fails(self, what: str) -> None:
        """Judge until the known failure is seen: whether the target passes is known at the end only."""
        __tracebackhide__ = True
        run, plan = self._run, self._run.plan
        judges: list[tuple[Callable[..., Report], Any]] = [
            (run.judge_check, names)
            for names in plan.checks
            if what == names[1] or what.startswith(f"{names[1]} of ")
        ]
        judges += [(run.judge_batch, (batch,)) for batch in plan.batches]
        for judge, arguments in judges:
            if what in self._seen:
                return
            report = self._judged(judge, *arguments)
            if not _is_complete(report):
                raise AssertionError(f"{report.headline}\n\n{report}")
        if what not in self._seen:
            reason = plan.known[what]
            raise AssertionError(f"{what!r} passes now: take it out of the known failures ({reason})")


def _is_complete(report: Report) -> bool:
    return not report.errors and report.cases >= report.planned and report.checks >= report.planned_checks


def _open(
    target: Any, options: CheckOptions, needed: Sequence[str] = NEEDED, cases_of_torch: int | None = None
) -> "Run":
    """Open a run.

    Args:
        target: what to judge.
        options: all of them, None where one was not given.
        needed: modules that must be installed.
        cases_of_torch: how many cases to judge with live torch, if that was not given.
    """
    if missing := missing_extra(*needed):
        raise ModuleNotFoundError(missing)
    from parity_tests.references.recorded import RecordedError
    from parity_tests.run.options import checked_options
    from parity_tests.run.plan import default_reference
    from parity_tests.run.runner import Run
    from parity_tests.subjects.interfaces import TargetError

    given: dict[str, Any] = {"target": target, **options}
    if given["cases"] is None and (given["reference"] or default_reference()) == "torch":
        given["cases"] = cases_of_torch
    try:
        return Run.open(checked_options(given))
    except (TargetError, RecordedError) as error:
        raise ValueError(str(error)) from error


def missing_extra(*needed: str) -> str:
    """Return which of these modules is missing and how to install what is missing, in a line, or ``""``."""
    missing = [module for module in needed if importlib.util.find_spec(module) is None]
    if not missing:
        return ""
    names = " ".join({"xdist": "pytest-xdist"}.get(module, module) for module in missing)
    further = [module for module in ("torch", "hypothesis") if importlib.util.find_spec(module) is None]
    more = f"; for random cases also {' '.join(further)}" if further else ""
    return f"{missing[0]} is not installed: pip install {names}{more}"
