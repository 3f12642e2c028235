"""``python .ci/check_wheel.py WHEEL``: the wheel holds the two packages and the recorded answers, and no more.

The files expected are those that git tracks, without the project's own tests.
"""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

TESTS = ("parity_tests/gate_tests/", "parity_tests/layer_tests/")
MOST_BYTES = 2_000_000
"""Most of them are the recorded answers, which are compressed already."""


def main(wheel: Path) -> None:
    """Stop with a message if the wheel has other files than expected, or is too large."""
    listed = subprocess.run(
        ["git", "ls-files", "rnn_np", "parity_tests", "fixtures"], capture_output=True, text=True, check=True
    )
    tracked = {name for name in listed.stdout.splitlines() if not name.startswith(TESTS)}
    expected = {name.replace("fixtures/", "parity_tests/fixtures/", 1) for name in tracked}
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    if packed != expected:
        sys.exit(f"{wheel.name}: too much: {sorted(packed - expected)}; missing: {sorted(expected - packed)}")
    size = wheel.stat().st_size
    if size > MOST_BYTES:
        sys.exit(f"{wheel.name}: {size} bytes, expected at most {MOST_BYTES}")
    print(f"{wheel.name}: {len(packed)} files, {size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
