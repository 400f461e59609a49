"""
Those whom we call. One provider row is one `Upstream`: base URL, credentials and connections.

Bytes of a streamed answer are handed to a sink as they come, in the loop's own callback:
no task wakes for a piece of a stream.
"""

from collections.abc import Callable
from typing import Protocol

from foz.canon.model import Patience
from foz.wire.http import Call, Headers, Reply


class UpstreamAnswer(Protocol):
    """An answer whose head has arrived."""

    status: int
    headers: Headers

    async def whole(self, limit: int) -> Reply:
        """All of it. Raises Cut, Timeout, or Garbled beyond the limit."""
        ...

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """Hands each piece to the sink until the end. Raises Cut or Timeout, or what the sink raises."""
        ...

    def pause(self) -> None:
        """Stop reading: the caller does not keep up."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    def close(self) -> None:
        """Done with it: closes the connection at once unless the answer was read to its end. Idempotent."""
        ...


class Upstream(Protocol):
    """One provider's endpoint."""

    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> UpstreamAnswer:
        """
        Sends and waits for the head; `along` are further headers.
        Raises Down (could not connect, or closed before any byte of an answer) or Timeout.
        A cancelled `send` closes its connection at once.
        The fault's `sent` is False where the request cannot have reached the target.
        """
        ...

    async def close(self) -> None:
        """Closes idle connections."""
        ...
