"""The page of the cookbook, made from the recipes and what the gate says of them."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill

from parity_tests.gate_tests.subjects.adapters.cookbook.recipes import FOLDER, RECIPES, Recipe, Shown

ROOT = FOLDER.parents[4]
COOKBOOK = ROOT / "parity_tests" / "COOKBOOK.md"
WIDTH = 118
"""Of a line of text."""

HEAD = """# Cookbook

Adapters for code as people write it, for the [gate](README.md). Try `rnn-parity adapt my_rnn.py` first: for much code
it finds an adapter by trial, and writes it. Come here if it finds none, or if your code has more than it found.

An adapter is a function of one argument, a `Problem`, and calls your code. It passes on the arrays of the problem in
the shapes that your code takes: `Wx` [D, H], `Wh` [H, H], `b` [H], `xs` [B, T, D], `h_0` [B, H], and `dhs` [B, T, H],
the upstream gradient of every state. It returns a dict of what your code gives, with the batch first: the states `hs`
and `h_n`, and the gradients `dx`, `dh_0`, `dWx`, `dWh` and `db`. The decorator `@parity_tests.adapter(...)` declares
what your code has beyond that, such as a head with a loss, and `--without` declares what it lacks. Let the adapter
transpose, stack and rename, but not compute: what it computes itself is not your code.

Every recipe is one complete file, your part above and the adapter below. Find the line that looks like your code, copy
the file, and put your code in the place of ours:

| what your code looks like | recipe |
|---|---|
| a class `(Wx, Wh, b)` with `params`, `grads`, `forward` and `backward`, or torch's interface in NumPy | \
none: it is [judged as it is](README.md#options) |
"""
TAIL = """Under each recipe stand its command and the line of the verdict, without the seconds that it took. The tests of
this project run all of them, those with ONNX Runtime and Keras where these are installed."""


class NotObtained(Exception):
    """An output cannot be obtained here, and the page has none of this recipe as it is."""


def page(obtain: Callable[[Shown], str]) -> str:
    """The page, with outputs from ``obtain``."""
    table = [
        f"| {looks} | [{recipe.title}](COOKBOOK.md#{recipe.title.lower().replace(' ', '-')}) |"
        for recipe in RECIPES
        for looks in recipe.looks
    ]
    parts = [HEAD + "\n".join(table), TAIL]
    return "\n\n".join([*parts, *(_section(recipe, obtain) for recipe in RECIPES)]) + "\n"


def _section(recipe: Recipe, obtain: Callable[[Shown], str]) -> str:
    text = fill(recipe.text, WIDTH, break_long_words=False, break_on_hyphens=False)
    parts = [f"## {recipe.title}", text, f"```python\n{recipe.source}```"]
    for shown in recipe.shown():
        parts += [_before(shown), obtain(shown)]
    return "\n\n".join(parts)


def _before(shown: Shown) -> str:
    """What stands before an output."""
    command = f"```sh\n{shown.command}\n```" if shown.command else ""
    return "\n\n".join(filter(None, [shown.lead, command]))


def kept(existing: str, shown: Shown) -> str:
    """The output that a page has, or an empty string if the page has another file or another command."""
    right = next(recipe.source for recipe in RECIPES if recipe.name == shown.name)
    _, found, section = existing.partition(f"\n```python\n{right}```\n")
    _, asked, rest = section.partition("\n## ")[0].partition(f"\n{_before(shown)}\n\n")
    block = re.match(r"(?:With [^\n]*:\n\n)?```text\n.*?\n```", rest, re.DOTALL)
    return block[0] if found and asked and block else ""


def obtained(existing: str) -> Callable[[Shown], str]:
    """What obtains outputs by running the commands; where a package is not installed, the page's is kept."""

    def obtain(shown: Shown) -> str:
        missing = [name for name in shown.needs if find_spec(name) is None]
        if not missing:
            return output_of(shown)
        if found := kept(existing, shown):
            return found
        raise NotObtained(
            f"{shown.name}.py: its output needs {' and '.join(missing)}, which is not installed"
        )

    return obtain


def output_of(shown: Shown) -> str:
    """The output of a command as the page shows it, with the versions of what it needs."""
    versions = " and ".join(f"{name} {version(name)}" for name in shown.needs)
    return f"With {versions}:\n\n" * bool(versions) + said(shown)


def said(shown: Shown) -> str:
    """What the command says, as a block."""
    right = next(recipe for recipe in RECIPES if recipe.name == shown.name)
    command = shown.command or next(right.shown()).command
    gate = f"{sys.executable} -m parity_tests"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{shown.name}.py").write_text(shown.source, "utf-8")
        done = subprocess.run(
            ["bash", "-c", f"{command.replace('rnn-parity', gate)} --workers 0"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
            capture_output=True,
            text=True,
        )
    # A slow run has lines of progress before the verdict.
    report = re.search(r"^(EQUAL|DIFFERENT)\b.*", done.stdout, re.DOTALL | re.MULTILINE)
    if report is None:
        raise NotObtained(f"{command}\n{done.stdout}{done.stderr}")
    return shortened(report[0])


def shortened(report: str) -> str:
    """The line of the verdict without the seconds, and the first finding without its numbers, as a block."""
    verdict, _, rest = report.partition("\n")
    finding = re.match(r"\n(1\. .*?)\n   \w+\[[^]]*\]: got ", rest, re.DOTALL)
    line = re.sub(r" in [\d.]+ s\b", "", verdict)
    return "\n".join(["```text", f"{line}\n\n{finding[1]}" if finding else line, "```"])
