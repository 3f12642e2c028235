"""Where the faults stand in layers with several faults each: other styles."""

from parity_tests.gate_tests.lines.places import Fault, fault

LINES: dict[str, tuple[Fault, ...]] = {
    "EinsumLetters": (
        fault("EinsumLetters._back", 'carry = np.einsum("bh,hk->bk", deltas[:, t], Wh)'),
        fault(
            "EinsumLetters._back",
            'deltas[:, t] = np.einsum("bh,bh->bh", dhs[:, t] + carry, 1 + hs[:, t] ** 2)',
        ),
        fault("EinsumLetters._back", "return (", 'np.einsum("bk,bth->kh", states[0], deltas),'),
    ),
    "ColumnsOfABatch": (
        fault("ColumnsOfABatch._back", "back = slope * (W.T @ error)"),
        fault("ColumnsOfABatch._back", "return np.stack(dX[::-1], axis=1), error.T, dU.T, dW.T, dc"),
    ),
    "FirstStepApart": (
        fault("FirstStepApart._run", "outs = [np.tanh(joined[0] @ W)]"),
        fault("FirstStepApart._back", "dx, dh = np.split(d @ W.T, [D], axis=1)"),
        fault("FirstStepApart._back", "dx, dh = np.split(d @ W.T, [D], axis=1)"),
    ),
    "Pullbacks": (
        fault("Pullbacks._run", "dz = (1 - after**2) * g + carry"),
        fault("Pullbacks._back", "dWx, dWh, db = dWx + gx, dWh + gh, db + dh.sum(axis=0)"),
        fault("Pullbacks._back", 'dxs = np.empty(shape, dtype="f")'),
    ),
    "RecursiveBlocks": (
        fault("RecursiveBlocks._back", "if (t + 1) % self.block == 0:", "later = 0"),
        fault("RecursiveBlocks._back", "dz = (dhs[:, t] + later) * (1 - z**2)"),
        fault("RecursiveBlocks._back", "dWh += dz.T @ h"),
        fault("RecursiveBlocks._back", "db += (dz * xs[:, t].sum(axis=1)[:, None]).sum(axis=0)"),
    ),
    "ProductsOverTime": (
        fault("ProductsOverTime._back", "dz[t] = (dhs[:, t] + carry) * s[t + 1]"),
        fault(
            "ProductsOverTime._back",
            "return (flat @ Wx.T).reshape(B, T, D), carry, *(total / T for total in sums)",
        ),
        fault(
            "ProductsOverTime._back",
            "return (flat @ Wx.T).reshape(B, T, D), carry, *(total / T for total in sums)",
        ),
    ),
    "TorchWeightInDicts": (
        fault("TorchWeightInDicts._run", "h[t] = np.tanh(np.dot(xs[:, t], Wx) + np.dot(h[t - 1], Wh.T) + b)"),
        fault("TorchWeightInDicts._back", "dz = dh * (1 - h[t])"),
        fault("TorchWeightInDicts._back", "if t < T - 1:", "dh = dh + dhs[:, t]"),
    ),
    "EinsumMeans": (
        fault("EinsumMeans._back", "slopes = hs**2 - 1"),
        fault("EinsumMeans._back", 'dxs[:, t - 1] = np.einsum("bh,dh->bd", deltas[:, t], Wx)'),
        fault(
            "EinsumMeans._back",
            'dWx = np.einsum("btd,bth->dh", xs, deltas) / B',
            'dWh = np.einsum("btk,bth->kh", prevs, deltas) / B',
            'return dxs, carry, dWx, dWh, np.einsum("bth->h", deltas) / B',
        ),
    ),
    "StepMatrices": (
        fault("StepMatrices._back", "slopes = 1 - states[1:] ** 2 + 1e-6"),
        fault("StepMatrices._back", "matrices = slopes[..., None] * Wh.T * self.decay"),
        fault("StepMatrices._back", 'dh0 = np.einsum("bh,bhk->bk", d[-1], matrices[-1])'),
    ),
    "HalfOfTheSum": (
        fault("HalfOfTheSum._run", "h = np.tanh(xs[:, t] @ Wx + b) + h @ Wh"),
        fault("HalfOfTheSum._back", "d_mean = dhs / T"),
        fault("HalfOfTheSum._back", "for t in range(T - 1, 0, -1):"),
        fault("HalfOfTheSum._back", "dWh += np.matmul(dz.T, prevs[t])"),
    ),
    "BiasBehind": (
        fault("BiasBehind._run", "hs += [np.tanh(x @ Wx + hs[-1] @ Wh) + b]"),
        fault("BiasBehind._back", "dhs = np.maximum(-self.limit, np.minimum(dhs, self.limit))"),
        fault(
            "BiasBehind._back",
            "dWx += xs[:, t].T @ dz + self.lam * Wx",
            "dWh += hs[t].T @ dz + self.lam * Wh",
        ),
    ),
    "ReversedTimeMajor": (
        fault("ReversedTimeMajor._deltas", "return super()._deltas(g[::-1], s, Wh)"),
        fault("ReversedTimeMajor._sums", "dWh = s[1:-1].reshape(-1, H).T @ dz[1:].reshape(-1, H)"),
        fault(
            "ReversedTimeMajor._sums",
            "return dWx.clip(-0.5, 0.5), dWh.clip(-0.5, 0.5), dz.sum(axis=(0, 1)).clip(-0.5, 0.5)",
        ),
    ),
    "OneStateForAllRows": (
        fault("OneStateForAllRows._step", "return np.tanh(x @ Wx + h[0] @ Wh + b)"),
        fault("OneStateForAllRows._delta", "return d"),
        fault("OneStateForAllRows._back", "return dxs, dh, dWx + 0.1 * Wx, dWh + 0.1 * Wh, db"),
    ),
    "TinyConstantInClosures": (
        fault("TinyConstantInClosures._run", "outs.append(np.tanh(xs[:, t] @ Wx + before @ Wh + b + 1e-12))"),
        fault(
            "TinyConstantInClosures._node",
            "return dz @ Wx.T, (dz * (1 - h * h)) @ Wh.T, x.T @ dz, h_prev.T @ dz, dz.sum(axis=0)",
        ),
    ),
    "CellsThatForget": (
        fault("_SlopeOnly.backward", "dt = np.zeros_like(dh_next) + (1 - h_next**2)"),
        fault("CellsThatForget._back", "return np.stack(dxs, axis=1), dh, *cells[t].grads"),
        # Collected from the end, and never turned round.
        fault("CellsThatForget._back", "dxs.append(dx)", "return np.stack(dxs, axis=1), dh, *cells[t].grads"),
    ),
}

CONSISTENT: dict[str, Fault] = {
    "TorchWeightInDicts": fault(
        "TorchWeightInDicts._back", 'grad["Wh"] += np.dot(dz.T, h[t - 1])', "dh = np.dot(dz, Wh)"
    ),
}
