"""The names of faults: each faulty loop is distinguished from all others, and people's faults get theirs."""

from collections.abc import Callable, Iterable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from parity_tests.cases.arrays import Array, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.features import restricted
from parity_tests.cases.tensors import Answer
from parity_tests.checks.values import RunCase
from parity_tests.diagnosis.diagnose import Diagnosis, diagnose
from parity_tests.diagnosis.explanation import Explanation, Suspect
from parity_tests.diagnosis.faults.catalogue import CATALOGUE, ORDER
from parity_tests.diagnosis.faults.faulty_loop import Fault, FaultyLoop, Variant
from parity_tests.diagnosis.symptoms import SYMPTOMS
from parity_tests.gate_tests.people import CELLS, LAYERS, MODULES, RIGHT_LAYERS, RIGHT_MODULES
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.rounding import NoNoise
from parity_tests.report import Finding
from parity_tests.selftest.catalogue_run import answering, asked_of, results_of
from parity_tests.subjects.drivers import run_case
from parity_tests.subjects.results import CaseResults

NAMES = {
    "upstream-dropped": ("upstream gradient dropped",),
    "slope-is-h": ("activation in place of its derivative",),
    "slope-wrong-formula": ("slope 1 + h^2", "divided by the slope"),
    "tanh-around-one-summand": ("nonlinearity covers one summand only",),
    "relu-mask-all-true": ("relu mask true everywhere",),
    "wrong-defaults": ("relu in place of tanh", "bias left out by default"),
    "carry-dropped": ("carry dropped",),
    "carry-Wh-not-transposed": ("carry through Wh not transposed",),
    "backward-runs-forward": ("steps taken back in forward order",),
    "dhs-shifted": ("upstream gradients read one step off",),
    "d_output-none": ("absent output gradient is garbage", "absent output gradient refused"),
    "carry-left-over": ("carry left over from the last backward",),
    "clipped": (
        "clipped gradients",
        "clipped carry",
        "clipped dz",
        "clipped upstream gradients",
        "gradients scaled down to a norm",
    ),
    "carry-wrong-factor": ("carry doubled", "carry through the diagonal of Wh"),
    "gradient-overwritten-in-loop": ("gradient of one step only", "gradient of one batch row only"),
    "dWh-index-wraps": ("dWh with the last state at the first step",),
    "dWh-transposed": ("dWh transposed",),
    "wrong-delta": ("d taken for dz", "dWh with the dz of another step", "db takes the carry for dz"),
    "db-times-input": ("db multiplied by the input",),
    "db-one-step": ("db of one step only",),
    "upper-biases-zero": ("bias gradients of upper layers zero",),
    "divided-by-B": ("gradients divided by the batch size", "upstream gradient divided by the batch size"),
    "divided-by-T": (
        "gradients scaled by the number of steps",
        "upstream gradient divided by the number of steps",
    ),
    "reverse-gradients-zero": ("reverse direction's gradients zero",),
    "dh0-no-weights": ("dh_0 without Wh", "carry without Wh"),
    "state-never-advances": ("state never advances",),
    "one-bias-twice": ("one bias used twice",),
    "layers-read-x": ("layers fed the input of the stack",),
    "layers-share-state": ("all layers start from one state", "layers share one running state"),
    "h0-ignored": ("initial state ignored",),
    "h0-at-every-call": ("given state applied again at every call",),
    "state-kept-wrongly": (
        "reset_state without effect",
        "state forgotten between calls",
        "state kept though not stateful",
        "state zeroed at every step",
    ),
    "state-from-row-above": ("state runs from row to row",),
    "weights-of-first-call": ("weights of the first call",),
    "squeezed": ("squeeze removes the batch axis",),
    "reshape-for-transpose": ("reshape in place of a transpose",),
    "float32-inside": ("buffers fixed to float32", "float32 inside"),
    "float64-out": ("float32 in, float64 out",),
    "memory-order": ("arrays read in memory order",),
    "h_n-reshaped": ("states reshaped in place of a transpose",),
    "dropout-after-last-layer": ("dropout on the outputs",),
    "dropout-on-carry": ("dropout on the carried state",),
    "gradient-between-layers-grows": ("gradient piles up between layers",),
    "rows-after-last-block": ("rows behind the last whole block zero",),
    "reverse-reads-forward": ("reverse direction not reversed",),
    "batch-flipped": ("batch flipped in place of time",),
    "reverse-starts-in-padding": ("reverse direction starts in the padding",),
    "h_n-from-output": ("h_n taken from the last output", "reverse h_n at the wrong end"),
    "reverse-h_n-wrong-end": ("reverse h_n at the wrong end",),
    "directions-interleaved": ("directions interleaved in the output",),
    "carry-cut-in-padding": ("carry cut in the padding",),
    "buffer-reversed-whole": ("backward turns a longer buffer",),
    "dWx-from-output": ("middle layers take their output for their input",),
    "cache-shared": ("backward reads an earlier call",),
    "Wh-transposed": ("Wh transposed",),
    "Wx-square": ("Wx transposed where it is square",),
    "b-never": ("bias left out",),
    "b-not-at-0": ("bias at some steps only",),
    "b-outside": ("bias behind the nonlinearity",),
    "b-twice": ("bias added twice",),
    "batch-mean-state": ("state averaged over the batch",),
    "bias_hh-twice": ("gradient doubled",),
    "bias_hh-zero": ("gradient left at zero",),
    "carry-minus": ("carry with the wrong sign",),
    "carry-no-slope": ("carry without the slope",),
    "carry-no-weights": ("carry without Wh",),
    "carry-slope-twice": ("carry multiplied by the slope twice",),
    "dWh-h-t": ("dWh with the state after the step",),
    "dWh-h0-only": ("dWh with another step's state",),
    "dWh-no-h0": ("dWh without the initial state",),
    "dWx-sign": ("gradient with the wrong sign",),
    "dWx-square": ("dWx transposed where it is square",),
    "d_h_n-at-T": ("carry cut in the padding, or d_h_n at the wrong step",),
    "d_h_n-ignored": ("d_h_n not used",),
    "d_h_n-last-layer": ("d_h_n not used",),
    "d_h_n-wrong-end": ("d_h_n at the wrong step",),
    "db-one-row": ("gradient of one batch row only",),
    "db-twice": ("gradient doubled",),
    "dh0-none": ("result never set",),
    "dh0-plus-dhs": ("dh_0 with an upstream gradient",),
    "dh0-sign": ("gradient with the wrong sign",),
    "dh0-summed": ("dh_0 summed over the batch",),
    "dh0-zero": ("gradient left at zero",),
    "dhs-last-lost": ("last upstream gradient not used",),
    "dhs-last-only": ("only the last upstream gradient used",),
    "dhs-reversed": ("upstream gradients reversed in time",),
    "dhs-summed": ("upstream gradients summed into the last step",),
    "direction-major": ("states in another order",),
    "directions-share": ("directions share weights",),
    "directions-summed": ("directions summed",),
    "directions-swapped": ("directions swapped in the output",),
    "dropout": ("dropout on the outputs", "random numbers"),
    "dropout-(1-p)": ("dropout scaled wrongly",),
    "dropout-1/p": ("dropout scaled wrongly",),
    "dropout-backward-unscaled": ("dropout missing in the backward",),
    "dropout-eval": ("dropout in evaluation mode",),
    "dropout-eval-scale": ("outputs scaled in evaluation mode",),
    "dropout-inverted": ("dropout mask inverted",),
    "dropout-no-backward": ("dropout missing in the backward",),
    "dropout-one-mask": ("one dropout mask for all layers",),
    "dropout-one-step": ("one dropout mask for all steps",),
    "dropout-unscaled": ("dropout scaled wrongly",),
    "dx-last-only": ("dx of one step only",),
    "dx-no-carry": ("dx without the carry",),
    "dx-reverse-lost": ("dx of one direction only",),
    "dx-reversed": ("dx reversed in time",),
    "dx-shifted": ("dx one step off",),
    "dx-sign": ("gradient with the wrong sign",),
    "dx-time-major": ("batch and time exchanged",),
    "dx-wx-square": ("dx through Wx not transposed",),
    "factor-2": ("gradient doubled",),
    "float16": ("half precision inside",),
    "grads-accumulate": ("gradients accumulate over calls",),
    "grads-decay": ("weight decay in the gradient",),
    "grads-lr": ("gradient times a constant",),
    "grads-momentum": ("running mean of gradients",),
    "grads-noise": ("random numbers",),
    "grads-sign": ("gradient with the wrong sign",),
    "h0-noise": ("random numbers",),
    "h0-ones": ("start from a constant",),
    "h0-row0": ("first row's start for all rows",),
    "h_n-T-2": ("h_n of another step",),
    "h_n-batch-first": ("batch and time exchanged",),
    "h_n-first": ("h_n of another step",),
    "h_n-layers-reversed": ("states in another order",),
    "h_n-z": ("h_n before the nonlinearity",),
    "hh-shared": ("layers share weights",),
    "hs-reversed": ("outputs reversed in time",),
    "hs-shifted": ("outputs one step late",),
    "leaky": ("old state mixed into the new",),
    "lengths-ignored": ("lengths ignored",),
    "lengths-sticky": ("lengths of an earlier call",),
    "linear": ("nonlinearity missing",),
    "load-bias_hh": ("parameters not loaded",),
    "load-transposed": ("weight_hh loaded transposed",),
    "loop-stops-at-1": ("first step never taken back",),
    "max-len": ("steps behind a fixed length not run",),
    "nonlinearity-ignored": ("tanh in place of relu",),
    "padding-gradient": ("padding leaks into the gradient",),
    "padding-held": ("outputs held in the padding",),
    "params-updated": ("parameters updated by the backward",),
    "reads-backwards": ("sequence read from its end",),
    "relu": ("relu in place of tanh",),
    "reverse-not-back": ("reverse outputs not turned back",),
    "rounded": ("states rounded",),
    "row0-drives": ("first row drives all rows",),
    "sigmoid": ("logistic function in place of tanh",),
    "slope-eps": ("slope with an epsilon",),
    "slope-h-prev": ("slope of another step",),
    "slope-no-square": ("slope without the square",),
    "slope-none": ("slope missing",),
    "slope-relu-for-tanh": ("slope of relu under tanh",),
    "slope-sigmoid": ("slope of the logistic function",),
    "slope-tanh-for-relu": ("slope of tanh under relu",),
    "slope-tanh-h": ("tanh taken again in the slope",),
    "slope-z": ("slope at the pre-activation",),
    "sorted": ("rows left sorted by length",),
    "tanh-approx": ("another function in place of tanh",),
    "tanh-twice": ("nonlinearity applied twice",),
    "tbptt": ("truncated backpropagation",),
    "total-length": ("output cut to the longest row",),
    "unbatched-axis": ("batch axis kept for unbatched input",),
    "weights-swapped": ("Wx and Wh swapped where D = H",),
    "x-centred": ("input normalized",),
    "x-first": ("first input at every step",),
    "x-late": ("inputs one step off",),
    "z-clipped": ("pre-activation clipped",),
}
"""What the faults of people are called, by their tags; the rest show in no value of a call."""
OTHER_CHECKS = {
    *("WritesIntoGivenState", "FinalStateIntoGiven", "OverflowingTanh", "AddsIntoUpstream", "ClassCache"),
    *("SlopesUpstreamInPlace", "OutputIsTheCache", "OutputBufferReused", "KeepsInputView", "CachePopped"),
    *("DxIntoInput", "FreesInput", "KeepsGivenState", "RebindsGrads", "ReplacesGradArrays", "LiveStateDict"),
    *("ForwardZeroesGrads", "LiveWeightsInBackward", "OverwritesState", "SlopeIntoUpstream", "OneTapeForAll"),
    *("ClassCacheCell", "StatesOverwritten", "FinalGradientAddedInPlace", "InputPaddingZeroed"),
    *("LoadedByReference", "NewGradientArrays"),
}
"""Faults that the values in the probe cases do not show; other checks name them."""
SMALL = {
    "TimeRNN": "B2T2D2H2-f64-h0-again-s1",
    "RNN": "cell-B2D2H2-f64-again-s1",
    "nn.RNN": "nn-B2T2D2H2L2-bi-f64-h0-both-unsorted-p0.25-s1",
    "nn.RNNCell": "nncell-B2D2H2-f64-h0-again-s1",
}
"""By kind, a case for many pairs of faults."""
SOME_LOOPS = 30
"""Every how many-th faulty loop is named in every run."""
SOME_LAYERS = 8
"""Every how many-th hand-written layer is."""
LARGE = "tanh overflows"
"""Shows at pre-activations beyond those of the probe cases."""


def layers(kind: str, cls: Any) -> SimpleNamespace:
    if kind == "nn.RNN":
        return SimpleNamespace(nn=SimpleNamespace(RNN=cls))
    return SimpleNamespace(**{{"TimeRNN": "TimeRNN", "RNN": "RNN"}[kind]: cls})


def of_class(kind: str, cls: Any) -> list[Diagnosis]:
    """The diagnosis of a class that knows no packed sequences."""
    subject = layers(kind, cls)
    return diagnose(kind, partial(run_case, subject), [], unpacked)


def unpacked(case: Case) -> Case:
    return restricted(case, ("packed",))


def test_names_are_unique() -> None:
    names = [fault.name for fault in CATALOGUE] + [symptom.name for symptom in SYMPTOMS]
    assert len(names) == len({*names})
    assert all("{" not in fault.look.format(function="tanh", slope="1 - h**2") for fault in CATALOGUE)


def test_the_order_of_preference_names_faults_of_the_catalogue_only() -> None:
    assert [fault.name for fault in CATALOGUE][: len(ORDER)] == [*ORDER]


def every_loop() -> list[Any]:
    """Return every loop; some, with one of each family, are tried in every run, all of them in the longer proof."""
    loops = [(fault, n) for fault in CATALOGUE if fault.name != LARGE for n in range(len(fault.loops))]
    families: set[str] = set()
    result = []
    for number, (fault, n) in enumerate(loops):
        family = fault.loops[n].loop.__module__
        marks = [pytest.mark.proof] if number % SOME_LOOPS and family in families else []
        families.add(family)
        result.append(pytest.param(fault, fault.loops[n], id=f"{fault.name}-{n}", marks=marks))
    return result


@pytest.mark.parametrize(("fault", "loop"), every_loop())
def test_every_faulty_loop_is_distinguished_from_all_others(fault: Fault, loop: Variant) -> None:
    named: Iterable[list[Diagnosis]] = (
        diagnose(kind, asking(loop), [], partial(restricted, without=without))
        for kind, without in asked_of(fault)
    )
    first = next((found for found in named if found), [])
    assert first, loop
    name = first[0].fault
    assert name is not None, first
    assert fault.name in name.split(", or "), first


UNNAMED = {"HalfPrecisionStates": "no faulty loop has its numbers"}
"""Hand-written faults that get a hint and no name, each with the reason."""


def people() -> list[Any]:
    """Return every hand-written fault that numbers show; some are named in every run, all in the longer proof."""
    listed = [
        (kind, tag, cls)
        for kind, rows in (("TimeRNN", LAYERS), ("RNN", CELLS), ("nn.RNN", MODULES))
        for tag, _, cls in rows
        if cls.__name__ not in OTHER_CHECKS
    ]
    result = []
    for number, (kind, tag, cls) in enumerate(listed):
        marks = [pytest.mark.proof] if number % SOME_LAYERS else []
        if cls.__name__ in UNNAMED:
            marks.append(pytest.mark.xfail(reason=UNNAMED[cls.__name__]))
        result.append(pytest.param(kind, tag, cls, id=f"{kind}-{tag}-{cls.__name__}", marks=marks))
    return result


@pytest.mark.parametrize(("kind", "tag", "cls"), people())
def test_what_people_wrote_gets_its_name(kind: str, tag: str, cls: Any) -> None:
    found = of_class(kind, cls)
    assert found
    assert found[0].fault in NAMES[tag]


@pytest.mark.parametrize(
    ("kind", "cls"),
    [
        (kind, cls)
        for kind, rows in (("TimeRNN", RIGHT_LAYERS), ("nn.RNN", RIGHT_MODULES))
        for _, _, cls in rows
    ],
)
def test_a_right_layer_has_no_diagnosis(kind: str, cls: Any) -> None:
    assert of_class(kind, cls) == []


def test_without_float64_the_name_is_the_same() -> None:
    (tag, _, cls) = LAYERS[0]
    subject = layers("TimeRNN", cls)
    single = diagnose(
        "TimeRNN",
        partial(run_case, subject),
        [],
        lambda case: restricted(case, ["float64"]),
    )
    assert single[0].fault in NAMES[tag]


def test_what_a_target_lacks_costs_no_name() -> None:
    """Many-to-one code without an initial state, its gradient or that of the input, as in tutorials."""
    lacking = ("initial-state", "dense-gradient", "non-finite", "state", "second-call")
    for name in ("CarryNotTransposed", "AssignsInsteadOfAdds", "ClipTenth"):
        tag, cls = next((tag, cls) for tag, _, cls in LAYERS if cls.__name__ == name)
        subject = layers("TimeRNN", cls)

        def many_to_one(case: Case, subject: Any = subject) -> CaseResults:
            results = run_case(subject, case)
            for tensors in (call.tensors for call in results.calls):
                del tensors["dx"], tensors["dh_0"]
            return results

        finding = Finding("values", "dWh", Case.parse("B1T2D1H1-f64-last-s0"), "off")
        found = diagnose("TimeRNN", many_to_one, [finding], lambda case: restricted(case, lacking))
        (explained,) = (diagnosis for diagnosis in found if ("values", "dWh") in diagnosis.explains)
        assert explained.fault in NAMES[tag], name


def test_half_precision_is_no_name_for_everything() -> None:
    """Two faults at once have a name each, or none; their numbers are off by far more."""
    cls = next(cls for _, _, cls in LAYERS if cls.__name__ == "CarryNotTransposed")

    class Both(cls):  # type: ignore[misc, valid-type]
        def backward(self, dhs: Array) -> Array:
            dxs: Array = super().backward(np.sin(3 * dhs))
            return dxs

    found = diagnose("TimeRNN", partial(run_case, layers("TimeRNN", Both)), [])
    assert not any("precision" in (diagnosis.fault or "") for diagnosis in found)
    assert all(diagnosis.message.strip() == diagnosis.message != "" for diagnosis in found)


def test_what_a_diagnosis_explains_and_says() -> None:
    tensors = ("dx", "dWh", "hs")
    findings = [Finding("values", name, Case.parse("B1T1D1H1-f64-s0"), "off") for name in tensors]
    findings.append(Finding("inputs untouched", "xs", Case.parse("B1T1D1H1-f64-s0"), "changed"))
    subject = layers("TimeRNN", LAYERS[0][2])
    (found,) = diagnose("TimeRNN", partial(run_case, subject), findings)
    assert found.explains == {("values", name) for name in tensors}
    assert found.message.startswith("Gradients are independent of the upstream gradient.")
    assert "`1 - h**2` not multiplied by `dh_next`" in found.message
    assert found.clue is None


def asking(loop: Variant) -> RunCase:
    return answering(loop)


def altered(change: Callable[[Case, int, Answer], Answer]) -> RunCase:
    """A subject that is right but for a change of each call's tensors."""

    def run_case(case: Case) -> CaseResults:
        spreads = FaultyLoop(case, NoNoise(case)).spreads(calls_of(case))
        right = [{name: runs[0].copy() for name, runs in spread.runs.items()} for spread in spreads]
        return results_of(case, [change(case, n, tensors) for n, tensors in enumerate(right)])

    return run_case


def hint(change: Callable[[Case, int, Answer], Answer]) -> str:
    (found,) = diagnose("TimeRNN", altered(change), [])
    assert found.fault is None, found
    assert found.clue is not None
    return found.clue


def together(*names: str) -> Explanation:
    """Put several faults of the catalogue together, each as it is most commonly written."""
    explanation = Explanation()
    for name in names:
        (fault,) = (fault for fault in CATALOGUE if fault.name == name)
        explanation = explanation.and_with(Suspect(fault, fault.loops[0]))
    return explanation


def test_faults_at_once_are_all_named() -> None:
    names = "carry through Wh not transposed", "dWh with the state after the step"
    findings = [Finding("values", name, Case.parse("B1T2D1H2-f64-s0"), "off") for name in ("dx", "dWh")]
    first, second = diagnose("TimeRNN", answering(together(*names)), findings)
    assert (first.fault, second.fault) == names
    assert [*first.explains, *second.explains] == [("values", "dx"), ("values", "dWh")]


def test_what_no_probe_case_shows_is_told_with_the_first_of_several_faults() -> None:
    names = "carry through Wh not transposed", "dWh with the state after the step"
    findings = [Finding("non-finite values", "hs", Case.parse("B1T2D1H2-f64-s0"), "off")]
    first, second = diagnose("TimeRNN", answering(together(*names)), findings)
    assert first.explains == {("non-finite values", "hs")}
    assert not second.explains


def test_a_loop_that_reads_preactivations_must_keep_them() -> None:
    class Forgetful(FaultyLoop):
        def outputs(self, trace: CellTrace) -> Array:
            return trace.z

    class Careful(Forgetful):
        keep_preactivations = True

    case = Case.parse(SMALL["TimeRNN"])
    with pytest.raises(RuntimeError, match="must set keep_preactivations"):
        Forgetful(case, NoNoise(case)).answers(calls_of(case))
    assert "hs" in Careful(case, NoNoise(case)).answers(calls_of(case))[0]


def test_a_parameter_that_a_fault_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="has no parameter lmit"):
        CATALOGUE[0].loops[0].with_params(lmit=1.0)


def test_what_is_left_is_said() -> None:
    def change(case: Case, number: int, tensors: Answer) -> Answer:
        return tensors | {"dWh": tensors["dWh"].T, "dx": tensors["dx"] + 0.01 * tensors["dx"] ** 2}

    findings = [Finding("values", name, Case.parse("B1T1D1H1-f64-s0"), "off") for name in ("dx", "dWh")]
    first, second = diagnose("TimeRNN", altered(change), findings)
    assert (first.fault, second.fault) == ("dWh transposed", None)
    assert [*first.explains, *second.explains] == [("values", "dWh"), ("values", "dx")]


def test_a_hint_says_where() -> None:
    def change(case: Case, number: int, tensors: Answer) -> Answer:
        return tensors | ({"dx": tensors["dx"] ** 3} if case.D == case.H else {})

    text = hint(change)
    assert "Only with D = H." in text
    assert "Right in all cases: hs, h_n, dh_0, dWx, dWh, db." in text


def test_a_hint_says_from_how_many_steps_on() -> None:
    def change(case: Case, number: int, tensors: Answer) -> Answer:
        return tensors | ({"db": tensors["db"] ** 3} if case.T > 5 and case.chunks == 1 else {})

    assert "Only with T > 5." in hint(change)


def test_a_hint_says_in_which_call() -> None:
    def change(case: Case, number: int, tensors: Answer) -> Answer:
        return tensors | ({"dWx": tensors["dWx"] + tensors["dWx"] ** 3} if number else {})

    text = hint(change)
    assert "Only with several calls." in text
    assert "Never in the first call." in text


def test_a_hint_of_a_small_error_has_no_factor() -> None:
    def change(case: Case, number: int, tensors: Answer) -> Answer:
        return tensors | {
            "dWx": tensors["dWx"] + 1e-8 * np.cos(tensors["dWx"]) * np.abs(tensors["dWx"]).max()
        }

    assert "dWx, where it is wrong, is off by at most 1e-08 of its largest" in hint(change)


def test_a_hint_says_how() -> None:
    def change(case: Case, number: int, tensors: Answer) -> Answer:
        x = np.array(tensors["dx"])
        x[:, 2:] += 1
        return tensors | {
            "dWx": tensors["dWx"] * (1.5 if case.D > 2 else 1.7),
            "hs": tensors["hs"][::-1],
            "dx": x if case.T > 2 else tensors["dx"],
        }

    text = hint(change)
    assert "dWx, where it is wrong, is the right one times a number that is not the same" in text
    assert "hs, where it is wrong, is the right one with the batch reversed." in text
    assert "dx, where it is wrong, is right before step 2." in text
