"""Three ways of writing a stack like torch.nn.RNN, all of them right."""

import numpy as np


class _Module:
    """Parameters, layouts and masks; `_run` and `_back` see [T, B, *] and whole lengths."""

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        nonlinearity="tanh",
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        *,
        dtype=np.float32,
        rng=None,
    ):
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.nonlinearity, self.bias, self.batch_first = nonlinearity, bias, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        self.dtype, self.training = np.dtype(dtype), True
        self.rng = np.random.default_rng() if rng is None else rng
        self.dirs = 2 if bidirectional else 1
        self.grads, self._shapes = {}, {}
        for layer in range(num_layers):
            width = self.dirs * hidden_size if layer else input_size
            for tail in ("", "_reverse")[: self.dirs]:
                self._shapes[f"weight_ih_l{layer}{tail}"] = (hidden_size, width)
                self._shapes[f"weight_hh_l{layer}{tail}"] = (hidden_size, hidden_size)
                if bias:
                    self._shapes[f"bias_ih_l{layer}{tail}"] = (hidden_size,)
                    self._shapes[f"bias_hh_l{layer}{tail}"] = (hidden_size,)
        edge = hidden_size**-0.5
        for name, shape in self._shapes.items():
            setattr(self, name, self.rng.uniform(-edge, edge, shape).astype(self.dtype))
            self.grads[name] = np.zeros(shape, self.dtype)
        self._used, self._call = [], None

    def named_parameters(self):
        return iter({name: getattr(self, name) for name in self._shapes}.items())

    def state_dict(self, prefix=""):
        return {prefix + name: np.array(value, order="C") for name, value in self.named_parameters()}

    def load_state_dict(self, state_dict, prefix=""):
        names = {name for name in state_dict if name.startswith(prefix)}
        if odd := names ^ {prefix + name for name in self._shapes}:
            raise ValueError(f"missing or unexpected: {sorted(odd)}")
        for name, value in self.named_parameters():
            value[...] = np.asarray(state_dict[prefix + name])

    def train(self, mode=True):
        self.training = mode
        return self

    def eval(self):
        return self.train(False)

    @property
    def dropout_masks(self):
        return [mask.copy() for mask in self._used]

    def _draw(self, shape, given):
        if given is not None:
            return [np.array(mask) for mask in given]
        if not self.training or self.dropout == 0:
            return []
        return [self.rng.random(shape) >= self.dropout for _ in range(self.num_layers - 1)]

    def _layout(self, array):
        """Of the caller to [T, B, *]."""
        array = np.asarray(array)
        if array.ndim == 2:
            return np.array(array[:, None], order="C")
        return np.array(array.swapaxes(0, 1) if self.batch_first else array, order="C")

    def _unlayout(self, array, unbatched):
        """Of [T, B, *] to the caller's."""
        if unbatched:
            return np.array(array[:, 0], order="C")
        return np.array(array.swapaxes(0, 1) if self.batch_first else array, order="C")

    def _states(self, given, B):
        S = self.num_layers * self.dirs
        if given is None:
            return np.zeros((S, B, self.hidden_size), self.dtype)
        return np.array(given, order="C").reshape(S, B, self.hidden_size)

    def _give_states(self, states, unbatched):
        return np.array(states[:, 0] if unbatched else states, order="C")

    def _weights(self):
        return {name: value.copy() for name, value in self.named_parameters()}

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def _clean(self, array, alive):
        return np.where(alive[..., None], array, array.dtype.type(0))

    def _lengths(self, lengths, T, B):
        return np.full(B, T) if lengths is None else np.array(lengths)

    def forward(self, input, hx=None, *, lengths=None, dropout_masks=None):  # noqa: A002
        unbatched = np.ndim(input) == 2
        x = self._layout(input)
        T, B, _ = x.shape
        lens = self._lengths(lengths, T, B)
        alive = np.arange(T)[:, None] < lens
        self._used = self._draw((T, B, self.dirs * self.hidden_size), dropout_masks)
        scale = self.dtype.type(1 / (1 - self.dropout) if self.dropout < 1 else 0)
        y, h_n, tape = self._run(
            self._clean(x, alive), lens, self._states(hx, B), self._used, scale, self._weights()
        )
        self._call = (unbatched, alive, tape)
        return self._unlayout(y, unbatched), self._give_states(h_n, unbatched)

    def backward(self, d_output, d_h_n=None):
        unbatched, alive, tape = self._call
        T, B = alive.shape
        if d_output is None:
            d = np.zeros((T, B, self.dirs * self.hidden_size), self.dtype)
        else:
            d = self._clean(self._layout(d_output), alive)
        dx, d_h0, grads = self._back(d, self._states(d_h_n, B), *tape)
        self._store(grads)
        return self._unlayout(dx, unbatched), self._give_states(d_h0, unbatched)

    def _store(self, grads):
        for name, mine in self.grads.items():
            mine[...] = grads[name]

    def _tail(self, layer, k):
        return f"_l{layer}" + ("_reverse" if k else "")

    def _pick(self, w, layer, k):
        tail = self._tail(layer, k)
        none = np.zeros(self.hidden_size, self.dtype)
        return (
            w["weight_ih" + tail],
            w["weight_hh" + tail],
            w.get("bias_ih" + tail, none),
            w.get("bias_hh" + tail, none),
        )

    def _file(self, grads, layer, k, dWih, dWhh, db):
        tail = self._tail(layer, k)
        new = {"weight_ih": dWih, "weight_hh": dWhh, "bias_ih": db, "bias_hh": db}
        for kind, value in new.items():
            grads[kind + tail] = grads[kind + tail] + value if kind + tail in grads else value

    def _act(self, z):
        return np.tanh(z) if self.nonlinearity == "tanh" else np.maximum(z, 0)

    def _slope(self, h):
        return 1 - h * h if self.nonlinearity == "tanh" else (h > 0).astype(h.dtype)

    def _drop(self, y, mask, scale):
        return y * mask * scale

    def _undrop(self, d, mask, scale):
        return d * mask * scale


class RowByRow(_Module):
    """Right: every row alone, as long as it is, vectors and outer products."""

    def _walk(self, n, k):
        return list(range(n))[::-1] if k else list(range(n))

    def _first(self, h0, s, r, before):
        return h0[s, r]

    def _last(self, outs, walk, h):
        return h

    def _run(self, x, lens, h0, masks, scale, w):
        T, B, _ = x.shape
        y = np.zeros((T, B, self.dirs * self.hidden_size), x.dtype)
        h_n, rows = np.zeros_like(h0), []
        for r in range(B):
            seq, steps, h = list(x[: lens[r], r]), {}, None
            for layer in range(self.num_layers):
                halves = []
                for k in range(self.dirs):
                    s = layer * self.dirs + k
                    Wih, Whh, bih, bhh = self._pick(w, layer, k)
                    h, outs = self._first(h0, s, r, h), {}
                    walk = self._walk(len(seq), k)
                    for t in walk:
                        new = self._act(Wih @ seq[t] + bih + Whh @ h + bhh)
                        steps[s, t] = (seq[t], h, new)
                        outs[t] = h = new
                    h_n[s, r] = self._last(outs, walk, h)
                    halves.append(outs)
                seq = self._merge(halves)
                if masks and layer < self.num_layers - 1:
                    seq = [self._drop(v, masks[layer][t, r], scale) for t, v in enumerate(seq)]
            y[: lens[r], r] = seq
            rows.append(steps)
        return y, h_n, (rows, lens, masks, scale, w, x.shape)

    def _merge(self, halves):
        return [np.concatenate([half[t] for half in halves]) for t in range(len(halves[0]))]

    def _down(self, Whh, dz):
        return Whh.T @ dz

    def _back(self, d, d_hn, rows, lens, masks, scale, w, shape):
        H, dx, d_h0 = self.hidden_size, np.zeros(shape, d.dtype), np.zeros_like(d_hn)
        grads = {name: np.zeros_like(value) for name, value in w.items()}
        for r, steps in enumerate(rows):
            up = list(d[: lens[r], r])
            for layer in reversed(range(self.num_layers)):
                if masks and layer < self.num_layers - 1:
                    up = [self._undrop(v, masks[layer][t, r], scale) for t, v in enumerate(up)]
                low = [0] * len(up)
                for k in range(self.dirs):
                    s = layer * self.dirs + k
                    Wih, Whh, _, _ = self._pick(w, layer, k)
                    dh = d_hn[s, r]
                    for t in reversed(self._walk(len(up), k)):
                        v, h_prev, h = steps[s, t]
                        dz = (up[t][k * H : (k + 1) * H] + dh) * self._slope(h)
                        self._file(grads, layer, k, np.outer(dz, v), np.outer(dz, h_prev), dz)
                        low[t] = low[t] + Wih.T @ dz
                        dh = self._down(Whh, dz)
                    d_h0[s, r] = dh
                up = low
            dx[: lens[r], r] = up
        return dx, d_h0, grads


class MaskedBatch(_Module):
    """Right: the whole batch at once, rows that have ended keep their state through np.where."""

    def _order(self, T, k):
        return range(T - 1, -1, -1) if k else range(T)

    def _start(self, h0, s):
        return h0[s]

    def _final(self, out, last, alive, k):
        return last

    def _join(self, parts):
        return np.concatenate(parts, axis=-1)

    def _part(self, d, k):
        H = self.hidden_size
        return d[..., k * H : (k + 1) * H]

    def _input(self, x, below, layer):
        return below

    def _dropped(self, layer):
        return layer < self.num_layers - 1

    def _run(self, x, lens, h0, masks, scale, w):
        alive = np.arange(len(x))[:, None] < lens
        below, tape, h_n = x, [], np.empty_like(h0)
        for layer in range(self.num_layers):
            parts = []
            for k in range(self.dirs):
                s = layer * self.dirs + k
                out, last, memo = self._scan(
                    self._input(x, below, layer), alive, self._start(h0, s), self._pick(w, layer, k), s
                )
                h_n[s] = self._final(out, last, alive, k)
                parts.append(out)
                tape.append(memo)
            below = self._join(parts)
            if masks and self._dropped(layer):
                below = self._drop(below, masks[layer], scale)
        return below, h_n, (tape, alive, masks, scale)

    def _enter(self, h, t, s):
        return h

    def _leave(self, dh, t, s):
        return dh

    def _scan(self, x, alive, h, par, s):
        Wih, Whh, bih, bhh = par
        out = np.zeros((*alive.shape, self.hidden_size), x.dtype)
        before = np.zeros_like(out)
        for t in self._order(len(x), s % self.dirs):
            live = alive[t][:, None]
            before[t] = self._enter(h, t, s)
            new = self._act(x[t] @ Wih.T + before[t] @ Whh.T + (bih + bhh))
            h = np.where(live, new, h)
            out[t] = np.where(live, new, 0)
        return out, h, (x, before, out, par)

    def _hand(self, d_below, d, layer, masks):
        return d_below

    def _back(self, d, d_hn, tape, alive, masks, scale):
        grads, d_h0 = {}, np.empty_like(d_hn)
        for layer in reversed(range(self.num_layers)):
            if masks and self._dropped(layer):
                d = self._undrop(d, masks[layer], scale)
            d_below = 0
            for k in range(self.dirs):
                s = layer * self.dirs + k
                dx, d_h0[s], *parts = self._scan_back(self._part(d, k), d_hn[s], alive, tape[s], s)
                self._file(grads, layer, k, *parts)
                d_below = d_below + dx
            d = self._hand(d_below, d, layer, masks)
        return d, d_h0, grads

    def _held(self, dh, d, live):
        return dh

    def _scan_back(self, d, dh, alive, memo, s):
        x, before, out, (Wih, Whh, bih, _) = memo
        dx, dWih, dWhh, db = np.zeros_like(x), np.zeros_like(Wih), np.zeros_like(Whh), np.zeros_like(bih)
        for t in reversed(self._order(len(x), s % self.dirs)):
            live = alive[t][:, None]
            dz = np.where(live, (d[t] + dh) * self._slope(out[t]), 0)
            dWih += dz.T @ x[t]
            dWhh += dz.T @ before[t]
            db += dz.sum(axis=0)
            dx[t] = dz @ Wih
            dh = np.where(live, self._leave(dz @ Whh, t, s), self._held(dh, d[t], live))
        return dx, dh, dWih, dWhh, db


class TurnedRows(_Module):
    """Right: one plain scan; the other direction gets its rows turned within their lengths."""

    def _turn(self, a, lens):
        t = np.arange(len(a))[:, None]
        source = np.where(t < lens, lens - 1 - t, t)
        return np.take_along_axis(a, source[:, :, None], axis=0)

    def _turn_up(self, d, lens):
        return self._turn(d, lens)

    def _pickup(self, s, states, lens):
        return states[lens - 1, np.arange(len(lens))]

    def _run(self, x, lens, h0, masks, scale, w):
        own, h_n, kept = x, np.empty_like(h0), []
        alive = (np.arange(len(x))[:, None] < lens)[:, :, None]
        for layer in range(self.num_layers):
            sides = []
            for k in range(self.dirs):
                s = layer * self.dirs + k
                Wih, Whh, bih, bhh = self._pick(w, layer, k)
                fed = self._turn(own, lens) if k else own
                proj = fed @ Wih.T + bih
                states = [h0[s]]
                for z in proj:
                    states.append(self._act(z + states[-1] @ Whh.T + bhh))
                states = np.stack(states)
                kept.append((fed, states, Wih, Whh))
                h_n[s] = self._pickup(s, states[1:], lens)
                side = states[1:] * alive
                sides.append(self._turn(side, lens) if k else side)
            own = np.concatenate(sides, axis=2)
            if masks and layer + 1 < self.num_layers:
                own = self._drop(own, masks[layer], scale)
        return own, h_n, (kept, lens, alive, masks, scale)

    def _inputs(self, kept, s):
        return kept[s][0]

    def _put(self, d, d_end, lens, s):
        d = d.copy()
        d[lens - 1, np.arange(len(lens))] += d_end
        return d

    def _back(self, d, d_hn, kept, lens, alive, masks, scale):
        H, grads, d_h0 = self.hidden_size, {}, np.empty_like(d_hn)
        for layer in reversed(range(self.num_layers)):
            if masks and layer + 1 < self.num_layers:
                d = self._undrop(d, masks[layer], scale)
            lower = []
            for k in range(self.dirs):
                s = layer * self.dirs + k
                _, states, Wih, Whh = kept[s]
                fed = self._inputs(kept, s)
                part = d[:, :, k * H : (k + 1) * H]
                part = self._put(self._turn_up(part, lens) if k else part, d_hn[s], lens, s)
                dz, carry = np.zeros_like(part), np.zeros_like(d_hn[s])
                slopes = self._slope(states[1:]) * alive
                for t in range(len(part) - 1, -1, -1):
                    dz[t] = (part[t] + carry) * slopes[t]
                    carry = dz[t] @ Whh
                d_h0[s] = carry
                flat = dz.reshape(-1, H)
                dWhh = flat.T @ states[:-1].reshape(-1, H)
                self._file(grads, layer, k, flat.T @ fed.reshape(len(flat), -1), dWhh, flat.sum(axis=0))
                dx = dz @ Wih
                lower.append(self._turn(dx, lens) if k else dx)
            d = self._add(lower)
        return d, d_h0, grads

    def _add(self, lower):
        return sum(lower[1:], lower[0])


RIGHT_MODULES = [
    ("rows", "every row alone, vectors and outer products", RowByRow),
    ("masked", "whole batch, np.where at ended rows", MaskedBatch),
    ("turned", "one scan, rows turned within their lengths", TurnedRows),
]
