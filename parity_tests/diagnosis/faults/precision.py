"""Faults of a lower precision inside."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.diagnosis.faults.faulty_loop import FaultyLoop, Variant, fault
from parity_tests.diagnosis.samples import Sample, prefer_float64


@fault(
    "float32 inside",
    sentence="With float64 the errors are those of single precision:",
    look="look for buffers made without `dtype=`, by `dtype='f'` or `np.float32`.",
)
class SinglePrecision(FaultyLoop):
    """float32 inside: typical errors are 1/1000 to 16 roundoffs of the lower precision."""

    inner_roundoff = 2.0**-24

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        errors = [
            np.abs(got[name] / truth[name] - 1)[truth[name] != 0]
            for sample in prefer_float64(samples)
            for got, truth, wrong in zip(sample.got, sample.truths, sample.wrong, strict=False)
            for name in sorted(wrong)
        ]
        typical = float(np.median(np.concatenate(errors))) if errors else 0.0
        if cls.inner_roundoff / 1000 < typical < 16 * cls.inner_roundoff:
            yield variant


@fault(
    "half precision inside",
    sentence="The errors are those of half precision:",
    look="look for `np.float16` buffers.",
)
class HalfPrecision(SinglePrecision):
    inner_roundoff = 2.0**-11
