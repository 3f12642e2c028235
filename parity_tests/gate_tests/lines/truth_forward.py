"""Where the faults stand in layers: the forward pass, the state, shapes and dtypes."""

from parity_tests.gate_tests.lines.places import Fault, fault

LINES: dict[str, tuple[Fault, ...]] = {
    "NeverAdvances": (fault("NeverAdvances._run", "hs = np.tanh(xs @ Wx + (h0 @ Wh)[:, None] + b)"),),
    # Nothing writes h in the loop: both lines that read it.
    "NewNameNeverUsed": (
        fault(
            "NewNameNeverUsed._run",
            "h_next = np.tanh(x @ Wx + h @ Wh + b)",
            "pulls.append(self._node(x, h, h_next, Wx, Wh))",
        ),
    ),
    "SetStateDoesNothing": (fault("SetStateDoesNothing.set_state", "def set_state(self, h):", "pass"),),
    "AlwaysFromZeros": (
        fault(
            "AlwaysFromZeros._first", "return np.zeros((B, self.params[1].shape[0]), self.params[0].dtype)"
        ),
    ),
    "GivenStateAgain": (fault("GivenStateAgain._first", "return self._given.copy()"),),
    "ResetEveryCall": (fault("ResetEveryCall._first", "return h if fresh else np.zeros_like(h)"),),
    "ResetOneCallLate": (
        fault("ResetOneCallLate.reset_state", "self._asked = True")
        + fault("ResetOneCallLate._first", "due, self._due, self._asked = self._due, self._asked, False"),
    ),
    "ResetEveryToken": (fault("ResetEveryToken._run", "h = np.zeros_like(h)"),),
    "KeepsStateUnasked": (
        fault(
            "KeepsStateUnasked._first",
            "if not self.stateful and self._h is not None and len(self._h) == B:",
            "return self._h.copy()",
        ),
    ),
    "ResetIgnored": (fault("ResetIgnored.reset_state", "self._asked = True"),),
    # Nothing sets h back for a row: its only start, and the two lines that read it there.
    "RowToRow": (
        fault(
            "RowToRow._run",
            "h = h0[0].reshape(-1, 1)",
            "states = [h]",
            "h = np.tanh(U @ xs[r, t].reshape(-1, 1) + W @ h + c)",
        ),
    ),
    "PackedOnce": (fault("PackedOnce._weights", "if self._packed is None:", "return self._packed"),),
    "CopiedAtBirth": (
        fault("CopiedAtBirth.__init__", "self._mine = Wx.copy(), Wh.copy(), b.reshape(-1).copy()")
        + fault("CopiedAtBirth._weights", "return self._mine"),
    ),
    "ReshapedBothWays": (
        fault(
            "ReshapedBothWays._run",
            "x, s = xs.reshape(T, B, D), [h]",
            "return np.array(s[1:]).reshape(B, T, -1), s[-1], (x, np.array(s), Wx, Wh)",
        ),
    ),
    "ReshapedOutput": (fault("ReshapedOutput._run", "return T_major.reshape(hs.shape), last, tape"),),
    "ReshapedDx": (
        fault("ReshapedDx._back", "return (dz @ Wx.T).reshape(B, T, D), dh0, *self._sums(x, s, dz)"),
    ),
    # The float32 zeros of the state are exact, and no result keeps their dtype.
    "SinglePrecisionBuffers": (
        fault("SinglePrecisionBuffers.forward", 'hs = np.empty((B, T, len(b)), dtype="f")')
        + fault("SinglePrecisionBuffers.backward", 'dxs, dh = np.empty(shape, dtype="f"), 0'),
    ),
    "SinglePrecisionInside": (
        fault(
            "SinglePrecisionInside._run",
            "hs, last, tape = super()._run(*(a.astype(np.float32) for a in (xs, h0, Wx, Wh, b)))",
        )
        + fault(
            "SinglePrecisionInside._back",
            ("return tuple(a.astype(dhs.dtype) for a in super()._back(dhs.astype(np.float32), *tape))"),
        ),
    ),
    "SinglePrecisionDx": (fault("SinglePrecisionDx._back", "buffer = np.empty(dxs.shape, np.float32)"),),
    "HalfPrecisionStates": (
        fault(
            "HalfPrecisionStates._step",
            "return super()._step(x, h, Wx, Wh, b).astype(np.float16).astype(x.dtype)",
        ),
    ),
    "HalfPrecisionGradients": (
        fault("HalfPrecisionGradients._keep", "super()._keep([g.astype(np.float16) for g in grads])"),
    ),
    "RoundedStates": (fault("RoundedStates._act", "return np.round(np.tanh(z), 5)"),),
    "MemoryOrderInput": (
        fault(
            "MemoryOrderInput.forward", 'return super().forward(np.ravel(xs, order="K").reshape(xs.shape))'
        ),
    ),
    "MemoryOrderUpstream": (
        fault(
            "MemoryOrderUpstream.backward",
            'return super().backward(np.ravel(dhs, order="K").reshape(dhs.shape))',
        ),
    ),
    "MemoryOrderState": (
        fault(
            "MemoryOrderState.set_state",
            'super().set_state(None if h is None else h.ravel(order="K").reshape(h.shape))',
        ),
    ),
    "MemoryOrderWeights": (
        fault(
            "MemoryOrderWeights._weights",
            'Wx, Wh, b = (np.array(np.ravel(p, order="K")).reshape(p.shape) for p in self.params)',
        ),
    ),
    "BiasTwiceForward": (fault("BiasTwiceForward._step", "return np.tanh((x @ Wx + b) + (h @ Wh + b))"),),
    "BiasNever": (fault("BiasNever._run", "return super()._run(xs, h0, Wx, Wh, np.zeros_like(b))"),),
    "BiasNotAtFirstStep": (fault("BiasNotAtFirstStep._run", "s[t + 1] = np.tanh(z + b if t else z)"),),
    "BiasOutsideTanh": (fault("BiasOutsideTanh._step", "return np.tanh(x @ Wx + h @ Wh) + b"),),
    "TanhTwice": (fault("TanhTwice._act", "return np.tanh(np.tanh(z))"),),
    "LogisticInstead": (fault("LogisticInstead._act", "return 1 / (1 + np.exp(-z))"),),
    "LogisticConsistent": (
        fault("LogisticConsistent._run", "new = 1 / (1 + np.exp(-(x @ Wx + h @ Wh + b)))"),
    ),
    "LinearUnits": (fault("LinearUnits._act", "return z.copy()"),),
    "ReluInstead": (fault("ReluInstead._act", "return np.maximum(z, 0)"),),
    "PadeTanh": (fault("PadeTanh._step", "return np.clip(z * (27 + z * z) / (27 + 9 * z * z), -1, 1)"),),
    "ClippedPreactivation": (
        fault("ClippedPreactivation._run", "h = np.tanh(np.clip(joined[-1] @ W + b, -2, 2))"),
    ),
    "LeakyState": (
        fault("LeakyState._step", "return (0.1 * h + 0.9 * np.tanh(x @ Wx + h @ Wh + b)).astype(h.dtype)"),
    ),
    "WhTransposed": (
        fault("WhTransposed._run", "hs, h, (xs, prevs, hs, Wx, Wt, b) = super()._run(xs, h, Wx, Wh.T, b)"),
    ),
    "WhTransposedForwardOnly": (
        fault("WhTransposedForwardOnly._step", "return np.tanh(np.dot(x, Wx) + np.dot(h, Wh.T) + b)"),
    ),
    "WxTransposedIfSquare": (
        fault(
            "WxTransposedIfSquare._run",
            "return super()._run(xs, h0, Wx.T if Wx.shape[0] == Wx.shape[1] else Wx, Wh, b)",
        ),
    ),
    "WeightsSwappedIfSquare": (
        fault(
            "WeightsSwappedIfSquare._run",
            "return super()._run(xs, h0, *((Wh, Wx) if Wx.shape == Wh.shape else (Wx, Wh)), b)",
        ),
    ),
    "FirstStateAsFinal": (fault("FirstStateAsFinal._run", "return hs, hs[:, 0], tape"),),
    "LastButOneAsFinal": (
        fault("LastButOneAsFinal._run", "return hs, hs[:, -2] if hs.shape[1] > 1 else last, tape"),
    ),
    "PreactivationAsFinal": (
        fault("PreactivationAsFinal._run", "return hs, xs[:, -1] @ Wx + prevs[:, -1] @ Wh + b, tape"),
    ),
    "OutputsReversed": (fault("OutputsReversed._run", "return hs[:, ::-1], last, tape"),),
    "ReadsBackwards": (fault("ReadsBackwards._run", "hs, last, tape = super()._run(xs[:, ::-1], *rest)"),),
    "OutputsShifted": (fault("OutputsShifted._run", "return tape[1], last, tape"),),
    "StartsFromOnes": (
        fault("StartsFromOnes._first", "return h if self.stateful and self._h is not None else h + 1"),
    ),
    "StartsFromNoise": (
        fault("StartsFromNoise._first", "return (0.1 * self.rng.standard_normal(h.shape)).astype(h.dtype)"),
    ),
    "OneRowBroadcast": (fault("OneRowBroadcast._first", "return np.repeat(h[:1], B, axis=0)"),),
    "RowZeroDrivesAll": (fault("RowZeroDrivesAll._step", "return np.tanh(x @ Wx + h[0] @ Wh + b)"),),
    "BatchMeanState": (fault("BatchMeanState._run", "shared = states[-1].mean(axis=0, keepdims=True)"),),
    "DropoutLeftOn": (fault("DropoutLeftOn.forward", "return hs * self._mask"),),
    "DropoutOnInput": (
        fault(
            "DropoutOnInput.forward",
            ("return super().forward(xs * ((self.rng.random(xs.shape) >= 0.1) / 0.9).astype(xs.dtype))"),
        ),
    ),
    "NormalizedInput": (
        fault("NormalizedInput.forward", "return super().forward(xs - xs.mean(axis=-1, keepdims=True))"),
    ),
    "FirstInputRepeated": (
        fault(
            "FirstInputRepeated._run",
            "return super()._run(np.repeat(xs[:, :1], xs.shape[1], axis=1), h0, Wx, Wh, b)",
        ),
    ),
    "InputOneLate": (fault("InputOneLate._run", "return super()._run(np.roll(xs, 1, axis=1), *rest)"),),
    "BlocksOfEight": (
        fault("BlocksOfEight._run", "hs = np.concatenate([hs[:whole], np.zeros_like(hs[whole:])])"),
    ),
    "FixedLength": (
        fault("FixedLength._run", "hs, last, tape = super()._run(xs[:, : self.max_len], *rest)"),
    ),
}

CONSISTENT: dict[str, Fault] = {
    "NeverAdvances": fault(
        "NeverAdvances._run",
        ("return hs, hs[:, -1], (xs, np.repeat(h0[:, None], xs.shape[1], axis=1), hs, Wx, Wh, b)"),
    )
    + fault(
        "NeverAdvances._back",
        "dz = dhs * (1 - hs * hs)",
        "return dz @ Wx.T, dz.sum(axis=1) @ Wh.T, dWx, dWh, flat.sum(axis=0)",
    ),
    "ResetEveryToken": fault(
        "ResetEveryToken._back",
        "dz = dhs * (1 - hs * hs)",
        "return dz @ Wx.T, dz[:, 0] @ Wh.T, dWx, prevs[:, 0].T @ dz[:, 0], flat.sum(axis=0)",
    ),
    "ReshapedBothWays": fault(
        "ReshapedBothWays._back",
        "g, dx = dhs.reshape(T, B, -1), np.empty_like(x)",
        "return dx.reshape(B, T, -1), dh, dWx, dWh, db",
    ),
    "LogisticConsistent": fault("LogisticConsistent._node", "dz = d * h * (1 - h)"),
    "WhTransposed": fault("WhTransposed._back", "return dxs, dh0, dWx, dWt.T, db"),
    "WxTransposedIfSquare": fault(
        "WxTransposedIfSquare._back",
        "return dxs, dh0, dWx.T if dWx.shape[0] == dWx.shape[1] else dWx, dWh, db",
    ),
    "WeightsSwappedIfSquare": fault(
        "WeightsSwappedIfSquare._back",
        "return dxs, dh0, *((dWh, dWx) if dWx.shape == dWh.shape else (dWx, dWh)), db",
    ),
    "ReadsBackwards": fault("ReadsBackwards._run", "return hs[:, ::-1], last, tape")
    + fault(
        "ReadsBackwards._back",
        "dxs, *rest = super()._back(dhs[:, ::-1], *tape)",
        "return dxs[:, ::-1], *rest",
    ),
    "DropoutLeftOn": fault("DropoutLeftOn.backward", "return super().backward(dhs * self._mask)"),
    "InputOneLate": fault("InputOneLate._back", "return np.roll(dxs, -1, axis=1), *rest"),
    "FixedLength": fault(
        "FixedLength._run", "return np.pad(hs, ((0, 0), (0, max(pad, 0)), (0, 0))), last, (*tape, pad)"
    )
    + fault(
        "FixedLength._back",
        "dxs, *rest = super()._back(dhs[:, : self.max_len], cells, shape)",
        "return np.pad(dxs, ((0, 0), (0, max(pad, 0)), (0, 0))), *rest",
    ),
}

SKIPPED = {
    "WritesIntoGivenState": "overwrites the caller's h_0, all values are right",
    "FinalStateIntoGiven": "overwrites the caller's h_0, all values are right",
    "SqueezedOutput": "only the shape of hs, all values are right",
    "SqueezedState": "only the shape of h, all values are right",
    "DoubleZeroState": "only a wider dtype",
    "DoubleDx": "only a wider dtype",
    "OverflowingTanh": "only overflow at large inputs",
}
