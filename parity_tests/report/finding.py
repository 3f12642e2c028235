"""One way in which a layer is wrong, and what that means for the verdict."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.report.wrong_line import JSON_KEYS, WrongLine


class Severity(StrEnum):
    """What a finding means for the verdict; its value is what the JSON report shows.

    The rule that decides between the first two:

    - A **fault** makes numbers wrong in ordinary use: a training loop, repeated calls, either precision as
      far as the target offers it. In ordinary use the caller changes no array that it has given or been
      given, but the parameters, in place, between a backward and the next call.
    - **Advice** is what right layers do too. Of a target with torch's interface, what torch documents or
      plainly intends is never a fault.
    - The project's own layers promise more. Of them, advice is a fault.
    """

    FAULT = "fault"
    """The layer is wrong, and the run fails."""
    ADVISORY = "unusual"
    """Advice: correct layers may do so too; the run does not fail."""
    KNOWN = "known"
    """A fault that is declared in the file of known failures; the run does not fail."""


SHOWN = {Severity.FAULT: "fault", Severity.ADVISORY: "advice", Severity.KNOWN: "known"}
"""What a person reads."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which the layer judged is wrong, seen in one case.

    Attributes:
        check: what was checked: ``values``, ``shape``, ``dtype``, ``inputs untouched``, ...
        tensor: the tensor concerned, or ``""`` where it is not about one.
        case: the case in which it was seen.
        message: all of it in words and numbers.
        severity: what it means for the verdict.
        fault: the name of the fault, if known.
        clue: what the numbers say about it, if anything.
        telling: whether the numbers shown are of ordinary size and plainly differ.
        wrong_line: the line of the user's code that is wrong, if one was found.
    """

    check: str
    tensor: str
    case: Case
    message: str
    severity: Severity = Severity.FAULT
    fault: str | None = None
    clue: str | None = None
    telling: bool = True
    wrong_line: WrongLine | None = None

    @property
    def what(self) -> str:
        """Check and tensor in a word or two."""
        return f"{self.check} of {self.tensor}" if self.tensor else self.check

    def to_json(self) -> dict[str, Any]:
        """All of it in JSON's types; the case is its token."""
        # pytest-xdist sends plain strings between processes, and no subclass of str.
        texts = {"case": str(self.case), "severity": self.severity.value}
        own = {name: getattr(self, name) for name in self.__slots__ if name != "wrong_line"}
        line = asdict(self.wrong_line) | {"cures": [*self.wrong_line.cures]} if self.wrong_line else {}
        return own | texts | {key: line.get(name) for name, key in JSON_KEYS.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Finding":
        """The finding that ``to_json`` came from."""
        values: dict[str, Any] = {"case": Case.parse(data["case"]), "severity": Severity(data["severity"])}
        line = {name: data[key] for name, key in JSON_KEYS.items()}
        if line["file"] is not None:
            values["wrong_line"] = WrongLine(**line | {"cures": tuple(line["cures"])})
        own = {name: data[name] for name in cls.__slots__ if name != "wrong_line"}
        return cls(**{**own, **values})
