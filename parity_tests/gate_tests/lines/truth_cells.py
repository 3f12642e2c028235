"""Where the faults stand in cells."""

from parity_tests.gate_tests.lines.places import Fault, fault

LINES: dict[str, tuple[Fault, ...]] = {
    "NotebookCell": (fault("NotebookCell.backward", "dt = 1 - h_next**2"),),
    "OutputAsSlope": (fault("OutputAsSlope._slope", "return h"),),
    "PlusSquare": (fault("PlusSquare._slope", "return 1 + h**2"),),
    "InverseSlope": (fault("InverseSlope._slope", "return 1 / (1 - h**2)"),),
    "RecurrentOutsideTanh": (
        fault("RecurrentOutsideTanh._next", "return np.tanh(x @ Wx + b) + h_prev @ Wh"),
    ),
    "CarryUntransposed": (fault("CarryUntransposed._parts", "return dx, dz @ Wh, *grads"),),
    "CarryUntransposedVectors": (
        fault("CarryUntransposedVectors._row", "dh_prev[r] = self.cache[4].T @ dz"),
    ),
    "ClippedCell": (fault("ClippedCell._fill", "super()._fill(*[np.clip(g, -1, 1) for g in grads])"),),
    "ClippedDz": (fault("ClippedDz._parts", "return super()._parts(np.clip(dz, -0.5, 0.5), *cache)"),),
    "LastRowWins": (fault("LastRowWins._row", "dWx[...] = dWh[...] = db[...] = 0"),),
    "CellDWhTransposed": (fault("CellDWhTransposed._parts", "return dx, dh_prev, dWx, dWh.T, db"),),
    "DWhOfNext": (fault("DWhOfNext._parts", "return dx, dh_prev, dWx, h.T @ dz, db"),),
    "BiasOfUpstream": (fault("BiasOfUpstream.backward", "self.grads[2][...] = dh_next.sum(axis=0)"),),
    "BiasByInput": (fault("BiasByInput._row", "db += dz * (self.cache[0][r].sum() - 1)"),),
    "MeanOverRows": (fault("MeanOverRows._fill", "super()._fill(*[g / B for g in grads])"),),
    "PrevIsDz": (fault("PrevIsDz._parts", "return dx, dz, *grads"),),
    "IgnoresState": (fault("IgnoresState._next", "return np.tanh(x @ Wx + b)"),),
    # Nothing sets the state back for a row: its only start, and the line that reads it.
    "RowChain": (
        fault(
            "RowChain.forward",
            'h, state = np.zeros_like(h_prev, order="C"), h_prev[0]',
            "state = h[r] = np.tanh(Wx.T @ x[r] + Wh.T @ state + b)",
        ),
    ),
    "CellInSingle": (fault("CellInSingle._next", "return h.astype(np.float32).astype(h.dtype)"),),
    "CellAccumulates": (fault("CellAccumulates._fill", "mine += new.reshape(mine.shape)"),),
    "CellSigmoid": (fault("CellSigmoid._slope", "return h * (1 - h)"),),
    "CellSlopeTwiceTanh": (
        fault(
            "CellSlopeTwiceTanh.backward",
            "self._row(r, dh_next[r] * (1 - np.tanh(h[r]) ** 2), dx, dh_prev, dWx, dWh, db)",
        ),
    ),
    "CellBiasTwice": (fault("CellBiasTwice._next", "return np.tanh((x @ Wx + b) + (h_prev @ Wh + b))"),),
    "CellWhTransposed": (fault("CellWhTransposed._next", "return np.tanh(x @ Wx + h_prev @ Wh.T + b)"),),
    "CellWxSquare": (fault("CellWxSquare._row", "dx[r] = Wx.T @ dz"),),
    "CellDoubled": (fault("CellDoubled.backward", "return super().backward(2 * dh_next)"),),
}

CONSISTENT: dict[str, Fault] = {
    "CellWhTransposed": fault("CellWhTransposed._parts", "return dx, dz @ Wh, dWx, dWh.T, db"),
}

SKIPPED = {
    "CellSqueezes": "only the shape of h_next, all values are right",
    "CellInDouble": "only a wider dtype",
    "OverwritesState": "overwrites the caller's h_prev, all values are right",
    "SlopeIntoUpstream": "overwrites the caller's dh_next, all values are right",
    "ClassCacheCell": "aliasing: two cells share one cache",
}
