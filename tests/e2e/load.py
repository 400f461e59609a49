"""
Callers under load, and what they got: the other half of the proof that the ledger forgets nothing.

Callers are tasks over plain sockets. Each call has an id of its own, sent as `x-request-id`, under which the
simulated upstream's log and the ledger know it too. Whole and streamed answers are mixed; some calls meet a target
that fails first, so that there are entries with two attempts.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Self

from foz.testing.raw import request

CHAT = "/v1/chat/completions"
DONE = b"data: [DONE]\n\n"
CONFIG = """
[[provider]]
name = "near"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"
forwards = ["x-simulate-"]

[[provider]]
name = "far"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"
forwards = ["x-simulate-"]

[[provider]]
name = "held"
base_url = "http://127.0.0.1:{held}/v1"
auth = "none"

[[model]]
name = "public"
targets = ["near/upstream-name", "far/upstream-name"]

[[model]]
name = "held"
targets = ["held/held"]
"""
CAPTURED = """
[ledger]
capture = ["openai"]
"""
"""Added to `CONFIG`: what is said is kept, and all goes through the translate lane."""
Outcome = Literal["whole", "broken", "refused"]


@dataclass
class Told:
    """What callers got. A call is in exactly one of the three lists."""

    whole: list[str] = field(default_factory=list)
    """The answer came to its end: by its length, or with the stream's terminal frame."""
    broken: list[str] = field(default_factory=list)
    """The connection ended before the answer did."""
    refused: list[str] = field(default_factory=list)
    """An answer that says no."""
    strays: list[str] = field(default_factory=list)
    """Got the answer to another call."""

    def note(self, id: str, outcome: Outcome) -> None:
        """How one call went."""
        {"whole": self.whole, "broken": self.broken, "refused": self.refused}[outcome].append(id)

    @property
    def calls(self) -> int:
        """All of them."""
        return len(self.whole) + len(self.broken) + len(self.refused)


def body(model: str, *, stream: bool) -> bytes:
    """A chat request."""
    return b'{"model":"%s","stream":%s,"messages":[{"role":"user","content":"Where do rivers end?"}]}' % (
        model.encode(),
        b"true" if stream else b"false",
    )


class Connection:
    """One caller's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.answered = ""
        """Whose the latest answer is."""

    async def ask(self, id: str, model: str, *, stream: bool, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Sends a request."""
        named = ((b"x-request-id", id.encode()), *headers)
        self._writer.write(request("POST", CHAT, body(model, stream=stream), named))
        await self._writer.drain()

    async def head(self) -> tuple[int, int | None]:
        """Status and length; no length is a stream."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        self.answered = head.partition(b"x-request-id: ")[2].split(b"\r\n")[0].decode()
        _, found, rest = head.partition(b"content-length: ")
        return int(head[9:12]), int(rest.split(b"\r\n")[0]) if found else None

    async def chunk(self) -> bytes:
        """The next chunk; empty is the last."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(size + 2))[:-2]

    async def answer(self) -> bool:
        """Reads an answer to its end; whether it is one, and not a refusal. A stream is whole with its `[DONE]`."""
        status, length = await self.head()
        if length is not None:
            await self._reader.readexactly(length)
            return status == 200
        while piece := await self.chunk():
            if piece.endswith(DONE):
                with suppress(EOFError, OSError):
                    await self.chunk()
                return True
        raise EOFError("the stream ended without its terminal frame")

    async def ends(self) -> bool:
        """Reads a stream that has begun to its end; whether it is whole."""
        said = b""
        while piece := await self.chunk():
            said += piece
        return said.endswith(DONE)

    def close(self) -> None:
        """Leaves."""
        self._writer.close()


async def connect(port: int) -> Connection:
    """A connection to the gateway."""
    return Connection(*await asyncio.open_connection("127.0.0.1", port))


class Load:
    """So many callers at once, from `async with` until it is left, each finishing the call it is in."""

    def __init__(self, port: int, name: str, seed: int, callers: int = 24) -> None:
        self.told = Told()
        self._port = port
        self._name = name
        self._dice = random.Random(seed)
        self._callers = callers
        self._number = 0
        self._stopping = asyncio.Event()
        self._flows = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._caller()) for _ in range(self._callers)]
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """No new calls; waits until those in hand have ended."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def settled_in(self) -> None:
        """Waits until the load flows."""
        await asyncio.wait_for(self._flows.wait(), 30)

    async def _caller(self) -> None:
        connection: Connection | None = None
        while not self._stopping.is_set():
            self._number += 1
            id = f"{self._name}-{self._number}"
            try:
                if connection is None:
                    connection = await connect(self._port)
                outcome = await self._call(connection, id)
            except (EOFError, OSError):
                outcome = "broken"
                if connection is not None:
                    connection.close()
                connection = None
                with suppress(TimeoutError):  # nobody listens: not again at once
                    await asyncio.wait_for(self._stopping.wait(), 0.02)
            self.told.note(id, outcome)
            if len(self.told.whole) >= self._callers:
                self._flows.set()
            if outcome == "refused" and connection is not None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    async def _call(self, connection: Connection, id: str) -> Outcome:
        dice = self._dice
        headers = [(b"x-simulate-words", b"%d" % dice.randint(1, 12))]
        stream = dice.random() < 0.5
        slow = dice.random() < 0.3  # the others keep the ledger's writer at work
        if slow and stream:
            headers.append((b"x-simulate-pace", b"%.4f" % (dice.random() * 0.01)))
        elif slow:
            headers.append((b"x-simulate-delay", b"%.4f" % (dice.random() * 0.05)))
        if dice.random() < 0.1:
            headers += [(b"x-simulate-status", b"500"), (b"x-simulate-times", b"1"), (b"x-simulate-id", id.encode())]
        await connection.ask(id, "public", stream=stream, headers=headers)
        whole = await connection.answer()
        if connection.answered != id:
            self.told.strays.append(id)
        return "whole" if whole else "refused"


def _event(choice: bytes) -> bytes:
    head = b'"id":"h","object":"chat.completion.chunk","created":1,"model":"held"'
    return b'data: {%s,"choices":[{"index":0,%s}]}\n\n' % (head, choice)


class HeldUpstream:
    """An upstream that begins a stream and ends it when told to: `let_go`."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *raised: object) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"POST"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
                writer.write(_event(b'"delta":{"role":"assistant","content":"held"},"finish_reason":null'))
                await self.let_go.wait()
                writer.write(_event(b'"delta":{},"finish_reason":"stop"') + DONE)
            else:
                writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
        except (EOFError, OSError):
            pass  # the gateway was killed
        finally:
            writer.close()
