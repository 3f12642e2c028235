"""The contract of single kinds of layers: state carried from call to call, checkpoints, lengths."""

from dataclasses import replace

from parity_tests.bound_numpy import np
from parity_tests.cases.memory_layouts import laid_out
from parity_tests.checks.trial import ContractBroken, Trial, contract_check
from parity_tests.report import Severity


@contract_check(
    "state copied",
    kinds=("TimeRNN",),
    needs="initial-state",
    fault="set_state keeps the caller's array",
    advice="look for `self.h = h`; write `self.h = h.copy()`",
)
def state_copied(trial: Trial) -> None:
    """``set_state`` copies: the caller may change its array afterwards."""
    driver, layer = trial.made(trial.first)
    arguments = driver.arguments(trial.first)
    state = arguments["h_0"]
    layer.set_state(state)
    state += 1
    kept = np.array(layer.forward(arguments["xs"]))
    want = driver.forward(driver.make(trial.first), trial.first, driver.arguments(trial.first))["hs"]
    trial.expect({"hs": kept}, {"hs": want}, "when the array given to set_state is changed afterwards")


@contract_check(
    "state kept",
    kinds=("TimeRNN",),
    needs="state",
    fault="state not carried from call to call",
    advice="look for where a stateful forward starts from, and what it leaves in `self.h`",
)
def state_kept(trial: Trial) -> None:
    """A stateful layer starts from the final state of the last call, and uses a state that was set only once."""
    driver, layer = trial.made(trial.first)
    arguments = driver.arguments(trial.first)
    layer.set_state(arguments["h_0"])
    steps = arguments["xs"].shape[1]
    whole = np.array(driver.forward(driver.make(trial.first), trial.first, arguments)["hs"])
    parts = [np.array(layer.forward(arguments["xs"][:, step : step + 1])) for step in range(steps)]
    trial.expect(
        {"hs": np.concatenate(parts, axis=1)}, {"hs": whole}, "when the sequence is given a step at a time"
    )


@contract_check(
    "state reset",
    kinds=("TimeRNN",),
    needs="state",
    fault="reset_state without effect",
    advice="look for a state kept under another name than `self.h`",
)
def state_reset(trial: Trial) -> None:
    """After ``reset_state`` a stateful layer starts from zeros; one that is not stateful always does."""
    first = replace(trial.first, h_0=None)
    driver, layer = trial.made(first)
    arguments = driver.arguments(first)
    layer.reset_state()
    once = np.array(layer.forward(arguments["xs"]))
    layer.reset_state()
    trial.expect({"hs": np.array(layer.forward(arguments["xs"]))}, {"hs": once}, "after reset_state")
    stateless = Trial(replace(trial.case, h0=False), trial.subject)
    driver, layer = stateless.made(first)
    once = np.array(layer.forward(arguments["xs"]))
    trial.expect(
        {"hs": np.array(layer.forward(arguments["xs"]))},
        {"hs": once},
        "at the second call of a layer that is not stateful",
    )


@contract_check(
    "checkpoints copied",
    kinds=("nn.RNN", "nn.RNNCell"),
    fault="state dict shares memory",
    advice="look for `state_dict` or `load_state_dict` without a copy",
)
def checkpoints_copied(trial: Trial) -> None:
    """A state dict shares no memory with the layer, whether it was taken from it or loaded."""
    driver, layer = trial.made(trial.first)
    want = trial.alone(trial.first)
    taken = layer.state_dict()
    for value in taken.values():
        value[...] = 0
    trial.expect(
        trial.run(driver, layer, trial.first), want, "when a state dict that was taken from it is changed"
    )
    loaded = {name: laid_out(value, "contiguous") for name, value in driver.parameters(layer).items()}
    layer.load_state_dict(loaded)
    for value in loaded.values():
        value[...] = 0
    trial.expect(
        trial.run(driver, layer, trial.first), want, "when the state dict it was loaded from is changed"
    )


@contract_check(
    "bad lengths",
    kinds=("nn.RNN",),
    needs="lengths",
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
            layer(arguments["input"], lengths=lengths)
        except (ValueError, TypeError, IndexError, RuntimeError):
            continue
        raise ContractBroken(f"lengths: a length of {length} is accepted, where T is {T}")
