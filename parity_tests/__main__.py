"""``python -m parity_tests``, and ``rnn-parity``: names what is missing where an extra is not installed."""

import os
import sys


def main() -> int:
    """Run the gate's command line."""
    try:
        os.getcwd()  # noqa: PTH109, a Path is not needed
    except OSError:
        print("rnn-parity: the current folder no longer exists; go to another one", file=sys.stderr)
        return 2
    try:
        from parity_tests.run.cli import main as gate
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("parity_tests", "rnn_np"):
            raise
        print(
            f"rnn-parity: {error.name} is not installed; install rnn-np[parity], "
            "or rnn-np[recorded] to judge without torch",
            file=sys.stderr,
        )
        return 2
    return gate()


if __name__ == "__main__":
    sys.exit(main())
