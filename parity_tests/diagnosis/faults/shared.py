"""Faulty loops that several families of faults build on."""

from collections.abc import Iterator, Sequence
from typing import Any

from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.diagnosis.faults.faulty_loop import PARAMETERS, FaultyLoop, Variant
from parity_tests.diagnosis.faults.stages import Stage
from parity_tests.diagnosis.samples import Sample, wrong_roles
from parity_tests.references.float64_cell import CellTrace, Gradients
from parity_tests.references.float64_loop import Spread


class Changed(FaultyLoop):
    """Changes finished gradients: those of ``roles``.

    ``infer`` chooses the roles that are wrong in the subject, among ``allowed_roles``.
    """

    stage = Stage.GRADIENTS
    allowed_roles: tuple[str, ...] = PARAMETERS
    roles: frozenset[str] = frozenset(PARAMETERS)

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        found = super().backward(trace, dhs, dh_n)
        for name in sorted(self.roles):
            setattr(found, name, self.changed(name, getattr(found, name), trace))
        return found

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        """Return the changed gradient of role ``name``: [runs, ...], or [T, runs, B, D] for dx."""
        raise NotImplementedError

    @classmethod
    def choices(cls, variant: Variant, samples: Sequence[Sample]) -> list[frozenset[str]]:
        """Return the sets of roles to try: those that are wrong, the weights among these, all allowed ones."""
        allowed: frozenset[str] = frozenset(variant.value("allowed_roles"))
        wrong = wrong_roles(samples) & allowed
        sets = [wrong, wrong - {"db"}, allowed] if wrong else [wrong]
        return [roles for roles in dict.fromkeys(sets) if roles or not wrong]

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for roles in cls.choices(variant, samples):
            if roles:
                yield variant.with_constants(roles=roles)


def of_roles(*roles: str) -> dict[str, Any]:
    """Return the parameters of a ``Changed`` that changes these roles only."""
    return {"allowed_roles": roles, "roles": frozenset(roles)}


class RemembersUpstream(FaultyLoop):
    """Remembers the upstream gradients of a cell, without the carry."""

    tracks_only = ("backward",)
    upstream_alone: Array

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        self.upstream_alone = dhs
        return super().backward(trace, dhs, dh_n)


class KnowsItsCell(FaultyLoop):
    """Knows which cell it computes, in the forward and in the backward."""

    tracks_only = ("call", "forward", "backward_traces")
    cell_number: int
    current_call: Call
    cell_numbers: dict[int, int]

    def call(self, call: Call, before: Spread | None) -> Spread:
        self.cell_number = -1
        self.current_call = call
        self.cell_numbers = {}
        return super().call(call, before)

    def forward(self, weights: CellWeights, x: Array, h_0: Array, running: Array | None) -> CellTrace:
        self.cell_number += 1
        return super().forward(weights, x, h_0, running)

    def backward_traces(self, traces: list[CellTrace]) -> list[CellTrace]:
        self.cell_numbers = {id(trace): number for number, trace in enumerate(traces)}
        return super().backward_traces(traces)

    def number(self, trace: CellTrace) -> int:
        """Return the number of the cell that a trace belongs to."""
        return self.cell_numbers.get(id(trace), self.cell_number)

    def reverse(self, trace: CellTrace) -> bool:
        """Return whether a trace belongs to the reverse direction."""
        return self.case.bidirectional and self.number(trace) % 2 == 1
