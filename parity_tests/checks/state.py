"""The contract of single kinds of layers: the state between calls, `params`, checkpoints, lengths."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import cycle
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.memory_layouts import laid_out
from parity_tests.cases.tensors import Answer
from parity_tests.checks.trial import ContractBroken, Trial, contract_check, copied, of_steady_layers
from parity_tests.report import Severity
from parity_tests.subjects.driver import Driver
from parity_tests.subjects.parts import attribute, called, method
from parity_tests.subjects.results import is_array


@contract_check(
    "state copied",
    kinds=("TimeRNN",),
    needs=("initial-state",),
    severity=Severity.ADVISORY,
    fault="set_state keeps the caller's array",
    advice="look for `self.h = h`; `self.h = h.copy()` is safe",
)
def state_copied(trial: Trial) -> None:
    """``set_state`` copies: the caller may change its array afterwards."""
    driver, layer = trial.made(trial.first)
    arguments = driver.arguments(trial.first)
    state = arguments["h_0"]
    called(method(layer, "set_state"), state)
    state += 1
    kept = trial.goes_on(driver, layer, arguments)
    others, other = trial.made(trial.first)
    want = copied(others.forward(other, trial.first, others.arguments(trial.first)))
    trial.expect(kept, want, "when the array given to set_state is changed afterwards")


@contract_check(
    "state kept",
    kinds=("TimeRNN",),
    needs=("initial-state", "state"),
    fault="state not carried from call to call",
    advice="look for where a stateful forward starts from, and what it leaves in `self.h`",
)
def state_kept(trial: Trial) -> None:
    """A stateful layer starts from the final state of the last call, and uses a state that was set only once."""
    for steps, parts_in_words in ((1,), "a step at a time"), ((1, 2), "in parts of one and of two steps"):
        whole, parts = _in_parts(trial, steps, lambda outputs: None)
        trial.expect(parts, whole, f"when the sequence is given {parts_in_words}")


@contract_check(
    "state apart from results",
    kinds=("TimeRNN",),
    needs=("initial-state", "state"),
    severity=Severity.ADVISORY,
    fault="state is a view of the result",
    advice="look for `self.h = hs[:, -1]`; `self.h = hs[:, -1].copy()` is safe",
)
def state_apart(trial: Trial) -> None:
    """The caller may change what a stateful forward returns before the next call."""

    def overwrite(outputs: object) -> None:
        if is_array(outputs) and outputs.flags.writeable:
            outputs[...] = 0

    whole, parts = _in_parts(trial, (1,), overwrite)
    trial.expect(parts, whole, "when the returned outputs are changed before the next call")


def _in_parts(
    trial: Trial, steps: tuple[int, ...], between: Callable[[object], None]
) -> tuple[Answer, Answer]:
    """The states of a sequence in one call, and of one that is given in parts.

    Args:
        trial: the trial.
        steps: how many of them a part has, in turn.
        between: what happens to the outputs of a part before the next one.
    """
    driver, layer = trial.made(trial.first)
    arguments = driver.arguments(trial.first)
    others, other = trial.made(trial.first)
    whole = copied(others.forward(other, trial.first, arguments))
    called(method(layer, "set_state"), arguments["h_0"].copy())
    answers, call = [], replace(trial.first, h_0=None, carries=True)
    start, sizes = 0, cycle(steps)
    while start < arguments["xs"].shape[1]:
        end = start + next(sizes)
        xs = np.array(arguments["xs"][:, start:end], order="C")
        given = driver.forward(layer, call, {"xs": xs})
        answers.append(copied(given))
        between(given.get("hs"))
        start = end
    parts = dict(answers[-1])
    if all("hs" in given and given["hs"].ndim == 3 for given in answers):
        parts["hs"] = np.concatenate([given["hs"] for given in answers], axis=1)
    return whole, parts


@contract_check(
    "other batch size",
    kinds=("TimeRNN",),
    needs=("initial-state", "state", "batch"),
    fault="state of another batch size used",
    advice="compare the batch size with that of the state; refuse another, or start from zeros",
)
@of_steady_layers
def other_batch_size(trial: Trial) -> None:
    """A call of another batch size than its state's is refused, or starts from zeros (from some of its rows: advice)."""
    for rows, others in ((2, 3), (3, 2), (3, 1), (1, 3)):
        driver, layer = trial.made(trial.first)
        call = _of_rows(trial.first, rows)
        driver.forward(layer, call, driver.arguments(call))
        later = replace(_of_rows(trial.first, others), h_0=None, carries=True)
        arguments = driver.arguments(later)
        try:
            got = copied(driver.forward(layer, later, arguments))
        except Exception:
            continue  # refused
        anew, new = trial.made(trial.first)
        want = copied(anew.forward(new, replace(later, carries=False), arguments))
        # Right layers that do not compare the sizes do so: NumPy repeats a single row for all others, and a
        # loop over the rows of the input leaves those of the state that are too many.
        is_advice = 1 in (rows, others) or not trial.unlike(got, _after_dropped_rows(trial, call, later))
        why = f"from that of a new layer, where the batch size is {others} and that of the state {rows}"
        trial.expect(got, want, why, is_advice=is_advice)


def _after_dropped_rows(trial: Trial, call: Call, later: Call) -> Answer:
    """A call and a later one, both with the first rows alone."""
    driver, layer = trial.made(trial.first)
    least = min(len(call.xs), len(later.xs))
    call, later = _of_rows(call, least), _of_rows(later, least)
    driver.forward(layer, call, driver.arguments(call))
    return copied(driver.forward(layer, later, driver.arguments(later)))


def _of_rows(call: Call, rows: int) -> Call:
    """The call with its first rows alone."""
    return replace(call, xs=call.xs[:rows], h_0=None if call.h_0 is None else call.h_0[:, :rows])


@contract_check(
    "state reset",
    kinds=("TimeRNN",),
    needs=("initial-state", "state"),
    fault="reset_state without effect",
    advice="look for a state kept under another name than `self.h`",
)
def state_reset(trial: Trial) -> None:
    """After ``reset_state`` a stateful layer starts from zeros; one that is not stateful always does."""
    first = replace(trial.first, h_0=None)
    driver, layer = trial.made(first)
    arguments = driver.arguments(first)
    called(method(layer, "reset_state"))
    once = trial.goes_on(driver, layer, arguments)
    called(method(layer, "reset_state"))
    trial.expect(trial.goes_on(driver, layer, arguments), once, "after reset_state")
    stateless = Trial(replace(trial.case, h0=False), trial.subject, trial.without)
    driver, layer = stateless.made(first)
    once = trial.goes_on(driver, layer, arguments)
    again = trial.goes_on(driver, layer, arguments)
    trial.expect(again, once, "at the second call of a layer that is not stateful")


@contract_check(
    "replaced parameters",
    kinds=("TimeRNN", "RNN"),
    needs=("second-call",),
    fault="replaced parameters not used",
    advice="look for weights that are kept beside the parameters: forward and backward have to read the same",
)
@of_steady_layers
def replaced_parameters(trial: Trial) -> None:
    """An array put into ``params`` is refused, or used by the next forward and backward (by neither: advice)."""
    call = replace(trial.first, weights=trial.second.weights)
    got = _with_replaced(trial, trial.weights(call), call)
    want = _after_a_call(trial, call, lambda driver, layer: driver.update(layer, call))
    if got and trial.unlike(got, want):
        ignored = _after_a_call(trial, call, lambda driver, layer: None)
        is_advice = not trial.unlike(got, ignored)
        trial.expect(got, want, "when parameters are replaced by other arrays", is_advice=is_advice)
    wider = Trial(replace(trial.case, D=trial.case.D + 1), trial.subject, trial.without)
    if got := _with_replaced(trial, wider.weights(wider.first), wider.first):
        wider.expect(got, wider.alone(wider.first), "when parameters are replaced by those of a larger input")


def _after_a_call(trial: Trial, call: Call, change: Callable[[Driver, Any], None]) -> Answer:
    """The results of a second call, before which the layer was changed."""
    driver, layer = trial.made(trial.first)
    trial.run(driver, layer, trial.first)
    change(driver, layer)
    return trial.run(driver, layer, call)


def _with_replaced(trial: Trial, weights: Mapping[str, Array], call: Call) -> Answer:
    """The results of a call once arrays in ``params`` were replaced, none if that is refused."""

    def put(driver: Driver, layer: Any) -> None:
        params = attribute(layer, "params")
        for number, value in enumerate(weights.values()):
            params[number] = value

    try:
        return _after_a_call(trial, call, put)
    except Exception:
        return {}


@contract_check(
    "checkpoints copied",
    kinds=("nn.RNN", "nn.RNNCell"),
    severity=Severity.ADVISORY,
    fault="state dict shares memory",
    advice="look for `load_state_dict` without a copy; torch's copies",
)
def checkpoints_copied(trial: Trial) -> None:
    """A layer shares no memory with the state dict that was loaded."""
    driver, layer = trial.made(trial.first)
    load = attribute(layer, "load_state_dict")
    if load is None:
        return
    want = trial.alone(trial.first)
    loaded = {name: laid_out(value, "contiguous") for name, value in driver.parameters(layer).items()}
    called(load, loaded)
    for value in loaded.values():
        value[...] = 0
    trial.expect(
        trial.run(driver, layer, trial.first), want, "when the state dict it was loaded from is changed"
    )


@contract_check(
    "checkpoints restored",
    kinds=("nn.RNN", "nn.RNNCell"),
    fault="state dict without the current weights",
    advice="look for what `state_dict` gives and `load_state_dict` takes",
)
def checkpoints_restored(trial: Trial) -> None:
    """The state dict of one layer, loaded into another, gives the same results."""
    driver, layer = trial.made(trial.other)
    take, load = attribute(layer, "state_dict"), attribute(layer, "load_state_dict")
    if take is None or load is None:
        return
    driver.update(layer, trial.first)
    others, other = trial.made(trial.other)
    called(method(other, "load_state_dict"), called(take))
    trial.expect(
        trial.run(others, other, trial.first), trial.alone(trial.first), "when a state dict is loaded again"
    )


@contract_check(
    "bad lengths",
    kinds=("nn.RNN",),
    needs=("lengths",),
    severity=Severity.ADVISORY,
    fault="rows of length 0 accepted",
    advice="check that lengths are whole numbers in 1 to T",
)
def bad_lengths(trial: Trial) -> None:
    """A length of 0 or above T is refused."""
    driver, layer = trial.made(trial.first)
    arguments = driver.arguments(trial.first)
    B, T, _ = trial.first.xs.shape
    # A row of length 0 has no final state; beyond T lies the data of another row.
    for length in (0, T + 1):
        lengths = np.full(B, T)
        lengths[-1] = length
        try:
            called(
                layer if callable(layer) else method(layer, "forward"), arguments["input"], lengths=lengths
            )
        except (ValueError, TypeError, IndexError, RuntimeError):
            continue
        raise ContractBroken(f"lengths: a length of {length} is accepted, where T is {T}")
