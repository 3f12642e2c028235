"""Targets: found, loaded, recognised, or refused with what was expected."""

import functools
import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnn_np
from parity_tests.subjects.drivers import kinds_of
from parity_tests.subjects.interfaces import IN_WORDS, TargetError, recognise, subject_of, taken_for
from parity_tests.subjects.loading import Loaded, Target, load
from parity_tests.subjects.user_frames import MAX_MESSAGE_CHARACTERS, format_error

LAYER = """
class Layer:
    def __init__(self, Wx, Wh, b, stateful=False): pass
    def forward(self, xs): pass
    def backward(self, dhs): pass
    def set_state(self, h): pass
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has a folder of its own, and leaves no module of it behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name, module in list(sys.modules.items()):
        known = getattr(module, "__dict__", {})  # a test may have put None there
        places = [known.get("__file__"), *known.get("__path__", [])]
        if any(str(place).startswith(str(tmp_path)) for place in places):
            del sys.modules[name]


def _write(name: str, text: str) -> str:
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return name


def _notebook(*cells: str) -> str:
    """A notebook as Jupyter writes it, a text cell before the code."""
    text = [{"cell_type": "markdown", "id": "text", "metadata": {}, "source": "# class Layer:"}]
    code: list[Any] = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": source.splitlines(keepends=True),
        }
        for number, source in enumerate(cells)
    ]
    whole = {"cells": text + code, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return _write("notes.ipynb", json.dumps(whole))


def _load(spec: str, kind: str | None = None) -> Loaded:
    return load(Target(spec, kind))


def _refusal(spec: str, kind: str | None = None) -> str:
    with pytest.raises(TargetError) as caught:
        load(Target(spec, kind))
    return str(caught.value)


# What a target is called.


@pytest.mark.parametrize(
    "spec",
    ["", ":RNN", "rnn.py:", "rnn.py:a b", "a/b:RNN", "folder/rnn", "a..b:RNN", "rnn.py:1", "folder/"],
)
def test_a_spec_of_no_known_form_is_refused(spec: str) -> None:
    with pytest.raises(TargetError, match=r"target: expected package\.module:Name, path/to/file\.py:Name"):
        Target(spec)


def test_a_kind_is_one_of_those_there_are_and_needs_a_name() -> None:
    with pytest.raises(TargetError, match=r"as: expected one of layer, cell, .*, got 'rnn'"):
        Target("rnn.py:RNN", "rnn")
    with pytest.raises(TargetError, match="rnn_np: a layer needs its name, rnn_np:Name"):
        Target("rnn_np", "layer")


def test_a_target_is_plain_data() -> None:
    target = Target("a b/c:d.py:Out.In", "cell")
    assert pickle.loads(pickle.dumps(target)) == target
    assert (target.module_or_file, target.name) == ("a b/c:d.py", "Out.In")


# What kind it is.


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("rnn_np:TimeRNN", "layer"),
        ("rnn_np:RNN", "cell"),
        ("rnn_np.nn:RNN", "module"),
        ("rnn_np.nn:RNNCell", "cell"),
        ("rnn_np:nn.RNN", "module"),
        ("rnn_np", "package"),
        ("parity_tests.selftest.measures.right_layers", "package"),
        ("parity_tests.selftest.measures.right_layers:TimeRNN", "layer"),
        ("parity_tests.gate_tests.wrong:RNN", "cell"),
        ("parity_tests.cases.arrays:calls_of", "adapter"),
    ],
)
def test_the_interface_tells_the_kind(spec: str, kind: str) -> None:
    assert _load(spec).interface == kind


class _Passing(rnn_np.TimeRNN):
    def __init__(self, *args: Any, scale: float = 1.0, **options: Any) -> None:
        super().__init__(*args, **options)


class _Weights:
    def __init__(self, W: Any, U: Any, bias: Any) -> None: ...
    def backward(self, d: Any) -> Any: ...


class _Stateless(_Weights):
    def forward(self, xs: Any) -> Any: ...


class _OptionalState(_Weights):
    def forward(self, x: Any, h_prev: Any = None) -> Any: ...


class _Unclear(_Weights):
    def forward(self, x: Any, train: bool = False) -> Any: ...


class _Sizes:
    def __init__(self, D: int, units: int, bias: int) -> None: ...
    def forward(self, x: Any, h_prev: Any) -> Any: ...
    def backward(self, d: Any) -> Any: ...


class _ForwardOnly:
    def __init__(self, Wx: Any, Wh: Any, b: Any) -> None: ...
    def forward(self, xs: Any) -> Any: ...
    def __call__(self, xs: Any) -> Any: ...


@functools.wraps(_Passing)
def _made(*args: Any, **options: Any) -> _Passing:
    return _Passing(*args, **options)


class _BySizes:
    def __init__(
        self, input_size: int, hidden_size: int, nonlinearity: str = "tanh", dtype: Any = None
    ) -> None: ...
    def __call__(self, x: Any, hx: Any = None) -> Any: ...


class _SequenceBySizes(_BySizes):
    def backward(self, d_output: Any, d_h_n: Any = None) -> Any: ...


class _StepBySizes(_BySizes):
    def backward(self, d: Any) -> Any: ...


class _MyCell(_SequenceBySizes): ...


def _function(case: Any, verbose: bool = False) -> None: ...


def _none() -> None: ...


@pytest.mark.parametrize(
    ("obj", "kind"),
    [
        (_Passing, "layer"),
        (_made, "layer"),
        (functools.partial(rnn_np.TimeRNN, stateful=True), "layer"),
        (_Stateless, "layer"),
        (_OptionalState, "cell"),
        (_SequenceBySizes, "module"),
        (_StepBySizes, "cell"),
        (_MyCell, "cell"),
        (_function, "adapter"),
        (functools.partial(_function, verbose=True), "adapter"),
        (lambda *given: given, "adapter"),
    ],
)
def test_decorators_stars_and_other_names_are_seen_through(obj: Any, kind: str) -> None:
    assert recognise(obj, "it") == kind


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        (_Unclear, r"a class made by \(W, U, bias\) with forward\(x, train=False\) and backward\(d\)"),
        (_Sizes, r"a class made by \(D, units, bias\) with forward\(x, h_prev\) and backward\(d\)"),
        (_ForwardOnly, r"a class made by \(Wx, Wh, b\) with forward\(xs\) and no backward"),
        (_ForwardOnly(0, 0, 0), r"a _ForwardOnly that takes \(xs\)"),
        (_none, r"a function that takes \(\)"),
        (np.tanh, r"a ufunc that takes "),
        (dict, r"a class made by .* with no forward and no backward"),
    ],
)
def test_an_interface_that_is_not_recognised_is_reported_with_what_was_found(obj: Any, found: str) -> None:
    with pytest.raises(TargetError, match=f"^it: cannot tell what it is, {found}.*, say so with --as layer"):
        recognise(obj, "it")


def test_a_forced_kind_is_taken_whatever_the_interface() -> None:
    spec = _write("sizes.py", "class Sizes:\n    def __init__(self, D, H): pass\n")
    assert _load(f"{spec}:Sizes", "cell").interface == "cell"
    assert _load("rnn_np", "package").interface == "package"


@pytest.mark.parametrize("cls", [_SequenceBySizes, _StepBySizes, _MyCell])
def test_as_decides_and_what_a_target_was_taken_for_is_said(cls: Any) -> None:
    for interface, kind in (("module", "nn.RNN"), ("cell", "nn.RNNCell"), ("layer", "TimeRNN")):
        assert Target.at_hand(cls, interface).interface == interface
        assert kinds_of(subject_of(cls, interface)) == (kind,)
        assert taken_for(interface, (kind,), is_forced=True) == IN_WORDS[kind]
    assert taken_for("module", ("nn.RNN",), is_forced=False) == (
        "a module: a sequence, made by sizes, like torch.nn.RNN (--as cell judges it as one time step)"
    )
    assert taken_for("cell", ("nn.RNNCell",), is_forced=False) == (
        "a cell: one time step, made by sizes, like torch.nn.RNNCell (--as module judges it as a sequence)"
    )
    assert kinds_of(subject_of(rnn_np.RNN, "cell")) == ("RNN",)


def test_a_forced_kind_still_needs_something_to_run() -> None:
    spec = _write("values.py", "number = 3\n")
    for kind in (None, "layer"):
        assert "expected a class or a function, got a value of type int" in _refusal(f"{spec}:number", kind)
    assert "values.py: a package needs one of RNN, TimeRNN, nn, and it has none" in _refusal(spec, "package")


def test_a_module_that_holds_no_layer_is_refused() -> None:
    assert (
        _refusal("this")
        == "this: a module without RNN, TimeRNN or nn of its own: name what to judge in it, this:Name"
    )


# Files and modules.


def test_a_file_runs_under_its_own_name_beside_its_siblings() -> None:
    _write("far/helper.py", "base = object\n")
    source = "import helper\nclass Cell(helper.base):\n    where = __name__\nif __name__ == '__main__':\n    1 / 0\n"
    obj = _load(_write("far/my-cell.v2.py", source) + ":Cell", "cell").obj
    assert obj.where == obj.__module__ == "my_cell_v2"


def test_a_file_without_a_name_is_a_package() -> None:
    assert _load(_write("both.py", "RNN = TimeRNN = dict\n")).interface == "package"


def test_a_file_hides_no_module_of_the_same_name() -> None:
    file = _write("copy.py", "def answer(case): return __name__\n")
    assert _load(f"{file}:answer").obj(0) == "copy_"
    assert sys.modules["copy"].deepcopy
    assert _load(f"{file}:answer").obj(0) == "copy__"


@pytest.mark.parametrize("marker", ["outer/__init__.py", "outer/readme"])
def test_relative_and_sibling_imports_of_a_package_work(marker: str) -> None:
    _write(marker, "")
    _write("outer/inner/__init__.py", "")
    _write("outer/base.py", "one = 1\n")
    _write("outer/inner/beside.py", "two = 2\n")
    source = "from ..base import one\nimport beside\ndef answer(case): return one + beside.two, __name__\n"
    assert _load(_write("outer/inner/rnn.py", source) + ":answer").obj(0) == (3, "outer.inner.rnn")


def test_a_file_that_its_package_imports_is_run_once() -> None:
    _write("once/__init__.py", "from once.rnn import answer\n")
    _write("once/rnn.py", "def answer(case): return __name__\n")
    by_file = _load("once/rnn.py:answer").obj
    assert by_file is sys.modules["once"].answer
    assert _load("once/__init__.py:answer").obj(0) == "once.rnn"


def test_a_package_that_python_has_from_elsewhere_is_refused() -> None:
    _write("rnn_np/__init__.py", "")
    file = _write("rnn_np/mine.py", "")
    assert "Python has another package of the name rnn_np already" in _refusal(f"{file}:RNN")


def test_a_module_is_found_in_the_working_directory() -> None:
    _write("things/local.py", LAYER)
    sys.path[:] = [entry for entry in sys.path if entry not in ("", str(Path.cwd()))]
    assert _load("things.local:Layer").interface == "layer"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import numpy\n1 / 0\n", r"ZeroDivisionError: division by zero \(bad\.py:2\)"),
        ("def f():\n    raise SystemExit(3)\nf()\n", r"SystemExit: 3 \(bad\.py:2 in f\)"),
        ("import json\njson.loads('')\n", r"JSONDecodeError: Expecting value.* \(bad\.py:2\)"),
        ("class\n", r"SyntaxError: invalid syntax \(bad\.py:1\)"),
        ("a\0", r"source code string cannot contain null bytes"),
        ("import nowhere_to_be_found\n", r"No module named 'nowhere_to_be_found' \(bad\.py:1\)"),
        ("from . import beside\n", r"cannot import name 'beside' from .* \(bad\.py:1\)"),
        ("def __getattr__(name): raise OSError(name)\n", r"OSError: Layer \(bad\.py:1 in __getattr__\)"),
    ],
)
def test_a_failing_import_says_where_in_the_users_code(
    source: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parity_tests.subjects.user_frames._START", Path.cwd())
    _write("bad.py", source)
    with pytest.raises(TargetError, match=rf"^bad\.py:Layer: loading it failed: .*{message}"):
        _load("bad.py:Layer")
    if "from ." not in source:
        with pytest.raises(TargetError, match=rf"^bad:Layer: loading it failed: .*{message}"):
            _load("bad:Layer")


def test_what_is_not_there_is_said_with_what_is_near() -> None:
    file = _write("mine.py", "class TimeRNN: pass\nclass Cell: pass\nunit = 1\n")
    assert _refusal(f"{file}:TimeRnn") == "mine.py:TimeRnn: mine.py has no TimeRnn; did you mean TimeRNN?"
    assert _refusal(f"{file}:unit") == "mine.py:unit: expected a class or a function, got a value of type int"
    assert _refusal(f"{file}:Other").endswith("mine.py has no Other; it has Cell, TimeRNN")
    assert _refusal(f"{file}:unit.real.x").endswith("mine.py has no x")
    assert _refusal("mime.py:RNN").endswith("mime.py: there is no such file; did you mean mine.py?")
    assert _refusal("nowhere/mine.py:RNN").endswith("mine.py: there is no such file")
    assert "nowhere.rnn: there is no module nowhere, in " in _refusal("nowhere.rnn:RNN")
    assert "rnn_np.rmm: there is no module rnn_np.rmm, in " in _refusal("rnn_np.rmm:RNN")


def test_an_error_is_formatted_in_one_bounded_line() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert format_error(KeyError()) == "KeyError"
    assert format_error(ValueError("a\n  b")) == "ValueError: a b"
    assert "Odd: <exception str() failed>" in format_error(Odd())
    assert len(format_error(ValueError("x" * 10**6))) == MAX_MESSAGE_CHARACTERS + len(" ...")


# Notebooks.


def test_cells_run_in_order_in_one_namespace_and_folder() -> None:
    cells = [
        "import os\nbefore = os.getcwd()",
        LAYER,
        "Layer.seen = before, __name__, len(__import__('near').x)",
    ]
    _write("deep/near.py", "x = [1]\n")
    Path(_notebook(*cells)).rename("deep/notes.ipynb")
    loaded = _load("deep/notes.ipynb:Layer")
    assert (loaded.interface, loaded.notices) == ("layer", [])
    assert loaded.obj.seen == (str(Path("deep").resolve()), "notes", 1)
    assert vars(sys.modules["notes"])["Layer"] is loaded.obj


def test_magics_are_skipped_and_what_surrounds_them_runs() -> None:
    cells = [
        "%matplotlib inline\n!pip install \\\n   something\nx = 1",
        "if x:\n    %time y = 2\n    z = (7\n  % 4)\nfiles = !ls\nx?\n?x\ntext = '''\n% kept\n'''",
        "%%bash\nls {",
        "%%timeit\nz = 0",
        "%%time\ndef answer(case):\n    return x + z, text",
    ]
    loaded = _load(_notebook(*cells) + ":answer")
    assert loaded.obj(0) == (4, "\n% kept\n")
    assert loaded.notices == [
        "code cell 1 ('%matplotlib inline'): skipped '%matplotlib inline'",
        "code cell 1 ('%matplotlib inline'): skipped '!pip install \\\\'",
        "code cell 2 ('if x:'): skipped '%time y = 2'",
        "code cell 2 ('if x:'): skipped 'files = !ls'",
        "code cell 2 ('if x:'): skipped 'x?'",
        "code cell 2 ('if x:'): skipped '?x'",
        "code cell 3 ('%%bash'): skipped",
        "code cell 4 ('%%timeit'): skipped",
        "code cell 5 ('%%time'): skipped '%%time'",
    ]


def test_a_failing_cell_is_reported_and_the_next_ones_run() -> None:
    cells = [
        "",
        "x = 1\nraise OSError('no data')",
        "await x",
        "%cd x\nx = = 2",
        "def f():\n  return nope\nf()",
        "raise SystemExit",
        LAYER,
    ]
    loaded = _load(_notebook(*cells) + ":Layer")
    assert loaded.interface == "layer"
    assert [notice.partition("failed: ")[2] for notice in loaded.notices] == [
        "OSError: no data (notes.ipynb[2]:2)",
        "SyntaxError: 'await' outside function (notes.ipynb[3]:1)",
        "",
        "SyntaxError: invalid syntax (notes.ipynb[4]:2)",
        "NameError: name 'nope' is not defined (notes.ipynb[5]:2 in f)",
        "SystemExit (notes.ipynb[6]:1)",
    ]


def test_a_name_missing_after_a_failed_cell_is_said_with_the_failure() -> None:
    message = _refusal(_notebook("1 / 0\nclass RNN: pass") + ":RNN")
    assert "notes.ipynb has no RNN; code cell 1 ('1 / 0'): failed: ZeroDivisionError" in message


def test_an_old_notebook_is_read_too() -> None:
    cell = {"cell_type": "code", "language": "python", "outputs": [], "collapsed": False, "metadata": {}}
    sheet = {"cells": [cell | {"input": ["def answer(case):\n", "    return 5"]}], "metadata": {}}
    old = {"worksheets": [sheet], "metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0}
    assert _load(_write("old.ipynb", json.dumps(old)) + ":answer").obj(0) == 5


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "not json", '{"cells": 1, "nbformat": 4, "nbformat_minor": 5}']
)
def test_a_file_that_is_no_notebook_is_refused(text: str) -> None:
    assert "notes.ipynb: expected a notebook, got a file that is not a notebook: " in _refusal(
        _write("notes.ipynb", text) + ":RNN"
    )


def test_without_nbformat_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nbformat", None)
    assert "nbformat, which is not installed: pip install nbformat" in _refusal(_notebook("") + ":RNN")
