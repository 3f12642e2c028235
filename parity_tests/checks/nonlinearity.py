"""The nonlinearity of a target that has plainly another one than it is judged with."""

from collections.abc import Callable
from dataclasses import replace

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.fields import NONLINEARITIES
from parity_tests.check_facts import VALUES
from parity_tests.references.nonlinearities import FUNCTIONS
from parity_tests.report import Finding
from parity_tests.subjects.results import CaseResults

NAMES = {"tanh": "tanh", "relu": "relu", "sigmoid": "the logistic function", "identity": "no nonlinearity"}
SEEDS = (0, 1, 2)
CLOSE = 1e-5
"""How near states must be; those of two nonlinearities are far apart somewhere."""


def other_nonlinearity(run_case: Callable[[Case], CaseResults], case: Case) -> tuple[str, Finding] | None:
    """Return the nonlinearity that a target plainly has instead of the case's, with the fault, or None.

    It shows in the first states, which are a function of one sum: no other fault of the forward can be there.

    Args:
        run_case: runs the target.
        case: a small one.
    """
    seen = [_first_states(run_case, replace(case, seed=seed)) for seed in SEEDS]
    for name in NONLINEARITIES:
        there = [pair and bool(np.allclose(FUNCTIONS[name](pair[0]), pair[1], CLOSE, CLOSE)) for pair in seen]
        if all(there):
            return None if name == case.nonlinearity else (name, _finding(case, name))
    return None


def _first_states(run_case: Callable[[Case], CaseResults], case: Case) -> tuple[Array, Array] | None:
    """The sums inside the nonlinearity at the first step, as they should be, and the target's states."""
    results, (call,) = run_case(case), calls_of(case)
    tensors = results.calls[0].tensors if results.calls else {}
    if "hs" in tensors:
        states = tensors["hs"][:, 0, : case.H]
    elif case.T == 1 and "h_n" in tensors:
        states = tensors["h_n"][0]
    else:
        return None
    cell = call.weights[0]
    z = call.xs[:, 0].astype(np.float64) @ cell.Wx
    z += 0 if call.h_0 is None else call.h_0[0] @ cell.Wh
    for b in (cell.b, cell.b_hh):
        z += 0 if b is None else b
    return z, states


def _finding(case: Case, found: str) -> Finding:
    name = (
        "nonlinearity missing"
        if found == "identity"
        else f"{NAMES[found].removeprefix('the ')} in place of {case.nonlinearity}"
    )
    message = (
        f"The states are those of {NAMES[found]}, and it is judged with {case.nonlinearity}. All else is judged "
        f"with {found}, so that this hides nothing. If {found} is meant, declare it: --nonlinearity {found}, or "
        f'`@parity_tests.adapter(nonlinearity="{found}")` above an adapter.'
    )
    tensor = "h_n" if case.is_cell else "hs"
    return replace(VALUES.finding(tensor, case, message), fault=name)
