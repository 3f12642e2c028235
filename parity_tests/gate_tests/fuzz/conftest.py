"""The seed is printed: before the run, and with every failure."""

import pytest

pytest.importorskip("hypothesis", reason="Hypothesis draws the examples")

from parity_tests.gate_tests.fuzz.examples import EXAMPLES, RAN, SEED, again

pytest.register_assert_rewrite("parity_tests.gate_tests.fuzz.calls")


def pytest_report_header() -> str:
    """Say which examples will run."""
    return f"fuzz: {EXAMPLES:,} examples, seed {SEED}; run again with {again()}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many have run in this process."""
    if RAN:
        terminalreporter.write_line(f"fuzz: {sum(RAN.values()):,} examples of seed {SEED}: {dict(RAN)}")
