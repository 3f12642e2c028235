"""Layers that do as much as they can for the whole sequence at once, outside of the loop."""

import numpy as np


class Einsums:
    """Time-major arrays and einsum."""

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
        Wx, Wh, b = self.params
        T, B, H = xs.shape[1], xs.shape[0], Wh.shape[0]
        pre = np.einsum("bti,ih->tbh", xs, Wx) + b
        before, after = np.zeros((T, B, H), xs.dtype), np.zeros((T, B, H), xs.dtype)
        if self.stateful and self.h is not None:
            before[0] = self.h
        for t in range(T):
            if t:
                before[t] = after[t - 1]
            after[t] = np.tanh(pre[t] + np.einsum("bj,jh->bh", before[t], Wh))
        self.kept = xs.transpose(1, 0, 2).copy(), before, after
        self.h = after[-1].copy()
        return after.transpose(1, 0, 2).copy()

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        xs, before, after = self.kept
        dpre = np.zeros_like(after)
        carry = np.zeros_like(after[0])
        for t in reversed(range(len(after))):
            dpre[t] = (dhs[:, t] + carry) * (1 - after[t] ** 2)
            carry = np.einsum("bh,jh->bj", dpre[t], Wh)
        self.grads[0][...] = np.einsum("tbi,tbh->ih", xs, dpre)
        self.grads[1][...] = np.einsum("tbj,tbh->hj", before, dpre)
        self.grads[2][...] = np.einsum("tbh->h", dpre)
        self.dh = carry
        return np.einsum("tbh,ih->bti", dpre, Wx)


class Concatenated:
    """One matrix for [x, h]."""

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
        self.W = np.concatenate(self.params[:2], axis=0)
        self.D = xs.shape[2]
        B, T, _ = xs.shape
        H = self.W.shape[1]
        if self.h is None or not self.stateful:
            self.h = np.zeros((B, H), xs.dtype)
        self.stacked = np.zeros((T, B, self.D + H), xs.dtype)
        self.hs = np.zeros((B, T, H), xs.dtype)
        for t in range(T):
            self.stacked[t] = np.hstack([xs[:, t], self.h])
            self.h = np.tanh(self.stacked[t] @ self.W + self.params[2])
            self.hs[:, t] = self.h
        return self.hs.copy()

    def backward(self, dhs):
        dW = np.zeros_like(self.W)
        db = np.zeros_like(self.W[0])
        dxs = np.zeros((*dhs.shape[:2], self.D), dhs.dtype)
        carry = np.zeros_like(dhs[:, 0])
        for t in reversed(range(dhs.shape[1])):
            dz = (dhs[:, t] + carry) * (1 - self.hs[:, t] ** 2)
            dW += self.stacked[t].T @ dz
            db += dz.sum(axis=0)
            d_stacked = dz @ self.W.T
            dxs[:, t] = d_stacked[:, : self.D]
            carry += d_stacked[:, self.D :]
        self.grads[0][...] = dW[: self.D]
        self.grads[1][...] = dW[self.D :]
        self.grads[2][...] = db
        self.dh = carry
        return dxs


class AfterTheLoop:
    """The loop finds the gradients of the sums; all else is one product over batch and time."""

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
        Wx, Wh, b = self.params
        B, T, D = xs.shape
        self.h0 = self.h if self.stateful and self.h is not None else np.zeros((B, len(Wh)), xs.dtype)
        self.xs = xs
        projected = (xs.reshape(B * T, D) @ Wx + b).reshape(B, T, -1)
        self.hs = np.empty_like(projected)
        h = self.h0
        for t in range(T):
            h = self.hs[:, t] = np.tanh(projected[:, t] + h @ Wh)
        self.h = h.copy()
        return self.hs.copy()

    def backward(self, dhs):
        Wx, Wh, b = self.params
        B, T, H = dhs.shape
        slopes = 1 - self.hs**2
        dzs = np.empty_like(self.hs)
        dh = np.zeros_like(self.h0)
        for t in range(T - 1, -1, -1):
            dzs[:, t] = (dhs[:, t] + dh) * slopes[:, t]
            dh = dzs[:, t] @ Wh.T
        flat = dzs.reshape(B * T, H)
        previous = np.roll(self.hs, 1, axis=1)
        self.grads[0][...] = self.xs.reshape(B * T, -1).T @ flat
        self.grads[1][...] = previous.reshape(B * T, H).T @ flat
        self.grads[2][...] = flat.sum(axis=0).reshape(b.shape)
        self.dh = dh
        return (flat @ Wx.T).reshape(self.xs.shape)
