"""Modules made by sizes: one for sequences of unequal lengths, one that has the batch first."""

import numpy as np

KINDS = "weight_ih", "weight_hh", "bias_ih", "bias_hh"


class LengthsRNN:
    """One layer; a row that has ended keeps its state."""

    def __init__(self, input_size, hidden_size, num_layers=1, dtype=np.float32):
        assert num_layers == 1
        shapes = (hidden_size, input_size), (hidden_size, hidden_size), (hidden_size,), (hidden_size,)
        self.grads = {f"{kind}_l0": np.zeros(shape, dtype) for kind, shape in zip(KINDS, shapes, strict=True)}
        for name, grad in self.grads.items():
            setattr(self, name, grad.copy())

    def forward(self, x, hx=None, lengths=None):
        T, B, _ = x.shape
        lengths = np.full(B, T) if lengths is None else np.asarray(lengths)
        if lengths.min() < 1 or lengths.max() > T:
            raise ValueError(f"lengths must be from 1 to {T}")
        self.live = (np.arange(T)[:, None] < lengths)[:, :, None]
        self.x = np.where(self.live, x, 0)
        h = np.zeros((B, len(self.bias_hh_l0)), x.dtype) if hx is None else hx[0]
        self.before, self.after = [], []
        for t in range(T):
            self.before.append(h)
            pre = self.x[t] @ self.weight_ih_l0.T + self.bias_ih_l0
            pre += h @ self.weight_hh_l0.T + self.bias_hh_l0
            new = np.tanh(pre)
            h = np.where(self.live[t], new, h)
            self.after.append(np.where(self.live[t], new, 0))
        return np.stack(self.after), h[None].copy()

    def backward(self, d_output, d_h_n=None):
        zeros = np.zeros_like(self.before[0])
        d_state = zeros if d_h_n is None else d_h_n[0]
        dW, dU, db = (np.zeros_like(self.grads[f"{kind}_l0"]) for kind in KINDS[:3])
        dx = np.zeros_like(self.x)
        for t in range(len(self.x) - 1, -1, -1):
            d = zeros if d_output is None else d_output[t]
            dz = np.where(self.live[t], (d + d_state) * (1 - self.after[t] ** 2), 0)
            dW += dz.T @ self.x[t]
            dU += dz.T @ self.before[t]
            db += dz.sum(axis=0)
            dx[t] = dz @ self.weight_ih_l0
            d_state = dz @ self.weight_hh_l0
        for kind, value in zip(KINDS, (dW, dU, db, db), strict=True):
            self.grads[f"{kind}_l0"][...] = value
        return dx, d_state[None].copy()


class Direction:
    """One direction of one layer, for inputs [B, T, *]."""

    def __init__(self, owner, tail, backwards):
        self.owner, self.tail, self.backwards = owner, tail, backwards

    def parameters(self):
        return [getattr(self.owner, kind + self.tail) for kind in KINDS]

    def order(self, T):
        return range(T)[::-1] if self.backwards else range(T)

    def forward(self, x, h):
        W_ih, W_hh, b_ih, b_hh = self.parameters()
        self.x, self.start = x, h
        self.out = np.zeros((*x.shape[:2], len(b_ih)), x.dtype)
        for t in self.order(x.shape[1]):
            h = np.tanh(x[:, t] @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
            self.out[:, t] = h
        return self.out, h

    def backward(self, d_out, dh):
        W_ih, W_hh, _, _ = self.parameters()
        sums = [np.zeros_like(p) for p in self.parameters()[:3]]
        dx, order = np.zeros_like(self.x), self.order(self.x.shape[1])
        for place in range(len(order) - 1, -1, -1):
            t = order[place]
            h_prev = self.out[:, order[place - 1]] if place else self.start
            dz = (d_out[:, t] + dh) * (1 - self.out[:, t] ** 2)
            sums[0] += dz.T @ self.x[:, t]
            sums[1] += dz.T @ h_prev
            sums[2] += dz.sum(axis=0)
            dx[:, t] = dz @ W_ih
            dh = dz @ W_hh
        for kind, total in zip(KINDS, (*sums, sums[2]), strict=True):
            self.owner.grads[kind + self.tail][...] = total
        return dx, dh


class BatchFirstEncoder:
    """Layers of directions; the batch comes first if it is told so."""

    def __init__(
        self, input_size, hidden_size, num_layers=1, batch_first=False, bidirectional=False, dtype=np.float32
    ):
        self.hidden_size, self.batch_first, self.dtype = hidden_size, batch_first, np.dtype(dtype)
        self.grads, self.stack = {}, []
        width = input_size
        for n in range(num_layers):
            tails = [f"_l{n}", f"_l{n}_reverse"][: 1 + bidirectional]
            for tail in tails:
                shapes = (hidden_size, width), (hidden_size, hidden_size), (hidden_size,), (hidden_size,)
                for kind, shape in zip(KINDS, shapes, strict=True):
                    setattr(self, kind + tail, np.zeros(shape, self.dtype))
                    self.grads[kind + tail] = np.zeros(shape, self.dtype)
            self.stack.append([Direction(self, tail, k == 1) for k, tail in enumerate(tails)])
            width = hidden_size * len(tails)
        self.each = len(self.stack[0])

    def layout(self, array):
        return array if self.batch_first else np.ascontiguousarray(array.swapaxes(0, 1))

    def forward(self, x, hx=None):
        x = self.layout(x)
        if hx is None:
            hx = np.zeros((self.each * len(self.stack), len(x), self.hidden_size), self.dtype)
        lasts = []
        for n, level in enumerate(self.stack):
            results = [way.forward(x, hx[n * self.each + k]) for k, way in enumerate(level)]
            x = np.concatenate([out for out, _ in results], axis=-1)
            lasts.append([h for _, h in results])
        h_n = np.stack([h for way in zip(*lasts, strict=True) for h in way])
        return self.layout(x), h_n

    def backward(self, d_output, d_h_n=None):
        B, T, _ = self.stack[0][0].x.shape
        H, dtype = self.hidden_size, self.dtype
        d = np.zeros((B, T, H * self.each), dtype) if d_output is None else self.layout(d_output)
        d_last = np.zeros((self.each * len(self.stack), B, H), dtype) if d_h_n is None else d_h_n
        d_first = np.zeros_like(d_last)
        for n in reversed(range(len(self.stack))):
            below = 0
            for k, way in enumerate(self.stack[n]):
                s = n * self.each + k
                dx, d_first[s] = way.backward(d[..., k * H : (k + 1) * H], d_last[s])
                below = below + dx
            d = below
        return self.layout(d), d_first
