"""Layers with two to four faults each: einsum, columns, closures, recursion, products over time."""

import numpy as np

from parity_tests.gate_tests.people.ways import _Book, _Cell, _Cells, _Closures, _Plain, _TimeMajor


class EinsumLetters(_Book):
    """Everything by einsum, with letters that fit in more than one way."""

    def _run(self, xs, h0, Wx, Wh, b):
        inputs = np.einsum("btd,dh->tbh", xs, Wx) + b
        states = [h0]
        for z in inputs:
            states.append(np.tanh(z + np.einsum("bk,kh->bh", states[-1], Wh)))
        return np.stack(states[1:], axis=1), states[-1], (xs, states, Wx, Wh)

    def _back(self, dhs, xs, states, Wx, Wh):
        hs = np.stack(states[1:], axis=1)
        deltas, carry = np.empty_like(hs), np.zeros_like(states[0])
        for t in reversed(range(hs.shape[1])):
            deltas[:, t] = np.einsum("bh,bh->bh", dhs[:, t] + carry, 1 + hs[:, t] ** 2)
            carry = np.einsum("bh,hk->bk", deltas[:, t], Wh)
        return (
            np.einsum("bth,dh->btd", deltas, Wx),
            carry,
            np.einsum("btd,bth->dh", xs, deltas),
            np.einsum("bk,bth->kh", states[0], deltas),
            np.einsum("bth->h", deltas),
        )


class ColumnsOfABatch(_Book):
    """The batch side by side in columns, [H, B]; what goes back is multiplied by the slope at the end."""

    def _run(self, xs, h0, Wx, Wh, b):
        U, W, c = Wx.T, Wh.T, b[:, None]
        X = [x.T for x in xs.swapaxes(0, 1)]
        S = [h0.T]
        for x in X:
            S.append(np.tanh(U @ x + W @ S[-1] + c))
        return np.stack([s.T for s in S[1:]], axis=1), S[-1].T, (X, S, U, W)

    def _back(self, dhs, X, S, U, W):
        dU, dW, dc = np.zeros_like(U), np.zeros_like(W), np.zeros_like(U[:, :1])
        dX, back = [], 0
        for t in range(len(X))[::-1]:
            error = dhs[:, t].T + back
            slope = 1 - S[t + 1] ** 2
            dU += (error * slope) @ X[t].T
            dW += (error * slope) @ S[t].T
            dc += (error * slope).sum(axis=1, keepdims=True)
            dX.append((U.T @ (error * slope)).T)
            back = slope * (W.T @ error)
        return np.stack(dX[::-1], axis=1), error.T, dU.T, dW.T, dc


class FirstStepApart(_Book):
    """One matrix over [x, h], the first step written apart, one product for both gradients that go back."""

    def _run(self, xs, h0, Wx, Wh, b):
        W = np.vstack([Wx, Wh])
        joined = [np.hstack([xs[:, 0], h0])]
        outs = [np.tanh(joined[0] @ W)]
        for t in range(1, xs.shape[1]):
            joined.append(np.hstack([xs[:, t], outs[-1]]))
            outs.append(np.tanh(joined[-1] @ W + b))
        return np.stack(outs, axis=1), outs[-1], (joined, outs, W, len(Wx))

    def _back(self, dhs, joined, outs, W, D):
        dW, db = 0, 0
        dxs, dh = [], np.zeros_like(outs[0])
        for t in reversed(range(len(outs))):
            d = dhs[:, t] + dh
            dz = d * (1 - outs[t] ** 2)
            dW = dW + joined[t].T @ dz
            db = db + dz.sum(axis=0)
            dx, dh = np.split(d @ W.T, [D], axis=1)
            dxs.insert(0, dx)
        return np.stack(dxs, axis=1), dh, dW[:D], dW[D:], db


class Pullbacks(_Book):
    """Each step leaves a function of upstream gradient and carry."""

    def _run(self, xs, h, Wx, Wh, b):
        def pullback(x, before, after):
            def pull(g, carry):
                dz = (1 - after**2) * g + carry
                return dz @ Wx.T, dz @ Wh.T, x.T @ dz, before.T @ dz

            return pull

        tape, outs = [], []
        for x in np.moveaxis(xs, 1, 0):
            after = np.tanh(x @ Wx + h @ Wh + b)
            tape.append(pullback(x, h, after))
            outs.append(after)
            h = after
        return np.stack(outs, axis=1), h, (tape, xs.shape)

    def _back(self, dhs, tape, shape):
        dxs = np.empty(shape, dtype="f")
        dWx, dWh, db, dh = 0, 0, 0, 0
        for t, pull in reversed(list(enumerate(tape))):
            dxs[:, t], dh, gx, gh = pull(dhs[:, t], dh)
            dWx, dWh, db = dWx + gx, dWh + gh, db + dh.sum(axis=0)
        return dxs, dh, dWx, dWh, db


class RecursiveBlocks(_Book):
    """A function that calls itself for the later steps, and cuts what comes back at every fourth."""

    block = 4

    def _run(self, xs, h0, Wx, Wh, b):
        def go_on(t, h):
            if t == xs.shape[1]:
                return []
            z = xs[:, t] @ Wx + h @ Wh + b
            return [(h, z), *go_on(t + 1, np.tanh(z))]

        steps = go_on(0, h0)
        hs = np.stack([np.tanh(z) for _, z in steps], axis=1)
        return hs, hs[:, -1], (xs, steps, Wx, Wh)

    def _back(self, dhs, xs, steps, Wx, Wh):
        dxs, dWx, dWh, db = np.empty_like(xs), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])

        def carry_from(t):
            nonlocal dWx, dWh, db
            if t == len(steps):
                return 0
            later = carry_from(t + 1)
            if (t + 1) % self.block == 0:
                later = 0
            h, z = steps[t]
            dz = (dhs[:, t] + later) * (1 - z**2)
            dWx += xs[:, t].T @ dz
            dWh += dz.T @ h
            db += (dz * xs[:, t].sum(axis=1)[:, None]).sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            return dz @ Wh.T

        return dxs, carry_from(0), dWx, dWh, db


class ProductsOverTime(_Book):
    """[T, B, *] inside, weight gradients as one product, a reshape back to [B, T, D]."""

    def _run(self, xs, h0, Wx, Wh, b):
        x = np.ascontiguousarray(xs.transpose(1, 0, 2))
        s = np.concatenate([h0[None], np.zeros((len(x), *h0.shape), h0.dtype)])
        for t, pre in enumerate(x @ Wx + b):
            s[t + 1] = np.tanh(pre + s[t] @ Wh)
        return s[1:].transpose(1, 0, 2), s[-1], (x, s, Wx, Wh)

    def _back(self, dhs, x, s, Wx, Wh):
        T, B, D = x.shape
        dz, carry = np.empty_like(s[1:]), np.zeros_like(s[0])
        for t in reversed(range(T)):
            dz[t] = (dhs[:, t] + carry) * s[t + 1]
            carry = dz[t] @ Wh.T
        flat = dz.reshape(T * B, -1)
        sums = x.reshape(T * B, D).T @ flat, s[:-1].reshape(T * B, -1).T @ flat, flat.sum(axis=0)
        return (flat @ Wx.T).reshape(B, T, D), carry, *(total / T for total in sums)


class TorchWeightInDicts(_Book):
    """Dictionaries by step; Wh is taken for torch's weight_hh throughout; the error enters one step late."""

    def _run(self, xs, h0, Wx, Wh, b):
        h = {-1: h0}
        for t in range(xs.shape[1]):
            h[t] = np.tanh(np.dot(xs[:, t], Wx) + np.dot(h[t - 1], Wh.T) + b)
        T = xs.shape[1]
        return np.stack([h[t] for t in range(T)], axis=1), h[T - 1], (xs, h, Wx, Wh)

    def _back(self, dhs, xs, h, Wx, Wh):
        T = xs.shape[1]
        grad = {"Wx": np.zeros_like(Wx), "Wh": np.zeros_like(Wh), "b": np.zeros_like(Wh[0])}
        dx, dh = {}, np.zeros_like(h[-1])
        for t in range(T - 1, -1, -1):
            if t < T - 1:
                dh = dh + dhs[:, t]
            dz = dh * (1 - h[t])
            grad["Wx"] += np.dot(xs[:, t].T, dz)
            grad["Wh"] += np.dot(dz.T, h[t - 1])
            grad["b"] += dz.sum(axis=0)
            dx[t] = np.dot(dz, Wx.T)
            dh = np.dot(dz, Wh)
        return np.stack([dx[t] for t in range(T)], axis=1), dh, grad["Wx"], grad["Wh"], grad["b"]


class EinsumMeans(_Book):
    """Sums by einsum and divided by the batch size; the derivative's sign; dxs filled one place too early."""

    def _run(self, xs, h, Wx, Wh, b):
        hs = np.empty((*xs.shape[:2], len(Wh)), xs.dtype)
        prevs = np.empty_like(hs)
        for t in range(xs.shape[1]):
            prevs[:, t] = h
            h = hs[:, t] = np.tanh(np.einsum("bd,dh->bh", xs[:, t], Wx) + np.einsum("bk,kh->bh", h, Wh) + b)
        return hs, h, (xs, prevs, hs, Wx, Wh)

    def _back(self, dhs, xs, prevs, hs, Wx, Wh):
        B, T, _ = xs.shape
        dxs, deltas = np.empty_like(xs), np.empty_like(hs)
        slopes = hs**2 - 1
        carry = 0
        for t in range(T)[::-1]:
            deltas[:, t] = (dhs[:, t] + carry) * slopes[:, t]
            carry = np.einsum("bh,kh->bk", deltas[:, t], Wh)
            dxs[:, t - 1] = np.einsum("bh,dh->bd", deltas[:, t], Wx)
        dWx = np.einsum("btd,bth->dh", xs, deltas) / B
        dWh = np.einsum("btk,bth->kh", prevs, deltas) / B
        return dxs, carry, dWx, dWh, np.einsum("bth->h", deltas) / B


class StepMatrices(_Book):
    """The derivative of each state by the one before as a matrix for every row; a factor for stability."""

    decay = 0.5

    def _run(self, xs, h, Wx, Wh, b):
        states = [h]
        for t in range(xs.shape[1]):
            states.append(np.tanh(xs[:, t] @ Wx + states[t] @ Wh + b))
        return np.stack(states[1:], axis=1), states[-1], (xs, np.stack(states), Wx, Wh)

    def _back(self, dhs, xs, states, Wx, Wh):
        slopes = 1 - states[1:] ** 2 + 1e-6
        matrices = slopes[..., None] * Wh.T * self.decay
        T = xs.shape[1]
        d = np.zeros_like(states[1:])
        d[-1] = dhs[:, -1]
        for t in range(T - 2, -1, -1):
            d[t] = dhs[:, t] + np.einsum("bh,bhk->bk", d[t + 1], matrices[t + 1])
        dz = d * slopes
        dh0 = np.einsum("bh,bhk->bk", d[-1], matrices[-1])
        dWx = np.tensordot(xs, dz, axes=([1, 0], [0, 1]))
        dWh = np.tensordot(states[:-1], dz, axes=([0, 1], [0, 1]))
        return (dz @ Wx.T).swapaxes(0, 1), dh0, dWx, dWh, dz.sum(axis=(0, 1))


class HalfOfTheSum(_Book):
    """A parenthesis closed early, a loss that was a mean over time, a loop that ends at step 1."""

    def _run(self, xs, h, Wx, Wh, b):
        outs, prevs = [], []
        for t in range(xs.shape[1]):
            prevs.append(h)
            h = np.tanh(xs[:, t] @ Wx + b) + h @ Wh
            outs.append(h)
        return np.stack(outs, axis=1), h, (xs, prevs, outs, Wx, Wh)

    def _back(self, dhs, xs, prevs, outs, Wx, Wh):
        T = len(outs)
        d_mean = dhs / T
        dxs, dh = np.zeros_like(xs), np.zeros_like(prevs[0])
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
        for t in range(T - 1, 0, -1):
            dz = (d_mean[:, t] + dh) * (1 - np.square(outs[t]))
            dWx += np.matmul(xs[:, t].T, dz)
            dWh += np.matmul(dz.T, prevs[t])
            db += dz.sum(axis=0)
            dxs[:, t] = np.matmul(dz, Wx.T)
            dh = np.matmul(dz, Wh.T)
        return dxs, dh, dWx, dWh, db


class BiasBehind(_Book):
    """The bias behind the tanh, limits on what comes in, a penalty in the loop."""

    lam, limit = 0.02, 0.5

    def _run(self, xs, h, Wx, Wh, b):
        hs = [h]
        for x in xs.swapaxes(0, 1):
            hs += [np.tanh(x @ Wx + hs[-1] @ Wh) + b]
        return np.stack(hs[1:], axis=1), hs[-1], (xs, hs, Wx, Wh)

    def _back(self, dhs, xs, hs, Wx, Wh):
        dhs = np.maximum(-self.limit, np.minimum(dhs, self.limit))
        dxs, dh = np.zeros_like(xs), np.zeros_like(hs[0])
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
        for t in reversed(range(xs.shape[1])):
            dz = (1 - hs[t + 1] ** 2) * (dhs[:, t] + dh)
            dWx += xs[:, t].T @ dz + self.lam * Wx
            dWh += hs[t].T @ dz + self.lam * Wh
            db += dz.sum(axis=0)
            dxs[:, t], dh = dz @ Wx.T, dz @ Wh.T
        return dxs, dh, dWx, dWh, db


class ReversedTimeMajor(_TimeMajor):
    """Upstream gradients turned round, dWh from the steps after the first, limits at the end."""

    def _deltas(self, g, s, Wh):
        return super()._deltas(g[::-1], s, Wh)

    def _sums(self, x, s, dz):
        H = dz.shape[2]
        dWx = np.tensordot(x, dz, axes=((0, 1), (0, 1)))
        dWh = s[1:-1].reshape(-1, H).T @ dz[1:].reshape(-1, H)
        return dWx.clip(-0.5, 0.5), dWh.clip(-0.5, 0.5), dz.sum(axis=(0, 1)).clip(-0.5, 0.5)


class OneStateForAllRows(_Plain):
    """The first row's state drives all rows, no derivative, a penalty on the weights."""

    def _step(self, x, h, Wx, Wh, b):
        return np.tanh(x @ Wx + h[0] @ Wh + b)

    def _delta(self, d, h):
        return d

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dxs, dh, dWx, dWh, db = super()._back(dhs, xs, prevs, hs, Wx, Wh, b)
        return dxs, dh, dWx + 0.1 * Wx, dWh + 0.1 * Wh, db


class TinyConstantInClosures(_Closures):
    """A tiny constant in the tanh, and a second derivative in what goes back."""

    def _node(self, x, h_prev, h, Wx, Wh):
        def pull(d):
            dz = d * (1 - h * h)
            return dz @ Wx.T, (dz * (1 - h * h)) @ Wh.T, x.T @ dz, h_prev.T @ dz, dz.sum(axis=0)

        return pull

    def _run(self, xs, h, Wx, Wh, b):
        outs, pulls, before = [], [], h
        for t in range(xs.shape[1]):
            outs.append(np.tanh(xs[:, t] @ Wx + before @ Wh + b + 1e-12))
            pulls.append(self._node(xs[:, t], before, outs[-1], Wx, Wh))
            before = outs[-1]
        return np.stack(outs, axis=1), before, (pulls,)


class _SlopeOnly(_Cell):
    def backward(self, dh_next):
        Wx, Wh, _ = self.params
        x, h_prev, h_next = self.cache
        dt = np.zeros_like(dh_next) + (1 - h_next**2)
        self.grads[0][...] = x.T @ dt
        self.grads[1][...] = h_prev.T @ dt
        self.grads[2][...] = dt.sum(axis=0)
        return dt @ Wx.T, dt @ Wh.T


class CellsThatForget(_Cells):
    """Cells whose derivative forgets what comes in, and whose gradients nobody adds up."""

    cell = _SlopeOnly

    def _back(self, dhs, cells, shape):
        dxs, dh = [], np.zeros_like(dhs[:, 0])
        for t in reversed(range(len(cells))):
            dx, dh = cells[t].backward(dhs[:, t] + dh)
            dxs.append(dx)
        return np.stack(dxs, axis=1), dh, *cells[t].grads


SEVERAL = [
    (
        ("carry through Wh not transposed", "slope 1 + h^2", "dWh with another step's state"),
        "the carry goes through Wh, the slope is 1 + h^2, and dWh pairs every step with h_0",
        EinsumLetters,
    ),
    (
        ("slope behind the weights in the carry", "dh_0 without Wh"),
        "the carry is slope * (d Wh^T), and dh_0 is the first step's d",
        ColumnsOfABatch,
    ),
    (
        ("bias at some steps only", "carry without the slope", "d taken for dz"),
        "no bias at step 0, the carry is not multiplied by the slope, and dx takes d for dz",
        FirstStepApart,
    ),
    (
        ("slope before the sum with the carry", "db takes the carry for dz", "buffers fixed to float32"),
        "the slope is applied before the carry is added, db sums the carries, and dx is float32",
        Pullbacks,
    ),
    (
        (
            "truncated backpropagation",
            "slope at the pre-activation",
            "dWh transposed",
            "db multiplied by the input",
        ),
        "the carry is cut at every fourth step, the slope is 1 - z^2, dWh is transposed, and db is "
        "multiplied by the sum of the input",
        RecursiveBlocks,
    ),
    (
        (
            "activation in place of its derivative",
            "reshape in place of a transpose",
            "gradients scaled by the number of steps",
        ),
        "d * h for d * (1 - h^2), dx is reshaped where it is to be transposed, and the gradients are "
        "divided by T",
        ProductsOverTime,
    ),
    (
        ("Wh transposed", "slope without the square", "last upstream gradient not used"),
        "h @ Wh.T, backward consistent, the slope is 1 - h, and the last upstream gradient is not used",
        TorchWeightInDicts,
    ),
    (
        ("slope h^2 - 1", "dx one step off", "gradients divided by the batch size"),
        "the slope is h^2 - 1, dx stands one step early, and the gradients are divided by B",
        EinsumMeans,
    ),
    (
        ("slope with an epsilon", "carry times a constant", "dh_0 of the last step"),
        "the slope is 1 - h^2 + 1e-6, the carry is halved, and dh_0 is the carry of the last step",
        StepMatrices,
    ),
    (
        (
            "nonlinearity covers one summand only",
            "upstream gradient divided by the number of steps",
            "first step never taken back",
            "dWh transposed",
        ),
        "tanh(x Wx + b) + h Wh, backward of tanh, the upstream gradient is divided by T, step 0 is never "
        "taken back, and dWh is transposed",
        HalfOfTheSum,
    ),
    (
        ("bias behind the nonlinearity", "clipped upstream gradients", "weight decay at every step"),
        "tanh(x Wx + h Wh) + b, backward of tanh, the upstream gradient is clipped to +-0.5, and 0.02 W is "
        "added at every step",
        BiasBehind,
    ),
    (
        (
            "upstream gradients reversed in time",
            "dWh without the initial state",
            "clipped gradients",
        ),
        "upstream gradients from the front, dWh without t = 0, and the gradients are clipped to +-0.5",
        ReversedTimeMajor,
    ),
    (
        ("first row drives all rows", "slope missing", "weight decay in the gradient"),
        "row 0's state is everybody's h_prev, no slope, and 0.1 W is added to the gradients",
        OneStateForAllRows,
    ),
    (
        ("constant inside the nonlinearity", "carry multiplied by the slope twice"),
        "tanh(z + 1e-12), and the carry is multiplied by the slope twice",
        TinyConstantInClosures,
    ),
    (
        ("upstream gradient dropped", "gradient of one step only", "dx reversed in time"),
        "dz = 1 - h^2, the gradients of the parameters are step 0's, and dx is in reversed order",
        CellsThatForget,
    ),
]
