"""One thread a process: as many workers as cores run side by side, and sums keep one order."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_info, threadpool_limits


@contextmanager
def one_thread(with_torch: bool) -> Iterator[None]:
    """Run BLAS, and torch if it is used, on one thread; restore both afterwards."""
    with threadpool_limits(1):
        if not with_torch:
            yield
            return
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def cap_torch(with_torch: bool) -> None:
    """Run torch on one thread from now on, if it is used or somebody has imported it."""
    if with_torch:
        import torch  # noqa: F401, imported now so that nobody sets its threads later
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def blas_name() -> str:
    """NumPy's BLAS, its version and the kernels that it chose for this processor."""
    found = [
        f"{info['internal_api']} {info['version']} ({info.get('architecture', '?')})"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    ]
    return ", ".join(dict.fromkeys(found)) or "unknown"
