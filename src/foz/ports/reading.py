"""
A stream of an upstream, frame by frame: what is the same whatever is said and however it is framed. A dialect's own
`FrameReader` knows what is in a frame and what it means that a stream ends where it does.

Most chunks of most streams are one frame that only brings more words. A decoder that knows such a chunk by its bytes
gives the words as they were written (`words`), and an encoder that knows what stands around words where it is writes
them as they are (`say`): `ports.codec.WordsDecoder`, `ports.codec.WordsEncoder`. Everything else is read and said as
events.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from foz.canon.event import Event
from foz.canon.fault import Fault, Garbled
from foz.wire.framing import Framing, TooLong

F = TypeVar("F")
F_contra = TypeVar("F_contra", contravariant=True)


class FrameReader(Protocol[F_contra]):
    """One answer while it comes in."""

    @property
    def done(self) -> bool:
        """Whether all was said."""
        ...

    def take(self, frame: F_contra) -> list[Event]:
        """The events of a frame. Raises Garbled, or the fault that the upstream reports."""
        ...

    def end(self) -> list[Event]:
        """The last events, where the input is over and not all was said. Raises Cut where that is too early."""
        ...


class StreamReader(Generic[F]):
    """The bytes of a stream to events. Implements `ports.codec.EventDecoder`."""

    def __init__(self, frames: Framing[F], reader: FrameReader[F], garbled: Callable[[str, object], Garbled]) -> None:
        self._frames = frames
        self._reader = reader
        self._garbled = garbled
        self._fault: Fault | None = None
        self.alone = False
        """Whether a chunk that is one frame stands for itself: nothing is pending, and nothing is over."""

    def feed(self, chunk: bytes) -> list[Event]:
        """
        The events that this chunk completes. A fault that comes with good frames before it in one chunk
        is raised by the next call, so that it does not matter how the network cuts the stream.
        """
        self.alone = False
        if self._fault is not None:
            raise self._fault
        try:
            frames = self._frames.feed(chunk)
        except TooLong as error:
            raise self._garbled("stream", error) from None
        reader = self._reader
        events: list[Event] = []
        for frame in frames:
            if reader.done:
                break
            try:
                events += reader.take(frame)
            except Fault as fault:
                self._fault = fault
                if not events:
                    raise
                return events
        self.alone = not (reader.done or self._frames.pending)
        return events

    def close(self) -> list[Event]:
        """The end of input. A frame that was cut is no frame; one that lacks only its end counts."""
        self.alone = False
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        for frame in self._frames.close():
            if not self._reader.done:
                with suppress(Garbled):
                    events += self._reader.take(frame)
        return events if self._reader.done else events + self._reader.end()
