"""What was found? Findings, tallies, the report they add up to, and wrong lines."""

from parity_tests.report.facts import RunFacts, accuracy_in_words
from parity_tests.report.finding import SHOWN, Finding, Severity
from parity_tests.report.part import Part
from parity_tests.report.report import Report, Verdict, grouped, named
from parity_tests.report.systematic import SystematicError
from parity_tests.report.tally import TALLY_HEADINGS, Tally, shown_worst

__all__ = [
    "SHOWN",
    "TALLY_HEADINGS",
    "Finding",
    "Part",
    "Report",
    "RunFacts",
    "Severity",
    "SystematicError",
    "Tally",
    "Verdict",
    "accuracy_in_words",
    "grouped",
    "named",
    "shown_worst",
]
