"""
The simulated model behind the upstream port, without a socket.

It answers `POST /chat/completions`, `/completions`, `/embeddings` and `GET /models[/{id}]` (with or without `/v1`) in
the dialect whose server codecs it is given. Waiting is done by the clock it is given, and so are the caller's
patience and the pace; nothing runs but the caller's own `send` and `pour`, so nothing is left when these end.
How it misbehaves on request headers is told in `simulated.mischief`; what needs a real socket is refused here.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b

import msgspec

from foz.canon.fault import BadRequest, Cut, Down, Fault, Garbled, Timeout
from foz.canon.model import Patience
from foz.canon.request import Operation
from foz.ports.clock import Clock
from foz.ports.codec import Speech
from foz.testing.simulated.mischief import NONE, Mischief, read
from foz.testing.simulated.play import MODELS, Face, Play, Produced, Silence, SpeechFace, Step
from foz.wire.http import Call, Headers, Reply

REMEMBERED = 256
"""Answers kept, by what was asked: the model is deterministic."""
REMEMBERED_BODY = 16_384
"""A longer request or answer is not kept."""
ANSWERED = 200
COUNTED = 10_000
"""Ids whose failures are counted."""
FOREVER = 1e6
"""Seconds that nobody waits."""


class SimulatedAnswer:
    """A play on its way."""

    def __init__(self, play: Play, headers: Headers, mischief: Mischief, clock: Clock, patience: Patience) -> None:
        self.status = play.status
        self.headers = headers
        self.stream = play.stream
        self.mischief = mischief
        self.pieces = 0
        """Pieces handed out so far."""
        self._produced = play.produced
        self._steps: Iterator[Step] = iter(play.steps)
        self._pace = (mischief.pace or 0.0) if play.stream else 0.0
        self._clock = clock
        self._idle = patience.idle
        self._end = clock.monotonic() + patience.total
        self._reading = asyncio.Event()
        self._reading.set()
        self._held: tuple[bytes, asyncio.Event] | None = None
        self._pourer: asyncio.Task[None] | None = None
        self._closed = False
        self._severed = False

    @property
    def produced(self) -> Produced | None:
        """The tokens of the prompt and of what was handed out, where the fake counts them."""
        counted = self._produced
        return None if counted is None else Produced(counted.input, (counted.after(self.pieces),))

    async def whole(self, limit: int) -> Reply:
        """All of it. Raises Cut, Timeout, or Garbled beyond the limit."""
        pieces: list[bytes] = []
        size = 0

        def keep(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size > limit:
                raise Garbled(f"the simulated upstream's answer is longer than {limit} bytes")
            pieces.append(piece)

        await self.pour(keep)
        return Reply(self.status, self.headers, b"".join(pieces))

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """Hands each piece to the sink. Raises Cut or Timeout, or what the sink raises."""
        if self._closed:
            raise Cut("the simulated upstream's answer was closed before it was read")
        self._pourer = asyncio.current_task()
        try:
            await self._pour(sink)
        except asyncio.CancelledError:
            if self._severed and self._pourer is not None and self._pourer.uncancel() == 0:
                raise Cut("the simulated upstream's answer was closed while it was read") from None
            raise
        finally:
            self._pourer = None

    async def _pour(self, sink: Callable[[bytes], None]) -> None:
        for step in self._steps:
            if self.pieces:
                await self._wait(self._pace)
            if not self._reading.is_set():
                await self._reading.wait()
            if self._held is not None and isinstance(step, bytes) and self._held[0] in step:
                (_, until), self._held = self._held, None
                await until.wait()
            if step is Silence.CUT:
                raise Cut(f"the simulated upstream cut the connection after {self.pieces} pieces")
            if step is Silence.HANG:
                await self._wait(math.inf)
                return
            sink(step)
            self.pieces += 1
        self._closed = True

    async def _wait(self, seconds: float) -> None:
        """Waits so long, or as long as the caller has patience."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        left = min(self._idle, self._end - self._clock.monotonic())
        await self._clock.sleep(max(min(seconds, left, FOREVER), 0.0))
        if seconds > left:
            raise Timeout(f"the simulated upstream was silent for {left:g} s")

    def hold(self, mark: bytes, until: asyncio.Event) -> None:
        """Keeps the first piece with this mark, and all behind it, back until then."""
        self._held = (mark, until)

    def pause(self) -> None:
        """Hands out nothing until told to go on."""
        self._reading.clear()

    def resume(self) -> None:
        """Goes on."""
        self._reading.set()

    def close(self) -> None:
        """Done with it; whoever still reads gets Cut at once."""
        if self._closed:
            return
        self._closed = True
        if self._pourer is not None and self._pourer is not asyncio.current_task():
            self._severed = True
            self._pourer.cancel()


class SimulatedUpstream:
    """
    The simulated model as a provider. `misbehaves` is test mode: only then are the `x-simulate-...` headers obeyed.

    `pace` is seconds between the pieces of a stream, where the call says no other. `face` answers instead of the
    codecs of `speech`.
    """

    def __init__(
        self,
        speech: Mapping[Operation, Speech],
        clock: Clock,
        *,
        pace: float = 0.0,
        misbehaves: bool = False,
        models: tuple[str, ...] = MODELS,
        face: Face | None = None,
    ) -> None:
        self._face = face or SpeechFace(speech, models)
        self._clock = clock
        self._pace = pace
        self._misbehaves = misbehaves
        self._failed: OrderedDict[str, int] = OrderedDict()
        self._known: OrderedDict[tuple[bytes, str, bytes], Play] = OrderedDict()

    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> SimulatedAnswer:
        """The head of the answer. Raises Timeout where it takes longer than the caller has patience."""
        call = call.with_headers(along)
        mischief, play = self._play(call)
        if mischief.socket == "close":
            raise Down("the simulated upstream closed the connection before any byte of an answer")
        wait = math.inf if mischief.hang == 0 else mischief.delay or 0.0
        left = min(patience.first_byte, patience.total)
        if wait:
            await self._clock.sleep(min(wait, left, FOREVER))
        if wait > left:
            raise Timeout(f"the simulated upstream did not answer within {left:g} s")
        request_id = call.header(b"x-request-id") or _name(call)
        return SimulatedAnswer(play, (*play.headers, (b"x-request-id", request_id)), mischief, self._clock, patience)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _play(self, call: Call) -> tuple[Mischief, Play]:
        mischief = NONE
        try:
            if self._misbehaves:
                mischief = read(call.headers)
            if mischief.socket not in {None, "close"} or mischief.fragment is not None:
                raise BadRequest("x-simulate-fragment, and x-simulate-socket but for close, need a real socket")
            if mischief.pace is None and self._pace:
                mischief = _paced(mischief, self._pace)
            if mischief.status is not None and not self._fails(mischief):
                mischief = _without_status(mischief)
            return mischief, self._remembered(call, mischief)
        except Fault as fault:
            return _unharmed(mischief), self._face.refuse(fault)

    def _remembered(self, call: Call, mischief: Mischief) -> Play:
        """The play of a call; one without mischief is kept for the next call like it."""
        if _paced(mischief, None) != NONE or len(call.body) > REMEMBERED_BODY or call.method != "POST":
            return self._face.perform(call, mischief)
        key = (call.header(b"authorization") or b"", call.path, call.body)
        play = self._known.get(key)
        if play is not None:
            self._known.move_to_end(key)
            return play
        play = self._face.perform(call, mischief)
        if play.status != ANSWERED or play.once:
            return play  # it may be another one next time
        play = msgspec.structs.replace(play, steps=tuple(play.steps))
        if sum(len(step) for step in play.steps if isinstance(step, bytes)) <= REMEMBERED_BODY:
            self._known[key] = play
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return play

    def _fails(self, mischief: Mischief) -> bool:
        """Whether this call still gets the status that was asked for."""
        if mischief.times is None or mischief.id is None:
            return True
        failed = self._failed.pop(mischief.id, 0)
        self._failed[mischief.id] = min(failed + 1, mischief.times)
        if len(self._failed) > COUNTED:
            self._failed.popitem(last=False)
        return failed < mischief.times


def _paced(mischief: Mischief, pace: float | None) -> Mischief:
    return msgspec.structs.replace(mischief, pace=pace)


def _without_status(mischief: Mischief) -> Mischief:
    """It has failed often enough."""
    return msgspec.structs.replace(mischief, status=None, times=None, id=None)


def _unharmed(mischief: Mischief) -> Mischief:
    """A refusal is told in one piece, after the delay that was asked for."""
    return Mischief(delay=mischief.delay)


def _name(call: Call) -> bytes:
    """A request id for a caller that brought none."""
    return b"req_" + blake2b(call.body, digest_size=12).hexdigest().encode()
