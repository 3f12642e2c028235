"""What tests of the child process have it do: call the target with the request."""

from typing import Any


def serve(obj: Any, kind: str, request: Any) -> Any:
    """Answer with what the target makes of the request."""
    return obj(request)
