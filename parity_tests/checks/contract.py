"""The contract of a drop-in layer: what must hold between calls, whether or not the values are right.

Each check compares the layer with itself in one ordinary case; it says nothing about whether the values
are right.
"""

import time
from dataclasses import replace

from parity_tests.bound_numpy import np
from parity_tests.cases.features import BACKWARD
from parity_tests.cases.memory_layouts import LAYOUTS
from parity_tests.check_facts import GRADIENTS_IN_PLACE, INPUTS_UNTOUCHED, RESULTS_OWNED
from parity_tests.checks.trial import (
    ContractBroken,
    Trial,
    contract_check,
    contract_form_of,
    copied,
)
from parity_tests.report import Severity
from parity_tests.subjects.results import is_array
from parity_tests.subjects.side_effects import ReturnedArrays, overwritten_inputs
from parity_tests.subjects.user_frames import format_error

SLOW = 100.0
"""A layer is slow if its step takes more than this many times as long as the step of rnn_np."""


@contract_form_of(INPUTS_UNTOUCHED)
def inputs_untouched(trial: Trial) -> None:
    """No call writes into its inputs."""
    driver, layer = trial.made(trial.first)
    arguments = driver.arguments(trial.first)
    before = {name: value.copy() for name, value in arguments.items()}
    driver.forward(layer, trial.first, arguments)
    driver.backward(layer, trial.first, arguments)
    trial.forbid(overwritten_inputs(arguments, before))


@contract_form_of(RESULTS_OWNED)
def results_owned(trial: Trial) -> None:
    """Returned arrays keep their values through later calls."""
    driver, layer = trial.made(trial.first)
    arguments = driver.arguments(trial.first)
    returned = ReturnedArrays()
    returned.keep(0, driver.forward(layer, trial.first, arguments))
    returned.keep(0, driver.backward(layer, trial.first, arguments))
    trial.run(driver, layer, replace(trial.first, xs=trial.first.xs[::-1].copy()))
    # What is returned comes before what is an attribute.
    changed = sorted(returned.changed(), key=lambda found: found[0] in driver.living)
    trial.forbid(changed, is_advice=bool(changed) and changed[0][0] in driver.living)


@contract_check(
    "repeatable backward",
    needs=(BACKWARD,),
    severity=Severity.ADVISORY,
    fault="backward spoils what forward kept",
    advice="look for caches that backward pops, adds to or writes over",
)
def repeatable_backward(trial: Trial) -> None:
    """A second backward of the same forward gives the same gradients."""
    driver, layer = trial.made(trial.first)
    arguments = driver.arguments(trial.first)
    driver.forward(layer, trial.first, arguments)
    once = trial.back(driver, layer, trial.first, arguments)
    driver.zero(layer)
    try:
        again = trial.back(driver, layer, trial.first, driver.arguments(trial.first))
    except Exception as error:
        raise ContractBroken(f"a second backward of one forward raises {format_error(error)}") from error
    # torch too allows one backward a forward, unless retain_graph is set.
    trial.expect(again, once, "at a second backward of one forward")


@contract_check(
    "second call",
    needs=("second-call",),
    fault="left over from the call before",
    advice="look for what is made once and reused: buffers, packed weights, carries, lengths",
)
def second_call(trial: Trial) -> None:
    """A call of other sizes with other weights has no effect on the next call."""
    driver, layer = trial.made(trial.other)
    trial.run(driver, layer, trial.other)
    driver.update(layer, trial.second)
    again = trial.run(driver, layer, trial.second)
    trial.expect(again, trial.alone(trial.second), "after a call of other sizes and an update of the weights")


@contract_check(
    "gradients overwritten",
    needs=(BACKWARD,),
    fault="gradients accumulated over calls",
    advice="look for `grads +=` without setting them to zero at the start of backward",
)
def gradients_overwritten(trial: Trial) -> None:
    """Each backward overwrites the gradients of the one before."""
    driver, layer = trial.made(trial.first)
    once = trial.run(driver, layer, trial.first)
    again = trial.run(driver, layer, trial.first)
    gradients = driver.gradients(layer).keys() & once.keys()
    trial.expect(
        again,
        {name: value for name, value in once.items() if name in gradients},
        "when the same call is made again: it is accumulated, or not written",
    )


@contract_form_of(GRADIENTS_IN_PLACE, needs=(BACKWARD,))
def gradients_in_place(trial: Trial) -> None:
    """``backward`` fills the gradient arrays that an optimizer holds."""
    driver, layer = trial.made(trial.first)
    held = driver.gradients(layer)
    trial.run(driver, layer, trial.first)
    is_advice = driver.gradients_in_place.severity == Severity.ADVISORY
    trial.forbid(driver.replaced(driver.gradients(layer), held), is_advice=is_advice)


@contract_check(
    "parameters by reference",
    fault="parameters copied when the layer is made",
    advice="look for a copy, a cast or a concatenation of the weights in the constructor",
)
def parameters_by_reference(trial: Trial) -> None:
    """The next forward uses parameters that were updated in place."""
    driver, layer = trial.made(trial.other)
    driver.update(layer, trial.first)
    trial.expect(
        trial.run(driver, layer, trial.first),
        trial.alone(trial.first),
        "when the weights were written into the parameters in place",
    )


@contract_check(
    "two layers in turn",
    needs=(BACKWARD,),
    fault="cache shared by all layers",
    advice="look for a list or dict that belongs to the class, or for a mutable default argument",
)
def two_layers(trial: Trial) -> None:
    """Two layers called in turn do not affect each other."""
    (driver, layer), (others, other) = trial.made(trial.first), trial.made(trial.second)
    arguments = driver.arguments(trial.first)
    answer = copied(driver.forward(layer, trial.first, arguments))
    trial.run(others, other, trial.second)
    answer |= trial.back(driver, layer, trial.first, arguments)
    trial.expect(answer, trial.alone(trial.first), "when another layer is called before its backward")


@contract_check(
    "two forwards",
    fault="cache of an earlier forward",
    advice="look for a cache that forward appends to and never clears",
)
def two_forwards(trial: Trial) -> None:
    """After two forwards, ``backward`` belongs to the last one."""
    driver, layer = trial.made(trial.first)
    earlier = replace(trial.first, xs=trial.first.xs[::-1].copy())
    driver.forward(layer, earlier, driver.arguments(earlier))
    again = trial.run(driver, layer, trial.first)
    trial.expect(again, trial.alone(trial.first), "after two forwards in a row")


@contract_check(
    "memory layouts",
    needs=("layouts",),
    fault="array misread unless contiguous",
    advice="look for `reshape`, `ravel(order='K')`, `.data`, strides, and writes into inputs",
)
def memory_layouts(trial: Trial) -> None:
    """Arrays in any memory layout, read-only ones too, give the same results."""
    want = trial.alone(trial.first)
    for layout in LAYOUTS[1:]:
        laid = Trial(replace(trial.case, layout=layout), trial.subject, trial.without)
        trial.expect(laid.alone(trial.first), want, f"when arrays are {layout}")


@contract_check(
    "large inputs",
    fault="tanh overflows",
    advice="look for a tanh made of `exp`; use `numpy.tanh`",
)
def large_inputs(trial: Trial) -> None:
    """With large inputs the states are numbers; where tanh saturates, they are at most 1 in magnitude."""
    driver, layer = trial.made(trial.first)
    large = replace(trial.first, xs=trial.first.xs * trial.first.xs.dtype.type(1e4))
    for name, value in copied(driver.forward(layer, large, driver.arguments(large))).items():
        limit = np.finfo(value.dtype).max if trial.case.is_unbounded else 1
        if not (np.abs(value) <= limit).all():
            raise ContractBroken(
                f"{name} reaches {float(np.abs(value).max())} with large inputs, expected at most {limit:.3g}",
                name,
            )


@contract_check(
    "inputs copied",
    needs=(BACKWARD,),
    severity=Severity.ADVISORY,
    fault="inputs kept by reference",
    advice="forward keeps `x` itself; a copy is safe",
)
def inputs_copied(trial: Trial) -> None:
    """The caller may change its inputs between forward and backward."""
    driver, layer = trial.made(trial.first)
    arguments = driver.arguments(trial.first)
    answer = copied(driver.forward(layer, trial.first, arguments))
    for name in ("xs", "x", "input", "h_prev", "h_0", "hx"):
        if name in arguments:
            arguments[name][...] = 0
    answer |= trial.back(driver, layer, trial.first, arguments)
    why = "when the caller changes its inputs between forward and backward: they are not copied"
    trial.expect(answer, trial.alone(trial.first), why)


@contract_check(
    "results copied",
    needs=(BACKWARD,),
    severity=Severity.ADVISORY,
    fault="results are the cache",
    advice="forward returns the array that backward reads; a copy is safe",
)
def results_copied(trial: Trial) -> None:
    """The caller may change the results between forward and backward."""
    driver, layer = trial.made(trial.first)
    arguments = driver.arguments(trial.first)
    results = driver.forward(layer, trial.first, arguments)
    answer = copied(results)
    for value in results.values():
        if is_array(value) and value.flags.writeable:
            value[...] = 0
    answer |= trial.back(driver, layer, trial.first, arguments)
    why = "when the caller changes the results between forward and backward: they are the layer's own arrays"
    trial.expect(answer, trial.alone(trial.first), why)


@contract_check(
    "weights copied",
    needs=(BACKWARD,),
    severity=Severity.ADVISORY,
    fault="backward reads the current weights",
    advice="backward reads the weights when it is called; correct if they are never updated in between",
)
def weights_copied(trial: Trial) -> None:
    """``backward`` uses the weights of its forward, even if they have been updated since."""
    driver, layer = trial.made(trial.first)
    arguments = driver.arguments(trial.first)
    answer = copied(driver.forward(layer, trial.first, arguments))
    driver.update(layer, trial.second)
    answer |= trial.back(driver, layer, trial.first, arguments)
    trial.expect(
        answer, trial.alone(trial.first), "when the weights are updated between forward and backward"
    )


@contract_check(
    "gradients kept",
    needs=(BACKWARD,),
    severity=Severity.ADVISORY,
    fault="forward clears the gradients",
    advice="look for gradients that are set to zero in forward",
)
def gradients_kept(trial: Trial) -> None:
    """A forward leaves the gradients of the last backward unchanged."""
    driver, layer = trial.made(trial.first)
    before = trial.run(driver, layer, trial.first)
    driver.forward(layer, trial.first, driver.arguments(trial.first))
    now = copied(driver.gradients(layer))
    trial.expect(
        now, {name: value for name, value in before.items() if name in now}, "after the next forward"
    )


@contract_check(
    "speed",
    severity=Severity.ADVISORY,
    fault="slow",
    advice="look for Python loops over batch rows or units",
)
def speed(trial: Trial) -> None:
    """A forward and backward takes at most 100 times as long as that of rnn_np."""
    import rnn_np

    case = replace(trial.case, T=1 if trial.case.is_cell else 32, D=16, H=32)
    times = []
    for subject in (trial.subject, rnn_np):
        one = Trial(case, subject, trial.without)
        driver, layer = one.made(one.first)
        one.run(driver, layer, one.first)
        start = time.perf_counter()
        one.run(driver, layer, one.first)
        times.append(time.perf_counter() - start)
    if times[0] > SLOW * times[1]:
        raise ContractBroken(f"a step takes {times[0] / times[1]:.0f} times as long as that of rnn_np")
