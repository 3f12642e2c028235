"""All conventions that are kept back from the work on the search, to measure what it finds."""

from collections import Counter

from parity_tests.gate_tests.adapt.convention import Convention
from parity_tests.gate_tests.adapt.convention_faults import (
    functions,
    layers,
    losses,
    stacks,
    steps,
    torch_like,
)

CONVENTIONS: tuple[Convention, ...] = (
    *layers.CONVENTIONS,
    *functions.CONVENTIONS,
    *steps.CONVENTIONS,
    *losses.CONVENTIONS,
    *torch_like.CONVENTIONS,
    *stacks.CONVENTIONS,
)
FAULTS_IN_EACH = 10


def check() -> None:
    """Refuse a list that proves less than it seems to.

    Raises:
        ValueError: an edit does not apply or does not compile, or a file, a fault or a kind is missing.
    """
    for convention in CONVENTIONS:
        compile(convention.file.read_text("utf-8"), convention.path, "exec")
        sources = set()
        for fault, source in convention.faulty():
            try:
                compile(source, f"{convention.path}, {fault}", "exec")
            except SyntaxError as error:
                raise ValueError(f"{convention.path}, {fault}: {error}") from error
            sources.add(source)
        names = {name for name, _, _ in convention.faults}
        if not len(sources) == len(names) == len(convention.faults) == FAULTS_IN_EACH:
            raise ValueError(f"{convention.path}: expected {FAULTS_IN_EACH} faults that differ")
    kinds = Counter(kind for convention in CONVENTIONS for kind in convention.kinds)
    lonely = sorted(kind for kind, number in kinds.items() if number < 2)
    if lonely:
        raise ValueError(f"shown by one convention only: {', '.join(lonely)}")
    listed = sorted(convention.file for convention in CONVENTIONS)
    present = sorted(path for path in listed[0].parents[1].rglob("*.py") if path.name != "__init__.py")
    if listed != present:
        raise ValueError(f"listed {len(listed)} files, and there are {len(present)}")
