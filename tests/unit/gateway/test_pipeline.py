"""The stages of a request: what is refused before it is an entry, what is counted, and being stopped."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from random import Random

import msgspec
import pytest
from typing_extensions import override

from foz.canon.entry import State
from foz.canon.fault import BadRequest, Draining, Fault, Forbidden, NoCapacity, NotFound, RateLimited
from foz.canon.model import Target
from foz.canon.principal import Principal
from foz.canon.request import ChatRequest
from foz.canon.usage import Usage
from foz.dialects.openai.chat.server import ChatServer
from foz.gateway.services import Policy
from foz.testing.upstream import Scripted
from tests.core import DONE, HELLO, STREAM, STREAMED, UP, WHOLE, Core, OpenBook, body, run


class FullBook(OpenBook):
    """A principal whose rate is used up: said at once, or after looking."""

    def __init__(self, *, later: bool) -> None:
        super().__init__()
        self._later = later
        self.asked: list[int] = []

    @override
    def reserve(self, principal: Principal, tokens: int) -> Awaitable[None] | None:
        self.asked.append(tokens)
        fault = RateLimited("slower", retry_after=3.0)
        if not self._later:
            raise fault

        async def look() -> None:
            await asyncio.sleep(0)
            raise fault

        return look()


def untouched(core: Core) -> bool:
    """Whether nothing was written, sent or told."""
    return core.journal == [] and core.services.in_flight == 0 and core.meters.in_flight == 0


@pytest.mark.parametrize(
    ("asked", "leaf"),
    [
        (b"{", BadRequest),
        (b"[]", BadRequest),
        (body({"model": "public"}), BadRequest),
        (body({**HELLO, "temperature": "hot"}), BadRequest),
        (body({**HELLO, "model": "publik"}), NotFound),
    ],
    ids=["half", "list", "no messages", "wrong type", "unknown model"],
)
def test_what_is_wrong_reaches_nobody(asked: bytes, leaf: type[Fault]) -> None:
    """A request that cannot be served makes no entry, asks no target and tells the caller nothing; it is counted."""

    async def main() -> None:
        core = Core()
        fault = await core.serve(asked)
        assert isinstance(fault, leaf)
        assert untouched(core)
        assert core.meters.refusals == [fault.code]

    run(main())


def test_an_unknown_model_is_told_what_was_perhaps_meant() -> None:
    """The fault names the model that was asked for and the closest that this key may call."""

    async def main() -> None:
        core = Core()
        fault = await core.serve({**HELLO, "model": "publik"})
        assert isinstance(fault, NotFound)
        assert "'publik'" in fault.message
        assert "Did you mean public?" in fault.message

    run(main())


def test_an_unknown_model_like_none_is_told_where_to_look() -> None:
    """With no close name the fault has what the directory knows of the name, and says what lists the models."""

    async def main() -> None:
        fault = await Core().serve({**HELLO, "model": "far off"})
        assert isinstance(fault, NotFound)
        assert fault.message == (
            "The model 'far off' does not exist. Its provider sleeps. GET /v1/models lists what there is."
        )

    run(main())


def test_a_key_calls_only_its_models() -> None:
    """A model that the key's list does not name is forbidden, and makes no entry."""

    async def main() -> None:
        core = Core()
        principal = Principal("narrow", models=frozenset({"other", "pub-*"}))
        with pytest.raises(Forbidden):
            await core.gateway.serve(core.turn(body(HELLO), principal=principal), core.caller)
        assert untouched(core)

    run(main())


@pytest.mark.parametrize("later", [False, True], ids=["at once", "after a look"])
def test_a_used_up_rate_makes_no_entry(later: bool) -> None:
    """A refused reservation ends the request before it is an entry; what was to be reserved is what it may use."""

    async def main() -> None:
        core = Core()
        book = core.services.book = FullBook(later=later)
        fault = await core.serve({**HELLO, "max_tokens": 30, "n": 2})
        assert isinstance(fault, RateLimited)
        assert untouched(core)
        assert book.asked == [60]
        assert book.settled == []

    run(main())


def test_too_much_in_flight_is_refused() -> None:
    """Beyond the policy's number of requests the next one is refused; when one ends there is room again."""

    async def main() -> None:
        gate = asyncio.Event()
        core = Core(Scripted(WHOLE, gate=gate), Scripted(WHOLE), policy=Policy(max_in_flight=1))
        first = asyncio.ensure_future(core.serve())
        await core.clock.settle()
        assert isinstance(await core.serve(), NoCapacity)
        gate.set()
        assert await first is None
        assert await core.serve() is None

    run(main())


def test_what_is_in_flight_is_counted_down_however_it_ends() -> None:
    """Meters and book hear of every run exactly once: well, failed, or left."""

    async def main() -> None:
        core = Core(Scripted(WHOLE), Scripted(b"garbled"), Scripted(b"garbled"), Scripted(WHOLE, gate=asyncio.Event()))
        await core.serve()
        await core.serve_while_time_passes(seconds=5.0)
        leaving = asyncio.ensure_future(core.serve())
        await core.clock.settle()
        assert core.meters.in_flight == core.services.in_flight == 1
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert core.meters.in_flight == core.services.in_flight == 0
        states = [end.state for _, _, end in core.meters.ends]
        assert states == [State.COMPLETE, State.FAILED, State.CALLER_GONE]
        assert len(core.book.settled) == 3

    run(main())


def test_a_gateway_that_is_stopped_takes_nothing_new() -> None:
    """While draining, what runs goes on to its end and what comes is refused with a time to ask again."""

    async def main() -> None:
        gate = asyncio.Event()
        core = Core(Scripted(*STREAM, held={1: gate}))
        running = asyncio.ensure_future(core.serve(STREAMED))
        await core.clock.settle()
        core.services.draining = True
        refused = await core.serve()
        assert isinstance(refused, Draining)
        assert refused.retry_after == 1
        gate.set()
        assert await running is None
        assert core.caller.ended
        assert core.end.state is State.COMPLETE

    run(main())


def test_what_a_stop_cuts_off_is_our_doing() -> None:
    """A run that is cancelled while draining failed by our doing: the entry does not say that the caller left."""

    async def main() -> None:
        core = Core(Scripted(*STREAM, held={1: asyncio.Event()}))
        running = asyncio.ensure_future(core.serve(STREAMED))
        await core.clock.settle()
        core.services.draining = core.services.stopping = True
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert core.end.state is State.FAILED
        assert (core.end.fault or "").startswith("draining: ")
        assert core.upstream.answers[0].closed

    run(main())


def test_weights_share_the_load() -> None:
    """Targets of one rank get the first attempts in proportion to their weights."""

    async def main() -> None:
        calls = 400
        targets = (Target("one", "m", weight=3.0), Target("two", "m", weight=1.0))
        scripts = {"one": [Scripted(WHOLE)] * calls, "two": [Scripted(WHOLE)] * calls}
        core = Core(targets=targets, scripts=scripts, dice=Random(7).random)
        for _ in range(calls):
            assert await core.serve() is None
        asked = Counter(attempts[0].target for attempts in core.ledger.attempts.values())
        assert asked.total() == calls
        assert 0.70 < asked["one/m"] / calls < 0.80

    run(main())


def test_the_upstream_knows_the_request_by_the_same_id() -> None:
    """The request id of the entry goes along to the target, with its own model name in the body."""

    async def main() -> None:
        core = Core(Scripted(WHOLE))
        await core.serve()
        (call,) = core.upstream.calls
        (entry,) = core.ledger.entries.values()
        assert call.header(b"x-request-id") == entry.request_id.encode()
        assert (entry.model, b'"up-1"' in call.body, b'"public"' in call.body) == ("public", True, False)
        assert core.ledger.attempts[entry.id][0].target == UP.name

    run(main())


class Confused(ChatServer):
    """A codec with a defect: it reads what it cannot decode."""

    @override
    def decode_request(self, body: bytes) -> ChatRequest:
        raise TypeError("a defect")


@pytest.mark.parametrize("relay", [True, False])
def test_a_defect_leaves_no_entry_open(relay: bool) -> None:
    """Whatever goes wrong, the entry is settled once, as our own failure, and nothing looks finished."""

    async def main() -> None:
        core = Core(Scripted(*STREAM[:3], DONE), policy=Policy(relay=relay))
        turn = msgspec.structs.replace(core.turn(body(STREAMED)), codec=Confused())
        with pytest.raises(TypeError, match="a defect"):
            await core.gateway.serve(turn, core.caller)
        assert [end.state for end in core.ledger.settles] == [State.FAILED]
        assert (core.end.fault or "").startswith("bug: ")
        assert core.end.usage == Usage()
        assert not core.caller.ended
        assert core.services.in_flight == core.meters.in_flight == 0
        assert all(answer.closed for answer in core.upstream.answers)

    run(main())
