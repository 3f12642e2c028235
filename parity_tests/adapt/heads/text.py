"""The statements of a program whose head was taken away, with the head of a case in its place."""

import re

from parity_tests.adapt.language.layouts import arranged

_TARGETS = (
    ("list(np.eye(V, dtype=x.dtype)[1 : T + 1, :, None])", "list(np.eye(V, dtype=Wx.dtype)[y][:, :, None])"),
    ("np.eye(V, dtype=x.dtype)[1 : T + 1]", "np.eye(V, dtype=Wx.dtype)[y]"),
    ("np.arange(1, T + 1)[None]", "y[None]"),
    ("np.arange(1, T + 1)[:, None]", "y[:, None]"),
    ("np.arange(1, T + 1)", "y"),
    ("list(range(1, T + 1))", "y.tolist()"),
)
_SYMBOLS = (("list(range(T))", "x.tolist()"), ("np.arange(T)[None]", "x[None]"), ("np.arange(T)", "x"))
_WEIGHTS = (
    (r"np\.eye\(H, V, dtype=x\.dtype\)", "Wy"),
    (r"np\.eye\(V, H, dtype=x\.dtype\)", "Wy.T"),
    (r"np\.zeros\(V, x\.dtype\)", "by"),
    (r"np\.zeros\(\(1, V\), x\.dtype\)", "by[None]"),
    (r"np\.zeros\(\(V, 1\), x\.dtype\)", "by[:, None]"),
    (r"(?<![\w.'\"])F\.T(?![\w=])", "Wy"),
    (r"(?<![\w.'\"])F(?![\w.=])", "Wy.T"),
    (r"(?<![\w.'\"])top(?![\w=])", "by"),
)
_OUTPUT = r"(?:np\.array\((?:out|net)[^()]*\)|out(?:\[[^\]]*\])*|net(?:\.\w+|\[[^\]]*\])+)"
_VARIABLE = r"(?<![\w.'\"]){}(?![\w'\"=])"


def with_own_head(line: str) -> str:
    """Return a statement with the weights and the targets of a case.

    Example:
        >>> with_own_head("net.Why = F"), with_own_head("net.by = np.zeros((V, 1), x.dtype)")
        ('net.Why = Wy.T', 'net.by = by[:, None]')
        >>> with_own_head("out = loss(list(range(T)), list(range(1, T + 1)), h[:, None])")
        'out = loss(x.tolist(), y.tolist(), h[:, None])'
        >>> with_own_head("back = net.backward(out - dy.swapaxes(0, 1))")
        'back = net.backward(y.swapaxes(0, 1))'
        >>> with_own_head("back = net.backward(dy[-1][:, None])")
        'back = net.backward(d[:, None])'
    """
    for plain, own in (*_TARGETS, *_SYMBOLS):
        line = line.replace(plain, own)
    for pattern, own in _WEIGHTS:
        line = re.sub(pattern, own, line)
    line = re.sub(rf"{_OUTPUT} - (?=dy\b)(dy)", "y", line)
    line = re.sub(_VARIABLE.format("dy") + r"\[(?:-1|:, -1)\]", "d", line)
    return re.sub(_VARIABLE.format("dy"), "d", line)


def has_squares(lines: str) -> bool:
    """Whether the targets in some statements are outputs minus their gradient, as for a loss of squares."""
    return re.search(rf"{_OUTPUT} - dy\b", lines) is not None


def has_gradient(lines: str) -> bool:
    """Whether the gradient of outputs stands in some statements."""
    return re.search(_VARIABLE.format("dy"), lines) is not None


def lifted(line: str, layout: str, state: str) -> str | None:
    """Return a statement of one row with the whole batch in place of an axis of one, None if there is none.

    Args:
        line: the statement.
        layout: of the input of the row, with a 1 in it.
        state: the expression of the initial state, nothing if none is given.

    Example:
        >>> lifted("out = net.loss(x[None], y.tolist(), h0=h[None])", "1TD", "h[None]")
        'out = net.loss(x, y, h0=h)'
    """
    plain = layout.strip("[]")
    if "1" not in plain or plain in ("TD1", "D1T"):
        return None
    line = line.replace(arranged("x", "TD", layout), arranged("x", "BTD", layout.replace("1", "B")))
    if state:
        axes = {"h[None]": "BH", "h[:, None]": "HB", "h[None, None]": "1BH"}.get(state)
        if axes is None:
            return None
        line = line.replace(state, arranged("h", "BH", axes))
    targets = "y.T" if plain.index("T") < plain.index("1") else "y"
    for row in ("y.tolist()", "y[None]", "y[:, None]"):
        line = line.replace(row, targets)
    return re.sub(_VARIABLE.format("y") + r"(?!\.T)", targets, line)
