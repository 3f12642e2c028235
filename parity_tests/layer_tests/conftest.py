"""Every test draws the same numbers, whatever ran before it in its worker."""

import zlib

import numpy as np
import pytest

from parity_tests.layer_tests import making


@pytest.fixture(autouse=True)
def _numbers_of_its_own(request: pytest.FixtureRequest) -> None:
    making.bits.state = np.random.PCG64(zlib.crc32(request.node.name.encode())).state
