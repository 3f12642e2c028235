"""What was found? Findings, tallies, the report they add up to, and wrong lines."""

from parity_tests.report.report import (
    SHOWN,
    TALLY_HEADINGS,
    Finding,
    Report,
    Severity,
    Tally,
    Verdict,
    grouped,
    named,
    shown_worst,
)

__all__ = [
    "SHOWN",
    "TALLY_HEADINGS",
    "Finding",
    "Report",
    "Severity",
    "Tally",
    "Verdict",
    "grouped",
    "named",
    "shown_worst",
]
