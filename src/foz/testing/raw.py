"""
HTTP by hand: a blocking socket that sends exactly the bytes it is given and reads what comes.

For tests of doors and servers, where a client library would hide the wire. Every wait has a deadline.
"""

import socket
import struct
import time
from types import TracebackType
from typing import Self

from foz.wire.http import Headers, Reply

DEADLINE = 10.0
"""Seconds a single read may wait, unless told."""


def request(method: str, path: str, body: bytes = b"", headers: Headers = (), *, host: str = "127.0.0.1") -> bytes:
    """The bytes of a well-formed request."""
    lines = [f"{method} {path} HTTP/1.1".encode(), b"host: " + host.encode()]
    named = {name for name, _ in headers}
    if body and b"content-type" not in named:
        lines.append(b"content-type: application/json")
    if (body or method in {"POST", "PUT", "PATCH"}) and not named & {b"content-length", b"transfer-encoding"}:
        lines.append(b"content-length: %d" % len(body))
    lines += [b"%s: %s" % header for header in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class RawConnection:
    """
    One connection. `closed_at` is the monotonic second at which the other side was seen to close it.
    `receive_buffer` is how many bytes the kernel may keep for a caller that does not read.
    """

    def __init__(
        self, port: int, host: str = "127.0.0.1", deadline: float = DEADLINE, receive_buffer: int | None = None
    ) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(deadline)
        try:
            self._socket.connect((host, port))
        except OSError:
            self._socket.close()
            raise
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._deadline = deadline
        self._held = b""
        self.closed_at: float | None = None

    @property
    def port(self) -> int:
        """Our own."""
        port: int = self._socket.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """All of it, now."""
        self._socket.sendall(data)

    def call(self, method: str, path: str, body: bytes = b"", headers: Headers = ()) -> Reply:
        """A request and its whole answer; the connection stays open."""
        self.send(request(method, path, body, headers))
        return self.reply(bodiless=method == "HEAD")

    def until(self, mark: bytes) -> bytes:
        """Everything up to and with the mark. Raises EOFError where the connection closes before it."""
        while mark not in self._held:
            self._more()
        piece, found, self._held = self._held.partition(mark)
        return piece + found

    def exactly(self, size: int) -> bytes:
        """That many bytes. Raises EOFError where the connection closes before."""
        while len(self._held) < size:
            self._more()
        piece, self._held = self._held[:size], self._held[size:]
        return piece

    def rest(self) -> bytes:
        """Everything until the other side closes; a reset counts as closing."""
        pieces = [self._held]
        self._held = b""
        while piece := self._receive():
            pieces.append(piece)
        return b"".join(pieces)

    def head(self) -> Reply:
        """Status and headers of an answer; its body is left on the wire."""
        first, *lines = self.until(b"\r\n\r\n")[:-4].split(b"\r\n")
        headers = tuple(
            (name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)
        )
        return Reply(int(first.split(b" ")[1]), headers)

    def chunk(self) -> bytes:
        """The next chunk of a chunked body; empty is the last."""
        size = int(self.until(b"\r\n").split(b";")[0], 16)
        piece = self.exactly(size)
        if self.exactly(2) != b"\r\n":
            raise ValueError(f"a chunk of {size} bytes is not followed by an empty line")
        return piece

    def reply(self, *, bodiless: bool = False) -> Reply:
        """A whole answer. Raises EOFError where the connection closes in the middle of it."""
        head = self.head()
        if bodiless or head.status in {204, 304}:
            return head
        if head.header(b"transfer-encoding") == b"chunked":
            body = b"".join(iter(self.chunk, b""))
        elif (length := head.header(b"content-length")) is not None:
            body = self.exactly(int(length))
        else:
            body = self.rest()
        return Reply(head.status, head.headers, body)

    def finish(self) -> None:
        """Says that nothing more will be sent; answers can still be read."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Closes, as a caller that leaves."""
        self._socket.close()

    def reset(self) -> None:
        """Closes with a TCP reset, as a machine that dies."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _more(self) -> None:
        piece = self._receive()
        if not piece:
            raise EOFError(f"the other side closed the connection; unread: {self._held[:200]!r}")
        self._held += piece

    def _receive(self) -> bytes:
        try:
            piece = self._socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        except TimeoutError as late:
            raise TimeoutError(f"nothing came within {self._deadline:g} s; unread: {self._held[:200]!r}") from late
        if not piece and self.closed_at is None:
            self.closed_at = time.monotonic()
        return piece
