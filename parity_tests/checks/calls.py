"""The contract of calls: many of them, in another thread, of empty inputs, and of inputs of another dtype."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import DTYPES, Array, Call
from parity_tests.cases.tensors import OUTPUTS, Answer, native, native_shape
from parity_tests.checks.trial import CLOSE, ContractBroken, Trial, contract_check, copied, of_steady_layers
from parity_tests.subjects.driver import Driver
from parity_tests.subjects.user_frames import format_error

CALLS = 50
MOST_SECONDS = 2.0
"""After which a slow layer is called no more."""
CLOSE_TO_HALF = 5e-2
"""How far results may be off where the input, and with it the layer's buffers, has half precision. The worst of
the right layers in the tests are off by 6e-3."""


@contract_check(
    "fifty calls",
    fault="results change with the number of calls",
    advice="look for counters, and for buffers and sums that are kept from call to call",
)
@of_steady_layers
def fifty_calls(trial: Trial) -> None:
    """Fifty calls with the same arguments give the same results."""
    small = replace(trial.case, T=min(trial.case.T, 2), layers=1, bidirectional=False)
    trial = Trial(small, trial.subject, trial.without)
    driver, layer = trial.made(trial.first)
    want = trial.run(driver, layer, trial.first)
    bits = {name: value.tobytes() for name, value in want.items()}
    start = time.monotonic()
    for number in range(2, CALLS + 1):
        got = trial.run(driver, layer, trial.first)
        if bits != {name: value.tobytes() for name, value in got.items()}:
            trial.expect(got, want, f"at call {number} with the same arguments")
        if time.monotonic() - start > MOST_SECONDS:
            return


@contract_check(
    "another thread",
    fault="results depend on the thread",
    advice="look for `threading.local`, `get_ident` and `current_thread`; what a layer needs belongs to the layer",
)
@of_steady_layers
def another_thread(trial: Trial) -> None:
    """Two layers called in turn, each in a thread of its own, give what they give in the thread that made them."""
    here = _in_turn(trial, _called, _called)
    # One thread waits for the other, so nothing depends on time.
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        try:
            there = _in_turn(
                trial, lambda call: one.submit(call).result(), lambda call: other.submit(call).result()
            )
        except Exception as error:
            raise ContractBroken(f"in another thread it raises {format_error(error)}") from error
    for got, want in zip(there, here, strict=True):
        trial.expect(got, want, "in another thread")


def _called(call: Callable[[], Answer]) -> Answer:
    return call()


def _in_turn(trial: Trial, *threads: Callable[[Callable[[], Answer]], Answer]) -> list[Answer]:
    """Forward of each of several layers, then backward of each.

    Args:
        trial: the trial.
        threads: for each layer what makes its calls.
    """
    parts = []
    for number, makes in enumerate(threads):
        call = (trial.first, trial.second)[number]
        driver, layer = trial.made(call)
        parts.append((makes, driver, layer, call, driver.arguments(call)))
    answers = [makes(partial(_forward, *part)) for makes, *part in parts]
    return [
        answer | makes(partial(trial.back, *part))
        for answer, (makes, *part) in zip(answers, parts, strict=True)
    ]


def _forward(driver: Driver, layer: Any, call: Call, arguments: dict[str, Array]) -> Answer:
    driver.zero(layer)
    return copied(driver.forward(layer, call, arguments))


@contract_check(
    "empty inputs",
    needs=("second-call",),
    fault="left over where the input is empty",
    advice="look for what only a time step or a row sets, such as gradients; or refuse T = 0 and B = 0",
)
@of_steady_layers
def empty_inputs(trial: Trial) -> None:
    """An input of no rows or no steps is refused, or its results are empty, its gradients zero and its state h_0."""
    for axis in ("B",) * (trial.case.B > 1) + ("T",) * (not trial.case.is_cell):
        call = _emptied(trial.first, axis)
        driver, layer = trial.made(trial.first)
        trial.run(driver, layer, trial.first)
        arguments = driver.arguments(call)
        try:
            got = _forward(driver, layer, call, arguments)
            trial.expect(got, _of_nothing(trial, call, got), f"where {axis} is 0")
            got = trial.back(driver, layer, call, arguments)
            trial.expect(got, _of_nothing(trial, call, got), f"where {axis} is 0")
        except ContractBroken:
            raise
        except Exception:
            continue  # refused, as torch refuses T = 0
        again = trial.run(driver, layer, trial.first)
        trial.expect(again, trial.alone(trial.first), f"after a call in which {axis} was 0")


def _emptied(call: Call, axis: str) -> Call:
    """The call with a batch of no rows, or with no time steps."""
    if axis == "T":
        return replace(call, xs=call.xs[:, :0], dhs=None if call.dhs is None else call.dhs[:, :0])
    rows = {name: getattr(call, name) for name in ("h_0", "dh_n")}
    rows = {name: None if value is None else value[:, :0] for name, value in rows.items()}
    return replace(call, xs=call.xs[:0], dhs=None if call.dhs is None else call.dhs[:0], **rows)


def _of_nothing(trial: Trial, call: Call, got: Answer) -> Answer:
    """What follows from an empty call: zeros, but for a state that passes through, and its gradient too."""
    want = {name: np.zeros(native_shape(trial.case, call, name)) for name in got}
    passed = {"h_n": call.h_0, "dh_0": call.dh_n}
    return want | {
        name: native(trial.case, name, value)
        for name, value in passed.items()
        if name in got and value is not None
    }


@contract_check(
    "other dtypes",
    fault="input of another dtype misread",
    advice="look for buffers of the input's dtype, such as `np.empty(shape, xs.dtype)` and `np.zeros_like(xs)`: "
    "give them the parameters' dtype, or refuse the input",
)
@of_steady_layers
def other_dtypes(trial: Trial) -> None:
    """An input of another dtype is refused, or gives the results of the same numbers (of whole numbers: advice)."""
    # Where units saturate, what is left of the upstream gradient is rounding.
    given = (value for value in (trial.first.dhs, trial.first.dh_n) if value is not None)
    upstream = max(float(np.abs(value).max()) for value in given)
    for xs in _of_other_dtypes(trial):
        try:
            driver, layer = trial.made(trial.first)
            got = trial.run(driver, layer, replace(trial.first, xs=xs))
        except Exception:
            continue  # refused, as torch does
        want = trial.alone(replace(trial.first, xs=xs.astype(DTYPES[trial.case.dtype])))
        is_float = xs.dtype.kind == "f"
        outputs = {name: value for name, value in want.items() if name in OUTPUTS}
        gradients = {name: value for name, value in want.items() if name not in OUTPUTS}
        if not is_float:
            gradients.pop("dx", None)  # may be a whole number too
        close = CLOSE_TO_HALF if xs.dtype == np.float16 else CLOSE["f32"]
        why = f"when the input is {xs.dtype}"
        # Many right layers have buffers of the input's dtype, which truncate where that is a whole number.
        trial.expect(got, outputs, why, close=close, is_advice=not is_float)
        trial.expect(got, gradients, why, close=close, least=upstream, is_advice=not is_float)


def _of_other_dtypes(trial: Trial) -> Iterator[Array]:
    """The call's input in every other dtype that the layer is not declared to lack."""
    xs = trial.first.xs
    for dtype, lacking in ((np.float32, "float32"), (np.float64, "float64"), (np.float16, "float32")):
        # Half precision may turn a slope of relu on or off.
        is_judged = dtype != np.float16 or not trial.case.is_unbounded
        if dtype != xs.dtype and lacking not in trial.without and is_judged:
            yield xs.astype(dtype)
    yield np.rint(2 * xs).astype(np.int64)
    yield xs > 0
