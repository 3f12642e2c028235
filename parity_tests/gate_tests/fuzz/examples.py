"""How many examples a test has, of which seed, and how long one may take."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

EXAMPLES = int(os.environ.get("PARITY_FUZZ", "400"))
SEED = int(os.environ.get("PARITY_FUZZ_SEED", "0"))
MOST_SECONDS = 30
"""An example that takes longer hangs; nearly all take milliseconds."""
RAN: Counter[str] = Counter()
"""How many examples of each test have run in this process."""

Test = Callable[..., None]


def again() -> str:
    """What to type for the same examples."""
    return f"PARITY_FUZZ={EXAMPLES} PARITY_FUZZ_SEED={SEED} pytest -n0 parity_tests/gate_tests/fuzz"


def fuzzed(share: float, **strategies: SearchStrategy[Any]) -> Callable[[Test], Test]:
    """Run a test with a share of all examples, at least one; each has its arguments from the strategies."""

    def decorate(test: Test) -> Test:
        @wraps(test)
        def one(*arguments: Any, **named: Any) -> None:
            RAN[test.__name__] += 1
            with ended():
                test(*arguments, **named)

        own = settings(
            max_examples=max(1, round(share * EXAMPLES)),
            phases=(Phase.generate, Phase.shrink),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        drawn = own(seed(SEED)(given(**strategies)(one)))

        @wraps(drawn)
        def run(*arguments: Any, **named: Any) -> None:
            print(f"seed {SEED}; again: {again()}")  # which pytest shows of a failure
            drawn(*arguments, **named)

        return run

    return decorate


@contextmanager
def ended() -> Iterator[None]:
    """Raise AssertionError in what does not end."""

    def hangs(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"an example runs for more than {MOST_SECONDS} s")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
