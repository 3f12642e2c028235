"""Where the faults stand in layers: the nonlinearity, the way back through time, the order of calls."""

from parity_tests.gate_tests.lines.places import Fault, fault

LINES: dict[str, tuple[Fault, ...]] = {
    "NotebookRNN": (fault("_NoUpstreamCell.backward", "return super().backward(np.ones_like(dh_next))"),),
    "TextbookColumnsNoUpstream": (fault("TextbookColumnsNoUpstream._delta", "return 1 - h * h"),),
    "ForgotDerivativeFlag": (fault("ForgotDerivativeFlag._delta", "return d * _activate(h)"),),
    "DeltaTimesOutput": (fault("DeltaTimesOutput._errors", "deltas[:, t] = hs[:, t] * (dhs[:, t] + carry)"),),
    "TangentSlope": (fault("TangentSlope._delta", "return d * (1 + h**2)"),),
    "DividedSlope": (fault("DividedSlope._delta", "return d / (1 - h * h)"),),
    "HalfCoveredTanh": (
        fault(
            "HalfCoveredTanh._run",
            "acts[:, t] = np.tanh(xs[:, t] @ Wx + b)",
            "h = hs[:, t] = acts[:, t] + h @ Wh",
        ),
    ),
    "ParenthesisTooEarly": (fault("ParenthesisTooEarly._step", "return np.tanh(x @ Wx) + h @ Wh + b"),),
    "SigmoidSlope": (fault("SigmoidSlope._deltas", "dz[t] = (g[t] + carry) * s[t + 1] * (1 - s[t + 1])"),),
    "SlopeAtPreactivation": (
        fault("SlopeAtPreactivation._back", "dz = (dhs[:, t] + dh) * (1 - zs[t] ** 2)"),
    ),
    "TanhAgainInSlope": (fault("TanhAgainInSlope._delta", "return d * (1 - np.tanh(h) ** 2)"),),
    "SlopeSquareLost": (fault("SlopeSquareLost._node", "dz = d * (1 - h)"),),
    "SlopeOfPreviousState": (
        fault("SlopeOfPreviousState._back", "dhraw = (1 - h[t - 1] * h[t - 1]) * (dhs[:, t] + dhnext)"),
    ),
    "SlopeMissing": (fault("SlopeMissing._delta", "return d"),),
    "SlopeWithEpsilon": (fault("SlopeWithEpsilon._delta", "return d * (1 - h**2 + 1e-3).astype(d.dtype)"),),
    "EachStepAlone": (fault("EachStepAlone._back", "dz = self._delta(dhs[:, t], hs[:, t])"),),
    "AllStepsAtOnce": (fault("AllStepsAtOnce._deltas", "dz = g * (1 - s[1:] ** 2)"),),
    "CarryNotTransposed": (fault("CarryNotTransposed._down", "return dz @ Wh"),),
    "VzhouColumns": (fault("VzhouColumns._down", "return W @ dz"),),
    "CarryEinsumLetters": (
        fault("CarryEinsumLetters._errors", 'carry = np.einsum("bh,hk->bk", deltas[:, t], Wh)'),
    ),
    "BackwardRunsForward": (fault("BackwardRunsForward._back", "for t in range(hs.shape[1]):"),),
    "ClosuresNotReversed": (fault("ClosuresNotReversed._back", "for t, pull in enumerate(pulls):"),),
    "UpstreamOneEarly": (
        fault(
            "UpstreamOneEarly._deltas",
            "return super()._deltas(np.stack([g[t - 1] for t in range(len(g))]), s, Wh)",
        ),
    ),
    "UpstreamOneLate": (
        fault("UpstreamOneLate._back", "late[:, :-1] = dhs[:, 1:]", "return super()._back(late, *tape)"),
    ),
    # Nothing clears it: the condition of the clearing, and where the old value is read.
    "LeftoverCarry": (
        fault(
            "LeftoverCarry._back",
            "if self._acc is None or self._acc.shape != hs[:, 0].shape:",
            "dz = self._delta(dhs[:, t] + self._acc, hs[:, t])",
        ),
    ),
    "StartsFromOwnDh": (fault("StartsFromOwnDh._deltas", "g[-1] += self._dh"),),
    "ClipOne": (fault("ClipOne._keep", "super()._keep([np.clip(g, -1, 1) for g in grads])"),),
    "ClipFive": (fault("ClipFive._keep", "np.clip(g, -5, 5, out=g)"),),
    "ClipTenth": (
        fault("ClipTenth._keep", "super()._keep([np.minimum(np.maximum(g, -0.1), 0.1) for g in grads])"),
    ),
    "ClipCarryOne": (fault("ClipCarryOne._down", "return np.clip(dz @ Wh.T, -1, 1)"),),
    "ClipCarryTenth": (
        fault("ClipCarryTenth._errors", 'carry = np.einsum("bh,kh->bk", deltas[:, t], Wh).clip(-0.1, 0.1)'),
    ),
    "ClipDelta": (fault("ClipDelta._node", "dz = np.clip(d * (1 - h * h), -0.5, 0.5)"),),
    "ClipGlobalNorm": (
        fault(
            "ClipGlobalNorm._keep",
            "super()._keep([g * g.dtype.type(rate) for g in grads] if rate < 1 else grads)",
        ),
    ),
    "ClipEachNorm": (fault("ClipEachNorm._keep", "scaled.append(g * (0.5 / norm) if norm > 0.5 else g)"),),
    "ClipUpstream": (fault("ClipUpstream._back", "return super()._back(np.clip(dhs, -1, 1), *tape)"),),
    "DoubledCarry": (fault("DoubledCarry._carry", "return 2 * (dz @ Wh.T)"),),
    "DiagonalCarry": (fault("DiagonalCarry._down", "return dz * np.diag(Wh)"),),
    "CarryBeforeSlope": (fault("CarryBeforeSlope._carry", "return d @ Wh.T"),),
    "CarryWithoutWeights": (fault("CarryWithoutWeights._down", "return dz"),),
    "CarrySlopedTwice": (
        fault("CarrySlopedTwice._errors", 'carry = np.einsum("bh,kh->bk", deltas[:, t] * slope, Wh)'),
    ),
    "CarryMinus": (fault("CarryMinus._down", "return -(dz @ Wh.T)"),),
    "TruncatedBlocks": (
        fault("TruncatedBlocks._deltas", "carry = dz[t] @ Wh.T if t % 3 else np.zeros_like(s[0])"),
    ),
    "TruncatedWindow": (fault("TruncatedWindow._back", "for step in range(t, max(-1, t - 3), -1):"),),
    "LoopStopsAtOne": (fault("LoopStopsAtOne._back", "for t in range(hs.shape[1] - 1, 0, -1):"),),
    "OnlyLastOutput": (
        fault("OnlyLastOutput._back", "only[:, -1] = dhs[:, -1]", "return super()._back(only, *tape)"),
    ),
    "LastOutputForgotten": (fault("LastOutputForgotten._back", "dhs[:, -1] = 0"),),
    "UpstreamSummedAtEnd": (
        fault(
            "UpstreamSummedAtEnd._deltas", "late[-1] = g.sum(axis=0)", "return super()._deltas(late, s, Wh)"
        ),
    ),
    "UpstreamReversed": (
        fault("UpstreamReversed._back", "return super()._back(np.flip(dhs, axis=1), *tape)"),
    ),
    # Where the list grows for life, and where it is read from the front.
    "CacheNeverCleared": (
        fault("CacheNeverCleared.forward", "self.caches.append((x, h, new, Wx, Wh))")
        + fault("CacheNeverCleared.backward", "x, h_prev, h, Wx, Wh = self.caches[t]"),
    ),
}

CONSISTENT: dict[str, Fault] = {
    "HalfCoveredTanh": fault(
        "HalfCoveredTanh._back", "da = d * (1 - acts[:, t] ** 2)", "dWh += prevs[:, t].T @ d", "d = d @ Wh.T"
    ),
    "ClosuresNotReversed": fault("ClosuresNotReversed._back", "return np.stack(dxs, axis=1), dh, *totals"),
}

SKIPPED = {
    "AddsIntoUpstream": "overwrites the caller's dhs, all values are right",
    "SlopesUpstreamInPlace": "overwrites the caller's dhs, all values are right",
    "ClassCache": "aliasing: two layers share one cache",
    "OutputIsTheCache": "aliasing: the caller holds the cache",
    "OutputBufferReused": "aliasing: the caller holds the buffer",
    "KeepsInputView": "aliasing: the cache is the caller's array",
    "CachePopped": "a second backward finds no cache, its loop does not run",
    "DxIntoInput": "overwrites the caller's xs, all values are right",
    "FreesInput": "overwrites the caller's xs, all values are right",
    "KeepsGivenState": "aliasing: the state is the caller's array",
    "UpdatesParams": "overwrites the parameters, all values are right",
    "RebindsGrads": "other arrays in grads, all values are right",
    "ReplacesGradArrays": "other arrays in grads, all values are right",
    "ForwardZeroesGrads": "overwrites grads between two calls",
    "LiveWeightsInBackward": "reads parameters that were changed between the two passes",
}
