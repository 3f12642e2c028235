"""Inputs are volumes [n_x, m, T_x], parameters a dict of [out, in] matrices; a cache goes from pass to pass."""

import numpy as np


class CourseRNN:
    def __init__(self, n_a, n_x):
        rng = np.random.default_rng(1)
        self.parameters = {
            "Waa": rng.standard_normal((n_a, n_a)) * 0.1,
            "Wax": rng.standard_normal((n_a, n_x)) * 0.1,
            "ba": np.zeros((n_a, 1)),
        }

    def step_forward(self, xt, a_prev):
        p = self.parameters
        a_next = np.tanh(p["Wax"] @ xt + p["Waa"] @ a_prev + p["ba"])
        return a_next, (a_next, a_prev, xt)

    def forward(self, x, a0):
        _, m, T_x = x.shape
        a = np.zeros((len(a0), m, T_x))
        caches = []
        a_next = a0
        for t in range(T_x):
            a_next, cache = self.step_forward(x[:, :, t], a_next)
            a[:, :, t] = a_next
            caches.append(cache)
        return a, caches

    def step_backward(self, da_next, cache):
        a_next, a_prev, xt = cache
        p = self.parameters
        dtanh = (1 - a_next**2) * da_next
        return {
            "dxt": p["Wax"].T @ dtanh,
            "da_prev": p["Waa"].T @ dtanh,
            "dWax": dtanh @ xt.T,
            "dWaa": dtanh @ a_prev.T,
            "dba": np.sum(dtanh, axis=1, keepdims=True),
        }

    def backward(self, da, caches):
        n_a, m, T_x = da.shape
        dx = np.zeros((self.parameters["Wax"].shape[1], m, T_x))
        totals = {"d" + name: np.zeros_like(value) for name, value in self.parameters.items()}
        da_prevt = np.zeros((n_a, m))
        for t in reversed(range(T_x)):
            grads = self.step_backward(da[:, :, t] + da_prevt, caches[t])
            da_prevt = grads["da_prev"]
            dx[:, :, t] = grads["dxt"]
            for name in totals:
                totals[name] += grads[name]
        return {"dx": dx, "da0": da_prevt, **totals}
