"""Where the faults stand in stacks: the cell, its gradients, the layers."""

from parity_tests.gate_tests.lines.places import Fault, fault

LINES: dict[str, tuple[Fault, ...]] = {
    "ReluMaskWithEqual": (
        fault(
            "ReluMaskWithEqual._slope",
            'return 1 - h * h if self.nonlinearity == "tanh" else (h >= 0).astype(h.dtype)',
        ),
    ),
    "ReluByDefault": (
        fault(
            "ReluByDefault.__init__",
            (
                "def __init__(self, input_size, hidden_size, num_layers=1, "
                'nonlinearity="relu", *args, **kwargs):'
            ),
        ),
    ),
    "NoBiasByDefault": (
        fault(
            "NoBiasByDefault.__init__",
            (
                "def __init__(self, input_size, hidden_size, num_layers=1, "
                'nonlinearity="tanh", bias=False, *rest, **more):'
            ),
        ),
    ),
    "TanhSlopeForRelu": (fault("TanhSlopeForRelu._slope", "return 1 - h * h"),),
    "ReluSlopeForTanh": (fault("ReluSlopeForTanh._slope", "return (h > 0).astype(h.dtype)"),),
    "NonlinearityIgnored": (fault("NonlinearityIgnored._act", "return np.tanh(z)"),),
    "UpstreamDropped": (fault("UpstreamDropped._scan_back", "dz = np.where(live, self._slope(out[t]), 0)"),),
    "NoCarry": (
        fault(
            "NoCarry._scan_back",
            "dz = np.where(live, (d[t] + dh) * self._slope(out[t]), 0)",
            "dh = np.where(live, 0, dh)",
        ),
    ),
    "CarryTransposed": (fault("CarryTransposed._down", "return Whh @ dz"),),
    "NeedsOutputGradient": (
        fault(
            "NeedsOutputGradient.backward",
            "garbage = np.full((*alive.shape, self.dirs * self.hidden_size), np.nan, self.dtype)",
        ),
    ),
    "ClippedModule": (
        fault(
            "ClippedModule._store", "super()._store({name: np.clip(g, -1, 1) for name, g in grads.items()})"
        ),
    ),
    "ClippedCarryModule": (fault("ClippedCarryModule._down", "return np.clip(Whh.T @ dz, -0.5, 0.5)"),),
    "MeanModule": (fault("MeanModule._store", "super()._store({name: g / B for name, g in grads.items()})"),),
    "UpperBiasGradientsZero": (
        fault(
            "UpperBiasGradientsZero._file",
            "super()._file(grads, layer, k, dWih, dWhh, np.zeros_like(db) if layer else db)",
        ),
    ),
    "ReverseGradientsLost": (
        fault(
            "ReverseGradientsLost._file",
            "super()._file(grads, layer, k, *([0 * p for p in parts] if k else parts))",
        ),
    ),
    "ReverseGradientsLostInDx": (fault("ReverseGradientsLostInDx._add", "return lower[0]"),),
    "HiddenBiasGradientZero": (
        fault(
            "HiddenBiasGradientZero._store",
            (
                "super()._store({name: 0 * g if "
                'name.startswith("bias_hh") else g for name, g in grads.items()})'
            ),
        ),
    ),
    "HiddenBiasGradientDoubled": (
        fault(
            "HiddenBiasGradientDoubled._store",
            (
                "super()._store({name: 2 * g if "
                'name.startswith("bias_hh") else g for name, g in grads.items()})'
            ),
        ),
    ),
    "HiddenWeightGradientTransposed": (
        fault(
            "HiddenWeightGradientTransposed._store",
            (
                "super()._store({name: g.T if "
                'name.startswith("weight_hh") else g for name, g in grads.items()})'
            ),
        ),
    ),
    "InputBiasTwice": (fault("InputBiasTwice._pick", "return Wih, Whh, bih, bih"),),
    "HiddenBiasTwice": (fault("HiddenBiasTwice._pick", "return Wih, Whh, bhh, bhh"),),
    "EveryLayerGetsX": (fault("EveryLayerGetsX._input", "return x"),),
    "OneStartForAll": (fault("OneStartForAll._start", "return h0[0]"),),
    "OneStateForAll": (fault("OneStateForAll._first", "return h0[0, r] if before is None else before"),),
    "StartsIgnored": (fault("StartsIgnored.forward", "return super().forward(input, None, **kwargs)"),),
    "WeightsOfFirstCall": (
        fault("WeightsOfFirstCall._weights", "if self._packed is None:", "return self._packed"),
    ),
    "BatchFirstByReshape": (
        fault("BatchFirstByReshape._layout", 'return np.array(array, order="C").reshape(T, B, N)')
        + fault("BatchFirstByReshape._unlayout", 'return np.array(array, order="C").reshape(B, T, N)'),
    ),
    "SingleInside": (
        fault("SingleInside._act", "return super()._act(z).astype(np.float32).astype(z.dtype)"),
    ),
    "StatesReviewed": (
        fault("StatesReviewed.forward", "h_n = np.ascontiguousarray(h_n.swapaxes(0, 1)).reshape(h_n.shape)"),
    ),
}

CONSISTENT: dict[str, Fault] = {
    "NonlinearityIgnored": fault("NonlinearityIgnored._slope", "return 1 - h**2"),
}

SKIPPED = {
    "CrashesWithoutOutputGradient": "only an exception",
    "StatesOverwritten": "overwrites the caller's hx, all values are right",
    "OutputSqueezed": "only the shape of the output, all values are right",
    "DoubleStates": "only a wider dtype",
}
