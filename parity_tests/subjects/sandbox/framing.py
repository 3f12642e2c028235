"""Frames on the socket between the gate and a target's process, and the plain data in them."""

import io
import pickle
import socket
import struct
from typing import Any

HEADER = struct.Struct("!16sQ")
"""A frame starts with a secret, which tells it from stray output, and the length of the data."""

SECRET_BYTES = 16
CHUNK_BYTES = 1 << 20
"""Bytes sent or received at a time."""

_CORES = ("numpy._core", "numpy.core")
"""Where NumPy's own functions are: since NumPy 2, and before."""
_NUMPY = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"{core}.multiarray", name) for core in _CORES for name in ("_reconstruct", "scalar")),
    *((f"{core}.numeric", "_frombuffer") for core in _CORES),
    ("builtins", "complex"),
}


class NotPlain(Exception):
    """An answer holds more than arrays, plain values and the gate's own classes."""


def framed(secret: bytes, data: bytes) -> bytes:
    """Return the frame of some data."""
    return HEADER.pack(secret, len(data)) + data


def receive(channel: socket.socket) -> tuple[bytes, bytes] | None:
    """Wait for a frame; return its secret and data, or None where the other end is closed."""
    header = _exactly(channel, HEADER.size)
    if header is None:
        return None
    secret, size = HEADER.unpack(header)
    data = _exactly(channel, size)
    return None if data is None else (secret, data)


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    received = bytearray()
    while len(received) < size:
        piece = channel.recv(min(CHUNK_BYTES, size - len(received)))
        if not piece:
            return None
        received += piece
    return bytes(received)


def read_plain(data: bytes) -> Any:
    """Unpickle data that a target may have had a hand in.

    Not a wall against malice, which runs with the user's rights anyway: it keeps the target's own
    classes, and what they do when unpickled, out of the gate's process.

    Raises:
        NotPlain: it holds an object of another class, or is no pickle.
    """
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    except NotPlain:
        raise
    except Exception as error:
        raise NotPlain(f"cannot be read: {type(error).__name__}: {error}") from error


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NUMPY:
            return super().find_class(module, name)
        if module.startswith("parity_tests."):
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise NotPlain(f"expected arrays and plain values, got {module}.{name}")
