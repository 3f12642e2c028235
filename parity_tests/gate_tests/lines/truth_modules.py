"""Where the faults stand in stacks: dropout, states, directions, lengths."""

from parity_tests.gate_tests.lines.places import Fault, fault

LINES: dict[str, tuple[Fault, ...]] = {
    "DropoutAfterLast": (
        fault("DropoutAfterLast._dropped", "return True")
        + fault("DropoutAfterLast._run", "masks = [*masks, self.rng.random(shape) >= self.dropout]"),
    ),
    "DropoutOnCarriedState": (
        fault("DropoutOnCarriedState._run", "return super()._run(x, lens, h0, [], scale, w)")
        + fault("DropoutOnCarriedState._enter", "return h * self._gates[s][t] if s in self._gates else h"),
    ),
    "BufferNotClearedWithoutDropout": (
        fault(
            "BufferNotClearedWithoutDropout._hand",
            "return d_below + d if layer and self.dropout == 0 else d_below",
        ),
    ),
    "DropoutNotScaled": (fault("DropoutNotScaled._drop", "return y * mask"),),
    "DropoutScaledByP": (fault("DropoutScaledByP._drop", "return y * mask / y.dtype.type(self.dropout)"),),
    "DropoutScaledDown": (
        fault("DropoutScaledDown._drop", "return y * mask * y.dtype.type(1 - self.dropout)"),
    ),
    "MaskNotInBackward": (fault("MaskNotInBackward._undrop", "return d"),),
    "BackwardNotScaled": (fault("BackwardNotScaled._undrop", "return d * mask"),),
    "MaskInverted": (fault("MaskInverted._drop", "return y * ~mask * scale"),),
    "OneMaskForAllLayers": (
        fault(
            "OneMaskForAllLayers._run", "return super()._run(x, lens, h0, masks[:1] * len(masks), scale, w)"
        ),
    ),
    "OneMaskForAllSteps": (
        fault("OneMaskForAllSteps._run", "held = [np.repeat(mask[:1], len(mask), axis=0) for mask in masks]"),
    ),
    "DropoutInEval": (
        fault(
            "DropoutInEval._draw",
            "if given is None and self.dropout > 0:",
            "return [self.rng.random(shape) >= self.dropout for _ in range(self.num_layers - 1)]",
        ),
    ),
    "ScaledInEval": (
        fault(
            "ScaledInEval._drop",
            "return y * mask * (scale if self.training else y.dtype.type(1 - self.dropout))",
        ),
    ),
    "FinalGradientLastLayerOnly": (fault("FinalGradientLastLayerOnly._back", "d_hn[: -self.dirs] = 0"),),
    "FinalGradientIgnored": (
        fault("FinalGradientIgnored.backward", "return super().backward(d_output, None)"),
    ),
    "FinalGradientAtWrongEnd": (fault("FinalGradientAtWrongEnd._put", "d[0] += d_end"),),
    "FinalGradientAtT": (fault("FinalGradientAtT._put", "d[-1] += d_end"),),
    "DirectionMajorStates": (
        fault(
            "DirectionMajorStates._states",
            "return self._swap(super()._states(given, B), self.dirs, self.num_layers)",
        )
        + fault(
            "DirectionMajorStates._give_states",
            ("return super()._give_states(self._swap(states, self.num_layers, self.dirs), unbatched)"),
        ),
    ),
    "FinalStatesDirectionMajor": (
        fault(
            "FinalStatesDirectionMajor.forward",
            "return output, np.ascontiguousarray(parts.swapaxes(0, 1)).reshape(h_n.shape)",
        ),
    ),
    "LayersFromTheTop": (
        fault(
            "LayersFromTheTop.forward", "return output, np.ascontiguousarray(parts[::-1]).reshape(h_n.shape)"
        ),
    ),
    "BatchFirstStates": (
        fault("BatchFirstStates._give_states", "return np.ascontiguousarray(given.swapaxes(0, 1))"),
    ),
    "TimeMajorInputGradient": (
        fault("TimeMajorInputGradient.backward", "dx = np.ascontiguousarray(dx.swapaxes(0, 1))"),
    ),
    "LoadedTransposed": (fault("LoadedTransposed.load_state_dict", "value[...] = value.T.copy()"),),
    "HiddenBiasNotLoaded": (
        fault("HiddenBiasNotLoaded.load_state_dict", "getattr(self, name)[...] = value"),
    ),
    "GradientsPileUp": (fault("GradientsPileUp._store", "mine += grads[name]"),),
    "TrainIgnored": (fault("TrainIgnored.eval", "def eval(self):", "return self"),),
    "ReverseNotReversed": (fault("ReverseNotReversed._order", "return range(T)"),),
    "ReverseWalksForward": (fault("ReverseWalksForward._walk", "return list(range(n))"),),
    "FlippedOnBatch": (
        fault("FlippedOnBatch._order", "return range(T)")
        + fault(
            "FlippedOnBatch._scan", "out, last, memo = super()._scan(x[:, ::-1], alive[:, ::-1], h, par, s)"
        ),
    ),
    "PaddingReversedToo": (
        fault(
            "PaddingReversedToo._scan", "out, last, memo = super()._scan(x, np.ones_like(alive), h, par, s)"
        ),
    ),
    "LastTimeStepAsFinal": (fault("LastTimeStepAsFinal._final", "return out[-1]"),),
    "LastElementAsFinal": (fault("LastElementAsFinal._last", "return outs[max(walk)]"),),
    "ReverseFinalAtEnd": (
        fault("ReverseFinalAtEnd._final", "return out[lens - 1, np.arange(len(lens))] if k else last"),
    ),
    "DirectionsInterleaved": (
        fault(
            "DirectionsInterleaved._join", "return np.stack(parts, axis=-1).reshape(*parts[0].shape[:2], -1)"
        ),
    ),
    "CarryCutInPadding": (fault("CarryCutInPadding._held", "return np.zeros_like(dh)"),),
    # A buffer that is too long, and the cut at its wrong end.
    "BufferTurnedWhole": (
        fault(
            "BufferTurnedWhole._turn_up",
            "buffer = np.zeros((-(-T // 8) * 8, *d.shape[1:]), d.dtype)",
            "return buffer[::-1][:T]",
        ),
    ),
    "MiddleLayersTakeOutput": (
        fault(
            "MiddleLayersTakeOutput._inputs",
            "sides = [kept[layer * self.dirs + j][1][1:] for j in range(self.dirs)]",
            "return np.concatenate(sides[::-1] if k else sides, axis=2)",
        ),
    ),
    "PaddingLeaksIntoGradient": (
        fault("PaddingLeaksIntoGradient._clean", "return array")
        + fault("PaddingLeaksIntoGradient._held", "return dh + d"),
    ),
    "PaddedOutputsHeld": (
        fault("PaddedOutputsHeld._run", "return np.where(tape[1][..., None], y, last), h_n, tape"),
    ),
    "LengthsIgnored": (fault("LengthsIgnored._lengths", "return np.full(B, T)"),),
    "LengthsSticky": (fault("LengthsSticky._lengths", "return self._kept[2]"),),
    "SortedNotRestored": (fault("SortedNotRestored._run", "return y[:, order], h_n[:, order], tape"),),
    "StatesNotRestored": (
        fault("StatesNotRestored._run", 'return y, h_n[:, np.argsort(-lens, kind="stable")], tape'),
    ),
    "StartsNotSorted": (
        fault(
            "StartsNotSorted._run", "mixed[:, self._order] = h0", "return super()._run(x, lens, mixed, *rest)"
        ),
    ),
    "DirectionsSummed": (
        fault(
            "DirectionsSummed.forward",
            "output = output[..., : self.hidden_size] + output[..., self.hidden_size :]",
        ),
    ),
    "DirectionsChangePlaces": (
        fault("DirectionsChangePlaces._join", "return np.concatenate(parts[::-1], axis=-1)"),
    ),
    "ReverseOutputNotTurnedBack": (
        fault(
            "ReverseOutputNotTurnedBack._merge",
            (
                "turned = [{n - 1 - t: v for t, v in half.items()} if k "
                "else half for k, half in enumerate(halves)]"
            ),
        ),
    ),
    "HiddenWeightsShared": (
        fault("HiddenWeightsShared._pick", 'return Wih, w["weight_hh" + self._tail(0, k)], bih, bhh'),
    ),
    "DirectionsShareWeights": (fault("DirectionsShareWeights._pick", "return super()._pick(w, layer, 0)"),),
}

CONSISTENT: dict[str, Fault] = {
    "DropoutOnCarriedState": fault(
        "DropoutOnCarriedState._leave", "return dh * self._gates[s][t] if s in self._gates else dh"
    ),
    "DropoutNotScaled": fault("DropoutNotScaled._undrop", "return d * mask"),
    "ScaledInEval": fault(
        "ScaledInEval._draw", "return [np.ones(shape, bool) for _ in range(self.num_layers - 1)]"
    ),
    "FlippedOnBatch": fault("FlippedOnBatch._scan", "return out[:, ::-1], last, memo")
    + fault(
        "FlippedOnBatch._scan_back",
        "dx, *rest = super()._scan_back(d[:, ::-1], dh, alive[:, ::-1], memo, s)",
        "return dx[:, ::-1], *rest",
    ),
    "PaddingReversedToo": fault("PaddingReversedToo._clean", "return array")
    + fault(
        "PaddingReversedToo._scan_back", "return super()._scan_back(d, dh, np.ones_like(alive), memo, s)"
    ),
    "DirectionsInterleaved": fault(
        "DirectionsInterleaved._part", "return d.reshape(*d.shape[:2], self.hidden_size, self.dirs)[..., k]"
    ),
    "StartsNotSorted": fault("StartsNotSorted._back", "return dx, d_h0[:, self._order], grads"),
    "DirectionsSummed": fault(
        "DirectionsSummed.backward", "d_output = np.concatenate([d_output, d_output], axis=-1)"
    ),
    "DirectionsChangePlaces": fault(
        "DirectionsChangePlaces._part", "return super()._part(d, self.dirs - 1 - k)"
    ),
    "DirectionsShareWeights": fault(
        "DirectionsShareWeights._file",
        "super()._file(grads, layer, 0, *parts)",
        "super()._file(grads, layer, 1, *[np.zeros_like(p) for p in parts])",
    ),
}

SKIPPED = {
    "UnbatchedKeepsAxis": "only the shape of h_n and d_hx, all values are right",
    "LiveStateDict": "aliasing: the checkpoint is the parameters",
    "LoadedByReference": "aliasing: the parameters are the caller's arrays",
    "NewGradientArrays": "other arrays in grads, all values are right",
    "FinalGradientAddedInPlace": "overwrites the caller's d_output, all values are right",
    "InputPaddingZeroed": "overwrites the caller's padding, all values are right",
    "OneTapeForAll": "aliasing: two layers share one tape",
    "CutToLongest": "only the shape of the output, all values are right",
}
