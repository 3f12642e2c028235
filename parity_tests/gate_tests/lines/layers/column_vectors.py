"""Column vectors: of one row of the batch at a time, and of all rows side by side."""

import numpy as np


class RowAfterRow:
    """One sequence after the other; states are [H, 1], weights stand on the left."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful = stateful
        self.h = self.dh = None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        U, W, c = self.params[0].T.copy(), self.params[1].T.copy(), self.params[2].reshape(-1, 1)
        self.U, self.W = U, W
        starts = np.zeros((len(xs), len(W)), xs.dtype) if self.h is None or not self.stateful else self.h
        self.sequences, hs = [], np.zeros((*xs.shape[:2], len(W)), xs.dtype)
        for i, sequence in enumerate(xs):
            s = [starts[i][:, None]]
            for t, row in enumerate(sequence):
                s.append(np.tanh(U @ row[:, None] + W @ s[t] + c))
                hs[i, t] = s[-1][:, 0]
            self.sequences.append((sequence, s))
        self.h = hs[:, -1].copy()
        return hs

    def backward(self, dhs):
        dU, dW, dc = np.zeros_like(self.U), np.zeros_like(self.W), np.zeros_like(self.W[:, :1])
        dxs, self.dh = np.zeros((*dhs.shape[:2], self.U.shape[1]), dhs.dtype), np.zeros_like(dhs[:, 0])
        for i, (sequence, s) in enumerate(self.sequences):
            ds = np.zeros_like(dc)
            for t in range(len(sequence) - 1, -1, -1):
                da = (dhs[i, t][:, None] + ds) * (1 - s[t + 1] ** 2)
                dU = da @ sequence[t][None, :]
                dW += da @ s[t].T
                dc += da
                dxs[i, t] = (self.U.T @ da).ravel()
                ds = self.W.T @ da
            self.dh[i] = ds[:, 0]
        self.grads[0][...] = dU.T
        self.grads[1][...] = dW.T
        self.grads[2][...] = dc.T.reshape(self.grads[2].shape)
        return dxs


class BatchOfColumns:
    """States are [H, B], a column for each row of the batch."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wax, Waa, ba = self.params[0].T, self.params[1].T, self.params[2].reshape(-1, 1)
        columns = [x.T for x in xs.transpose(1, 0, 2)]
        if self.stateful and self.h is not None:
            a = [self.h.T]
        else:
            a = [np.zeros((len(Waa), len(xs)), xs.dtype)]
        for x in columns:
            a.append(np.tanh(Wax.dot(x) + Waa.dot(a[-1]) + ba))
        self.memory = columns, a, Wax, Waa
        self.h = a[-1].T.copy()
        return np.stack([step.T for step in a[1:]], axis=1)

    def backward(self, dhs):
        columns, a, Wax, Waa = self.memory
        dWax, dWaa, dba, dxs = 0, 0, 0, []
        da_prev = np.zeros_like(a[0])
        for t in reversed(range(len(columns))):
            da = dhs[:, t].T + da_prev
            dtanh = (1 - a[t] ** 2) * da
            dWax = dWax + dtanh.dot(columns[t].T)
            dWaa = dWaa + dtanh.dot(a[t].T)
            dba = dba + dtanh.mean(axis=1)
            dxs.append(Wax.T.dot(dtanh).T)
            da_prev = Waa.T.dot(dtanh)
        self.grads[0][...], self.grads[1][...], self.grads[2][...] = dWax.T, dWaa.T, dba
        self.dh = da_prev.T.copy()
        return np.stack(dxs[::-1], axis=1)
