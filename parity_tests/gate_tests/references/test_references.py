"""The references: torch as it is, the plain loop beside it, and the recorded answers."""

import json
import shutil
from collections.abc import Collection, Iterable
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import rnn_np
from parity_tests.cases.arrays import calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.features import FEATURES, restricted, undeclared
from parity_tests.cases.fields import CHOICES
from parity_tests.cases.layers import KINDS
from parity_tests.cases.tensors import OF_ADAPTERS, SECOND_BIAS, TENSORS, native, parameters
from parity_tests.checks.values import ReferencesDisagree, allowances_of, judge
from parity_tests.gate_tests.wrong import WRONG
from parity_tests.references.recorded import MANIFEST, RecordedError, default_folder, default_recorded, read
from parity_tests.references.tolerance import compare
from parity_tests.report import Report
from parity_tests.selftest.measures.right_layers import RIGHT
from parity_tests.subjects.adapters.declared import Declared
from parity_tests.subjects.drivers import kinds_of, run_case

pytestmark = pytest.mark.usefixtures("allowances_kept")
OF_NN = ("dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh")
MANY_TO_ONE = ("dense-gradient", "initial-state")
FOLDER = default_folder()
RECORDED = default_recorded()


def test_torch_is_called_as_a_user_would() -> None:
    torch = pytest.importorskip("torch")
    from parity_tests.references.live_torch import torch_answers

    case = Case(B=2, T=3, D=4, H=5, h0=True)
    (call,) = calls_of(case)
    rnn = torch.nn.RNN(4, 5, batch_first=True, dtype=torch.float64)
    state = {
        "weight_ih_l0": call.Wx.T,
        "weight_hh_l0": call.Wh.T,
        "bias_ih_l0": call.b,
        "bias_hh_l0": 0 * call.b,
    }
    rnn.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    x, h_0 = (torch.tensor(a, requires_grad=True) for a in (call.xs, call.h_0))
    output, h_n = rnn(x, h_0)
    (output * torch.tensor(call.dhs)).sum().backward()
    expected = {
        "hs": output,
        "h_n": h_n,
        "dx": x.grad,
        "dh_0": h_0.grad,
        "dWx": rnn.weight_ih_l0.grad.T,
        "dWh": rnn.weight_hh_l0.grad.T,
        "db": rnn.bias_ih_l0.grad,
        SECOND_BIAS: rnn.bias_hh_l0.grad,
    }
    (answer,) = torch_answers(case, [call])
    assert answer.keys() == expected.keys() == {*TENSORS} - {*OF_NN, *OF_ADAPTERS} | {SECOND_BIAS}
    for name, value in expected.items():
        np.testing.assert_allclose(answer[name], value.detach().numpy(), rtol=1e-13)


def test_torch_stacks_are_called_as_a_user_would() -> None:
    torch = pytest.importorskip("torch")
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    from parity_tests.references.live_torch import torch_answers

    case = Case.parse("nn-B3T4D2H5L2-bi-relu-f64-h0-both-unsorted-s3")
    (call,) = calls_of(case)
    rnn = torch.nn.RNN(2, 5, 2, "relu", bidirectional=True, dtype=torch.float64)
    state = parameters(case, call.weights)
    rnn.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    x, h_0 = (torch.tensor(a, requires_grad=True) for a in (call.xs.swapaxes(0, 1), call.h_0))
    packed = pack_padded_sequence(x, torch.tensor(call.lengths), enforce_sorted=False)
    output, h_n = rnn(packed, h_0)
    output, _ = pad_packed_sequence(output, total_length=4)
    assert call.dhs is not None
    dhs = torch.tensor(call.dhs.swapaxes(0, 1).copy())
    ((output * dhs).sum() + (h_n * torch.tensor(call.dh_n)).sum()).backward()
    expected = {"hs": output, "h_n": h_n, "dx": x.grad, "dh_0": h_0.grad}
    expected |= {f"d{name}": getattr(rnn, name).grad for name in state}
    (answer,) = torch_answers(case, [call])
    assert answer.keys() == expected.keys()
    assert len(expected) == 4 + 4 * 4
    for name, value in expected.items():
        want = value.detach().numpy()
        np.testing.assert_allclose(native(case, name, answer[name]), want, rtol=1e-12, atol=1e-14)


def test_references_that_disagree_judge_nothing() -> None:
    case = RECORDED.cases[4]
    answers = RECORDED(case, calls_of(case))
    for name in answers[0]:
        altered = [{**answer, name: answer[name] * (1 + 1e-9)} for answer in answers]
        with pytest.raises(ReferencesDisagree, match="two references differ in"):
            judge(case, lambda *_, altered=altered: altered, partial(run_case, rnn_np))


def _report(layers: object) -> Report:
    of_layers = [case for case in RECORDED.cases if not undeclared(case, ())]
    cases = [case for case in of_layers if case.layer in kinds_of(layers)]
    report = Report(planned=len(cases))
    for case in cases:
        report.add(judge(case, RECORDED, partial(run_case, layers)))
    return report


@pytest.mark.parametrize("name", WRONG)
def test_recorded_answers_catch_broken_layers_too(name: str) -> None:
    layers, check, tensors = WRONG[name]
    assert {(check, tensor) for tensor in tensors} <= {(f.check, f.tensor) for f in _report(layers).findings}


@pytest.mark.parametrize("name", RIGHT)
def test_recorded_answers_accuse_no_right_layer(name: str) -> None:
    assert _report(RIGHT[name]).ok


def test_recorded_cases_are_of_all_kinds() -> None:
    cases = RECORDED.cases
    assert len(cases) == len({*cases}) == 320
    for name, choices in CHOICES.items():
        assert {getattr(case, name) for case in cases} == {*choices} - {"sigmoid", "identity"}, name
    assert max(case.T for case in cases) == 300
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 3_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_many_to_one_code_without_a_start_state_has_recorded_cases_whatever_else_it_lacks(kind: str) -> None:
    """Such code takes a gradient of the last step, or of h_n, alone."""
    others = [name for name in FEATURES if name not in ("dense-gradient", "initial-state")]
    of_kind = [case for case in RECORDED.cases if case.layer == kind]
    lacking = partial(_lacking, [case for case in of_kind if _lacking([case], MANY_TO_ONE)])
    assert {name: len(lacking([name])) for name in others if len(lacking([name])) < 4} == {}
    adapter = Declared().implied
    assert len(lacking(adapter)) >= 4
    for dtype in ("float32", "float64"):
        assert lacking([*adapter, dtype])
        # The plainest layer of all: it lacks all that can be lacked together.
        assert lacking({*others} - {"flat-bias", "float32", "float64"} | {dtype})


def _lacking(cases: Iterable[Case], without: Collection[str]) -> list[Case]:
    return [case for case in cases if restricted(case, without) == case]


@pytest.mark.parametrize("token", [str(case) for case in RECORDED.cases])
def test_live_torch_still_gives_the_recorded_answers(token: str) -> None:
    pytest.importorskip("torch", reason="this compares recorded answers with live ones")
    from parity_tests.references.live_torch import torch_answers

    case = Case.parse(token)
    calls = calls_of(case)
    recorded, live = RECORDED(case, calls), torch_answers(case, calls)
    for kept, fresh, allowances in zip(recorded, live, allowances_of(case, calls, recorded), strict=True):
        assert kept.keys() == fresh.keys()
        for name, allowed in allowances.items():
            assert compare(kept[name], fresh[name], allowed).equal, name


def _copy(folder: Path) -> Path:
    shutil.copytree(FOLDER, folder / "fixtures")
    return folder / "fixtures"


@pytest.mark.parametrize("damage", ["missing", "truncated", "altered", "swapped"])
def test_a_damaged_file_is_an_error(tmp_path: Path, damage: str) -> None:
    folder = _copy(tmp_path)
    assert read(folder).cases == RECORDED.cases
    file, other = sorted(folder.glob("*.npz"))[:2]
    data = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(data[:-100])
    elif damage == "altered":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    else:
        file.write_bytes(other.read_bytes())
    with pytest.raises(RecordedError, match=file.name):
        read(folder)


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "[]",
        "{}",
        '{"format": 2, "versions": {}, "files": {"a": {}}}',
        '{"format": 1, "versions": {}, "files": {}}',
    ],
)
def test_a_damaged_manifest_is_an_error(tmp_path: Path, manifest: str) -> None:
    folder = _copy(tmp_path)
    (folder / MANIFEST).write_text(manifest, "utf-8")
    with pytest.raises(RecordedError, match=r"manifest|recorded answers"):
        read(folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(RecordedError, match="recorded answers: cannot read"):
        read(folder)


def test_a_token_that_no_array_belongs_to_is_an_error(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    next(iter(manifest["files"].values()))["cases"].append("B9T9D9H9-f64-s9")
    (folder / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(RecordedError, match="no arrays of case B9T9D9H9-f64-s9"):
        read(folder)


def test_inputs_that_differ_from_the_recorded_ones_are_an_error() -> None:
    case = RECORDED.cases[0]
    (call,) = deepcopy(calls_of(case))
    assert RECORDED(case, [call])
    call.xs[0, 0, 0] += 1e-9
    with pytest.raises(RecordedError, match="the inputs made here are not those recorded"):
        RECORDED(case, [call])
    with pytest.raises(RecordedError, match=r"not among the [0-9]+ recorded cases"):
        RECORDED(Case(B=9, T=9, D=9, H=9), [call])
