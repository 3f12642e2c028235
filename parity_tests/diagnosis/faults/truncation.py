"""Faults that end backpropagation through time too early."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import (
    PARAMETERS,
    SEQUENCES,
    FaultyLoop,
    Variant,
    fault,
    register,
)
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_cell import CellTrace, Gradients


@fault(
    "first step never taken back",
    sentence="The backward ends before the first step:",
    look="look for `range(T - 1, 0, -1)`: it is `range(T - 1, -1, -1)`.",
    layers=SEQUENCES,
)
class FirstStepSkipped(FaultyLoop):
    """The loop ends one step too early."""

    def order(self, T: int) -> Sequence[int]:
        return range(T - 1, 0, -1)


@fault(
    "last step never taken back",
    sentence="The backward begins before the last step:",
    look="look for `range(T - 2, -1, -1)`: it is `range(T - 1, -1, -1)`.",
    layers=("nn.RNN",),
)
class LastStepSkipped(FaultyLoop):
    def order(self, T: int) -> Sequence[int]:
        return range(T - 2, -1, -1)


class Truncated(FaultyLoop):
    """The carry is cut between blocks of k steps, counted from the start or, with ``from_end``, the end.

    With ``for_start`` dh_0 still gets the carry of the first step.
    """

    k: int = 3
    from_end = False
    for_start = True

    def cut(self, t: int, T: int) -> bool:
        """Return whether the carry from step t to the step before is cut."""
        return (T - t) % self.k == 0 if self.from_end else t % self.k == 0

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        if t == 0 and self.for_start:
            return super().carry(trace, t, dz)
        return np.zeros_like(dz) if self.cut(t, trace.steps) else super().carry(trace, t, dz)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for sample in samples:
            case = sample.case
            if case.T < 12 or case.upstream != "last" or case.num_cells > 1 or not sample.got:
                continue
            # With a gradient at the last step only, dx shows how far it goes back, unless it has another fault.
            if "dx" not in sample.all_wrong:
                yield from (variant.with_constants(k=k) for k in range(2, case.T - 1))
                return
            reached = int((np.abs(sample.got[0]["dx"]).max(axis=(0, 2)) > 0).sum())
            for k in range(2, case.T):
                if reached in cls.reaches(variant, k, case.T):
                    yield variant.with_constants(k=k)

    @classmethod
    def reaches(cls, variant: Variant, k: int, T: int) -> tuple[int, ...]:
        """Return how many steps a gradient at the last step may reach back."""
        return (k,) if variant.value("from_end") else ((T - 1) % k + 1,)


class Window(Truncated):
    """Each output's gradient goes back at most k steps in all."""

    window_end: int

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        parts = []
        T = trace.steps
        for t in range(T):
            alone = np.zeros((T, *dhs.shape[1:]))
            alone[t] = dhs[t]
            self.window_end = t
            parts.append(super().backward(trace, alone, dh_n if t == T - 1 else None))
        total = parts[0]
        for part in parts[1:]:
            for name in ("dx", "dh_0", *PARAMETERS):
                setattr(total, name, getattr(total, name) + getattr(part, name))
        return total

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        if self.window_end - t + 1 >= self.k and (t or not self.for_start):
            return np.zeros_like(dz)
        return super(Truncated, self).carry(trace, t, dz)

    @classmethod
    def reaches(cls, variant: Variant, k: int, T: int) -> tuple[int, ...]:
        return (k,)


register(
    "truncated backpropagation",
    sentence="Gradients go back through at most {k} steps:",
    look="look for a truncation length (`bptt_truncate`, a `detach` every so many steps).",
    layers=SEQUENCES,
    loops=(
        Truncated,
        Truncated.with_params(from_end=True),
        Window,
        Truncated.with_params(for_start=False),
        Truncated.with_params(from_end=True, for_start=False),
        Window.with_params(for_start=False),
    ),
)
