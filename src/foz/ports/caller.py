"""The connection to whoever asked, as the pipeline sees it."""

from typing import Protocol

from foz.ports.upstream import UpstreamAnswer
from foz.wire.http import Headers, Reply


class Caller(Protocol):
    """
    One request's way back. The caller's hang-up cancels the task that serves them;
    a caller that does not keep up pauses the answer that feeds them.
    """

    def reply(self, reply: Reply) -> None:
        """A whole answer."""
        ...

    def start(self, status: int, headers: Headers) -> None:
        """The head of a streamed answer."""
        ...

    def write(self, piece: bytes) -> None:
        """A piece of it."""
        ...

    def end(self) -> None:
        """The streamed answer is complete."""
        ...

    def abort(self) -> None:
        """Closes without the last chunk, so that what was sent does not look finished."""
        ...

    def feed_from(self, answer: UpstreamAnswer | None) -> None:
        """Whom to pause while the caller does not keep up."""
        ...
