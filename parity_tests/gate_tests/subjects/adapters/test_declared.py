"""What an adapter declares: its cases have it, right code is equal, and a fault in it is found."""

import dataclasses
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="fresh cases need torch")

import parity_tests
from parity_tests import Problem
from parity_tests.cases.draw import draw_case
from parity_tests.checks.values import judge
from parity_tests.gate_tests.subjects.adapters.models import FUNCTIONS, Model, stack
from parity_tests.references.live_torch import torch_answers
from parity_tests.subjects.adapters.problem import halves
from parity_tests.subjects.drivers import implied_by, kinds_of, run_case
from parity_tests.subjects.interfaces import subject_of

CASES = 8
HEADS = [
    (loss, reduction, many_to_one, indices)
    for loss, reduction, many_to_one, indices in product(
        ("cross_entropy", "mse", "half_mse"), ("mean", "sum", "batchmean"), (False, True), (False, True)
    )
    if loss == "cross_entropy" or not indices
]


def judged(answer: Any, declared: dict[str, Any], **options: Any) -> parity_tests.Report:
    """The report of an adapter that is a new function, as its declarations are kept at the function."""

    def adapter(problem: Problem) -> Any:
        return answer(problem)

    return parity_tests.check(parity_tests.adapter(**declared)(adapter), lines=False, **options)


def wrong_tensors(answer: Any, declared: dict[str, Any], case: str = "", cases: int = CASES) -> set[str]:
    """The tensors of an adapter that are wrong, found without a diagnosis."""
    subject = subject_of(parity_tests.adapter(**declared)(lambda problem: answer(problem)), "adapter")
    drawn = [draw_case(0, number, kinds_of(subject), implied_by(subject)) for number in range(cases)]
    asked = [parity_tests.Case.parse(case)] if case else drawn
    reports = [judge(each, torch_answers, partial(run_case, subject)) for each in asked]
    return {finding.tensor for report in reports for finding in report.faults}


@pytest.mark.parametrize(("loss", "reduction", "many_to_one", "indices"), HEADS)
def test_right_code_with_a_loss_is_equal(loss: str, reduction: str, many_to_one: bool, indices: bool) -> None:
    declared = {"loss": loss, "reduction": reduction, "many_to_one": many_to_one, "indices": indices}
    model = Model(loss, reduction, many_to_one)
    report = judged(model, declared, cases=CASES)
    assert report.ok, report.text
    of_head = {"logits", "loss", "dWy", "dby"}
    assert {name for name, tally in report.tensors.items() if tally.slices > tally.inconclusive} >= of_head
    recorded = judged(model, declared, reference="recorded")
    assert recorded.ok
    assert recorded.cases >= 2


@pytest.mark.parametrize("many_to_one", [False, True])
def test_right_code_with_a_head_alone_is_equal(many_to_one: bool) -> None:
    declared = {"head": True, "many_to_one": many_to_one}
    assert judged(Model("logits", "mean", many_to_one), declared, cases=CASES).ok
    assert judged(Model("logits", "mean", many_to_one), declared, reference="recorded").ok


@pytest.mark.parametrize("tensor", ["logits", "loss", "dWy", "dby", "dx", "dWh"])
def test_one_number_of_a_model_that_is_off_is_found(tensor: str) -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        result = Model("cross_entropy")(problem)
        value = np.array(result[tensor])
        value[(-1,) * value.ndim] *= 1 + 1e-6
        return {**result, tensor: value}

    case = "B3T4D2H5V4-f64-h0-cross_entropy-s1"
    assert wrong_tensors(answer, {"loss": "cross_entropy"}, case) == {tensor}
    assert wrong_tensors(Model("cross_entropy"), {"loss": "cross_entropy"}, case) == set()


def test_an_exponential_that_overflows_is_found() -> None:
    class Unshifted(Model):
        def with_gradient(self, logits: Any, targets: Any) -> Any:
            p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
            one_hot = np.eye(logits.shape[-1])[targets]
            return -np.log((p * one_hot).sum(-1)).mean(), (p - one_hot) / np.prod(targets.shape)

    declared = {"loss": "cross_entropy"}
    with np.errstate(all="ignore"):
        for token in ("B3T4D2H5V4-f32-cross_entropy{}-s1", "B3T4D2H5V4-f64-cross_entropy{}-s1"):
            for shift in ("-high", "-low"):
                wrong = wrong_tensors(Unshifted("cross_entropy"), declared, token.format(shift))
                assert {"loss", "dWy"} <= wrong
            assert wrong_tensors(Unshifted("cross_entropy"), declared, token.format("")) == set()


def test_probabilities_are_taken_in_place_of_logits() -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        result = Model("cross_entropy")(problem)
        powers = np.exp(result["logits"] - result["logits"].max(-1, keepdims=True))
        result["probabilities"] = powers / powers.sum(-1, keepdims=True)
        del result["logits"]
        return result

    report = judged(answer, {"loss": "cross_entropy"}, cases=CASES)
    assert report.ok, report.text
    assert report.tensors["probabilities"].slices
    assert "logits" not in report.tensors


@pytest.mark.parametrize("nonlinearity", FUNCTIONS)
def test_right_code_of_a_declared_nonlinearity_is_equal(nonlinearity: str) -> None:
    report = judged(Model(), {"nonlinearity": nonlinearity}, cases=CASES)
    assert report.ok, report.text
    assert judged(Model("mse"), {"nonlinearity": nonlinearity, "loss": "mse"}, cases=CASES).ok

    class OtherSlope(Model):
        def slope(self, problem: Problem, h: Any) -> Any:
            return 1 + h * h

    assert "dx" in wrong_tensors(OtherSlope(), {"nonlinearity": nonlinearity})


def test_a_fault_in_one_of_two_biases_is_found() -> None:
    def first_in_place_of_second(problem: Problem) -> dict[str, Any]:
        return Model()(dataclasses.replace(problem, b_hh=problem.b_ih))

    def second_gradient_missing(problem: Problem) -> dict[str, Any]:
        result = Model()(problem)
        return {**result, "db_hh": 0 * result["db_hh"]}

    def one_gradient(problem: Problem) -> dict[str, Any]:
        result = Model()(problem)
        return {name: value for name, value in result.items() if name != "db_hh"}

    case = "B3T4D2H5-f64-h0-s1"
    assert "hs" in wrong_tensors(first_in_place_of_second, {}, case)
    assert wrong_tensors(second_gradient_missing, {}, case) == {"db_hh"}
    assert "db_hh" in str(judged(one_gradient, {}, case=case).not_judged)
    assert judged(one_gradient, {}, case=case, without=["db_hh"]).ok


def test_two_biases_have_the_sum_without_rounding() -> None:
    for dtype in (np.float32, np.float64):
        b = np.random.default_rng(0).normal(size=1000).astype(dtype)
        first, second = halves(b)
        assert first.dtype == second.dtype == dtype
        assert np.array_equal(first + second, b)
        assert (first != second).mean() > 0.9
        assert (first != 0).mean() > 0.9
        assert (second != 0).mean() > 0.9


def test_code_without_a_bias_is_equal() -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        assert not problem.b.any()
        return {name: value for name, value in Model()(problem).items() if not name.startswith("db")}

    report = judged(answer, {}, cases=CASES, without=["bias"])
    assert report.ok, report.text
    assert "db" not in report.tensors
    assert judged(answer, {}, reference="recorded", without=["bias"]).ok


@pytest.mark.parametrize("loss", ["none", "cross_entropy", "mse"])
def test_a_head_without_a_bias_is_equal(loss: str) -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        assert not problem.by.any()
        result = Model("logits" if loss == "none" else loss)(problem)
        return {name: value for name, value in result.items() if name != "dby"}

    declared = {"head": True} if loss == "none" else {"loss": loss}
    report = judged(answer, {**declared, "without": "head-bias"}, cases=CASES)
    assert report.ok, report.text
    assert report.cases == CASES
    assert "dby" not in report.tensors


STACK = {"num_layers": True, "bidirectional": True, "lengths": True, "final_gradient": True}


def test_right_stacks_are_equal() -> None:
    def two(problem: Problem) -> dict[str, Any]:
        assert problem.bidirectional
        return stack(problem)

    def pulled(problem: Problem) -> dict[str, Any]:
        assert problem.dh_n.shape == problem.h_0.shape
        return stack(problem)

    report = judged(stack, STACK, cases=3 * CASES)
    assert report.ok, report.text
    assert {"dweight_ih", "dbias_hh", "dh_0"} <= {*report.tensors}
    assert judged(stack, STACK, reference="recorded").cases >= 3
    assert judged(two, {"bidirectional": True}, cases=CASES).ok
    assert judged(pulled, {"final_gradient": True}, cases=CASES).ok

    def forward(problem: Problem) -> dict[str, Any]:
        result = stack(problem)
        return {"hs": result["hs"], "h_n": result["h_n"]}

    gradients = ["dx", "dh_0", "dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh"]
    assert judged(forward, STACK, cases=CASES, without=gradients).ok


def test_a_fault_in_the_upper_layers_of_a_stack_is_found_there() -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        upper = {name for name in problem.weights if not name.endswith("_l0")}
        return {name: -value if name[1:] in upper else value for name, value in stack(problem).items()}

    wrong = wrong_tensors(answer, {"num_layers": True}, cases=2 * CASES)
    assert {name.rpartition("_l")[2] for name in wrong} == {"1", "2", "3"}


def test_what_an_adapter_is_given_is_its_own() -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        given = [problem.xs, problem.Wx, problem.b_hh, problem.Wy, *problem.weights.values()]
        assert all(
            array.flags.c_contiguous and array.flags.writeable and array.base is None for array in given
        )
        assert np.array_equal(problem.weights["weight_ih_l0"], problem.Wx.T)
        assert problem.num_layers == 1
        assert (problem.lengths == problem.xs.shape[1]).all()
        with pytest.raises(AttributeError, match=r"^indices: the case has no one-hot inputs: .*indices=True"):
            _ = problem.indices
        result = Model("mse")(problem)
        problem.Wy[...] = 0
        return result

    (finding,) = judged(answer, {"loss": "mse"}, case="B3T4D2H5V4-f64-h0-mse-s1").findings
    assert (finding.check, finding.tensor) == ("inputs untouched", "Wy")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"nonlinearity": "swish"}, ValueError, "nonlinearity: expected one of tanh, relu, .*, got 'swish'"),
        (
            {"loss": "nll"},
            ValueError,
            "loss: expected one of cross_entropy, mse, half_mse or None, got 'nll'",
        ),
        ({"loss": "mse", "reduction": "none"}, ValueError, "reduction: expected one of mean, .*, got 'none'"),
        ({"reduction": "sum"}, ValueError, "reduction: sum needs a loss"),
        ({"many_to_one": True}, ValueError, "many_to_one: needs a loss or head=True"),
        (
            {"loss": "mse", "num_layers": True},
            ValueError,
            "num_layers, .*: expected none of them beside a head",
        ),
        ({"outputs": 3}, ValueError, "outputs: 3 outputs need a loss or head=True, got neither"),
        ({"loss": "cross_entropy", "outputs": 1}, ValueError, "outputs: expected 2 to 1024, got 1"),
        ({"loss": "mse", "outputs": "one"}, TypeError, "outputs: expected a whole number or None, got 'one'"),
        (
            {"num_layers": "two"},
            TypeError,
            "num_layers: expected True, False or a number of layers, got 'two'",
        ),
        ({"num_layers": 1}, ValueError, "num_layers: expected True, False or 2 to 4, got 1"),
    ],
)
def test_declarations_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        parity_tests.adapter(**options)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("B2T3D4H5V3-f64-cross_entropy-s0", "has cross_entropy, which .* does not declare"),
        ("nn-B2T3D4H5-f64-s0", "it is judged as an adapter"),
    ],
)
def test_a_case_of_what_is_not_declared_is_refused(case: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judged(Model(), {}, case=case)


def test_a_case_of_something_else_than_declared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"is no case of what .* declares: .*loss mse"):
        judged(Model("mse"), {"loss": "mse"}, case="B2T3D4H5-f64-s0")


def test_a_stack_is_asked_for_what_it_declares_alone() -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        assert (problem.lengths == problem.xs.shape[1]).all()
        assert not problem.bidirectional
        assert "dh_n" not in problem.further
        return stack(problem)

    report = judged(answer, {"num_layers": True}, cases=2 * CASES)
    assert report.ok, report.text


def test_an_adapter_declares_what_it_lacks() -> None:
    def forward(problem: Problem) -> dict[str, Any]:
        result = Model()(problem)
        return {"hs": result["hs"], "h_n": result["h_n"]}

    report = judged(forward, {"without": "backward"}, cases=CASES)
    assert report.ok, report.text
    assert {*report.tensors} == {"hs", "h_n"}
    assert "skipped (declared missing): a backward" in report.text
    assert judged(forward, {"without": ["batch"]}, cases=CASES, without=["backward"]).ok
    assert judged(stack, {"num_layers": True, "without": "backward"}, cases=CASES).ok
    with pytest.raises(
        ValueError, match=r"without: expected features .*, got 'backwards'; did you mean backward"
    ):
        judged(forward, {"without": "backwards"}, cases=1)
    with pytest.raises(TypeError, match="without: expected names, as a str with commas or a list, got 3"):
        parity_tests.adapter(without=3)  # type: ignore[arg-type]


def test_code_that_gives_no_logits_may_give_no_probabilities_either() -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        return {name: value for name, value in Model("cross_entropy")(problem).items() if name != "logits"}

    assert judged(answer, {"loss": "cross_entropy", "without": "logits"}, cases=CASES).ok
    assert "logits" in str(judged(answer, {"loss": "cross_entropy"}, cases=CASES).not_judged)


def test_the_cells_of_a_stack_are_its_weights() -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        assert len(problem.cells) == problem.num_layers * (1 + problem.bidirectional)
        last = problem.cells[-1]
        suffix = f"_l{problem.num_layers - 1}" + "_reverse" * problem.bidirectional
        assert np.array_equal(last.Wx.T, problem.weights[f"weight_ih{suffix}"])
        assert np.array_equal(
            last.b, problem.weights[f"bias_ih{suffix}"] + problem.weights[f"bias_hh{suffix}"]
        )
        assert np.array_equal(problem.cells[0].Wh, problem.Wh)
        return stack(problem)

    for declared in (STACK, {"without": "backward"}):
        report = judged(
            answer if declared is STACK else lambda problem: (problem.cells, Model()(problem))[1],
            declared,
            cases=2,
        )
        assert report.ok, report.text


@pytest.mark.parametrize("outputs", [1, 13])
def test_a_fixed_number_of_outputs(outputs: int) -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        assert problem.Wy.shape[1] == outputs
        return Model("mse")(problem)

    assert judged(answer, {"loss": "mse", "outputs": outputs}, cases=CASES).ok
    result = wrong_tensors(
        lambda p: {**answer(p), "dby": 2 * answer(p)["dby"]}, {"loss": "mse", "outputs": outputs}
    )
    assert result == {"dby"}


def test_a_fixed_number_of_layers_is_in_every_case() -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        assert (problem.num_layers, problem.bidirectional) == (3, False)
        return stack(problem)

    report = judged(answer, {"num_layers": 3}, cases=CASES)
    assert report.ok, report.text
