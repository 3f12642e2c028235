"""A file that keeps what a run has judged, so that another one goes on from there.

Its first line says what the run rests on, and every further line has the report of a batch or of a check. The
last line of a run that came to its end has the whole report.
"""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parity_tests.report import Part, Report, RunFacts
from parity_tests.report.schema import FORMAT
from parity_tests.run.plan import Plan

END = "end"
MOST_BYTES = 2**31
"""Of a file that is read."""


class ResumeError(ValueError):
    """A record cannot be used; the message says why, and what to do."""


def name_of(item: int | tuple[str, str]) -> str:
    """What a batch, by its number, or a check is called, in a record and as a test."""
    return f"batch {item}" if isinstance(item, int) else " ".join(item)


def batch_of(name: str) -> int | None:
    """The number of a batch that has a name, or None."""
    word, _, number = name.partition(" ")
    return int(number) if word == "batch" and number.isdigit() else None


def has_end(file: Path) -> bool:
    """Whether a file looks like the record of a run that came to its end, so that nothing is left to judge."""
    try:
        data = file.read_bytes() if file.is_file() else b""
        return data.rstrip(b"\n").rpartition(b"\n")[2].startswith(b'{"name": "end"')
    except (OSError, ValueError):
        return False


class Record:
    """An open record. One process writes it: it is locked until ``close``.

    Args:
        file: the path; made if it is missing.
        facts: what the run rests on.
        plan: what is judged.

    Attributes:
        file: as given.
        parts: the reports of the batches and checks of runs before, by name.
        end: the report of a run before that came to its end, or None.

    Raises:
        ResumeError: the file is of another run, is damaged, in use or cannot be read or written.
    """

    def __init__(self, file: Path, facts: RunFacts, plan: Plan) -> None:
        self.file = file
        self.parts: dict[str, Report] = {}
        self.end: Report | None = None
        self._names = {*map(name_of, plan.batches), *map(name_of, plan.checks)}
        self._kept: set[str] = set()
        if not facts.code:
            raise ResumeError(
                f"resume: the source of {facts.target} cannot be found, so that a change of it would not be seen"
            )
        try:
            self._fd = os.open(
                file, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o666
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ResumeError(f"resume: cannot write {file}: {reason}") from error
        try:
            if not stat.S_ISREG(os.fstat(self._fd).st_mode):
                raise ResumeError(f"resume: {file} is no file, but a pipe or a device")
            self._lock()
            self._take_over(_header(facts, plan.part), facts, plan.part)
        except OSError as error:
            self.close()
            raise ResumeError(f"resume: cannot write {file}: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    @property
    def kept(self) -> int:
        """How many batches and checks are in it."""
        return len(self._kept)

    @property
    def planned(self) -> int:
        """How many there will be."""
        return len(self._names)

    def add(self, name: str, report: Report) -> None:
        """Keep the report of a batch or of a check; once it returns, it is on the disk.

        Raises:
            OSError: the disk is full, or gone.
        """
        if name not in self._kept:
            self._kept.add(name)
            self._write({"name": name, "report": report.to_json()})

    def finish(self, report: Report) -> None:
        """Keep the report of the whole run, if all of it was judged.

        Raises:
            OSError: the disk is full, or gone.
        """
        if self._kept == self._names and self.end is None:
            self._write({"name": END, "report": report.to_json()})

    def close(self) -> None:
        """Let another process use it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # on Windows
            return
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ResumeError(f"resume: {self.file} is in use by another run, or cannot be locked") from error

    def _take_over(self, header: str, facts: RunFacts, part: Part | None) -> None:
        *lines, last = self._text().split("\n")
        if not lines:
            if not header.startswith(last):
                raise ResumeError(f"resume: {self.file} is no record of a run; give the name of a new file")
            lines, last = [], ""
            os.truncate(self._fd, 0)
            self._write_line(header)
            return
        self._check_header(lines[0], facts, part)
        size = len(lines[0]) + 1
        for number, line in enumerate(lines[1:], 2):
            try:
                self._read(line)
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines) and not last:  # as after a power cut
                    last = line
                    break
                raise ResumeError(
                    f"resume: {self.file}, line {number} is damaged ({error}); delete the file to judge anew"
                ) from error
            size += len(line) + 1
        if last:  # the run before was killed while it wrote
            os.truncate(self._fd, size)

    def _text(self) -> str:
        if os.fstat(self._fd).st_size > MOST_BYTES:
            raise ResumeError(f"resume: {self.file} is too large to be the record of a run")
        try:
            return self.file.read_bytes().decode("ascii")
        except (OSError, ValueError) as error:
            raise ResumeError(
                f"resume: {self.file} is no record of a run, or is damaged ({error}); give the name of a new file"
            ) from error

    def _check_header(self, line: str, facts: RunFacts, part: Part | None) -> None:
        try:
            data = json.loads(line)
            version, of = data["resume"], data["run"]
            if version == FORMAT:
                before, part_before = RunFacts.from_json(of), data["part"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ResumeError(
                f"resume: {self.file} is no record of a run; give the name of a new file"
            ) from error
        why = "" if version == FORMAT else f"format is {FORMAT}, not {version}"
        why = why or before.difference(facts)
        if not why and part_before != _plain(part):
            why = f"part is {_plain(part)}, not {part_before}"
        if why:
            raise ResumeError(
                f"resume: {self.file} is of another run: {why}; give the name of a new file, or delete it"
            )

    def _read(self, line: str) -> None:
        data = json.loads(line)
        name, report = data["name"], Report.from_json(data["report"])
        if name == END:
            if self.end is not None or self._kept != self._names or not _adds_up(report, self.parts.values()):
                raise ValueError("it is no end of what stands before")
            self.end = report
        elif name not in self._names or name in self._kept or self.end is not None:
            raise ValueError(f"{name!r:.60} does not belong here")
        else:
            self.parts[name] = report
            self._kept.add(name)

    def _write(self, data: Mapping[str, Any]) -> None:
        self._write_line(json.dumps(data))

    def _write_line(self, line: str) -> None:
        text = f"{line}\n".encode("ascii")
        while text:  # a signal may cut it, and a full disk
            text = text[os.write(self._fd, text) :]
        os.fsync(self._fd)


def _header(facts: RunFacts, part: Part | None) -> str:
    return json.dumps({"resume": FORMAT, "part": _plain(part), "run": facts.to_json()})


def _plain(part: Part | None) -> str | None:
    return None if part is None else str(part)


def _adds_up(report: Report, parts: Any) -> bool:
    """Whether the report of the whole has at least what its batches and checks have."""
    whole = Report(planned=0)
    for part in parts:
        whole.add(part)
    return report.cases >= whole.cases and report.checks == whole.checks and report.calls >= whole.calls
