"""The commands that the documents, workflows and hooks show exist or are run, and their YAML is read."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import parity_tests
import rnn_np
from parity_tests.gate_tests.documents import (
    COOKBOOK,
    DOCUMENTS,
    GATE,
    GITHUB,
    IN_CHECKOUT,
    LAYERS,
    README,
    ROOT,
    blocks,
    name_of,
    prepared,
    shell_commands,
)
from parity_tests.references.recorded import default_recorded
from parity_tests.run.cli import judge_parser

yaml = pytest.importorskip("yaml", reason="the extra dev reads YAML")

pytestmark = pytest.mark.skipif(not IN_CHECKOUT, reason="only a checkout has the documents")

TOOLS = Path(sys.executable).parent
"""In the documents: ``.venv/bin``."""

NOT_RUN = {
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/rnn-parity": "downloads; all "
    "tests run the gate",
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest": "it runs these tests",
    "rnn-parity my_rnn.py:RNN": "the same as the next one without a file",
    "rnn-parity my_rnn.py:RNN --json report.json": "test_readme.py runs it and reads what it prints",
    "python -m pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu": "downloads",
    "python -m pip install 'rnn-np[parity] @ git+https://github.com/OWNER/rnn_np'": "downloads",
    "pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu": "downloads",
    "uv pip install torch==2.13.0 --torch-backend=cpu": "downloads",
    "bash .ci/run": "it runs these tests",
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]'": "downloads",
    "python -m pip install -e '.[recorded]' 'numpy==${{ matrix.numpy }}' 'pytest==${{ matrix.pytest }}'": "downloads",
    "python -m pip install -e '.[parity]' 'numpy==${{ matrix.numpy }}'": "downloads",
    "python -m pip install torch==${{ matrix.torch }} --index-url https://download.pytorch.org/whl/cpu": "downloads",
    "rnn-parity --reference torch": "all tests run it",
    "python -m pip install 'rnn-np[recorded] @ git+https://github.com/OWNER/rnn_np'": "downloads",
    "rnn-parity my_rnn.py:RNN --cases 100000 --shard ${{ matrix.part }}/4 --json part-${{ matrix.part }}.json": (
        "a part of a matrix, for minutes"
    ),
    "rnn-parity merge part-*.json": "needs the reports of a matrix",
    "python -m pip install -e '.[recorded]' 'hypothesis>=6.125'": "downloads",
    "python -m pip install --pre torch --index-url https://download.pytorch.org/whl/nightly/cpu": "downloads",
    ".venv/bin/pip install -q pre-commit && .venv/bin/pre-commit install": "downloads; changes the checkout",
    ".venv/bin/pip install -q -e '.[mutation]' && .venv/bin/mutmut run": "downloads; takes 7 minutes",
    ".venv/bin/mutmut results": "needs mutmut's run",
    ".venv/bin/pytest": "it runs these tests",
    ".venv/bin/pytest parity_tests/gate_tests": "it runs these tests",
    ".venv/bin/pytest parity_tests/layer_tests": "all tests run it",
    "python -m pytest parity_tests/layer_tests --parity-reference recorded": "all tests run it with live torch",
    ".venv/bin/rnn-parity faults": "takes minutes; all tests put the same faults in",
    ".venv/bin/pytest -m proof": "takes minutes",
    "PARITY_FUZZ=20000 PARITY_FUZZ_SEED=1 .venv/bin/pytest -n0 parity_tests/gate_tests/fuzz": "takes 15 minutes; all "
    "tests run 400 examples",
    "python -m parity_tests.selftest.combinations --pairs 500 --more 300 --confined 200": "takes minutes",
    "rnn-parity --reference torch --cases 10000 --seed fresh --json report.json": "takes a minute on 2 cores",
    ".venv/bin/python -m parity_tests.references.record": "writes the recorded answers anew",
    ".venv/bin/python -m parity_tests.selftest.measures.resolution --workers 2 --write": "takes minutes; test_resolution.py calls it",
    ".venv/bin/python -m parity_tests.selftest.measures.cost --write": "takes a minute; test_cost.py calls it",
    ".venv/bin/python -m parity_tests.selftest.measures.campaign --workers 2 --cases 10000 --seed 11 --keep all.json --write": (
        "takes minutes; test_campaign.py calls it"
    ),
    ".venv/bin/python -m parity_tests.selftest.measures.campaign --workers 2 --cases 200000 --seed 12 --variant rnn_np --keep "
    "ours.json": "takes an hour",
    ".venv/bin/python -m parity_tests.selftest.measures.campaign --workers 2 --cases 5000 --seed 13 --variant right --keep "
    "right.json": "takes minutes",
    ".venv/bin/pip install -q twine pyroma && .venv/bin/python -m build": "downloads; .ci/run builds the wheel",
    ".venv/bin/twine check --strict dist/* && .venv/bin/pyroma --min=10 .": "needs what is built",
    ".venv/bin/pip install -q basedpyright": "downloads",
    ".venv/bin/basedpyright --verifytypes rnn_np --ignoreexternal": "needs the line before",
    ".venv/bin/basedpyright --verifytypes parity_tests --ignoreexternal": "needs the same",
    ".venv/bin/mypy": "takes 11 s; .ci/run runs it",
    ".venv/bin/ruff format --force-exclude": "changes files; .ci/run runs it with --check",
}
"""Commands that are not run here, each with the reason."""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
FOR_USERS = (README, LAYERS, GATE)
"""Their commands run outside the checkout."""
WORKFLOW = {"name", "permissions", "jobs"}


def values(node: Any, key: str) -> Iterator[str]:
    """The values of a key anywhere in a YAML document."""
    for name, value in node.items() if isinstance(node, dict) else enumerate(node):
        if name == key:
            yield value
        elif isinstance(value, dict | list):
            yield from values(value, key)


def yaml_files() -> list[Path]:
    return sorted([*GITHUB.rglob("*.yml"), *GITHUB.rglob("*.cff"), *ROOT.glob(".pre-commit-config.yaml")])


def commands_of(document: Any, key: str) -> list[str]:
    """The commands in the values of a key of a YAML document."""
    return [line for block in values(document, key) for line in block.splitlines()]


@cache
def commands() -> dict[str, Path]:
    """Every command that the documents show, and that the workflows and hooks run, with its file."""
    found: dict[str, Path] = {}
    for path in yaml_files():
        key = "run" if path.parent.name == "workflows" else "entry"
        found |= dict.fromkeys(commands_of(yaml.safe_load(path.read_text("utf-8")), key), path)
    for path in DOCUMENTS:
        if path == COOKBOOK:  # cookbook/test_cookbook.py judges what its commands do
            continue
        for code in blocks(path, "sh"):
            found |= dict.fromkeys(shell_commands(code), path)
        for code in blocks(path, "yaml"):
            found |= dict.fromkeys(commands_of(yaml.safe_load(code), "run"), path)
    return dict(sorted(found.items()))


def test_every_yaml_document_is_read() -> None:
    for path in yaml_files():
        document = yaml.safe_load(path.read_text("utf-8"))
        expected = {
            "workflows": WORKFLOW,
            "ISSUE_TEMPLATE": {"name", "description", "body"},
            ".github": {"cff-version", "title", "authors", "version"},
        }
        assert expected.get(path.parent.name, {"repos"}) <= document.keys(), path


def test_the_workflow_of_the_readme_is_a_workflow() -> None:
    (code,) = blocks(README, "yaml")
    workflow = yaml.safe_load(code)
    # YAML 1.1 reads the key ``on`` as true.
    assert workflow.keys() == WORKFLOW | {True}
    (job,) = workflow["jobs"].values()
    assert job.keys() == {"runs-on", "timeout-minutes", "steps"}
    actions = {step["uses"] for step in job["steps"] if "uses" in step}
    own = {
        step
        for path in GITHUB.glob("workflows/*.yml")
        for step in values(yaml.safe_load(path.read_text()), "uses")
    }
    assert actions <= own
    assert sum("run" in step for step in job["steps"]) == 3


def test_no_other_language_is_in_a_block() -> None:
    for path in DOCUMENTS:
        languages = re.findall(r"^```(\w*)\n.*?^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        assert {*languages} <= {"python", "sh", "yaml", "toml", "text"}, name_of(path)


def test_the_project_of_uv_takes_the_cpu_build_of_torch() -> None:
    (code,) = blocks(GATE, "toml")
    project = tomllib.loads(code)
    index = project["tool"]["uv"]["sources"]["torch"]["index"]
    assert [entry["url"] for entry in project["tool"]["uv"]["index"] if entry["name"] == index] == [CPU_INDEX]
    assert "torch" in project["project"]["dependencies"]
    assert f"--index-url {CPU_INDEX}" in README.read_text("utf-8")


def test_one_address_stands_for_the_repository_everywhere() -> None:
    texts = [path.read_text("utf-8") for path in (*DOCUMENTS, *yaml_files(), ROOT / "pyproject.toml")]
    named = {name for text in texts for name in re.findall(r"github\.com/([\w-]+/[\w.-]*rnn[\w.-]*)", text)}
    assert named == {"OWNER/rnn_np"}


def test_the_floors_that_documents_and_workflows_name_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert {"torch>=2.4", "rnn-np[recorded]"} <= {*extras["parity"]}
    assert "torch==2.13.0" in extras["dev"]
    assert default_recorded().versions["torch"].partition("+")[0] == "2.13.0"
    floors = dict(
        text.split(">=") for text in [*project["dependencies"], *extras["recorded"], *extras["parity"][1:]]
    )
    assert (floors["numpy"], floors["pytest"]) == ("1.26", "8.4")
    workflow = yaml.safe_load((GITHUB / "workflows" / "versions.yml").read_text("utf-8"))
    jobs = [job for each in workflow["jobs"].values() for job in each["strategy"]["matrix"]["include"]]
    for name in ("numpy", "pytest", "torch"):
        tried = [job[name] for job in jobs if name in job]
        assert any(version.startswith(floors[name]) for version in tried), name
    assert {job["python"] for job in jobs} == {"3.11", "3.12", "3.13", "3.14"}
    # No machine was at hand for these.
    elsewhere = [job["tried"] for job in jobs if job["os"] != "ubuntu-latest" or job["python"] == "3.14"]
    assert {*elsewhere} == {"untested"}
    assert {job["os"].partition("-")[0] for job in jobs} == {"ubuntu", "macos", "windows"}
    nightly = (GITHUB / "workflows" / "torch-nightly.yml").read_text("utf-8")
    assert f"hypothesis>={floors['hypothesis']}" in nightly


def test_the_commands_that_are_not_run_are_still_shown() -> None:
    assert [command for command in NOT_RUN if command not in commands()] == []


@pytest.mark.parametrize("command", [command for command in commands() if command not in NOT_RUN])
def test_a_command_works(command: str, tmp_path: Path) -> None:
    here = command.replace(".venv/bin", str(TOOLS))
    search = os.pathsep.join([str(TOOLS), os.environ["PATH"]])
    program = shlex.split(here)[0]
    if shutil.which(program, path=search) is None:
        pytest.skip(f"{program} is not installed")
    path = commands()[command]
    folder = prepared(tmp_path) if path in FOR_USERS else ROOT
    done = subprocess.run(
        ["bash", "-euc", here],
        cwd=folder,
        env={**os.environ, "PATH": search, "PYTEST_XDIST_AUTO_NUM_WORKERS": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", NOT_RUN)
def test_what_a_command_names_exists(command: str) -> None:
    for part in command.split(" && "):
        program, *arguments = shlex.split(part)
        if arguments[:1] == ["-m"] and "python" in program:
            assert importlib.util.find_spec(arguments[1]) is not None or "download" in NOT_RUN[command]
        for argument in arguments:
            if argument.startswith(("parity_tests/", ".ci/")):
                assert (ROOT / argument).exists()
            if argument.startswith("--") and program.endswith("rnn-parity"):
                assert argument in judge_parser().format_help()


def test_every_document_has_the_package_s_version() -> None:
    citation = yaml.safe_load((GITHUB / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == rnn_np.__version__ == parity_tests.__version__
    latest = re.search(r"^## (\d\S*)", (GITHUB / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert latest is not None
    assert latest[1] == rnn_np.__version__
