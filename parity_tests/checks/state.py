"""The contract of single kinds of layers: state carried from call to call, checkpoints, lengths."""

from collections.abc import Callable
from dataclasses import replace

from parity_tests.bound_numpy import np
from parity_tests.cases.memory_layouts import laid_out
from parity_tests.cases.tensors import Answer
from parity_tests.checks.trial import ContractBroken, Trial, contract_check, copied
from parity_tests.report import Severity
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
    whole, parts = _in_steps(trial, lambda outputs: None)
    trial.expect(parts, whole, "when the sequence is given a step at a time")


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

    whole, parts = _in_steps(trial, overwrite)
    trial.expect(parts, whole, "when the returned outputs are changed before the next call")


def _in_steps(trial: Trial, between: Callable[[object], None]) -> tuple[Answer, Answer]:
    """The states of a sequence in one call, and of one that is given a step at a time.

    Args:
        trial: the trial.
        between: what happens to the outputs of a step before the next one.
    """
    driver, layer = trial.made(trial.first)
    arguments = driver.arguments(trial.first)
    others, other = trial.made(trial.first)
    whole = copied(others.forward(other, trial.first, arguments))
    called(method(layer, "set_state"), arguments["h_0"].copy())
    steps, call = [], replace(trial.first, h_0=None, carries=True)
    for step in range(arguments["xs"].shape[1]):
        xs = np.array(arguments["xs"][:, step : step + 1], order="C")
        given = driver.forward(layer, call, {"xs": xs})
        steps.append(copied(given))
        between(given.get("hs"))
    parts = dict(steps[-1])
    if all("hs" in given and given["hs"].ndim == 3 for given in steps):
        parts["hs"] = np.concatenate([given["hs"] for given in steps], axis=1)
    return whole, parts


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
