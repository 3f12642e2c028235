"""Faulty loops that several families of faults build on."""

from collections.abc import Iterator, Sequence
from typing import Any

from parity_tests.cases.arrays import Array, Call, Weights
from parity_tests.diagnosis.faults.faulty_loop import PARAMETERS, FaultyLoop, Variant
from parity_tests.diagnosis.samples import Sample, wrong_roles
from parity_tests.references.float64_cell import CellTrace, Gradients
from parity_tests.references.float64_loop import Spread


class Changed(FaultyLoop):
    """Its finished gradients are changed, of the roles that the subject has wrong."""

    allowed_roles: tuple[str, ...] = PARAMETERS
    roles: frozenset[str] = frozenset(PARAMETERS)

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        found = super().backward(trace, dhs, dh_n)
        for name in sorted(self.roles):
            setattr(found, name, self.changed(name, getattr(found, name), trace))
        return found

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        """The gradient of a role, [runs, ...] or, for dx, [T, runs, B, D]."""
        raise NotImplementedError

    @classmethod
    def choices(cls, variant: Variant, samples: Sequence[Sample]) -> list[frozenset[str]]:
        """Which roles it may be: those that are wrong, and all."""
        among: frozenset[str] = frozenset(variant.value("allowed_roles"))
        wrong = wrong_roles(samples) & among
        return [wrong] if wrong == among or not wrong else [wrong, among]

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for roles in cls.choices(variant, samples):
            if roles:
                yield variant.with_constants(roles=roles)


def of_roles(*roles: str) -> dict[str, Any]:
    """The parameters of a ``Changed`` that concerns these roles only."""
    return {"allowed_roles": roles, "roles": frozenset(roles)}


class RemembersUpstream(FaultyLoop):
    """Remembers the upstream gradients of a cell's outputs, without the carry."""

    upstream_alone: Array

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        self.upstream_alone = dhs
        return super().backward(trace, dhs, dh_n)


class KnowsItsCell(FaultyLoop):
    """Knows which cell it is at."""

    cell_number: int
    current_call: Call
    cell_numbers: dict[int, int]

    def call(self, call: Call, before: Spread | None) -> Spread:
        self.cell_number = -1
        self.current_call = call
        self.cell_numbers = {}
        return super().call(call, before)

    def forward(self, weights: Weights, x: Array, h_0: Array, running: Array | None) -> CellTrace:
        self.cell_number += 1
        return super().forward(weights, x, h_0, running)

    def backward_traces(self, traces: list[CellTrace]) -> list[CellTrace]:
        self.cell_numbers = {id(trace): number for number, trace in enumerate(traces)}
        return super().backward_traces(traces)

    def number(self, trace: CellTrace) -> int:
        """Of a trace's cell, in the forward as in the backward."""
        return self.cell_numbers.get(id(trace), self.cell_number)

    def reverse(self, trace: CellTrace) -> bool:
        """Whether it is of the reverse direction."""
        return self.case.bidirectional and self.number(trace) % 2 == 1
