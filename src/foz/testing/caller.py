"""A caller that remembers what was written to it."""

from foz.ports.codec import ServerCodec
from foz.ports.upstream import UpstreamAnswer


class RecordedCaller:
    """
    What the pipeline did to it, in order, in `told`: `whole`, `start`, `write`, `end`, `abort`.

    `width` is how many streamed bytes it takes before it pauses whoever feeds it; `drink` takes them away.
    """

    def __init__(self, width: int | None = None) -> None:
        self.told: list[str] = []
        self.pieces: list[bytes] = []
        self.answer: bytes | None = None
        self.noted: dict[bytes, bytes] = {}
        self.feeder: UpstreamAnswer | None = None
        self._width = width
        self._waiting = 0

    @property
    def body(self) -> bytes:
        """All that was written, whole or streamed."""
        return self.answer if self.answer is not None else b"".join(self.pieces)

    @property
    def ended(self) -> bool:
        """Whether the answer looks finished to this caller."""
        return bool(self.told) and self.told[-1] in {"whole", "end"}

    @property
    def aborted(self) -> bool:
        """Whether the connection was closed before the end."""
        return "abort" in self.told

    def whole(self, body: bytes) -> None:
        """A whole answer."""
        self.told.append("whole")
        self.answer = body

    def waits(self, codec: ServerCodec) -> None:
        """Waits without a word."""

    def start(self) -> None:
        """A streamed answer begins."""
        self.told.append("start")

    def write(self, piece: bytes) -> None:
        """A piece of it."""
        self.told.append("write")
        self.pieces.append(piece)
        self._waiting += len(piece)
        if self._width is not None and self._waiting > self._width and self.feeder is not None:
            self.feeder.pause()

    def drink(self) -> None:
        """Has read everything: the feeder may go on."""
        self._waiting = 0
        if self.feeder is not None:
            self.feeder.resume()

    def end(self, last: bytes) -> None:
        """The streamed answer is complete with this."""
        self.told.append("end")
        self.pieces.append(last)

    def abort(self) -> None:
        """The connection is closed."""
        self.told.append("abort")

    def note(self, name: bytes, value: bytes) -> None:
        """A header of the answer."""
        self.noted[name] = value

    def feed_from(self, answer: UpstreamAnswer | None) -> None:
        """Remembers whom to pause."""
        self.feeder = answer
