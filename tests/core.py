"""
The real core over fakes: one gateway, its ledger in memory, its targets scripted, its time standing still.

All that happens to the ledger, the targets and the caller is written into one `journal`, in order:
`open` and `opened` (durable), `next` and `nexted`, `settle STATE` and `settled`; `send TARGET`; the caller's
`whole`, `start`, `write`, `end`, `abort`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from typing_extensions import override

from foz.canon.entry import Attempt, AttemptEnd, Entry, EntryEnd, State
from foz.canon.fault import Fault
from foz.canon.identity import Identities
from foz.canon.model import Model, Patience, Target
from foz.canon.principal import Principal
from foz.canon.request import NOBODY, Operation
from foz.canon.usage import Usage
from foz.dialects.openai.speech import SPEECH
from foz.gateway.pipeline import Gateway
from foz.gateway.services import Policy, Services
from foz.ports.codec import Speech
from foz.ports.line import Line
from foz.ports.skin import Skin, Visit
from foz.ports.turn import Turn
from foz.skins.openai import OpenAISkin
from foz.testing.cache import MemoryCache
from foz.testing.caller import RecordedCaller
from foz.testing.clock import StillClock
from foz.testing.ledger import MemoryLedger
from foz.testing.upstream import Scripted, ScriptedAnswer, ScriptedUpstream
from foz.wire.http import Call, Headers

T = TypeVar("T")
PUBLIC = "public"
UP = Target("one", "up-1")
WHO = Principal("somebody")
SKIN: Skin = OpenAISkin()
HELLO = {"model": PUBLIC, "messages": [{"role": "user", "content": "Where do rivers end?"}]}
STREAMED = {**HELLO, "stream": True}


def body(fields: object) -> bytes:
    """As JSON."""
    return msgspec.json.encode(fields)


def frame(**fields: object) -> bytes:
    """A frame of a chat stream of the upstream's model."""
    return b"data: %b\n\n" % body(
        {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up-1", **fields}
    )


def piece(text: str) -> bytes:
    """A frame with text."""
    return frame(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}])


FINISH = frame(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
COUNTED = frame(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10})
DONE = b"data: [DONE]\n\n"
STREAM = (piece("Into "), piece("the sea"), FINISH, COUNTED, DONE)
WHOLE = body(
    {
        "id": "c", "object": "chat.completion", "created": 1, "model": "up-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Into the sea"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
)  # fmt: skip


class JournaledLedger(MemoryLedger):
    """Says when it is asked and when it is durable."""

    def __init__(self, journal: list[str]) -> None:
        super().__init__()
        self._journal = journal
        self.settles: list[EntryEnd] = []
        """Every settle that was asked for, also those that came too late."""
        self._writing: set[asyncio.Task[None]] = set()
        self.fault: Fault | None = None
        """What the next settle comes to."""

    @override
    def open(self, entry: Entry, first: Attempt | None) -> Awaitable[None]:
        self._journal.append("open")
        return self._durable(super().open(entry, first), "opened")

    @override
    def next_attempt(self, ended: AttemptEnd, attempt: Attempt) -> Awaitable[None]:
        self._journal.append("next")
        return self._durable(super().next_attempt(ended, attempt), "nexted")

    @override
    def settle(self, end: EntryEnd, ended: AttemptEnd | None) -> Awaitable[None]:
        self._journal.append(f"settle {end.state}")
        self.settles.append(end)
        return self._durable(super().settle(end, ended), "settled", self.fault)

    def _durable(self, written: Awaitable[None], told: str, fault: Fault | None = None) -> Awaitable[None]:
        """A future, as the real ledger gives one: what is written is written, whether or not anybody waits."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        async def write() -> None:
            await written
            await asyncio.sleep(0)
            if fault is None:
                self._journal.append(told)
            if not future.done():
                future.set_result(None) if fault is None else future.set_exception(fault)

        task = loop.create_task(write())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return future


class JournaledUpstream(ScriptedUpstream):
    """Says when it is asked."""

    def __init__(self, name: str, journal: list[str], turns: Iterable[Scripted | Fault]) -> None:
        super().__init__(turns)
        self._name = name
        self._journal = journal

    @override
    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> ScriptedAnswer:
        self._journal.append(f"send {self._name}")
        return await super().send(call, patience, along)


class JournaledCaller(RecordedCaller):
    """Says what is done to it."""

    def __init__(self, journal: list[str], width: int | None = None) -> None:
        super().__init__(width)
        self.told = journal

    @property
    def got(self) -> list[str]:
        """What was done to it."""
        return [told for told in self.told if told in {"whole", "start", "write", "end", "abort"}]


class OpenBook:
    """Implements `ports.keys.Book`: nobody has a limit; what was settled is kept."""

    def __init__(self) -> None:
        self.settled: list[tuple[int, Usage, int | None]] = []

    def reserve(self, principal: Principal, tokens: int) -> Awaitable[None] | None:
        """It is open."""
        return None

    def settle(
        self, principal: Principal, reserved: int, usage: Usage, price: int | None, since: int | None = None
    ) -> None:
        """Kept."""
        self.settled.append((reserved, usage, price))


class CountingMeters:
    """Implements `ports.metrics.Meters`."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.ends: list[tuple[str, str, EntryEnd]] = []
        self.refusals: list[str] = []
        self.phases: list[tuple[str, str]] = []

    def began(self, model: str) -> None:
        """One more."""
        self.in_flight += 1

    def ended(self, skin: str, model: str, target: str, end: EntryEnd) -> None:
        """One less."""
        self.in_flight -= 1
        self.ends.append((model, target, end))

    def refused(self, skin: str, code: str, status: int) -> None:
        """Kept."""
        self.refusals.append(code)

    def breaker(self, target: str, state: str) -> None:
        """Kept."""
        self.phases.append((target, state))


class OneModel:
    """Implements `ports.line.Directory`: one public name and its targets' lines."""

    def __init__(self, targets: Sequence[Target], lines: dict[str, Line], cache_ttl: float | None = None) -> None:
        self._model = Model(PUBLIC, tuple(targets), cache_ttl=cache_ttl)
        self._lines = lines

    def find(self, name: str, source: str = "") -> Model | None:
        """The model, by its name."""
        return self._model if name == PUBLIC else None

    def closest(self, name: str) -> Sequence[str]:
        """Itself, but for one name."""
        return (PUBLIC,) if name != "far off" else ()

    def hint(self, name: str, source: str = "") -> str:
        """Knows why one name is nothing."""
        return "Its provider sleeps." if name == "far off" else ""

    def models(self) -> Sequence[Model]:
        """It alone."""
        return (self._model,)

    def line(self, target: Target) -> Line:
        """By its provider."""
        return self._lines[target.provider]


class Core:
    """A gateway and all that is around it. Made in a running loop. Without scripts there is one target, `one/up-1`."""

    def __init__(
        self,
        *turns: Scripted | Fault,
        targets: Sequence[Target] = (UP,),
        scripts: Mapping[str, Sequence[Scripted | Fault]] | None = None,
        policy: Policy | None = None,
        dice: Callable[[], float] = lambda: 0.5,
        width: int | None = None,
        cache_ttl: float | None = None,
        skin: Skin = SKIN,
        speech: Mapping[Operation, Speech] = SPEECH,
    ) -> None:
        self.journal: list[str] = []
        self.skin = skin
        self.clock = StillClock()
        self.ledger = JournaledLedger(self.journal)
        self.meters = CountingMeters()
        self.book = OpenBook()
        self.cache = MemoryCache()
        self.upstreams = {
            target.provider: JournaledUpstream(
                target.provider, self.journal, (scripts or {}).get(target.provider, turns)
            )
            for target in targets
        }
        self.caller = JournaledCaller(self.journal, width)
        self.services = Services(
            directory=OneModel(
                targets, {name: Line(upstream, speech) for name, upstream in self.upstreams.items()}, cache_ttl
            ),
            ledger=self.ledger,
            book=self.book,
            meters=self.meters,
            clock=self.clock,
            dice=dice,
            policy=policy or Policy(),
            cache=self.cache,
        )
        self.gateway = Gateway(self.services)
        self._identities = Identities(self.clock.now, bytes)

    @property
    def upstream(self) -> ScriptedUpstream:
        """The first target's."""
        return next(iter(self.upstreams.values()))

    @property
    def end(self) -> EntryEnd:
        """How the one entry ended."""
        (end,) = self.ledger.ends.values()
        return end

    def rows(self) -> list[tuple[int, str, State]]:
        """The attempts of the one entry: number, target, state."""
        (attempts,) = self.ledger.attempts.values()
        (states,) = map(self.ledger.attempt_states, self.ledger.attempts)
        return [(attempt.number, attempt.target, state) for attempt, state in zip(attempts, states, strict=True)]

    def turn(self, asked: bytes, operation: Operation = Operation.CHAT, principal: Principal = WHO) -> Turn:
        """One request."""
        id = self._identities.new()
        skin = self.skin
        route = next(route for route in skin.routes if route.action == operation.value)
        visit = Visit(route, Call(route.method, route.path, body=asked), "request-1")
        return Turn(skin, operation, skin.codec(visit), asked, (), principal, NOBODY, "request-1", id)

    async def serve(self, asked: object = HELLO, operation: Operation = Operation.CHAT) -> Fault | None:
        """One request, to its end; gives the fault that the door would have to tell."""
        try:
            await self.gateway.serve(
                self.turn(asked if isinstance(asked, bytes) else body(asked), operation), self.caller
            )
        except Fault as fault:
            return fault
        return None

    async def serve_while_time_passes(self, asked: object = HELLO, seconds: float = 60.0) -> Fault | None:
        """The same, with the clock moving on."""
        serving = asyncio.ensure_future(self.serve(asked))
        await self.clock.advance(seconds)
        assert serving.done(), "it still runs"
        return await serving


def run(work: Coroutine[Any, Any, T]) -> T:
    """In a loop of its own."""
    return asyncio.run(work)
