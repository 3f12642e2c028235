"""Stacks with a fault in dropout."""

import numpy as np

from parity_tests.gate_tests.people.modules import MaskedBatch, RowByRow, TurnedRows


class DropoutAfterLast(MaskedBatch):
    """Dropout is applied after the last layer, too."""

    def _dropped(self, layer):
        return True

    def _run(self, x, lens, h0, masks, scale, w):
        if self.training and self.dropout > 0:
            shape = (len(x), len(lens), self.dirs * self.hidden_size)
            masks = [*masks, self.rng.random(shape) >= self.dropout]
        return super()._run(x, lens, h0, masks, scale, w)


class DropoutOnCarriedState(MaskedBatch):
    """Dropout falls on the carried state h_{t-1} instead of the layer's output."""

    def _run(self, x, lens, h0, masks, scale, w):
        H = self.hidden_size
        self._gates = {
            layer * self.dirs + k: mask[..., k * H : (k + 1) * H] * scale
            for layer, mask in enumerate(masks)
            for k in range(self.dirs)
        }
        return super()._run(x, lens, h0, [], scale, w)

    def _enter(self, h, t, s):
        return h * self._gates[s][t] if s in self._gates else h

    def _leave(self, dh, t, s):
        return dh * self._gates[s][t] if s in self._gates else dh


class BufferNotClearedWithoutDropout(MaskedBatch):
    """With dropout = 0 the gradient of a lower layer is added to what the upper one had there."""

    def _hand(self, d_below, d, layer, masks):
        return d_below + d if layer and self.dropout == 0 else d_below


class DropoutNotScaled(RowByRow):
    """Dropped outputs are not scaled by 1 / (1 - p), forward and backward."""

    def _drop(self, y, mask, scale):
        return y * mask

    def _undrop(self, d, mask, scale):
        return d * mask


class DropoutScaledByP(TurnedRows):
    """Dropped outputs are scaled by 1 / p, forward and backward."""

    def _drop(self, y, mask, scale):
        return y * mask / y.dtype.type(self.dropout)

    _undrop = _drop


class DropoutScaledDown(MaskedBatch):
    """Dropped outputs are multiplied by 1 - p instead of divided, forward and backward."""

    def _drop(self, y, mask, scale):
        return y * mask * y.dtype.type(1 - self.dropout)

    _undrop = _drop


class MaskNotInBackward(MaskedBatch):
    """The backward knows nothing of dropout."""

    def _undrop(self, d, mask, scale):
        return d


class BackwardNotScaled(TurnedRows):
    """The backward has the mask but not the scale."""

    def _undrop(self, d, mask, scale):
        return d * mask


class MaskInverted(RowByRow):
    """What the mask should keep is dropped, forward and backward."""

    def _drop(self, y, mask, scale):
        return y * ~mask * scale

    _undrop = _drop


class OneMaskForAllLayers(MaskedBatch):
    """The first mask is used after every layer (L > 2)."""

    def _run(self, x, lens, h0, masks, scale, w):
        return super()._run(x, lens, h0, masks[:1] * len(masks), scale, w)


class OneMaskForAllSteps(MaskedBatch):
    """Step 0's mask is used at every step."""

    def _run(self, x, lens, h0, masks, scale, w):
        held = [np.repeat(mask[:1], len(mask), axis=0) for mask in masks]
        return super()._run(x, lens, h0, held, scale, w)


class DropoutInEval(RowByRow):
    """Dropout is applied in eval mode, too."""

    def _draw(self, shape, given):
        if given is None and self.dropout > 0:
            return [self.rng.random(shape) >= self.dropout for _ in range(self.num_layers - 1)]
        return super()._draw(shape, given)


class ScaledInEval(TurnedRows):
    """In eval mode outputs of lower layers are multiplied by 1 - p."""

    def _draw(self, shape, given):
        if not self.training and self.dropout > 0:
            return [np.ones(shape, bool) for _ in range(self.num_layers - 1)]
        return super()._draw(shape, given)

    @property
    def dropout_masks(self):
        return super().dropout_masks if self.training else []

    def _drop(self, y, mask, scale):
        return y * mask * (scale if self.training else y.dtype.type(1 - self.dropout))

    _undrop = _drop


MODULES = [
    ("dropout-after-last-layer", "dropout after the last layer, too", DropoutAfterLast),
    ("dropout-on-carry", "dropout on the carried state, consistent", DropoutOnCarriedState),
    (
        "gradient-between-layers-grows",
        "with dropout 0 a lower layer's gradient piles up on the upper's",
        BufferNotClearedWithoutDropout,
    ),
    ("dropout-unscaled", "no 1/(1-p)", DropoutNotScaled),
    ("dropout-1/p", "scaled by 1/p", DropoutScaledByP),
    ("dropout-(1-p)", "multiplied by 1-p", DropoutScaledDown),
    ("dropout-no-backward", "backward without mask and scale", MaskNotInBackward),
    ("dropout-backward-unscaled", "backward without scale", BackwardNotScaled),
    ("dropout-inverted", "mask inverted", MaskInverted),
    ("dropout-one-mask", "one mask for all layers (L > 2)", OneMaskForAllLayers),
    ("dropout-one-step", "step 0's mask at every step", OneMaskForAllSteps),
    ("dropout-eval", "dropout in eval mode", DropoutInEval),
    ("dropout-eval-scale", "eval mode multiplies by 1-p", ScaledInEval),
]
