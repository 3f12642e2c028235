"""The plain loop with rounding noise, fast: each cell runs exactly first, then in the perturbed runs.

What rounding may move at a step is known from the exact run, for all steps at once. So the noise of a whole
sequence is made as one array, and a step of the perturbed runs is a product, a sum and the nonlinearity.
"""

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, CellWeights
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.float64_loop import Loop
from parity_tests.references.nonlinearities import FUNCTIONS
from parity_tests.references.rounding import squared_errors_of_sums, unit_roundoff

EXACT, PERTURBED = slice(0, 1), slice(1, None)
"""Of the runs."""
SATURATED = 22.0
"""Beyond it every tanh is exactly 1 or -1 in float64."""


class PerturbedLoop(Loop):
    """The plain loop in all runs. ``Loop`` is slower, and its pieces can be replaced."""

    def forward(self, weights: CellWeights, x: Array, h_0: Array, running: Array | None) -> CellTrace:
        """Run a cell over ``x`` [T, runs or 1, B, D]."""
        Wx, Wh = self.matrices(weights)
        T, _, B, _ = x.shape
        h = np.empty((T + 1, self.noise.runs, B, len(Wh)))
        z = np.empty((T, *h.shape[1:]))
        h[0] = h_0
        trace = CellTrace(weights, x, z, h, running, True)
        inputs = x[:, 0]
        fixed: Array = inputs @ Wx
        squares = product_errors(inputs, Wx, fixed)
        for b in self.biases(weights):
            fixed += b
            squares += fixed * fixed
        z[:, 0] = fixed
        self._states(trace, EXACT, Wh)

        exact, before = z[:, 0], h[:-1, 0]
        squares += product_errors(before, Wh, before @ Wh)
        squares += exact * exact
        perturbed = z[:, 1:]
        noise = self.noise.absolute_noise(perturbed.shape)
        np.multiply(noise, self._error_sizes(squares, exact)[:, None], out=perturbed)
        if x.shape[1] == 1:
            perturbed += fixed[:, None]
        else:
            perturbed += x[:, 1:] @ Wx
            for b in self.biases(weights):
                perturbed += b
        self._states(trace, PERTURBED, Wh)
        return trace

    def _states(self, trace: CellTrace, runs: slice, Wh: Array) -> None:
        """Add the recurrent term to the pre-activations, and set the states."""
        name = self.case.nonlinearity
        apply = np.tanh if name == "tanh" else FUNCTIONS[name]
        h, z, running = trace.h[:, runs], trace.z[:, runs], trace.running
        rounding = None
        if runs is PERTURBED and name in ("tanh", "sigmoid"):
            # Made of exponentials they have an absolute error of about u.
            rounding = self.noise.absolute_noise(z.shape)
            saturated = self._saturated(trace)
            if saturated is not None:
                rounding = np.where(saturated[:, None], 0.0, rounding)
        recurrent = np.empty(z.shape[1:])
        out = recurrent.reshape(-1, len(Wh))
        for t in range(len(z)):
            np.dot(h[t].reshape(out.shape), Wh, out)
            z[t] += recurrent
            if name == "tanh":
                np.tanh(z[t], h[t + 1])
            else:
                h[t + 1] = apply(z[t])
            if rounding is not None:
                h[t + 1] += rounding[t]
            if running is not None:
                np.copyto(h[t + 1], h[t], where=~running[t, :, None])

    def _saturated(self, trace: CellTrace) -> Array | None:
        """Where tanh is exactly 1 or -1, [T, B, H]; None if it is nowhere."""
        z = trace.z[:, 0]
        # An approximation, which --accuracy declares, need not reach 1.
        is_exact = self.case.nonlinearity == "tanh" and self.noise.u <= unit_roundoff("f32")
        if not is_exact or (z.max(initial=0.0) <= SATURATED and z.min(initial=0.0) >= -SATURATED):
            return None
        return np.asarray(np.abs(z) > SATURATED)

    def slope(self, trace: CellTrace) -> Array:
        """Return the derivative of the nonlinearity at each step, [T, runs, B, H]."""
        slope = super().slope(trace)
        saturated = self._saturated(trace)
        if saturated is not None:
            # 1 - h^2 is 0 there, while 1 / cosh(z)^2 is not.
            true = 4 * np.exp(-2 * np.abs(trace.z[:, 0]))
            slope[:, 1::2] = np.where(saturated[:, None], true[:, None], slope[:, 1::2])
        return slope

    def through_time(self, trace: CellTrace, slope: Array, dhs: Array, dh_n: Array | None) -> Array:
        """Set ``trace.d`` and ``trace.dz`` step by step; return the carry of the first, [runs, B, H]."""
        Wh = np.ascontiguousarray(trace.weights.Wh, np.float64)
        d, dz, noise = trace.d, trace.dz, self.noise
        d[:, 0] = dhs[:, 0]
        first = self._gradients(trace, EXACT, slope, Wh, dh_n)

        carries = dz[:, 0]
        squares = product_errors(carries, Wh.T, carries @ Wh.T)
        rounding_of_first = self._error_sizes(squares[0].copy(), first[0])
        squares[:-1] = squares[1:]
        squares[-1] = 0
        exact, perturbed = d[:, 0], d[:, 1:]
        squares += exact * exact
        noise_of_all = noise.absolute_noise(perturbed.shape)
        np.multiply(noise_of_all, self._error_sizes(squares, exact)[:, None], out=perturbed)
        perturbed += dhs if dhs.shape[1] == 1 else dhs[:, 1:]
        noise.relative(slope[:, 1:])
        carry = self._gradients(trace, PERTURBED, slope, Wh, dh_n)
        carry = carry + noise.absolute_noise(carry.shape) * rounding_of_first
        return np.concatenate([first, carry])

    def _error_sizes(self, squares: Array, values: Array) -> Array:
        """Return the square root of ``squares``, of the errors of ``values``, in units of 2u.

        What is not finite has no error. No error is smaller than that of a subnormal number.
        """
        sizes = np.sqrt(squares, out=squares)
        if not np.isfinite(sizes).all():
            sizes[~np.isfinite(values)] = 0
        if self.noise.tiny:
            sizes += self.noise.tiny
        return sizes

    def _gradients(self, trace: CellTrace, runs: slice, slope: Array, Wh: Array, dh_n: Array | None) -> Array:
        """Add what every step passes on to the gradients of the states, and set those of the pre-activations.

        Returns:
            The gradient of h_0, [runs, B, H].
        """
        d, dz, slope = trace.d[:, runs], trace.dz[:, runs], slope[:, runs]
        # A unit of relu that is off passes not even infinity on.
        off = slope == 0 if self.case.relu else None
        carry = np.zeros(d.shape[1:])
        out = carry.reshape(-1, len(Wh))
        if dh_n is not None:
            carry += dh_n
        for t in range(len(d) - 1, -1, -1):
            d[t] += carry
            np.multiply(d[t], slope[t], dz[t])
            if off is not None:
                np.copyto(dz[t], 0, where=off[t])
            if trace.running is None:
                np.dot(dz[t].reshape(out.shape), Wh.T, out)
            else:
                runs_on = trace.running[t, :, None]
                np.copyto(dz[t], 0, where=~runs_on)
                np.copyto(carry, dz[t] @ Wh.T, where=runs_on)
        return carry


def product_errors(rows: Array, weights: Array, product: Array) -> Array:
    """Return the square of the error of every element of ``product = rows @ weights``, in units of 2u: that
    of its result and of its partial sums."""
    squares = squared_errors_of_sums(rows, weights)
    squares += product * product
    return squares
