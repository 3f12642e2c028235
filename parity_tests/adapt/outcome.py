"""What came of a search, in plain values: the adapter, what was proven and what was not."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What came of a search.

    Attributes:
        text: the adapter as a file; empty if there is none.
        reading: how the code was read, a sentence each.
        assumed: what was assumed, and is not proven.
        equal: the tensors that equal the reference in all problems that were tried.
        unequal: those that do not.
        missing: those that were not found.
        without: what follows for ``--without``.
        trials: how many programs were run.
        gave_up: whether the search ended at its limit.
        refusal: why there is no adapter.
        notices: what was out of order when the file was loaded.
    """

    text: str = ""
    reading: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    equal: tuple[str, ...] = ()
    unequal: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    trials: int = 0
    gave_up: bool = False
    refusal: str = ""
    notices: tuple[str, ...] = ()
