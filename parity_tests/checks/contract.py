"""The contract of a drop-in layer: what must hold between calls, whatever the values are.

Each check holds the layer against itself, in one ordinary case of one precision: a layer with wrong
values may keep all of it, and a right one break it.
"""

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from parity_tests.cases.arrays import Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.features import restricted
from parity_tests.cases.memory_layouts import LAYOUTS, laid_out
from parity_tests.cases.tensors import Answer
from parity_tests.report import Finding, Severity
from parity_tests.subjects.drivers import PERFORMERS, Performer
from parity_tests.subjects.user_frames import told

CLOSE = {"f64": 1e-9, "f32": 1e-3}
"""How far the layer may be from itself where the order of its operations may differ."""
SLOW = 100.0
"""Times our own layer's step; more is unusual."""
TEMPLATES = {
    "time": Case(B=3, T=4, D=2, H=5, h0=True),
    "cell": Case(kind="cell", B=3, T=1, D=2, H=5, h0=True),
    "nn": Case(kind="nn", B=3, T=4, D=2, H=5, h0=True, layers=2, bidirectional=True, given="both"),
    "nncell": Case(kind="nncell", B=3, T=1, D=2, H=5, h0=True),
}


class Broken(Exception):
    """The layer breaks the contract.

    Attributes:
        tensor: what it concerns, or ``""``.
    """

    def __init__(self, message: str, tensor: str = "") -> None:
        super().__init__(message)
        self.tensor = tensor


class Trial:
    """Layers of the subject's, to be called in any order."""

    def __init__(self, case: Case, layers: Any) -> None:
        self.case = case
        self.layers = layers
        (self.first,) = calls_of(replace(case, calls="once"))
        self.other, self.second = calls_of(replace(case, calls="again", seed=7))

    def made(self, call: Call) -> tuple[Performer, Any]:
        """A new layer with a call's weights."""
        performer = PERFORMERS[self.case.kind](self.case, self.layers)
        return performer, performer.make(call)

    def run(self, performer: Performer, layer: Any, call: Call) -> Answer:
        """One forward and backward."""
        given = performer.given(call)
        answer = copied(performer.forward(layer, call, given))
        return answer | self.back(performer, layer, call, given)

    def back(self, performer: Performer, layer: Any, call: Call, given: dict[str, Array]) -> Answer:
        """The backward of the last forward, gradients of parameters included."""
        answer = performer.backward(layer, call, given)
        return copied(answer | performer.gradients(layer))

    def alone(self, call: Call) -> Answer:
        """What a new layer answers to a call."""
        return self.run(*self.made(call), call)

    def expect(self, got: Answer, want: Answer, why: str) -> None:
        """Raise ``Broken`` unless two answers are as good as equal."""
        for name, value in want.items():
            other = got[name]
            scale = float(np.abs(value).max(initial=0.0))
            if other.shape != value.shape or not np.allclose(
                other, value, rtol=0, atol=CLOSE[self.case.dtype] * scale, equal_nan=True
            ):
                raise Broken(f"{name} differs {why}", name)


def copied(answer: Answer) -> Answer:
    """The answer in arrays of its own."""
    return {name: np.array(value) for name, value in answer.items()}


def repeatable_backward(trial: Trial) -> None:
    """A second backward of one forward gives the same."""
    performer, layer = trial.made(trial.first)
    given = performer.given(trial.first)
    performer.forward(layer, trial.first, given)
    once = trial.back(performer, layer, trial.first, given)
    try:
        again = trial.back(performer, layer, trial.first, performer.given(trial.first))
    except Exception as error:
        raise Broken(f"a second backward of one forward raises {told(error)}") from error
    # torch too has one backward for a forward, unless it is told otherwise.
    trial.expect(again, once, "at a second backward of one forward")


def second_call(trial: Trial) -> None:
    """A call of other sizes, with other weights, leaves nothing behind."""
    performer, layer = trial.made(trial.other)
    trial.run(performer, layer, trial.other)
    performer.update(layer, trial.second)
    again = trial.run(performer, layer, trial.second)
    trial.expect(again, trial.alone(trial.second), "after a call of other sizes and an update of the weights")


def gradients_overwritten(trial: Trial) -> None:
    """A backward overwrites the gradients of the one before."""
    performer, layer = trial.made(trial.first)
    once = trial.run(performer, layer, trial.first)
    again = trial.run(performer, layer, trial.first)
    gradients = performer.gradients(layer).keys()
    trial.expect(
        {name: again[name] for name in gradients},
        {name: once[name] for name in gradients},
        "when the same call is made again: it is added up, or kept",
    )


def gradients_in_place(trial: Trial) -> None:
    """The arrays that an optimizer holds are filled."""
    performer, layer = trial.made(trial.first)
    held = performer.gradients(layer)
    trial.run(performer, layer, trial.first)
    for name, now in performer.gradients(layer).items():
        if now is not held[name]:
            raise Broken(f"grads holds another array for {name[1:]} after backward", name)


def parameters_by_reference(trial: Trial) -> None:
    """An update of the parameters in place is seen."""
    performer, layer = trial.made(trial.other)
    performer.update(layer, trial.first)
    trial.expect(
        trial.run(performer, layer, trial.first),
        trial.alone(trial.first),
        "when the weights were written into the parameters in place",
    )


def two_layers(trial: Trial) -> None:
    """Two layers in turn do not meet."""
    (performer, layer), (others, other) = trial.made(trial.first), trial.made(trial.second)
    given = performer.given(trial.first)
    answer = copied(performer.forward(layer, trial.first, given))
    trial.run(others, other, trial.second)
    answer |= trial.back(performer, layer, trial.first, given)
    trial.expect(answer, trial.alone(trial.first), "when another layer is called before its backward")


def two_forwards(trial: Trial) -> None:
    """A backward belongs to the last forward."""
    performer, layer = trial.made(trial.first)
    earlier = replace(trial.first, xs=trial.first.xs[::-1].copy())
    performer.forward(layer, earlier, performer.given(earlier))
    again = trial.run(performer, layer, trial.first)
    trial.expect(again, trial.alone(trial.first), "after two forwards in a row")


def inputs_untouched(trial: Trial) -> None:
    """What is handed over is not written to."""
    performer, layer = trial.made(trial.first)
    given = performer.given(trial.first)
    before = copied(given)
    performer.forward(layer, trial.first, given)
    performer.backward(layer, trial.first, given)
    for name, value in given.items():
        if value.tobytes() != before[name].tobytes():
            raise Broken(f"{name} was changed by the layer", name)


def results_owned(trial: Trial) -> None:
    """What is returned stays as it is through later calls."""
    performer, layer = trial.made(trial.first)
    given = performer.given(trial.first)
    results = performer.forward(layer, trial.first, given)
    results |= performer.backward(layer, trial.first, given)
    before = copied(results)
    trial.run(performer, layer, replace(trial.first, xs=trial.first.xs[::-1].copy()))
    for name, value in results.items():
        if value.tobytes() != before[name].tobytes():
            raise Broken(f"{name} was changed by a later call", name)


def state_copied(trial: Trial) -> None:
    """A state that is given is the caller's own afterwards."""
    performer, layer = trial.made(trial.first)
    given = performer.given(trial.first)
    state = given["h_0"]
    layer.set_state(state)
    state += 1
    kept = np.array(layer.forward(given["xs"]))
    want = performer.forward(performer.make(trial.first), trial.first, performer.given(trial.first))["hs"]
    trial.expect({"hs": kept}, {"hs": want}, "when the array given to set_state is changed afterwards")


def state_kept(trial: Trial) -> None:
    """A stateful layer goes on where the last call ended; a given state is used once."""
    performer, layer = trial.made(trial.first)
    given = performer.given(trial.first)
    layer.set_state(given["h_0"])
    steps = given["xs"].shape[1]
    whole = np.array(performer.forward(performer.make(trial.first), trial.first, given)["hs"])
    parts = [np.array(layer.forward(given["xs"][:, step : step + 1])) for step in range(steps)]
    trial.expect(
        {"hs": np.concatenate(parts, axis=1)}, {"hs": whole}, "when the sequence is given a step at a time"
    )


def state_reset(trial: Trial) -> None:
    """After ``reset_state`` a stateful layer starts from zeros, and without ``stateful`` always."""
    first = replace(trial.first, h_0=None)
    performer, layer = trial.made(first)
    given = performer.given(first)
    layer.reset_state()
    once = np.array(layer.forward(given["xs"]))
    layer.reset_state()
    trial.expect({"hs": np.array(layer.forward(given["xs"]))}, {"hs": once}, "after reset_state")
    stateless = Trial(replace(trial.case, h0=False), trial.layers)
    performer, layer = stateless.made(first)
    once = np.array(layer.forward(given["xs"]))
    trial.expect(
        {"hs": np.array(layer.forward(given["xs"]))},
        {"hs": once},
        "at the second call of a layer not stateful",
    )


def memory_layouts(trial: Trial) -> None:
    """Arrays in any memory layout, read-only ones too, mean the same."""
    want = trial.alone(trial.first)
    for layout in LAYOUTS[1:]:
        laid = Trial(replace(trial.case, layout=layout), trial.layers)
        trial.expect(laid.alone(trial.first), want, f"where arrays are {layout}")


def inputs_copied(trial: Trial) -> None:
    """An input may be changed between forward and backward."""
    performer, layer = trial.made(trial.first)
    given = performer.given(trial.first)
    answer = copied(performer.forward(layer, trial.first, given))
    for name in ("xs", "x", "input", "h_prev", "h_0", "hx"):
        if name in given:
            given[name][...] = 0
    answer |= trial.back(performer, layer, trial.first, given)
    why = "when the caller changes its inputs between forward and backward: they are not copied"
    trial.expect(answer, trial.alone(trial.first), why)


def results_copied(trial: Trial) -> None:
    """A result may be changed between forward and backward."""
    performer, layer = trial.made(trial.first)
    given = performer.given(trial.first)
    results = performer.forward(layer, trial.first, given)
    answer = copied(results)
    for value in results.values():
        if value.flags.writeable:
            value[...] = 0
    answer |= trial.back(performer, layer, trial.first, given)
    why = "when the caller changes the results between forward and backward: they are the layer's own"
    trial.expect(answer, trial.alone(trial.first), why)


def weights_copied(trial: Trial) -> None:
    """A backward uses the weights of its forward, whatever an optimizer did since."""
    performer, layer = trial.made(trial.first)
    given = performer.given(trial.first)
    answer = copied(performer.forward(layer, trial.first, given))
    performer.update(layer, trial.second)
    answer |= trial.back(performer, layer, trial.first, given)
    trial.expect(
        answer, trial.alone(trial.first), "when the weights are updated between forward and backward"
    )


def gradients_kept(trial: Trial) -> None:
    """A forward leaves the gradients of the last backward alone."""
    performer, layer = trial.made(trial.first)
    before = trial.run(performer, layer, trial.first)
    performer.forward(layer, trial.first, performer.given(trial.first))
    now = copied(performer.gradients(layer))
    trial.expect(now, {name: before[name] for name in now}, "after the next forward")


def large_inputs(trial: Trial) -> None:
    """Where tanh saturates the states are 1 in magnitude, and not lost."""
    performer, layer = trial.made(trial.first)
    large = replace(trial.first, xs=trial.first.xs * trial.first.xs.dtype.type(1e4))
    for name, value in performer.forward(layer, large, performer.given(large)).items():
        if not (np.abs(value) <= 1).all():
            raise Broken(
                f"{name} is {float(np.abs(value).max())} where inputs are large, not at most 1", name
            )


def bad_lengths(trial: Trial) -> None:
    """A length of 0, or above T, is refused: there is no state to give, or a neighbour's data."""
    performer, layer = trial.made(trial.first)
    given = performer.given(trial.first)
    B, T, _ = trial.first.xs.shape
    for length in (0, T + 1):
        lengths = np.full(B, T)
        lengths[-1] = length
        try:
            layer(given["input"], lengths=lengths)
        except (ValueError, TypeError, IndexError, RuntimeError):
            continue
        raise Broken(f"lengths: a length of {length} is taken, where T is {T}")


def checkpoints_copied(trial: Trial) -> None:
    """A state dict shares no memory with the layer, neither one given nor one taken."""
    performer, layer = trial.made(trial.first)
    want = trial.alone(trial.first)
    taken = layer.state_dict()
    for value in taken.values():
        value[...] = 0
    trial.expect(trial.run(performer, layer, trial.first), want, "when a state dict taken from it is changed")
    loaded = {name: laid_out(value, "contiguous") for name, value in performer.parameters(layer).items()}
    layer.load_state_dict(loaded)
    for value in loaded.values():
        value[...] = 0
    trial.expect(
        trial.run(performer, layer, trial.first), want, "when the state dict it was loaded from is changed"
    )


def speed(trial: Trial) -> None:
    """A step takes about as long as others take."""
    import rnn_np

    case = replace(trial.case, T=1 if trial.case.is_cell else 32, D=16, H=32)
    times = []
    for layers in (trial.layers, rnn_np):
        one = Trial(case, layers)
        performer, layer = one.made(one.first)
        one.run(performer, layer, one.first)
        start = time.perf_counter()
        one.run(performer, layer, one.first)
        times.append(time.perf_counter() - start)
    if times[0] > SLOW * times[1]:
        raise Broken(f"a step takes {times[0] / times[1]:.0f} times as long as that of rnn_np")


TOLD = (
    "repeatable backward",
    "inputs copied",
    "results copied",
    "weights copied",
    "gradients kept",
    "bad lengths",
    "speed",
)
"""Right layers may fail these."""
EVERY: dict[str, Callable[[Trial], None]] = {
    "inputs untouched": inputs_untouched,
    "results owned by the caller": results_owned,
    "repeatable backward": repeatable_backward,
    "second call": second_call,
    "gradients overwritten": gradients_overwritten,
    "gradients in place": gradients_in_place,
    "parameters by reference": parameters_by_reference,
    "two layers in turn": two_layers,
    "two forwards": two_forwards,
    "memory layouts": memory_layouts,
    "large inputs": large_inputs,
    "inputs copied": inputs_copied,
    "results copied": results_copied,
    "weights copied": weights_copied,
    "gradients kept": gradients_kept,
    "speed": speed,
}
STATEFUL = {"state copied": state_copied, "state kept": state_kept, "state reset": state_reset}
LOADED = {"checkpoints copied": checkpoints_copied}
SEQUENCES = {"bad lengths": bad_lengths}
CHECKS: dict[str, dict[str, Callable[[Trial], None]]] = {
    "time": {**EVERY, **STATEFUL},
    "cell": EVERY,
    "nn": {**EVERY, **LOADED, **SEQUENCES},
    "nncell": {**EVERY, **LOADED},
}
FAULTS = {
    "inputs untouched": ("input overwritten", "look for `+=`, `*=` or `[...] =` on what was handed over"),
    "results owned by the caller": (
        "output buffer reused",
        "look for a buffer that every call fills and returns; return a copy",
    ),
    "repeatable backward": (
        "backward spoils what forward kept",
        "look for caches that backward pops, adds to or writes over",
    ),
    "second call": (
        "left over from the call before",
        "look for what is made once and kept: buffers, packed weights, carries, lengths",
    ),
    "gradients overwritten": (
        "gradients accumulated over calls",
        "look for `grads +=` without setting them to zero at the start of backward",
    ),
    "gradients in place": (
        "gradients in new arrays",
        "look for `self.grads = [...]` in backward; write `self.grads[i][...] = ...`",
    ),
    "parameters by reference": (
        "parameters copied when the layer is made",
        "look for a copy, a cast or a concatenation of the weights in the constructor",
    ),
    "two layers in turn": (
        "cache shared by all layers",
        "look for a list or dict that belongs to the class, or for a mutable default argument",
    ),
    "two forwards": (
        "cache of an earlier forward",
        "look for a cache that forward appends to and never clears",
    ),
    "memory layouts": (
        "array misread unless contiguous",
        "look for `reshape`, `ravel(order='K')`, `.data`, strides, and writes into inputs",
    ),
    "large inputs": ("tanh overflows", "look for a tanh made of `exp`; use `numpy.tanh`"),
    "state copied": (
        "set_state keeps the caller's array",
        "look for `self.h = h`; write `self.h = h.copy()`",
    ),
    "state kept": (
        "state not carried from call to call",
        "look for where a stateful forward starts from, and what it leaves in `self.h`",
    ),
    "state reset": ("reset_state without effect", "look for a state kept under another name than `self.h`"),
    "inputs copied": ("inputs kept by reference", "forward keeps `x` itself; a copy is safe"),
    "results copied": (
        "results are the cache",
        "forward returns the array that backward reads; a copy is safe",
    ),
    "weights copied": (
        "backward reads the current weights",
        "backward uses the weights as they are then; right as long as nobody updates them in between",
    ),
    "gradients kept": ("forward clears the gradients", "look for gradients that are set to zero in forward"),
    "checkpoints copied": (
        "state dict shares memory",
        "look for `state_dict` or `load_state_dict` without a copy",
    ),
    "bad lengths": ("rows of length 0 accepted", "check that lengths are whole numbers in 1 to T"),
    "speed": ("slow", "look for Python loops over batch rows or units"),
}
"""Of every check: the name of its fault, and where to look for it in one's own code."""
NEEDS = {
    "bad lengths": "lengths",
    "second call": "second-call",
    "memory layouts": "layouts",
    "state copied": "initial-state",
    "state kept": "state",
    "state reset": "state",
}
"""The feature that a check is about."""


def checks_of(kinds: Iterable[str], without: Iterable[str]) -> list[tuple[str, str]]:
    """Kind and name of every check that is due."""
    left_out = {*without}
    if "initial-state" in left_out:
        left_out.add("state")
    return [
        (kind, name)
        for kind in kinds
        for name in CHECKS[kind]
        if name.replace(" ", "-") not in left_out and NEEDS.get(name) not in left_out
    ]


def contract(layers: Any, kind: str, name: str, without: tuple[str, ...]) -> tuple[list[Finding], str]:
    """Run one check in both precisions; return what it found, and why it could not be run, if so."""
    findings: list[Finding] = []
    severity = Severity.ADVISORY if name in TOLD else Severity.FAULT
    cases = {restricted(replace(TEMPLATES[kind], dtype=dtype), without) for dtype in ("f64", "f32")}
    for case in sorted(cases, key=str):
        trial = Trial(case, layers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                trial.alone(trial.first)
            except (Exception, SystemExit) as error:
                return findings, f"{name}: an ordinary call raises {told(error)}"
            try:
                CHECKS[kind][name](trial)
            except Broken as broken:
                fault, look = FAULTS[name]
                message = f"{broken}; {look}"
                findings.append(Finding(name, broken.tensor, case, message, severity, fault))
            except (Exception, SystemExit) as error:
                findings.append(Finding(name, "", case, f"raises {told(error)}", severity))
    return findings, ""
