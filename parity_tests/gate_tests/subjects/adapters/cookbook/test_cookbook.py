"""Every recipe of the cookbook is judged equal, a typical fault in it is found, and the page shows all of it."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import parity_tests
from parity_tests.gate_tests.subjects.adapters.cookbook.page import COOKBOOK, kept, page, said, shortened
from parity_tests.gate_tests.subjects.adapters.cookbook.recipes import CASES, FOLDER, RECIPES, Recipe, Shown
from parity_tests.run.options import checked_options
from parity_tests.run.runner import Run

pytest.importorskip("torch", reason="fresh cases need torch")
pytestmark = pytest.mark.skipif(not COOKBOOK.exists(), reason="only a checkout has the page")

MOST_LINES_OF_ADAPTER = 12
EACH = [pytest.param(recipe, id=recipe.name) for recipe in RECIPES]
SHOWN = [(recipe, shown) for recipe in RECIPES for shown in recipe.shown()]
RIGHT = [
    pytest.param(recipe, shown, id=f"{recipe.name}-{shown.function}")
    for recipe, shown in SHOWN
    if not shown.is_faulty
]
FAULTY = [pytest.param(shown, id=recipe.name) for recipe, shown in SHOWN if shown.is_faulty]
REGENERATE = "run: python -m parity_tests.gate_tests.documents"


def loaded(recipe: Recipe, source: str, folder: Path) -> ModuleType:
    """The file of a recipe with this text, as a module."""
    for name in recipe.needs:
        pytest.importorskip(name, reason=f"{name} is not installed")
    file = folder / f"{recipe.name}.py"
    file.write_text(source, "utf-8")
    spec = importlib.util.spec_from_file_location(recipe.name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("recipe", "shown"), RIGHT)
def test_a_recipe_is_judged_as_the_page_shows(
    recipe: Recipe, shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shown.function == "layer":
        monkeypatch.setenv("KERAS_BACKEND", "torch")
    for name in shown.needs:
        pytest.importorskip(name, reason=f"{name} is not installed")
    module = loaded(recipe, shown.source, tmp_path)
    lacking = recipe.without if shown.function == "answer" else (*recipe.without, "float64")
    report = parity_tests.check(getattr(module, shown.function), without=lacking, cases=CASES)
    assert report.ok, str(report)
    assert kept(COOKBOOK.read_text("utf-8"), shown).endswith(shortened(report.text))


@pytest.mark.parametrize("recipe", EACH)
def test_a_typical_fault_is_found(recipe: Recipe, tmp_path: Path) -> None:
    module = loaded(recipe, recipe.faulty, tmp_path)
    options = {"target": module.answer, "without": recipe.without, "cases": CASES}
    with Run.open(checked_options(options)) as run:
        assert run.first_error == ""
        assert any(run.judge_cases([case]).faults for case in run.plan.cases(0))


def test_a_fault_in_code_without_a_bias_gets_its_name(tmp_path: Path) -> None:
    (recipe,) = (recipe for recipe in RECIPES if recipe.name == "no_bias")
    module = loaded(recipe, recipe.faulty, tmp_path)
    report = parity_tests.check(module.answer, without=recipe.without, cases=3, lines=False)
    assert {finding.fault for finding in report.faults} == {"slope of another step"}


@pytest.mark.parametrize("recipe", EACH)
def test_an_adapter_is_short(recipe: Recipe) -> None:
    adapters = [
        node
        for node in ast.parse(recipe.source).body
        if isinstance(node, ast.FunctionDef) and [argument.arg for argument in node.args.args] == ["problem"]
    ]
    assert adapters
    for node in adapters:
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        lines = recipe.source.splitlines()[first - 1 : node.end_lineno]
        assert len([line for line in lines if line.strip()]) <= MOST_LINES_OF_ADAPTER


def test_every_file_is_a_recipe_and_every_recipe_a_file() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "page", "recipes", "test_cookbook"}
    assert {recipe.name for recipe in RECIPES} == files


def test_the_page_is_what_is_made_from_the_recipes() -> None:
    text = COOKBOOK.read_text("utf-8")
    assert page(lambda shown: kept(text, shown)) == text, REGENERATE


@pytest.mark.proof
@pytest.mark.parametrize("shown", FAULTY)
def test_a_fault_is_reported_as_the_page_shows(shown: Shown) -> None:
    assert said(shown) == kept(COOKBOOK.read_text("utf-8"), shown)
