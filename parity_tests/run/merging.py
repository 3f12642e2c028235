"""The command ``rnn-parity merge``: the one verdict of the parts of a run."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import rnn_np
from parity_tests.checks.known_failures import passing_now
from parity_tests.checks.systematic import systematic_findings
from parity_tests.report import Report, RunFacts
from parity_tests.run.output import check_writable, write_whole
from parity_tests.run.record.facts import plan_of
from parity_tests.run.show.layout import layout_here
from parity_tests.run.show.render import verdict
from parity_tests.subjects.interfaces import TargetError
from parity_tests.words import in_words

MOST_BYTES = 2**28
"""Of a file that is read; a device may never end."""
MAX_NUMBERS = 10
"""Missing parts that a message lists."""


class MergeError(ValueError):
    """The reports are not all parts of one run; the message says why."""


def merge_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the arguments of ``rnn-parity merge`` to a parser."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="the report of a part, written by --json")
    parser.add_argument("--json", metavar="FILE", help="write the merged report to FILE")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-v", "--verbose", action="store_true", help="show all that was found")
    group.add_argument("-q", "--quiet", action="store_true", help="show one line, the verdict")
    return parser


def run_merge(parser: argparse.ArgumentParser, words: Sequence[str]) -> int:
    """Run the command; return its exit status: 0 all equal, 1 a difference, 2 could not judge or merge."""
    options = merge_parser(parser).parse_args(words)
    try:
        if options.json in options.files:
            raise MergeError(f"{options.json} is a part, and would be overwritten: give --json another file")
        if options.json is not None:
            check_writable(Path(options.json))
        report = merged({file: read_part(Path(file)) for file in _once(options.files)})
        assert report.run is not None
        layout = layout_here(options.verbose - options.quiet)
        sys.stdout.write(verdict(report, plan_of(report.run), layout))
        sys.stdout.flush()
        if options.json is not None:
            write_whole(Path(options.json), json.dumps(report.to_json(), indent=1) + "\n")
    except MergeError as error:
        return _refused(parser, str(error))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return _refused(parser, f"json: cannot write {options.json}: {reason}")
    return report.exit_code


def _refused(parser: argparse.ArgumentParser, message: str) -> int:
    print(f"{parser.prog}: {message}", file=sys.stderr)
    return 2


def _once(files: Sequence[str]) -> Sequence[str]:
    for file in files:
        if files.count(file) > 1:
            raise MergeError(f"{file} is given twice")
    return files


def read_part(file: Path) -> Report:
    """Return the report of a part, from the file that ``--json`` wrote.

    Raises:
        MergeError: it cannot be read, or holds no report of a whole part.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"expected at most {MOST_BYTES:,} bytes")
        report = Report.from_json(data)
    except OSError as error:
        raise MergeError(f"{file}: cannot read it: {error.strerror}") from error
    except ValueError as error:
        raise MergeError(f"{file}: {error}") from error
    if report.run is None or report.part is None:
        raise MergeError(f"{file}: it is the report of a whole run, not of a part: see --shard")
    if report.selected:
        raise MergeError(
            f"{file}: only some of its cases and checks were selected (by -k, -m or a test's name)"
        )
    return report


def merged(parts: Mapping[str, Report]) -> Report:
    """Return the report of the run that these are all parts of.

    Args:
        parts: the report of every part, by the name of its file.

    Raises:
        MergeError: a part is missing, there twice, of another run, or has not the cases and checks of a part.
    """
    first, facts = _of_one_run(parts)
    _all_there(parts)
    whole = Report(planned=0, run=facts)
    for file, part in sorted(parts.items(), key=lambda item: item[1].part.number if item[1].part else 0):
        _check_share(file, part, facts)
        whole.add(replace(part, findings=[]))
        whole.planned += part.planned
        whole.planned_checks += part.planned_checks
    # Of the same finding in the same case, the one with a name comes first, and so is kept.
    found = [finding for part in parts.values() for finding in part.findings]
    whole.find(sorted(found, key=lambda finding: (finding.wrong_line is None, finding.fault is None)))
    whole.errors = [*dict.fromkeys(whole.errors)]  # what ends a run ends each of its parts
    whole.note = " ".join(dict.fromkeys(part.note for part in parts.values() if part.note))
    notices = dict.fromkeys(notice for part in parts.values() if part.run for notice in part.run.notices)
    whole.run = replace(facts, notices=tuple(notices))
    whole.find(systematic_findings(whole.tensors, whole.findings, facts.known))
    if whole.cases and whole.cases >= whole.planned and facts.case is None:
        try:
            plan = plan_of(facts)
            whole.find(passing_now(facts.known, whole.findings, plan.ordinary_case(plan.kinds[0])))
        except (ValueError, TargetError, LookupError) as error:
            raise MergeError(f"{first}: report: it is damaged: {error}") from error
    return whole


def _of_one_run(parts: Mapping[str, Report]) -> tuple[str, RunFacts]:
    (first, report), *others = parts.items()
    assert report.run is not None
    own, made_by = rnn_np.__version__, report.run.versions.get("rnn-np")
    if made_by != own:
        raise MergeError(
            f"{first}: it was made by rnn-np {made_by}, and this is {own}: merge it with that version"
        )
    for file, other in others:
        assert other.run is not None
        assert report.part is not None
        assert other.part is not None
        why = report.run.difference(other.run)
        if not why and other.part.of != report.part.of:
            why = f"it is one of {other.part.of} parts, not of {report.part.of}"
        if why:
            raise MergeError(f"{file} is a part of another run than {first}: {why}")
    return first, report.run


def _all_there(parts: Mapping[str, Report]) -> None:
    seen: dict[int, str] = {}
    contents: dict[str, str] = {}
    of = 0
    for file, report in parts.items():
        assert report.part is not None
        number, of = report.part.number, report.part.of
        if number in seen:
            raise MergeError(f"part {number} of {of} is there twice: {seen[number]} and {file}")
        seen[number] = file
        content = json.dumps(replace(report, part=None).to_json(), sort_keys=True)
        if report.cases and content in contents:
            raise MergeError(f"{file} has the numbers of {contents[content]}, which is another part")
        contents[content] = file
    missing = [str(number) for number in range(1, of + 1) if number not in seen]
    if missing:
        listed = in_words(missing) if len(missing) <= MAX_NUMBERS else f"{len(missing)}"
        raise MergeError(
            f"part {listed} of {of} is missing"
            if len(missing) == 1
            else f"parts {listed} of {of} are missing"
            if len(missing) <= MAX_NUMBERS
            else f"{listed} of {of} parts are missing"
        )


def _check_share(file: str, report: Report, facts: RunFacts) -> None:
    """Refuse a report that plans less than its part, as no run does."""
    try:
        plan = plan_of(facts, report.part)
        cases, checks = plan.planned, len(plan.checks)
    except (ValueError, TargetError, LookupError) as error:
        raise MergeError(f"{file}: report: it is damaged: {error}") from error
    right = report.planned == cases or (report.planned > cases and report.stopped)
    if not right or report.planned_checks != checks:
        raise MergeError(
            f"{file}: report: it is damaged: its part has {cases} cases and {checks} checks, and it planned "
            f"{report.planned} and {report.planned_checks}"
        )
