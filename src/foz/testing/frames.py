"""
HTTP/2 by hand, as far as a hostile or careless gRPC client speaks it: calls that are begun and never go on, lengths
that lie. Headers are sent without compression; those that come are only counted.
"""

import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from msgspec import Struct

DATA, HEADERS, RESET, SETTINGS, PING = 0, 1, 3, 4, 6
END_STREAM, END_HEADERS, ACK = 1, 4, 1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SEVEN = 127


class Frame(Struct, frozen=True):
    """One, as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One, to be sent."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def _text(data: bytes) -> bytes:
    """A string of HPACK, plain."""
    if len(data) < _SEVEN:
        return bytes((len(data),)) + data
    rest, said = len(data) - _SEVEN, bytearray((_SEVEN,))
    while rest >= _SEVEN + 1:
        said.append(rest % 128 | 128)
        rest //= 128
    said.append(rest)
    return bytes(said) + data


def head(method: str, *more: tuple[str, str]) -> bytes:
    """The headers of a call."""
    named = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", f"/model.ModelService/{method}"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    )
    return b"".join(b"\0" + _text(name.encode()) + _text(value.encode()) for name, value in named)


class Wire:
    """A connection on which its owner says what he likes."""

    def __init__(self, port: int, deadline: float = 20.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), deadline)
        self._left = b""
        self._socket.sendall(_PREFACE + frame(SETTINGS, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Says it."""
        self._socket.sendall(data)

    def begin(self, stream: int, method: str, *more: tuple[str, str]) -> None:
        """Begins a call, and says no more of it."""
        self.send(frame(HEADERS, END_HEADERS, stream, head(method, *more)))

    def frames(self) -> Iterator[Frame]:
        """What comes, until the connection ends; settings and pings are acknowledged."""
        while True:
            while len(self._left) < 9 or len(self._left) < 9 + int.from_bytes(self._left[:3]):  # noqa: PLR2004 - a frame's head
                more = self._socket.recv(65536)
                if not more:
                    return
                self._left += more
            size = int.from_bytes(self._left[:3])
            one = Frame(self._left[3], self._left[4], int.from_bytes(self._left[5:9]), self._left[9 : 9 + size])
            self._left = self._left[9 + size :]
            if one.kind in {SETTINGS, PING} and not one.flags & ACK:
                self.send(frame(one.kind, ACK, 0, one.payload if one.kind == PING else b""))
            yield one

    def ended(self, count: int) -> set[int]:
        """Waits until so many streams were ended by the other side, and gives their numbers."""
        found: set[int] = set()
        for one in self.frames():
            if one.stream and (one.kind == RESET or (one.kind in {HEADERS, DATA} and one.flags & END_STREAM)):
                found.add(one.stream)
                if len(found) == count:
                    break
        return found
