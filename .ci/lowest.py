"""``python .ci/lowest.py``: print the lowest versions that the layers and the extra ``recorded`` allow, for pip.

The output is a file of constraints: ``pip install -c lowest.txt 'rnn-np[recorded]'``.
"""

import tomllib
from pathlib import Path


def lowest() -> list[str]:
    """The requirements, each with ``==`` in place of ``>=``."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    floors = [*project["dependencies"], *project["optional-dependencies"]["recorded"]]
    return [f"{floor.replace('>=', '==')}.*" for floor in floors]


if __name__ == "__main__":
    print("\n".join(lowest()))
