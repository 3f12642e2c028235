"""Where the faults stand in layers with several faults each: loops and habits."""

from parity_tests.gate_tests.lines.places import Fault, fault

LINES: dict[str, tuple[Fault, ...]] = {
    "LibraryRecurrent": (
        fault("LibraryRecurrent.backward", "derivative = 1 - np.tanh(S[:, t]) ** 2"),
        fault("LibraryRecurrent.backward", 'grad["b"] += delta[:, t].sum(axis=0)'),
        fault("LibraryRecurrent.backward", 'below[:, t] = (derivative * delta[:, t]) @ p["W"].T'),
    ),
    "NotebookCells": (
        fault("OneStep.backward", "dt = dh_next * h_next**2"),
        fault("OneStep.backward", "self.grads[1][...] = np.dot(h_next.T, dt) / N"),
        fault(
            "OneStep.backward",
            "self.grads[0][...] = np.dot(x.T, dt) / N",
            "self.grads[1][...] = np.dot(h_next.T, dt) / N",
            "self.grads[2][...] = np.mean(dt, axis=0)",
        ),
    ),
    "CharacterModel": (
        fault("CharacterModel.backward", "dhnext = np.dot(dhraw, Whh)"),
        fault("CharacterModel.backward", "dbh = dhraw.sum(axis=0)"),
        fault("CharacterModel.backward", "np.clip(dparam, -1, 1, out=dparam)"),
    ),
    "ColumnSamples": (
        fault("ColumnSamples.backward", "df = (1 - np.abs(states[t])) * dh"),
        fault("ColumnSamples.backward", "dV += df @ states[t - 1].T"),
        fault("ColumnSamples.backward", "self.dh[row] = dh[:, 0]"),
        fault("ColumnSamples.backward", "mine[...] = (g * rate).reshape(mine.shape)"),
    ),
    "PreallocatedBuffers": (
        fault("PreallocatedBuffers.backward", "dz = dhs[:, t] * (1 - self.after[t] ** 2)"),
        fault("PreallocatedBuffers.backward", "dWh += self.before[t].T @ dz"),
        # float32 zeros are exact, and no result keeps their dtype: h and dz are not here.
        fault(
            "PreallocatedBuffers.forward",
            'self.before = np.empty((T, B, H), dtype="f")',
            'self.after = np.empty((T, B, H), dtype="f")',
            'hs = np.empty((B, T, H), dtype="f")',
        )
        + fault("PreallocatedBuffers.backward", 'dxs = np.empty(self.xs.shape, dtype="f")'),
    ),
    "BrokenLines": (
        fault("BrokenLines.step", "net = np.matmul(x, Wx)", "+np.matmul(h, Wh)", "+b  # noqa: B018"),
        fault("BrokenLines.backward", "d = dhs[:, t] + dh", "dz = (d + dh) * (1 - after**2)"),
        fault("BrokenLines.backward", "self.grads[2] += (np.ones_like(x).T @ dz).sum(axis=0)"),
    ),
    "ManyToOne": (
        fault("ManyToOne.backward", "error = dhs[:, -1]", "raw = error * (1 - self.states[t] ** 2)"),
        fault("ManyToOne.backward", "raw = error * (1 - self.states[t] ** 2)"),
        fault("ManyToOne.backward", "gh += self.states[max(t - 1, 0)].T.dot(raw)"),
    ),
    "WindowOfSteps": (
        fault("WindowOfSteps.backward", "for s in reversed(range(max(0, t - self.trunc), t + 1)):"),
        fault("WindowOfSteps.backward", "below[:, t] = d @ self.U.T"),
    ),
    "TwoNamesForTheState": (
        # The name that nobody reads, and the zeros that stand where its value belongs.
        fault("TwoNamesForTheState.set_state", "self.h0 = h.copy()")
        + fault("TwoNamesForTheState.forward", "self.h = np.zeros((B, Wh.shape[1]), Wh.dtype)"),
        fault("TwoNamesForTheState.backward", "d = local * (dhs[:, t] + carry)", "dz = local * d"),
        fault("TwoNamesForTheState.backward", "self.dh = carry + dhs[:, 0]"),
    ),
    "MaskedOutputs": (
        fault("MaskedOutputs.forward", "self.mask[:, -1] = True")
        + fault("MaskedOutputs.backward", "errors = np.where(self.mask, dhs, 0)"),
        fault("MaskedOutputs.backward", "total[self.states[t + 1] <= 0] = 0"),
        # Nothing fills it: its only value.
        fault("MaskedOutputs.backward", "dxs, self.dh = np.zeros_like(self.xs), np.zeros_like(self.h)"),
    ),
    "FlatGradients": (
        fault("FlatGradients.backward", "dh = dz"),
        fault("FlatGradients.collect", "mine += block if block.shape == mine.shape else block.T")
        + fault("FlatGradients.backward", "self.collect(0, dz.T @ x)"),
        fault("FlatGradients.collect", "mine += block if block.shape == mine.shape else block.T"),
    ),
    "StatesOfAGenerator": (
        fault("StatesOfAGenerator.unroll", "h_new = np.tanh(xs[:, t] @ Wx + h @ Wh + b)"),
        fault("StatesOfAGenerator.backward", "dhs = dhs / dhs.shape[0]"),
        fault("StatesOfAGenerator.backward", "dxs = np.zeros_like(self.xs)"),
    ),
    "JoinedMatrix": (
        fault("JoinedMatrix.forward", "h = 1 / (1 + np.exp(-(np.concatenate((h, x), axis=1) @ self.W + b)))"),
        fault("JoinedMatrix.backward", "out, before = self.outs[t], self.outs[max(t - 1, 0)]"),
        fault(
            "JoinedMatrix.backward",
            "dW += np.concatenate((before, self.xs[:, t]), axis=1).T @ dz + self.decay * self.W",
        ),
    ),
    "HalfPrecisionSlope": (
        fault("HalfPrecisionSlope.forward", "self.slopes.append((1 - h * h).astype(np.float16))"),
        fault("HalfPrecisionSlope.backward", "carry = dz[:, t] * np.diagonal(Wh)"),
        fault("HalfPrecisionSlope.backward", "self.dh = np.tile(carry.sum(axis=0), (len(carry), 1))"),
    ),
    "LeakyRows": (
        fault("LeakyRows.forward", "self.hs[row, t + 1] = self.leak * before + (1 - self.leak) * new"),
        fault("LeakyRows.backward", "db -= dz * x[t].sum()"),
        fault(
            "LeakyRows.backward",
            "dWx -= np.outer(x[t], dz)",
            "dWh -= np.outer(self.hs[row, t], dz)",
            "db -= dz * x[t].sum()",
        ),
    ),
    "PreviousAndCurrent": (
        fault("PreviousAndCurrent.backward", "dz = (dhs[:, t - 2] + dh) * (1 - cur * cur)"),
        fault(
            "PreviousAndCurrent.backward",
            "x, cur, prev = self.trace[t - 1]",
            "dz = (dhs[:, t - 2] + dh) * (1 - cur * cur)",
        ),
        fault(
            "PreviousAndCurrent.backward",
            "x, cur, prev = self.trace[t - 1]",
            "sums = [sums[0] + x.T @ dz, sums[1] + prev.T @ dz, sums[2] + dz.sum(axis=0)]",
        ),
    ),
    "SinglePrecisionCore": (
        fault(
            "SinglePrecisionCore.forward",
            "self.Wx, self.Wh, b = (np.asarray(p).astype(np.float32) for p in self.params)",
            "self.xs = xs.astype(np.float32)",
            "h = self.h.astype(np.float32)",
        )
        + fault(
            "SinglePrecisionCore.backward",
            "dhs = dhs.astype(np.float32)",
            "dxs = np.zeros((B, T + 1, D), np.float32)",
        ),
        fault("SinglePrecisionCore.backward", "dz = h * (1 - h) * (dhs[:, t] + dh)"),
        fault(
            "SinglePrecisionCore.backward",
            "dxs[:, t + 1] = dz @ self.Wx.T",
            "return dxs[:, :T].astype(self.dtype)",
        ),
    ),
    "several_habits.MomentumInside": (
        fault("MomentumInside.backward", "dz = (dhs[:, t] - carry) * (1 - self.hs[t + 1] ** 2)"),
        fault("MomentumInside.backward", "self.dh = dz"),
        fault(
            "MomentumInside.backward",
            ("new = [self.beta * m + (1 - self.beta) * g for m, g in zip(self.momentum, new, strict=True)]"),
        ),
    ),
    "LinearWithNorm": (
        fault("LinearWithNorm.forward", "self.hs[:, t + 1] = xs[:, t] @ Wx + self.hs[:, t] @ Wh + b"),
        fault("LinearWithNorm.backward", "dh += d[:, t] @ Wh.T"),
        fault(
            "LinearWithNorm.backward", "mine[...] = grad * (self.most / norm) if norm > self.most else grad"
        ),
    ),
    "TinyConstant": (
        fault("TinyConstant.forward", "self.h = np.tanh(z + 1e-12)"),
        fault("TinyConstant.backward", "dz = (dhs[:, t] + dh) * (1 - self.h**2)"),
        fault("TinyConstant.backward", "if t > 0:", "dWh += self.hs[t - 1].T @ dz"),
        fault(
            "TinyConstant.backward",
            "self.grads[0][...], self.grads[1][...], self.grads[2][...] = dWx, dWh, db_ih + db_hh",
        ),
    ),
    "CumulatedErrors": (
        fault("CumulatedErrors._back", "above = np.flip(np.cumsum(np.flip(dhs, axis=1), axis=1), axis=1)"),
        fault("CumulatedErrors._back", "dWh += dz.T @ states[:, t]"),
        fault("CumulatedErrors._run", 'states = np.zeros((B, T + 1, len(Wh)), dtype="f")')
        + fault(
            "CumulatedErrors._back",
            'dxs, dh = np.zeros(xs.shape, dtype="f"), np.zeros(states[:, 0].shape, dtype="f")',
        ),
    ),
    "RowsInOneLoop": (
        # Nothing sets h back for a row: its only start, and the line that reads it.
        fault("RowsInOneLoop._run", "rows, h = [], h0[0]", "h = np.tanh(Wx.T @ x_t + Wh.T @ h + b)"),
        fault(
            "RowsInOneLoop._back",
            "dWh = sum(np.outer(states[t - 1], delta) for t, delta in enumerate(deltas))",
        ),
        fault(
            "RowsInOneLoop._back",
            "dWx = sum(np.outer(x, delta) for x, delta in zip(xs[r], deltas, strict=True))",
            "dWh = sum(np.outer(states[t - 1], delta) for t, delta in enumerate(deltas))",
            "db = sum(deltas)",
        ),
    ),
    "ClippedOnTheWay": (
        fault("ClippedOnTheWay._back", "dh = np.clip(dz @ Wh.T, -0.5, 0.5)"),
        fault("ClippedOnTheWay._back", "db += dhs[:, t].sum(axis=0)"),
        fault("ClippedOnTheWay._back", "dWx -= xs[:, t].T @ dz"),
    ),
    "JoinedWithoutBias": (
        fault("JoinedWithoutBias._run", "work[t + 1, :, :H] = np.tanh(work[t] @ W)"),
        fault("JoinedWithoutBias._back", "dW += np.hstack([h_next, x]).T @ dz"),
        fault("JoinedWithoutBias._run", "work = np.zeros((T + 1, B, H + D), np.float32)"),
    ),
    "CarryInSinglePrecision": (
        fault("CarryInSinglePrecision._back", "for t in range(T):"),
        fault("CarryInSinglePrecision._back", "db = dz.sum(axis=0)"),
        fault("CarryInSinglePrecision._back", "carry = np.zeros((B, H), dtype=np.float32)"),
    ),
}

CONSISTENT: dict[str, Fault] = {
    "JoinedMatrix": fault("JoinedMatrix.backward", "dz = (dhs[:, t] + dh) * out * (1 - out)"),
    "LinearWithNorm": fault("LinearWithNorm.backward", "d[:, t] = dhs[:, t] + dh"),
}
