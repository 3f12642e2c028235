"""What is known of a check: its name, severity and meaning, and the checks made in every case.

The drivers of ``subjects`` make findings of these checks, so they are defined below that room; the checks
that only ``checks`` makes are defined there, each at its function. ``checks.registry`` lists all of them.
"""

from dataclasses import dataclass, replace

from parity_tests.cases.case import Case
from parity_tests.report import Finding, Severity


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold of a layer.

    Attributes:
        name: as reports, ``--without`` and the file of known failures have it.
        meaning: what must hold, in a sentence.
        applies_to: where the check is made, in words.
        severity: of its findings.
        fault: the name of the fault in a layer that does not pass, if there is but one.
        advice: where to look for the fault in one's own code, or ``""``.
    """

    name: str
    meaning: str
    applies_to: str = "every case"
    severity: Severity = Severity.FAULT
    fault: str | None = None
    advice: str = ""

    def finding(self, tensor: str, case: Case, observed: str) -> Finding:
        """Return the finding that a layer does not pass.

        Args:
            tensor: the tensor concerned, or ``""``.
            case: where it was seen.
            observed: what was seen; the advice is added.
        """
        message = f"{observed}; {self.advice}" if self.advice else observed
        return Finding(self.name, tensor, case, message, self.severity, self.fault)


IN_A_CHILD = "every case in a child process"

VALUES = Check("values", "Every element equals the reference's within the measured tolerance.")
NON_FINITE_VALUES = Check(
    "non-finite values", "NaN and infinity are in the same elements as in the reference."
)
SYSTEMATIC = Check(
    "systematic error",
    "Over a run, no float32 tensor is too large or too small on average by more than 2.5 times the unit roundoff.",
    "a run of 30 float32 cases or more",
    advice="look for a factor or a constant that is not exact, such as 0.9999995 or a rounded division, and for "
    "a nonlinearity that is approximated. It shows in a whole run, not in one case",
)
TYPE = Check("type", "Every result is there, and is a `numpy.ndarray` of numbers.")
SHAPE = Check("shape", "Every result has the shape that torch gives it.")
DTYPE = Check("dtype", "Every result has the dtype of the parameters, or a wider one.")
FLOAT32_RESULTS = replace(
    DTYPE,
    fault="buffers fixed to float32",
    advice="look for buffers made by `dtype='f'` or `np.float32`; `--without float64` says that it knows "
    "float32 only",
)
"""Its findings come once for a target, and all else in it is judged in float32."""
FLOAT32_INSIDE = replace(
    FLOAT32_RESULTS,
    fault="float32 inside",
    advice="look for buffers made without `dtype=`, by `dtype='f'` or `np.float32`; `--without float64` says "
    "that it knows float32 only",
)
"""The same where the results are float64 again."""
WIDER_DTYPE = Check(
    "wider dtype",
    "Results of float32 parameters are float32.",
    severity=Severity.ADVISORY,
    fault="float32 in, float64 out",
    advice="look for `np.zeros(shape)` without `dtype=`",
)
"""Its findings come once for a target."""
INPUTS_UNTOUCHED = Check(
    "inputs untouched",
    "No call writes into the arrays that it is given, nor into the parameters.",
    fault="input overwritten",
    advice="look for `+=`, `*=` or `[...] =` on an input or a parameter",
)
RESULTS_OWNED = Check(
    "results owned by the caller",
    "A returned array keeps its values through all later calls (of the attributes `h` and `dh`: advice).",
    fault="output buffer reused",
    advice="look for a buffer that every call fills and returns; return a copy",
)
GRADIENTS_IN_PLACE = Check(
    "gradients in place",
    "`backward` writes the gradients into the arrays that `grads` held from the start (with torch's interface: "
    "advice).",
    fault="gradients in new arrays",
    advice="look for `self.grads = [...]` in backward; write `self.grads[i][...] = ...`",
)
DROPOUT_MASKS = Check(
    "dropout masks",
    "The layer's own `dropout_masks`, given back to it, give the same output.",
    "every case with dropout",
)
UPDATE_ERROR = Check(
    "resolution of updates",
    "A gradient that is found from an update is not much coarser than its own rounding.",
    "adapters that return `gradients_from_update`",
    Severity.ADVISORY,
    advice="where the code takes a learning rate, give it 2**40: then they show",
)
RAISES = Check("raises", "No call raises an exception.")
INTERFACE = Check("interface", "It has the methods and parameters of its interface, and takes its arguments.")
RETURNS_IN_TIME = Check("returns in time", "All calls of a case return before the timeout.", IN_A_CHILD)
PROCESS_GOES_ON = Check("process goes on", "No call ends the process.", IN_A_CHILD)
ENDS_A_CASE = (RAISES.name, INTERFACE.name, RETURNS_IN_TIME.name, PROCESS_GOES_ON.name)
"""Checks that fail where no answer comes to a call, and none to the calls after it."""
PRINTS = Check("prints", "No call prints.", IN_A_CHILD, Severity.ADVISORY)
KNOWN_FAILURE = Check(
    "known failure", "What is declared as a known failure still fails.", "a run with known failures"
)
"""Its findings are of ``known_failure``."""

CASE_CHECKS = (
    VALUES,
    NON_FINITE_VALUES,
    SYSTEMATIC,
    TYPE,
    SHAPE,
    DTYPE,
    WIDER_DTYPE,
    INPUTS_UNTOUCHED,
    RESULTS_OWNED,
    GRADIENTS_IN_PLACE,
    DROPOUT_MASKS,
    UPDATE_ERROR,
    RAISES,
    INTERFACE,
    RETURNS_IN_TIME,
    PROCESS_GOES_ON,
    PRINTS,
    KNOWN_FAILURE,
)
"""The checks that are made in every case of a run, and of the run itself."""


def as_advice(check: Check) -> Check:
    """Return the check where it is about something that correct layers do too."""
    return replace(check, severity=Severity.ADVISORY)


def known_failure(what: str) -> Check:
    """Return the check that a known failure, such as ``values of dx``, still fails."""
    return replace(KNOWN_FAILURE, name=f"{KNOWN_FAILURE.name} of {what}")
