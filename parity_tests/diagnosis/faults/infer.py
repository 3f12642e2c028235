"""Constants of faults, found from a subject's numbers."""

from collections.abc import Callable, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.samples import Sample, pairs, prefer_float64


def round_constant(value: float, within: float = 1e-9) -> float:
    """Return the number with few digits that is close to ``value``, or whose inverse has few digits.

    If there is none within the relative distance ``within``, return ``value``.
    """
    if not np.isfinite(value) or value == 0:
        return value
    for digits in range(1, 7):
        short = float(f"{value:.{digits - 1}e}")
        inverse = 1 / float(f"{1 / value:.{digits - 1}e}")
        for candidate in (short, inverse):
            if abs(candidate - value) <= within * abs(value):
                return candidate
    return value


def constant_tolerance(samples: Sequence[Sample]) -> float:
    """Return the relative error that constants found from the samples may have."""
    return 1e-9 if samples[0].case.dtype == "f64" else 1e-5


def largest_magnitude(samples: Sequence[Sample], role: str) -> float:
    """Return the largest magnitude in the tensors of a role, rounded if it is close to a round number."""
    chosen = prefer_float64(samples)
    most = max((np.abs(got[name]).max(initial=0) for *_, got, _, name in pairs(chosen, role)), default=0.0)
    return round_constant(float(most), constant_tolerance(chosen)) if np.isfinite(most) else 0.0


def repeated_magnitude(values: Sequence[Array], within: float) -> float:
    """Return the largest magnitude that occurs more than once, as a limit does; else the largest one.

    Args:
        values: the numbers.
        within: how far apart equal ones may be, relative to their size.
    """
    sizes = np.sort(np.abs(np.concatenate([np.zeros(0), *(value.ravel() for value in values)])))[::-1]
    sizes = sizes[np.isfinite(sizes)]
    if not sizes.size:
        return 0.0
    twice = np.flatnonzero(sizes[:-1] - sizes[1:] <= within * sizes[:-1])
    most = float(sizes[twice[0]]) if twice.size else float(sizes[0])
    return round_constant(most, within)


def common_ratio(samples: Sequence[Sample], select: Callable[[str], bool]) -> float | None:
    """Return the factor between the subject's and the right tensors, if it is the same everywhere."""
    chosen = prefer_float64(samples)
    got, right = [np.zeros(0)], [np.zeros(0)]
    for sample in chosen:
        for mine, truth in zip(sample.got, sample.truths, strict=False):
            for name in mine:
                if select(name):
                    got.append(mine[name].ravel())
                    right.append(truth[name].ravel())
    x, y = np.concatenate(right), np.concatenate(got)
    if not x.size or not np.isfinite(y).all() or not (x @ x):
        return None
    factor = float(x @ y / (x @ x))
    close = np.abs(y - factor * x).max() <= 1e-3 * max(np.abs(y).max(), np.abs(x).max() * 1e-6)
    return round_constant(factor, constant_tolerance(chosen)) if close else None


def single_step_dz(sample: Sample, call: int = 0) -> Array:
    """Return dz [B, H] of a single cell with one step, computed from dx. D must be at least H."""
    dx = sample.got[call]["dx"][:, 0]
    Wx = np.asarray(sample.calls[call].Wx, np.float64)
    return np.linalg.lstsq(Wx, dx.T, rcond=None)[0].T


def all_dz(sample: Sample) -> Array:
    """Return dz [B, T, H] of the first call of a single cell, computed from dx; empty if D < H."""
    case, got = sample.case, sample.got[0]
    if case.num_cells > 1 or case.D < case.H or "dx" not in got or not np.isfinite(got["dx"]).all():
        return np.zeros((0, 0, 0))
    if case.T == 1:
        return single_step_dz(sample)[:, None]
    dx = got["dx"].reshape(-1, case.D)
    flat = np.linalg.lstsq(np.asarray(sample.calls[0].Wx, np.float64), dx.T, rcond=None)[0].T
    return flat.reshape(*got["dx"].shape[:2], case.H)
