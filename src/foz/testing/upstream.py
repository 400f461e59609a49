"""
A scripted upstream: each call gets the next turn of a script, and what was asked is kept.

For unit tests of the pipeline, where the wire does not matter and order does.
"""

import asyncio
from collections.abc import Callable, Iterable

from foz.canon.fault import Fault, Garbled
from foz.canon.model import Patience
from foz.wire.http import Call, Headers, Reply


class Scripted:
    """
    One turn: an answer of `pieces`, ending in `fault` where there is one.

    `gate` holds the head back until it is set; `held` maps the number of a piece to an event before it.
    A turn that is only a fault (`status` 0) never gets to a head.
    """

    def __init__(
        self,
        *pieces: bytes,
        status: int = 200,
        headers: Headers = (),
        fault: Fault | None = None,
        gate: asyncio.Event | None = None,
        held: dict[int, asyncio.Event] | None = None,
    ) -> None:
        self.pieces = pieces
        self.status = status
        self.headers = headers
        self.fault = fault
        self.gate = gate
        self.held = held or {}


def failing(fault: Fault) -> Scripted:
    """A turn whose head never comes: `send` raises the fault."""
    return Scripted(status=0, fault=fault)


class ScriptedAnswer:
    """The answer of one turn; what was done with it is kept."""

    def __init__(self, turn: Scripted) -> None:
        self._turn = turn
        self.status = turn.status
        self.headers = turn.headers
        self.closed = 0
        self.paused = False
        self.pauses = 0
        self.poured = 0
        """Pieces handed out so far."""
        self._reading = asyncio.Event()
        self._reading.set()

    async def whole(self, limit: int) -> Reply:
        """All of it."""
        pieces: list[bytes] = []
        await self.pour(pieces.append)
        body = b"".join(pieces)
        if len(body) > limit:
            raise Garbled(f"the answer is longer than {limit} bytes")
        return Reply(self.status, self.headers, body)

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """Piece after piece, giving way after each."""
        for number, piece in enumerate(self._turn.pieces):
            if number in self._turn.held:
                await self._turn.held[number].wait()
            await self._reading.wait()
            sink(piece)
            self.poured += 1
            await asyncio.sleep(0)
        end = self._turn.held.get(len(self._turn.pieces))
        if end is not None:
            await end.wait()
        if self._turn.fault is not None:
            raise self._turn.fault

    def pause(self) -> None:
        """Stops at the next piece."""
        self.paused = True
        self.pauses += 1
        self._reading.clear()

    def resume(self) -> None:
        """Goes on."""
        self.paused = False
        self._reading.set()

    def close(self) -> None:
        """Counts."""
        self.closed += 1


class ScriptedUpstream:
    """Plays a script, one turn a call. A call beyond its end is the test's mistake and raises IndexError."""

    def __init__(self, turns: Iterable[Scripted | Fault] = ()) -> None:
        self._turns = [turn if isinstance(turn, Scripted) else failing(turn) for turn in turns]
        self.calls: list[Call] = []
        self.patience: list[Patience] = []
        self.answers: list[ScriptedAnswer] = []
        self.cancelled = 0
        """Sends that were cancelled while they waited for the head."""
        self.closed = False

    def then(self, *turns: Scripted | Fault) -> None:
        """More turns."""
        self._turns += [turn if isinstance(turn, Scripted) else failing(turn) for turn in turns]

    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> ScriptedAnswer:
        """The next turn's head."""
        turn = self._turns[len(self.calls)]
        self.calls.append(call.with_headers(along))
        self.patience.append(patience)
        try:
            if turn.gate is not None:
                await turn.gate.wait()
            else:
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if turn.status == 0 and turn.fault is not None:
            raise turn.fault
        answer = ScriptedAnswer(turn)
        self.answers.append(answer)
        return answer

    async def close(self) -> None:
        """Remembers it."""
        self.closed = True
