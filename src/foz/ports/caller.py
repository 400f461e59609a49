"""The connection to whoever asked, as the pipeline sees it. Statuses and headers are the door's and the skin's."""

from typing import Protocol

from foz.ports.codec import ServerCodec
from foz.ports.upstream import UpstreamAnswer


class Caller(Protocol):
    """
    One request's way back. The caller's hang-up cancels the task that serves them;
    a caller that does not keep up pauses the answer that feeds them.
    """

    def whole(self, body: bytes) -> None:
        """A whole answer."""
        ...

    def waits(self, codec: ServerCodec) -> None:
        """
        A stream is asked for and nothing of it is here yet: from now until `start` the caller may be kept waiting in
        the dialect's own way. That fixes the status; a fault is then told in the stream, as `codec` tells it.
        """
        ...

    def start(self) -> None:
        """A streamed answer begins; its head goes out with the first piece."""
        ...

    def write(self, piece: bytes) -> None:
        """A piece of it."""
        ...

    def end(self, last: bytes) -> None:
        """The last piece of a streamed answer, which is complete."""
        ...

    def abort(self) -> None:
        """Closes without the last chunk, so that what was sent does not look finished."""
        ...

    def note(self, name: bytes, value: bytes) -> None:
        """A header of the answer, said before it begins; lost where answers have none."""
        ...

    def feed_from(self, answer: UpstreamAnswer | None) -> None:
        """Whom to pause while the caller does not keep up."""
        ...
