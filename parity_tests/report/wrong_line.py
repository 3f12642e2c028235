"""A wrong line of the user's code, as a finding has it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WrongLine:
    """A line of the user's code that is wrong: with another value there, tensors become right.

    Attributes:
        file: the file; of a notebook, with the number of the cell in brackets.
        line: its number, from 1; in a notebook, in the cell.
        column: where the wrong expression begins, from 1.
        end_column: the column behind it.
        source: the text of the line.
        function: the function that it is in.
        actual: what the expression is.
        should_be: what it should be.
        message: both in sentences.
        cures: the tensors that become right, of those that are wrong.
        called_from: the line that calls the function, if it is a helper; else 0.
        called_in: the file of that line, if it is another one.
    """

    file: str
    line: int
    column: int
    end_column: int
    source: str
    function: str
    actual: str
    should_be: str
    message: str
    cures: tuple[str, ...] = ()
    called_from: int = 0
    called_in: str = ""


JSON_KEYS = {name: name for name in WrongLine.__slots__} | {"actual": "is", "message": "at_line"}
"""The attributes of a wrong line, with the keys that they have in a finding's JSON."""
