"""Stacks with a fault in states, layouts, checkpoints or the order of calls."""

import numpy as np

from parity_tests.gate_tests.people.modules import MaskedBatch, RowByRow, TurnedRows


class FinalGradientLastLayerOnly(MaskedBatch):
    """d_h_n is used for the last layer only."""

    def _back(self, d, d_hn, *tape):
        d_hn[: -self.dirs] = 0
        return super()._back(d, d_hn, *tape)


class FinalGradientIgnored(RowByRow):
    """d_h_n is ignored."""

    def backward(self, d_output, d_h_n=None):
        if d_output is None:
            d_output = np.zeros(self._output_shape(), self.dtype)
        return super().backward(d_output, None)

    def _output_shape(self):
        unbatched, alive, _ = self._call
        T, B = alive.shape
        width = self.dirs * self.hidden_size
        return (T, width) if unbatched else (B, T, width) if self.batch_first else (T, B, width)


class FinalGradientAtWrongEnd(TurnedRows):
    """d_h_n of the reverse direction enters at the last valid step instead of step 0."""

    def _put(self, d, d_end, lens, s):
        if s % self.dirs == 0:
            return super()._put(d, d_end, lens, s)
        d = d.copy()
        d[0] += d_end
        return d


class FinalGradientAtT(TurnedRows):
    """d_h_n enters at step T - 1 whatever the length, so that of short rows is lost."""

    def _put(self, d, d_end, lens, s):
        d = d.copy()
        d[-1] += d_end
        return d


class DirectionMajorStates(MaskedBatch):
    """hx, h_n and their gradients are [dirs, L] flattened, not [L, dirs]."""

    def _swap(self, states, rows, columns):
        return states.reshape(rows, columns, *states.shape[1:]).swapaxes(0, 1).reshape(states.shape)

    def _states(self, given, B):
        return self._swap(super()._states(given, B), self.dirs, self.num_layers)

    def _give_states(self, states, unbatched):
        return super()._give_states(self._swap(states, self.num_layers, self.dirs), unbatched)


class FinalStatesDirectionMajor(RowByRow):
    """h_n alone is [dirs, L] flattened."""

    def forward(self, *args, **kwargs):
        output, h_n = super().forward(*args, **kwargs)
        parts = h_n.reshape(self.num_layers, self.dirs, *h_n.shape[1:])
        return output, np.ascontiguousarray(parts.swapaxes(0, 1)).reshape(h_n.shape)


class LayersFromTheTop(MaskedBatch):
    """h_n lists the layers from the last to the first."""

    def forward(self, *args, **kwargs):
        output, h_n = super().forward(*args, **kwargs)
        parts = h_n.reshape(self.num_layers, self.dirs, *h_n.shape[1:])
        return output, np.ascontiguousarray(parts[::-1]).reshape(h_n.shape)


class BatchFirstStates(MaskedBatch):
    """With batch_first h_n and d_hx are [B, S, H], too (hx is taken as torch's)."""

    def _give_states(self, states, unbatched):
        given = super()._give_states(states, unbatched)
        if self.batch_first and not unbatched:
            return np.ascontiguousarray(given.swapaxes(0, 1))
        return given


class TimeMajorInputGradient(TurnedRows):
    """With batch_first d_input is still [T, B, D]."""

    def backward(self, d_output, d_h_n=None):
        dx, d_hx = super().backward(d_output, d_h_n)
        if self.batch_first and dx.ndim == 3:
            dx = np.ascontiguousarray(dx.swapaxes(0, 1))
        return dx, d_hx


class UnbatchedKeepsAxis(RowByRow):
    """For unbatched input h_n and d_hx are [S, 1, H]."""

    def _give_states(self, states, unbatched):
        return super()._give_states(states, False)


class LiveStateDict(MaskedBatch):
    """state_dict gives the parameters themselves, not copies."""

    def state_dict(self, prefix=""):
        return {prefix + name: value for name, value in self.named_parameters()}


class LoadedByReference(RowByRow):
    """load_state_dict makes the caller's arrays the parameters."""

    def load_state_dict(self, state_dict, prefix=""):
        super().load_state_dict(state_dict, prefix)
        for name in self._shapes:
            setattr(self, name, np.asarray(state_dict[prefix + name]))


class LoadedTransposed(TurnedRows):
    """load_state_dict stores weight_hh transposed."""

    def load_state_dict(self, state_dict, prefix=""):
        super().load_state_dict(state_dict, prefix)
        for name, value in self.named_parameters():
            if name.startswith("weight_hh"):
                value[...] = value.T.copy()


class HiddenBiasNotLoaded(TurnedRows):
    """load_state_dict leaves bias_hh as it was."""

    def load_state_dict(self, state_dict, prefix=""):
        own = {name: v.copy() for name, v in self.named_parameters() if name.startswith("bias_hh")}
        super().load_state_dict(state_dict, prefix)
        for name, value in own.items():
            getattr(self, name)[...] = value


class NewGradientArrays(MaskedBatch):
    """The arrays in grads are new ones after each backward."""

    def _store(self, grads):
        for name in self.grads:
            self.grads[name] = np.array(grads[name], self.dtype)


class GradientsPileUp(RowByRow):
    """Backward adds into grads without zeroing (as torch does, but it is not the contract)."""

    def _store(self, grads):
        for name, mine in self.grads.items():
            mine += grads[name]


class FinalGradientAddedInPlace(RowByRow):
    """The last layer's d_h_n is added into the caller's d_output."""

    def backward(self, d_output, d_h_n=None):
        results = super().backward(d_output, d_h_n)
        if d_output is not None and d_h_n is not None:
            unbatched, alive, _ = self._call
            theirs = (
                d_output[:, None] if unbatched else d_output.swapaxes(0, 1) if self.batch_first else d_output
            )
            ends = self._states(d_h_n, alive.shape[1])[-self.dirs :]
            H = self.hidden_size
            for r, n in enumerate(alive.sum(axis=0)):
                theirs[n - 1, r, :H] += ends[0, r]
                if self.bidirectional:
                    theirs[0, r, H:] += ends[1, r]
        return results


class InputPaddingZeroed(MaskedBatch):
    """The caller's padding is zeroed in place."""

    def forward(self, input, hx=None, *, lengths=None, dropout_masks=None):  # noqa: A002
        if lengths is not None:
            for row, n in enumerate(lengths):
                if self.batch_first:
                    input[row, n:] = 0
                else:
                    input[n:, row] = 0
        return super().forward(input, hx, lengths=lengths, dropout_masks=dropout_masks)


class OneTapeForAll(TurnedRows):
    """The tape belongs to the class, so another layer's forward overwrites it."""

    shared: dict = {}  # noqa: RUF012, the fault

    @property
    def _call(self):
        return self.shared["call"]

    @_call.setter
    def _call(self, call):
        if call is not None:
            self.shared["call"] = call


class TrainIgnored(MaskedBatch):
    """eval() does nothing, dropout goes on."""

    def eval(self):
        return self


MODULES = [
    ("dropout-eval", "eval() does nothing", TrainIgnored),
    ("upstream-overwritten", "d_h_n added into the caller's d_output", FinalGradientAddedInPlace),
    ("cache-shared", "tape belongs to the class", OneTapeForAll),
    ("input-overwritten", "caller's padding zeroed in place", InputPaddingZeroed),
    ("d_h_n-last-layer", "d_h_n used for the last layer only", FinalGradientLastLayerOnly),
    ("d_h_n-ignored", "d_h_n ignored", FinalGradientIgnored),
    ("d_h_n-wrong-end", "reverse d_h_n enters at the last valid step", FinalGradientAtWrongEnd),
    ("d_h_n-at-T", "d_h_n enters at step T-1 whatever the length", FinalGradientAtT),
    ("direction-major", "hx, h_n and gradients direction-major", DirectionMajorStates),
    ("direction-major", "h_n alone direction-major", FinalStatesDirectionMajor),
    ("h_n-layers-reversed", "h_n lists layers from the last", LayersFromTheTop),
    ("h_n-batch-first", "h_n and d_hx batch-first", BatchFirstStates),
    ("dx-time-major", "d_input time-major with batch_first", TimeMajorInputGradient),
    ("unbatched-axis", "unbatched h_n and d_hx keep the batch axis", UnbatchedKeepsAxis),
    ("state_dict-live", "state_dict gives live arrays", LiveStateDict),
    ("load-by-reference", "load_state_dict keeps the caller's arrays", LoadedByReference),
    ("load-transposed", "load_state_dict stores weight_hh transposed", LoadedTransposed),
    ("load-bias_hh", "load_state_dict leaves bias_hh as it was", HiddenBiasNotLoaded),
    ("grads-rebound", "the arrays in grads are replaced", NewGradientArrays),
    ("grads-accumulate", "grads += without zeroing", GradientsPileUp),
]
