"""A faulty loop whose fault is confined to a place: elsewhere it is the loop before it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.cases.tensors import Answer, family
from parity_tests.diagnosis.faults.faulty_loop import CannotCombine, FaultyLoop
from parity_tests.diagnosis.faults.stages import METHODS
from parity_tests.diagnosis.places import Place
from parity_tests.references.float64_cell import CellTrace, Gradients

ROW_AXES = {
    **dict.fromkeys(("slope", "step_gradients", "input_gradient", "outputs", "inputs", "starts"), 2),
    **dict.fromkeys(("upstream", "previous_states", "layer_input", "summed", "dropped", "undropped"), 2),
    **dict.fromkeys(("carry", "first_carry", "start_gradient", "final", "previous", "carry_in_padding"), 1),
    **dict.fromkeys(("head_states", "logits", "softmax", "targets", "losses", "errors"), 2),
    **dict.fromkeys(("logits_gradient", "states_gradient"), 2),
    "final_gradient": 0,
}
"""The axis of the batch in what a method returns."""
OF_ONE_STEP = ("step", "previous", "activate", "delta", "carry")
"""Methods that work on one time step, their second argument."""
STEPS_FIRST = (
    "slope",
    "step_gradients",
    "input_gradient",
    "outputs",
    "inputs",
    "upstream",
    "previous_states",
    "head_states",
    "logits",
    "softmax",
    "targets",
    "losses",
    "errors",
    "logits_gradient",
    "states_gradient",
)
"""Methods that return an array whose first axis is time."""

Method = Callable[..., Any]
"""A method of a faulty loop."""


class ConfinedLoop(FaultyLoop):
    """A fault that is in one place only.

    Args:
        fault: the loop with the fault.
        place: where it is.
    """

    def __init__(self, fault: FaultyLoop, place: Place) -> None:
        super().__init__(fault.case, fault.noise, fault.subject_answers)
        self.fault, self.place = fault, place
        self.keep_preactivations = fault.keep_preactivations
        self.inner_roundoff = fault.inner_roundoff
        tracked = {name for cls in type(fault).__mro__ for name in vars(cls).get("tracks_only", ())}
        self.replaced = {
            name for name in METHODS if getattr(type(fault), name) is not getattr(FaultyLoop, name)
        }
        self.tracked = tracked & self.replaced
        self.calls_begun = 0
        self.in_call = False
        self.cells_begun = 0
        self.cell_numbers: dict[int, int] = {}

    def link(self, before: Sequence[FaultyLoop], outer: FaultyLoop) -> None:
        super().link(before, outer)
        self.fault.link(before, outer)

    def method(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """Call a method of the fault, of the loop before, or both and put together what they return."""
        faulty: Callable[..., Any] = getattr(self.fault, name)
        right = self.method_before(name)
        place = self.place
        if name == "call":
            self.in_call = place.holds_in(self.case) and (place.call is None or place.call(self.calls_begun))
            self.calls_begun += 1
            self.cells_begun, self.cell_numbers = 0, {}
        if not self.in_call:
            return right(*arguments)
        if name == "forward":
            self.cells_begun += 1
        if name == "backward_traces":
            self.cell_numbers = {id(trace): number for number, trace in enumerate(arguments[0])}
        if name == "step" and "biases" in self.replaced and place.axis in ("rows", "steps"):
            arguments = self._with_biases(*arguments)
        if name not in self.replaced:
            return right(*arguments)
        if name in self.tracked or name == "call":
            return faulty(*arguments)
        if place.cell is not None:
            return self._by_cell(name, faulty, right, arguments)
        if place.axis:
            return self._by_index(name, faulty, right, arguments)
        return faulty(*arguments)

    def _inside(self, number: int) -> bool:
        assert self.place.cell is not None
        return self.place.cell(self.case, number)

    def _by_cell(self, name: str, faulty: Method, right: Method, arguments: tuple[Any, ...]) -> Any:
        cells = range(self.case.num_cells)
        if name in ("cells", "starts", "by_parameter_name"):
            theirs, mine = list(right(*arguments)), list(faulty(*arguments))
            mixed = [mine[i] if self._inside(i) else theirs[i] for i in cells]
            return np.stack(np.broadcast_arrays(*mixed)) if name == "starts" else mixed
        if name == "backward_traces":
            # A fault may change the traces themselves.
            theirs, mine = (method([replace(t) for t in arguments[0]]) for method in (right, faulty))
            mixed = [mine[i] if self._inside(i) else theirs[i] for i in cells]
            self.cell_numbers = {id(trace): number for number, trace in enumerate(mixed)}
            return mixed
        if name == "as_returned":
            return self._tensors_by_cell(right(*arguments), faulty(*arguments))
        if name == "final_gradient":
            number = arguments[1]
        elif arguments and isinstance(arguments[0], CellTrace):
            number = self.cell_numbers.get(id(arguments[0]), self.cells_begun - 1)
        elif name in ("forward", "matrices", "biases"):
            number = self.cells_begun - 1
        elif name in ("flipped", "part") and self.place.words == "in the reverse direction only":
            return faulty(*arguments)
        else:
            raise CannotCombine(f"{name} is not of one cell")
        return (faulty if self._inside(number) else right)(*arguments)

    def _tensors_by_cell(self, right: Answer, faulty: Answer) -> Answer:
        mixed = dict(right)
        for name, value in faulty.items():
            if name in ("h_n", "dh_0"):
                inside = [self._inside(i) for i in range(self.case.num_cells)]
                mixed[name] = np.where(np.array(inside)[:, None, None], value, right[name])
                continue
            number = 0
            if self.case.has_torch_interface and name not in ("hs", "dx"):
                layer = int(name.split("_l")[-1].split("_")[0]) if "_l" in name else 0
                number = layer * self.case.directions + name.endswith("_reverse")
            elif name == "hs":
                number = self.case.num_cells - self.case.directions
            mixed[name] = value if self._inside(number) else right[name]
        return mixed

    def _by_index(self, name: str, faulty: Method, right: Method, arguments: tuple[Any, ...]) -> Any:
        axis = self.place.axis
        if axis == "steps" and name in OF_ONE_STEP:
            trace, t = arguments[:2]
            return (faulty if self.place.mask(trace.steps)[t] else right)(*arguments)
        put_together: dict[str, Method] = {
            "biases": self._biases,
            "step": self._states_of_step,
            "activate": self._states_of_step,
            "delta": self._delta,
            "parameter_gradients": self._parameter_gradients,
            "backward": self._backward,
            "as_returned": self._tensors_by_index,
        }
        if name in put_together:
            return put_together[name](faulty, right, *arguments)
        row_axis = 0 if axis == "steps" and name in STEPS_FIRST else ROW_AXES.get(name)
        if (axis == "steps" and name not in STEPS_FIRST) or row_axis is None:
            raise CannotCombine(f"{name} has no axis of {axis}")
        theirs, mine = right(*arguments), faulty(*arguments)
        if theirs is None or mine is None:
            raise CannotCombine(f"{name} returns nothing")
        if name == "starts":  # one row of zeros stands for all
            rows = np.zeros((1, 1, len(arguments[0].xs), 1))
            theirs, mine = theirs + rows, mine + rows
        return self._mixed(theirs, mine, row_axis)

    def _biases(self, faulty: Method, right: Method, weights: CellWeights) -> list[Array]:
        if self.place.axis != "units":
            found: list[Array] = right(weights)
            return found  # the step makes up for it
        zeros = np.zeros(self.case.H)
        return [self._mixed(sum(right(weights), zeros), sum(faulty(weights), zeros), 0)]

    def _delta(
        self, faulty: Method, right: Method, trace: CellTrace, t: int, d: Array, slope: Array, out: Array
    ) -> None:
        right(trace, t, d, slope, out)
        kept = out.copy()
        faulty(trace, t, d, slope, out)
        out[...] = self._mixed(kept, out, 1)

    def _mixed(self, right: Array, faulty: Array, row_axis: int) -> Array:
        """Put two arrays together; the place is along ``row_axis``, or along the last axis for units."""
        right, faulty = np.broadcast_arrays(right, faulty)
        axis = right.ndim - 1 if self.place.axis == "units" else row_axis
        size = right.shape[axis]
        shape = [1] * right.ndim
        shape[axis] = size
        return np.where(self.place.mask(size).reshape(shape), faulty, right)

    def _with_biases(self, trace: CellTrace, t: int, recurrent: Array) -> tuple[CellTrace, int, Array]:
        """The arguments of a step with the fault's biases in the place."""
        zeros = np.zeros(recurrent.shape[-1])
        more = sum(self.fault.biases(trace.weights), zeros) - sum(
            self.method_before("biases")(trace.weights), zeros
        )
        if self.place.axis == "rows":
            return trace, t, self._mixed(recurrent, recurrent + more, 1)
        return trace, t, recurrent + more * self.place.mask(trace.steps)[t]

    def _states_of_step(
        self, faulty: Method, right: Method, trace: CellTrace, t: int, *arguments: Array
    ) -> None:
        before = trace.sums[t].copy()
        right(trace, t, *arguments)
        state, sums = trace.h[t + 1].copy(), trace.sums[t].copy()
        trace.sums[t] = before
        faulty(trace, t, *arguments)
        mixed = self._mixed(state, trace.h[t + 1], 1)
        if trace.preactivations_kept:
            trace.sums[t] = self._mixed(sums, trace.sums[t], 1)
        trace.h[t + 1] = mixed

    def _parameter_gradients(
        self, faulty: Method, right: Method, trace: CellTrace, dz: Array
    ) -> tuple[Array, ...]:
        if self.place.axis == "units":
            both = zip(right(trace, dz), faulty(trace, dz), strict=True)
            return tuple(self._mixed(theirs, mine, -1) for theirs, mine in both)
        # They are linear in dz: the place has its part of it, and the rest has the other.
        inside = self._mixed(np.zeros_like(dz), dz, 0 if self.place.axis == "steps" else 2)
        both = zip(right(trace, dz - inside), faulty(trace, inside), strict=True)
        return tuple(theirs + mine for theirs, mine in both)

    def _backward(
        self,
        faulty: Method,
        right: Method,
        trace: CellTrace,
        dhs: Array,
        dh_n: Array | None,
    ) -> Gradients:
        if self.place.axis == "rows":
            mine = self._mixed(np.zeros_like(dhs), dhs, 2)
            final = None if dh_n is None else self._mixed(np.zeros_like(dh_n), dh_n, 0)
            found = faulty(trace, mine, final)
            other = right(trace, dhs - mine, None if dh_n is None or final is None else dh_n - final)
            for name in ("dx", "dh_0", "dWx", "dWh", "db"):
                setattr(found, name, getattr(found, name) + getattr(other, name))
            return found
        found, other = faulty(trace, dhs, dh_n), right(trace, dhs, dh_n)
        names = ("dx",) if self.place.axis == "steps" else ("dx", "dh_0", "dWx", "dWh", "db")
        for name in names:
            setattr(other, name, self._mixed(getattr(other, name), getattr(found, name), 0))
        return other

    def _tensors_by_index(self, change: Method, keep: Method, call: Call, runs: Answer) -> Answer:
        right, faulty = keep(call, runs), change(call, runs)
        mixed = dict(right)
        axes = {"rows": {"hs": 1, "dx": 1, "h_n": 2, "dh_0": 2}, "steps": {"hs": 2, "dx": 2}, "units": {}}
        for name, value in faulty.items():
            if self.place.axis == "units":
                turned = family(name) in ("dweight_ih", "dweight_hh")
                theirs, mine = (a.swapaxes(-1, -2) if turned else a for a in (right[name], value))
                both = self._mixed(theirs, mine, -1)
                mixed[name] = both.swapaxes(-1, -2) if turned else both
            elif (axis := axes[self.place.axis].get(name)) is not None:
                mixed[name] = self._mixed(right[name], value, axis)
        return mixed


def _confined(name: str) -> Callable[..., Any]:
    def method(self: ConfinedLoop, *arguments: Any) -> Any:
        return self.method(name, arguments)

    return method


for _name in METHODS:
    setattr(ConfinedLoop, _name, _confined(_name))
