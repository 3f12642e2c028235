"""The form of a report in JSON: its schema, and whether a text has it."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

FORMAT = 1
FILE = Path(__file__).with_name("report.schema.json")
OF_A_RUN = ("reference", "target", "kind", "notices", "without", "declared", "seed", "versions", "run")
"""Keys that the report of a batch does not have."""
TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def report_schema() -> dict[str, Any]:
    """The JSON schema of the report of a run."""
    return json.loads(FILE.read_text("utf-8"))


@cache
def _schema() -> dict[str, Any]:
    return report_schema()


def checked(source: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
    """Return the object that a report's text holds, or a report's object itself, if it has the form of one.

    Raises:
        ValueError: it does not; the message says where.
    """
    data = source if isinstance(source, Mapping) else _parsed(source)
    if not isinstance(data, Mapping) or "format" not in data or "verdict" not in data:
        raise ValueError("report: it is no report of rnn-parity")
    version = data["format"]
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT:
        raise ValueError(
            f"report: it has format {version}, of a later version than this one, which reads format {FORMAT}"
        )
    schema = _schema()
    optional = set() if "run" in data else {*OF_A_RUN}
    schema = {**schema, "required": [key for key in schema["required"] if key not in optional]}
    for problem in _problems(dict(data), schema, ""):
        raise ValueError(f"report: it is damaged: {problem}")
    return dict(data)


def _parsed(text: str | bytes) -> Any:
    if not isinstance(text, str | bytes):
        raise TypeError(f"report: expected a text or an object, got a {type(text).__name__}")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"report: it is no JSON: {error}") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _problems(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    """Where a value does not fit a schema, of the words that this one uses."""
    if "$ref" in schema:
        schema = _schema()["$defs"][schema["$ref"].rpartition("/")[2]]
    named = where or "the whole"
    names = schema.get("type", [])
    types = [names] if isinstance(names, str) else names
    if types and not any(_is_a(value, name) for name in types):
        yield f"{named}: expected {' or '.join(types)}, got {type(value).__name__}"
        return
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        yield f"{named}: got {value!r:.60}"
    if isinstance(value, int | float) and value < schema.get("minimum", value):
        yield f"{named}: got {value}, expected at least {schema['minimum']}"
    if isinstance(value, dict):
        yield from _problems_of_object(value, schema, where)
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from _problems(item, schema["items"], f"{where}[{number}]")


def _problems_of_object(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[str]:
    dot = f"{where}." if where else ""
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{dot}{key} is missing"
    for key, item in value.items():
        own = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
        if isinstance(own, Mapping):
            yield from _problems(item, own, f"{dot}{key!s:.60}")


def _is_a(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
