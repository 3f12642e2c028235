"""A wrong line in words: what a value is, what it should be, and what is missing."""

import ast
from collections.abc import Callable, Iterator
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.tensors import families_of
from parity_tests.diagnosis.lines.choice import sum_is_wrong
from parity_tests.diagnosis.lines.recognition import same
from parity_tests.diagnosis.lines.search import Attempt, Search
from parity_tests.report.wrong_line import WrongLine

WORDS = {
    "h_t": "the state h_t",
    "h_{t-1}": "the state before the step, h_{t-1}",
    "x_t": "the input x_t",
    "z_t": "the pre-activation z_t = x_t Wx + h_{t-1} Wh + b",
    "x_t Wx + h_{t-1} Wh": "x_t Wx + h_{t-1} Wh, without the bias",
    "1 - h_t^2": "the slope 1 - h_t^2",
    "h_t (1 - h_t)": "the slope h_t (1 - h_t)",
    "dz_t": "the gradient of the pre-activation, dz_t",
    "dh_t": "the gradient of the state, dh_t: the upstream gradient plus the carry",
    "dhs_t": "the upstream gradient dhs_t",
    "dz_t Wh^T": "the carry to the step before, dz_t Wh^T",
    "the carry to step t-1": "the carry to the step before: dz_t Wh^T, or the carry from the step after in padding",
    "dx_t": "the gradient of the input, dx_t = dz_t Wx^T",
    "dh_0": "the gradient of the initial state",
    "dz_t summed over the batch": "dz_t, summed over the batch",
    "h_{t-1}^T dz_t": "dWh of one step, h_{t-1}^T dz_t",
    "x_t^T dz_t": "dWx of one step, x_t^T dz_t",
    "all of dhs": "the upstream gradient dhs",
    "Wx": "the input weights Wx",
    "Wh": "the recurrent weights Wh",
    "b": "the bias b",
    "h_t Wy": "h_t Wy, without the bias of the head",
    "Wy": "the weights Wy of the head",
    "by": "the bias by of the head",
    "the gradient of the logits times Wy^T": "the gradient of the state from the head, dlogits_t Wy^T",
    "h_t^T times the gradient of the logits": "dWy of one step, h_t^T dlogits_t",
    "the gradient of the logits": "the gradient of the logits, dlogits_t",
    "the softmax at the targets": "the softmax of the logits, at the targets",
}
"""Right values as a sentence names them."""
LONGEST_SOURCE = 100
"""Characters of an expression that are shown."""
NUMBERS = {np.inf: "no bound", -np.inf: "no bound"}


def described(attempt: Attempt, search: Search) -> WrongLine:
    """Return a repair as the line to be told."""
    site = attempt.site
    statement = _statement_of(attempt)
    actual, should, text = _said(attempt, search)
    if statement is not None and attempt.repair.kind == "condition":
        text = text.replace(" decides here", f" in line {site.line} decides if this is reached")
    elif statement is not None:
        text = f"Here `{site.source}` gets a wrong value, seen in line {site.line}. {text}"
    line = site.line if statement is None else statement.lineno
    whole = site.lines[line - 1]
    start, end = site.node.col_offset, site.node.end_col_offset or 0
    if statement is not None or site.node.end_lineno != line:
        start, end = len(whole) - len(whole.lstrip()), len(whole.rstrip())
    else:  # Python counts bytes
        start, end = (len(whole.encode()[:at].decode()) for at in (start, end))
    return WrongLine(
        site.file,
        line,
        start + 1,
        end + 1,
        whole.rstrip(),
        site.function,
        actual,
        should,
        text,
        families_of(name for _, name in attempt.cured),
        *_caller(attempt, search),
    )


def _statement_of(attempt: Attempt) -> ast.stmt | None:
    """The statement that is to be told in the place of the variable that it sets, or that lets it run."""
    guarded = attempt.site.statement
    if attempt.repair.kind == "condition" and isinstance(guarded, ast.If):
        if guarded.orelse:
            return None
        return attempt.site.next_statement() if attempt.repair.value else guarded.body[-1]
    if sum_is_wrong(attempt):
        return attempt.site.set_by()
    is_unknown = attempt.match is None and attempt.site.is_name and attempt.should is not None
    return attempt.site.filled_by() if is_unknown else None


def _caller(attempt: Attempt, search: Search) -> tuple[int, str]:
    """The line that calls the helper in which the mistake is, else 0; and its file, if it is another one."""
    context = attempt.repair.key[1]
    if not context:
        return 0, ""
    file, line = search.trial.recorder.place_of(context[0])
    return line, "" if file == attempt.site.file else file


def _shown(source: str) -> str:
    source = " ".join(source.split())
    return source if len(source) <= LONGEST_SOURCE else f"{source[:LONGEST_SOURCE]}..."


def _said(attempt: Attempt, search: Search) -> tuple[str, str, str]:
    """What it is, what it should be, and both in sentences."""
    repair, source = attempt.repair, _shown(attempt.site.source)
    if repair.kind in _CHANGES:
        return _CHANGES[repair.kind](source, repair.value)
    if repair.kind == "number":
        should = NUMBERS.get(repair.value, f"{repair.value:g}")
        return source, should, f"With {should} in place of `{source}` the results are right."
    actual = "no value that a right layer has"
    if not np.any(np.asarray(attempt.actual)):
        actual = "zero"
    elif attempt.match is not None:
        actual = _words(attempt.match.name)
    if repair.kind == "operand":
        should = f"`{_shown(search.sites[repair.value[0]].source)}` alone"
        return actual, should, f"`{source}` should be {should}."
    should = _words(repair.value.name)
    own = _own_name(attempt, search)
    named = f"{should}, which is your `{own}`" if own else should
    same_value = attempt.match is not None and attempt.match.name == repair.value.name
    if same_value:
        actual, named = f"{actual}, with its axes in another order", f"{should}, transposed"
    relation = _relation(attempt, search)
    where = f"{_where(attempt, search)}`{source}`"
    return actual, named, f"{where} is {actual}. It should be {named}{relation}."


Said = tuple[str, str, str]


def _of_loop(source: str, value: Any) -> Said:
    should = {
        "up": "all steps, from the first to the last",
        "down": "all steps, from the last to the first",
        "reversed": "the same in reverse order",
    }[value[0]]
    return source, should, f"This goes over `{source}`. It should go over {should}."


def _of_window(source: str, value: Any) -> Said:
    should = {"start": "all steps from the first one on", "end": "all steps back to the first one"}[value]
    return source, should, f"The loop goes over `{source}`. It should go over {should}."


def _of_index(source: str, value: Any) -> Said:
    should = "the mirrored index" if value == "mirrored" else f"{source} {value:+d}"
    return source, should, f"This writes at `{source}`. It should write at {should}."


def _of_copy(source: str, value: Any) -> Said:
    text = f"`{source}` is kept here, and changed in place later. Keep a copy: `{source}.copy()`."
    return "an array that changes later", f"a copy of `{source}`", text


def _of_condition(source: str, value: Any) -> Said:
    text = f"`{source}` decides here. The results are right if it is {'always' if value else 'never'} true."
    return source, str(value), text


_CHANGES: dict[str, Callable[[str, Any], Said]] = {
    "loop": _of_loop,
    "window": _of_window,
    "index": _of_index,
    "copy": _of_copy,
    "condition": _of_condition,
    "pop": lambda source, _: (
        source,
        "the items from the other end",
        f"What is popped from `{source}` comes in the wrong order. Take it from the other end.",
    ),
    "set": lambda source, _: (
        "added",
        "set",
        f"`{source}` is added to what was there. It should replace it: `=`, not `+=`.",
    ),
    "add": lambda source, _: (
        "set",
        "added",
        f"`{source}` replaces what was there. It should be added to it: `+=`, not `=`.",
    ),
    "leave": lambda source, _: (source, "nothing", "Without this statement the results are right."),
    "precision": lambda source, _: (
        "float32",
        "float64",
        f"`{source}` is float32. It should be float64, like the parameters.",
    ),
}
"""What is said of a change, by its kind."""


def _words(name: str) -> str:
    return WORDS.get(name, name)


def _where(attempt: Attempt, search: Search) -> str:
    """The step, the row and the cell at which it differs first, if it is right before."""
    trial = search.trial
    places = attempt.repair.value.order.places(*trial.values.calls[0].xs.shape[:2])
    if not attempt.at:
        return ""
    cell, step, row = places[attempt.at]
    where = [f"time step {step}"] if step is not None else []
    where += [f"batch row {row}"] if row is not None else []
    if trial.case.num_cells > 1:
        where.append(f"layer {cell // trial.case.directions}")
        where += ["the reverse direction"] if trial.case.directions == 2 and cell % 2 else []
    return f"At {', '.join(where)} (counted from 0) " if where else ""


def _own_name(attempt: Attempt, search: Search) -> str:
    """What the user calls the value that should stand there, in the same function."""
    key = attempt.repair.key
    for other, matches in search.known.matches.items():
        site = search.sites[other[0]]
        if other == key or other[1] != key[1] or site.function != attempt.site.function or not site.is_name:
            continue
        if any(m.is_whole and m.name == attempt.repair.value.name for m in matches):
            return site.source
    return ""


def _relation(attempt: Attempt, search: Search) -> str:
    """The term or the factor by which the value differs from what it should be."""
    should, actual = np.asarray(attempt.should), np.asarray(attempt.actual)
    if should.shape != actual.shape or same(should, actual):
        return ""
    with np.errstate(all="ignore"):
        pairs = [
            ("the term {} is missing", should - actual),
            ("the term {} is too much", actual - should),
            ("the factor {} is missing", should / actual),
            ("the factor {} is too much", actual / should),
        ]
    for text, difference in pairs:
        if not np.isfinite(difference).all():
            continue
        if "factor" in text and np.ptp(difference) <= 1e-8 * np.abs(difference).max():
            number = float(difference.flat[0])
            if number == 0:
                return ""
            return f": {text.format(f'{number:.6g}')}" if "missing" in text else ""
        if name := _name_of(difference, attempt, search):
            return f": {text.format(name)}"
    return ""


def _name_of(difference: Array, attempt: Attempt, search: Search) -> str:
    for name, part in _parts_at(attempt, search):
        if same(part, difference):
            return name
    return ""


def _parts_at(attempt: Attempt, search: Search) -> Iterator[tuple[str, Any]]:
    """The right values at the place of the first difference."""
    seen = search.seen[attempt.repair.key]
    order = attempt.repair.value.order
    for parts, form in search.recogniser.fitting(seen):
        if parts.order == order:
            yield parts.value.name, parts.arrays[attempt.at].transpose(form).reshape(seen.values[0].shape)
