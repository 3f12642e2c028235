"""Where the faults stand in layers: gradients of parameters, inputs and states."""

from parity_tests.gate_tests.lines.places import Fault, fault

LINES: dict[str, tuple[Fault, ...]] = {
    "AssignsInsteadOfAdds": (
        fault(
            "AssignsInsteadOfAdds._back",
            "dWx = xs[:, t].T @ dz",
            "dWh = prevs[:, t].T @ dz",
            "db = dz.sum(axis=0)",
        ),
    ),
    "SharedCellGrads": (
        fault(
            "SharedCellGrads._back",
            "cell.grads = cells[0].grads",
            "return dxs, dh, *[g.copy() for g in cells[0].grads]",
        ),
    ),
    "FirstGradientWins": (
        fault("FirstGradientWins._sums", "return x[-1].T @ dz[-1], s[-2].T @ dz[-1], dz[-1].sum(axis=0)"),
    ),
    "OnlyDWhOverwritten": (
        fault(
            "OnlyDWhOverwritten._back",
            "dx, dh, gx, dWh, gb = pulls[t](dhs[:, t] + dh)",
            "dWx, db = dWx + gx, db + gb",
        ),
    ),
    "WrappedIndex": (
        fault("WrappedIndex._back", "dWh = sum(hs[:, t - 1].T @ deltas[:, t] for t in range(hs.shape[1]))"),
    ),
    "WrappedList": (fault("WrappedList._back", "dW += np.outer(dz, outs[t - 1])"),),
    "TransposedDWh": (
        fault(
            "TransposedDWh._sums",
            (
                "return x.reshape(len(flat), -1).T @ flat, flat.T @ "
                "s[:-1].reshape(flat.shape), flat.sum(axis=0)"
            ),
        ),
    ),
    # The letters, and the product that they make wrong; no method is overridden.
    "EinsumLettersSwapped": (
        fault("EinsumLettersSwapped", 'rule_h = "btk,bth->hk"')
        + fault("_Einsum._back", "np.einsum(self.rule_h, prevs, deltas),", "return ("),
    ),
    "OuterWrongWayRound": (fault("OuterWrongWayRound._back", "return dxs, dh0, dU, dW.T.copy(), dc"),),
    "BiasTakesUpstream": (fault("BiasTakesUpstream._back", "db += d.sum(axis=0)"),),
    "InputWeightTakesUpstream": (
        fault(
            "InputWeightTakesUpstream._node",
            "return dz @ Wx.T, dz @ Wh.T, x.T @ d, h_prev.T @ dz, dz.sum(axis=0)",
        ),
    ),
    "InputTakesUpstream": (
        fault(
            "InputTakesUpstream._node", "return d @ Wx.T, dz @ Wh.T, x.T @ dz, h_prev.T @ dz, dz.sum(axis=0)"
        ),
    ),
    "RecurrentWeightTakesLaterDelta": (
        fault("RecurrentWeightTakesLaterDelta._sums", "dWh += s[t].T @ dz[t + 1]"),
    ),
    "BiasTakesCarry": (fault("BiasTakesCarry._back", "db += dhnext.sum(0)"),),
    "BiasTimesInput": (
        fault("BiasTimesInput._back", "db += (dz * xs[:, t].sum(axis=1, keepdims=True)).sum(axis=0)"),
    ),
    "BiasFromDWx": (fault("BiasFromDWx._sums", "return dWx, dWh, dWx.sum(axis=0)"),),
    "BiasOfStepZero": (fault("BiasOfStepZero._back", "db = dz.sum(axis=0)"),),
    "BiasOfLastStep": (fault("BiasOfLastStep._sums", "return dWx, dWh, dz[-1].sum(axis=0)"),),
    "BatchMean": (fault("BatchMean._keep", "super()._keep([g / B for g in grads])"),),
    "BatchMeanEinsum": (
        fault("BatchMeanEinsum._back", "return dxs, dh0, *[g / dhs.shape[0] for g in grads]"),
    ),
    "BiasBatchMean": (fault("BiasBatchMean._back", "return dxs, dh0, dWx, dWh, db / len(dhs)"),),
    "EverythingBatchMean": (
        fault("EverythingBatchMean._back", "return super()._back(dhs / len(dhs), pulls)"),
    ),
    "TimeMean": (fault("TimeMean._back", "return dxs, dh0, *[g / dhs.shape[1] for g in grads]"),),
    "TimesT": (fault("TimesT._back", "return dxs, dh0, *[g * dhs.shape[1] for g in grads]"),),
    "TokenMean": (
        fault(
            "TokenMean._sums",
            "return tuple(g / (dz.shape[0] * dz.shape[1]) for g in super()._sums(x, s, dz))",
        ),
    ),
    "UpstreamOverT": (fault("UpstreamOverT._back", "return super()._back(dhs / dhs.shape[1], *tape)"),),
    "LastD": (fault("LastD._back", "return dxs, d, dWx, dWh, db"),),
    "LastDz": (fault("LastDz._deltas", "return dz, dz[0]"),),
    "StateGradientZero": (fault("StateGradientZero._back", "return dxs, 0 * dh0, *grads"),),
    "StateGradientFlipped": (fault("StateGradientFlipped._back", "return dxs, -dh0, *grads"),),
    "StateGradientSummed": (
        fault(
            "StateGradientSummed._back",
            "return dxs, np.repeat(dh0.sum(axis=0, keepdims=True), len(dh0), axis=0), *grads",
        ),
    ),
    # Nothing keeps dh_0: where it is thrown away.
    "StateGradientNever": (
        fault("StateGradientNever.backward", "dxs, _, *grads = self._back(np.array(dhs), *self._tape)"),
    ),
    "StateGradientPlusUpstream": (
        fault("StateGradientPlusUpstream._errors", "return deltas, dh0 + dhs[:, 0]"),
    ),
    "MinusDWx": (fault("MinusDWx._back", "return dxs, dh0, -dWx, dWh, db"),),
    "MinusDx": (fault("MinusDx._back", "return -dxs, *rest"),),
    "MinusAllGrads": (fault("MinusAllGrads._sums", "return tuple(-g for g in super()._sums(x, s, dz))"),),
    "StateAfterForDWh": (
        fault("StateAfterForDWh._sums", "return dWx, s[1:].reshape(-1, H).T @ dz.reshape(-1, H), db"),
    ),
    "CellCachesWrongState": (
        fault("_OwnOutputCell.backward", "self.grads[1][...] = h_next.T @ (dh_next * (1 - h_next**2))"),
    ),
    "NoStartTermInDWh": (fault("NoStartTermInDWh._back", "if t > 0:", "dWh += hs[:, t - 1].T @ dz"),),
    "NoStartTermEinsum": (
        fault(
            "NoStartTermEinsum._back",
            'return dxs, dh0, dWx, np.einsum("btk,bth->kh", hs[:, :-1], deltas[:, 1:]), db',
        ),
    ),
    "DWhFromStartOnly": (fault("DWhFromStartOnly._pair", "total = total + states[0].T @ dz"),),
    "BiasTwice": (fault("BiasTwice._back", "return dxs, dh0, dWx, dWh, db_ih + db_hh"),),
    # No loop over the rows: the loop that there is, the row it takes, and the sum.
    "BiasOfOneRow": (
        fault(
            "BiasOfOneRow._back",
            "for t in reversed(range(len(rows[-1]) - 1)):",
            "dz = (1 - rows[-1][t + 1] ** 2) * (dhs[-1, t].reshape(-1, 1) + d_next)",
            "dc += dz",
        ),
    ),
    "FactorTwo": (fault("FactorTwo._back", "return super()._back(2 * dhs, *tape)"),),
    "LearningRateInside": (
        fault("LearningRateInside._keep", "super()._keep([g * g.dtype.type(self.lr) for g in grads])"),
    ),
    "WeightDecayInside": (
        fault("WeightDecayInside._back", "return dxs, dh0, dWx + lam * Wx, dWh + lam * Wh, db"),
    ),
    "NoisyGradients": (
        fault(
            "NoisyGradients._keep",
            (
                "super()._keep([g + (1e-3 * "
                "self.rng.standard_normal(g.shape)).astype(g.dtype) for g in grads])"
            ),
        ),
    ),
    "gradients.MomentumInside": (
        fault(
            "MomentumInside._keep",
            ("self._mean = [0.9 * old + 0.1 * new for old, new in zip(self._mean, grads, strict=True)]"),
        ),
    ),
    "NeverZeroed": (fault("NeverZeroed._keep", "mine += new.reshape(mine.shape)"),),
    "NeverZeroedBias": (fault("NeverZeroedBias._keep", "self.grads[2] += before"),),
    "TakesSquareWxAsIs": (
        fault("TakesSquareWxAsIs._back", "M = Wx if Wx.shape[0] == Wx.shape[1] else Wx.T"),
    ),
    "TransposedSquareDWx": (
        fault("TransposedSquareDWx._sums", "return dWx.T if dWx.shape[0] == dWx.shape[1] else dWx, dWh, db"),
    ),
    "DxReversed": (fault("DxReversed._back", "return dxs[:, ::-1], *rest"),),
    "DxShifted": (fault("DxShifted._back", "late[:, 1:] = dxs[:, :-1]", "return late, *rest"),),
    "DxOfLastStepOnly": (fault("DxOfLastStepOnly._back", "dxs[:, :-1] = 0"),),
    "DxLosesCarry": (fault("DxLosesCarry._back", "return (dhs * (1 - hs * hs)) @ Wx.T, *rest"),),
}

CONSISTENT: dict[str, Fault] = {
    "RecurrentWeightTakesLaterDelta": fault(
        "RecurrentWeightTakesLaterDelta._sums", "for t in range(len(dz) - 1):"
    ),
}
