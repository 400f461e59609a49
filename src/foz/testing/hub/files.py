"""
A server of files over a real socket, with ranges and validators as they should be, and every way of doing it wrong.

What is to go wrong is a list: the first request for a file takes the first mischief, and so on; when the list is empty
all goes well. What was asked is written down.
"""

import asyncio
import hashlib
import re
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

PIECE = 64 * 1024
MAX_HEAD = 64 * 1024
BEYOND = 416
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
Headers = dict[str, str]
Kind = Literal[
    "stall", "cut", "silent", "long", "whole", "flip", "change", "status", "moved", "packed", "trickle", "other",
    "page", "unnamed", "none",
]  # fmt: skip


class Mischief(Struct, frozen=True):
    """
    What goes wrong with one file that is asked for, after `at` bytes of the answer where that matters:
    `stall` says no more, `cut` closes, `silent` closes before the head, `long` promises more than comes and closes,
    `whole` ignores the range, `flip` sends a wrong byte, `change` has the file be another one from then on, `status`
    answers `status`, `moved` sends to `to`, `packed` says that it is compressed, `trickle` sends one byte at a time,
    `other` sends another range than asked, `page` sends a web page, `unnamed` gives no validator.
    """

    kind: Kind
    at: int = 0
    status: int = 500
    to: str = ""
    headers: Mapping[str, str] = {}


NOTHING = Mischief("none")


class Asked(Struct, frozen=True):
    """A request that came."""

    method: str
    path: str
    headers: Headers
    body: bytes = b""


class Answer(Struct, frozen=True):
    """What is answered: a file, or a body."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    file: Path | None = None


class FileServer:
    """Serves what `answer` says; the files among it with ranges, and with mischief."""

    def __init__(self, pace: float = 0.0) -> None:
        self.pace = pace
        """Seconds between two pieces of 64 KiB."""
        self.mischief: deque[Mischief] = deque()
        self.asked: list[Asked] = []
        self.idle = asyncio.Event()
        """Set while no file is being sent."""
        self._at_work = 0
        self.port = 0
        self._serving: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, asked: Asked) -> Answer:
        """What a request gets."""
        raise NotImplementedError

    async def start(self, port: int = 0) -> int:
        """Listens; gives the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=MAX_HEAD)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def stop(self) -> None:
        """Closes everything."""
        if self._server is not None:
            self._server.close()
        for task, writer in list(self._serving.items()):
            if task is not None:
                task.cancel()
            writer.transport.abort()
        await asyncio.gather(*filter(None, self._serving), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving[asyncio.current_task()] = writer
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        writer.close()
        del self._serving[asyncio.current_task()]

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection is good for another."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        asked = Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))
        self.asked.append(asked)
        answer = self.answer(asked)
        if answer.file is None or method == "HEAD":
            length = answer.file.stat().st_size if answer.file is not None else len(answer.body)
            tag = {} if answer.file is None or "ETag" in answer.headers else {"ETag": f'"{_tag(answer.file)}"'}
            _head(writer, answer.status, {**tag, **answer.headers, "Content-Length": str(length)})
            writer.write(answer.body if method != "HEAD" else b"")
            await writer.drain()
            return True
        self._at_work += 1
        self.idle.clear()
        try:
            return await self._file(asked, answer, answer.file, writer)
        finally:
            self._at_work -= 1
            if not self._at_work:
                self.idle.set()

    async def _file(self, asked: Asked, answer: Answer, file: Path, writer: asyncio.StreamWriter) -> bool:
        mischief = self.mischief.popleft() if self.mischief else NOTHING
        if mischief.kind in {"silent", "status", "moved", "page"}:
            return await _instead(mischief, writer)
        begin, status, headers = _told(asked, file, mischief.kind)
        _head(writer, status, {**answer.headers, **headers})
        if status != BEYOND and mischief.kind in {"cut", "stall", "trickle", "change"}:
            return await self._break(file, begin, mischief, writer)
        if status != BEYOND:
            await self._send(file, begin, writer, mischief.at if mischief.kind == "flip" else None)
        return mischief.kind != "long"

    async def _send(self, file: Path, begin: int, writer: asyncio.StreamWriter, flip: int | None = None) -> None:
        with file.open("rb") as opened:
            opened.seek(begin)
            sent = 0
            while piece := bytearray(opened.read(PIECE)):
                if flip is not None and sent <= flip < sent + len(piece):
                    piece[flip - sent] ^= 1
                sent += len(piece)
                writer.write(piece)
                await writer.drain()
                if self.pace:
                    await asyncio.sleep(self.pace)

    async def _break(self, file: Path, begin: int, mischief: Mischief, writer: asyncio.StreamWriter) -> bool:
        """So far and no further."""
        with file.open("rb") as opened:
            opened.seek(begin)
            for _ in range(0, mischief.at, PIECE):
                writer.write(opened.read(min(PIECE, begin + mischief.at - opened.tell())))
                await writer.drain()
            if mischief.kind == "change":
                _swap(file)
            if mischief.kind == "stall":
                await asyncio.Event().wait()
            while mischief.kind == "trickle" and (piece := opened.read(1)):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.02)
        return False


def _told(asked: Asked, file: Path, kind: str) -> tuple[int, int, Headers]:
    """Where the answer begins, its status and what its head says."""
    size, tag = file.stat().st_size, _tag(file)
    found = _RANGE.fullmatch(asked.headers.get("range", ""))
    part = found is not None and asked.headers.get("if-range", f'"{tag}"') == f'"{tag}"' and kind != "whole"
    begin = int(found[1]) if part and found is not None else 0
    begin = begin // 2 if kind == "other" else begin
    if part and begin >= size:
        return begin, BEYOND, {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
    headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    headers["Content-Length"] = str(size - begin + (1000 if kind == "long" else 0))
    if kind != "unnamed":
        headers["ETag"] = f'"{tag}"'
    if kind == "packed":
        headers["Content-Encoding"] = "gzip"
    if part:
        headers["Content-Range"] = f"bytes {begin}-{size - 1}/{size}"
    return begin, 206 if part else 200, headers


def _tag(file: Path) -> str:
    """What this state of the file is called."""
    data = file.read_bytes() if file.stat().st_size <= PIECE else _sample(file)
    return hashlib.sha256(data).hexdigest()[:32]


def _sample(file: Path) -> bytes:
    with file.open("rb") as opened:
        begin = opened.read(PIECE)
        opened.seek(-PIECE, 2)
        return begin + opened.read() + str(file.stat().st_size).encode()


def _swap(file: Path) -> None:
    """Another file of the same size and name."""
    data = bytearray(file.read_bytes())
    data[-1] ^= 0xFF
    fresh = file.with_name(file.name + ".swap")
    fresh.write_bytes(data)
    fresh.replace(file)


async def _instead(mischief: Mischief, writer: asyncio.StreamWriter) -> bool:
    """No file at all."""
    if mischief.kind == "silent":
        return False
    if mischief.kind == "moved":
        _head(writer, 302, {"Location": mischief.to, "Content-Length": "0"})
    elif mischief.kind == "page":
        page = b"<!doctype html><title>Log in to the network</title>" + b" " * 70_000
        _head(writer, 200, {"Content-Type": "text/html", "Content-Length": str(len(page))})
        writer.write(page)
    else:
        _head(writer, mischief.status, {"Content-Length": "9", **mischief.headers})
        writer.write(b"no, sorry")
    await writer.drain()
    return True


def _head(writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))
