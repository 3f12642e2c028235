"""The probe cases, in which a faulty layer is compared with the faulty loops of the catalogue.

Minimal cases cannot distinguish faults; this set exposes every fault in the catalogue.
"""

from parity_tests.cases.case import Case

_TIME = (
    "B3T4D2H3-f64-h0-s1",
    "B3T4D3H3-f64-h0-s2",
    "B3T4D2H3-f32-h0-s3",
    "B3T4D3H3-f32-again-s4",
    "B3T4D2H3-f64-h0-again-s6",
    "B3T4D3H3-f64-again-s9",
    "B3T4D2H3-f64-reset-s5",
    "B3T4D2H3-f64-h0-reset-s5",
    "B3T6D2H3-f64-h0-chunks3-s8",
    "B1T3D3H3-f64-h0-s9",
    "B3T1D3H2-f64-h0-s10",
    "B2T3D2H1-f64-s11",
    "B2T20D3H3-f64-h0-last-s12",
    "B2T20D3H3-f64-h0-s13",
    "B12T5D4H4-f64-h0-s14",
    "B3T4D4H3-f64-h0-transposed-row-s15",
    "B3T4D4H3-f64-h0-fortran-s16",
    "B1T1D3H3-f64-h0-s17",
    "B5T4D3H4-f32-h0-row-s18",
)
_CELL = (
    "cell-B3D2H3-f64-s1",
    "cell-B3D3H3-f64-s2",
    "cell-B3D2H3-f32-s3",
    "cell-B3D3H3-f32-again-s6",
    "cell-B3D2H3-f64-again-s5",
    "cell-B1D3H3-f64-s7",
    "cell-B2D3H1-f64-s8",
    "cell-B12D4H4-f64-s9",
    "cell-B3D4H3-f64-transposed-row-s10",
    "cell-B3D4H3-f64-fortran-s11",
    "cell-B5D3H4-f32-row-s12",
)
_NN = (
    "nn-B3T4D2H3-f64-h0-both-s1",
    "nn-B3T4D3H3L2-f64-h0-both-s2",
    "nn-B3T4D2H3L3-bi-f64-h0-both-unsorted-s3",
    "nn-B3T4D6H3L2-bi-f64-h0-both-s4",
    "nn-B3T4D2H3L2-relu-f64-h0-both-s5",
    "nn-B3T5D2H3-bi-relu-bf-f32-both-unsorted-s6",
    "nn-B3T5D2H3-bi-bf-f64-h0-both-unsorted-s7",
    "nn-B3T4D2H3L3-f64-h0-both-p0.25-s8",
    "nn-B3T4D2H3L2-f64-p0.25-eval-s9",
    "nn-B3T4D3H3L2-f64-h0-again-s6",
    "nn-B3T4D2H3L2-bi-f64-h0-final-unsorted-s11",
    "nn-B3T4D2H3L2-f32-s12",
    "nn-B3T4D2H3-f64-nobias-s13",
    "nn-B1T3D2H3-bi-f64-h0-both-unbatched-s14",
    "nn-B2T20D3H3-bi-f64-h0-both-s15",
    "nn-B2T20D3H3-f64-last-s16",
    "nn-B12T4D4H4-f64-h0-both-s17",
    "nn-B3T3D3H3L2-f64-again-s0",
    "nn-B3T4D3H3-bi-f64-h0-transposed-packed-unsorted-s19",
    "nn-B1T1D3H3-f64-h0-s20",
    "nn-B3T4D4H4-relu-f64-h0-s21",
)
_NNCELL = (
    "nncell-B3D2H3-f64-h0-s1",
    "nncell-B3D3H3-f64-h0-s2",
    "nncell-B3D2H3-f32-h0-s3",
    "nncell-B3D3H3-relu-f64-h0-s4",
    "nncell-B3D2H3-f64-h0-again-s6",
    "nncell-B3D3H3-f32-s5",
    "nncell-B1D2H3-f64-h0-unbatched-s7",
    "nncell-B2D3H1-f64-h0-s8",
    "nncell-B12D4H4-f64-h0-s9",
    "nncell-B3D4H3-f64-h0-nobias-s10",
    "nncell-B3D4H3-relu-f32-h0-fortran-s11",
    "nncell-B3D8H8-relu-f64-h0-s33",
)
_TIE_BREAKERS = {
    "TimeRNN": (
        "B3T5D4H4-f64-h0-gaps-s21",
        "B4T9D3H3-f64-h0-again-s22",
        "B20T6D3H3-f64-h0-s23",
        "B2T40D3H3-f64-h0-last-s24",
        "B3T4D4H4-f64-h0-strided-s25",
        "B3T7D2H4-f64-h0-chunks2-s26",
    ),
    "RNN": ("cell-B20D4H4-f64-s21", "cell-B4D5H5-f64-again-s22", "cell-B3D4H4-f64-strided-s23"),
    "nn.RNN": (
        "nn-B4T6D4H4L3-f64-h0-both-unsorted-s21",
        "nn-B4T6D8H4L3-bi-f64-h0-both-unsorted-s22",
        "nn-B4T6D4H4L3-relu-f64-h0-both-p0.25-s23",
        "nn-B4T3D4H4L2-bi-bf-f64-h0-both-again-unsorted-s24",
        "nn-B3T4D4H4-f64-h0-strided-s25",
    ),
    "nn.RNNCell": ("nncell-B20D4H4-f64-h0-s21", "nncell-B4D5H5-relu-f64-h0-again-s22"),
}
PROBE_CASES = {
    kind: tuple(Case.parse(token) for token in tokens)
    for kind, tokens in (("TimeRNN", _TIME), ("RNN", _CELL), ("nn.RNN", _NN), ("nn.RNNCell", _NNCELL))
}
"""By kind of layer. Together they cover the sizes, options and orders of calls that faults depend on."""
TIE_BREAKER_CASES = {
    kind: tuple(Case.parse(token) for token in tokens) for kind, tokens in _TIE_BREAKERS.items()
}
"""By kind of layer, cases that distinguish faults that the probe cases do not."""
