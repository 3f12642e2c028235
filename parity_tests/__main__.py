"""``python -m parity_tests``, and ``rnn-parity``: names what is missing where an extra is not installed."""

import os
import sys

from parity_tests.api import NEEDED, missing_extra


def main() -> int:
    """Run the gate's command line."""
    try:
        os.getcwd()  # noqa: PTH109, a Path is not needed
    except OSError:
        print("rnn-parity: the current folder no longer exists; go to another one", file=sys.stderr)
        return 2
    if missing := missing_extra("pytest", "xdist", *NEEDED):
        print(f"rnn-parity: {missing}", file=sys.stderr)
        return 2
    from parity_tests.run.cli import main as gate

    return gate()


if __name__ == "__main__":
    sys.exit(main())
