"""Running a plan: what is durable when, the commit point, repeats, falling over, and leaving at any moment."""

import asyncio

import msgspec
import pytest

from foz.canon.entry import State
from foz.canon.fault import Cut, Down, Fault, Garbled, Limited, NoCapacity, Refused, Timeout
from foz.canon.model import Placement, Profile, Target
from foz.canon.money import FREE, Rates
from foz.canon.request import Operation, Request
from foz.canon.usage import Usage
from foz.gateway.attempt import Run
from foz.gateway.health import BreakerPolicy
from foz.gateway.retry import RetryPolicy
from foz.gateway.services import Policy
from foz.ports.codec import ClientCodec, Speech
from foz.testing.upstream import Scripted
from tests.core import COUNTED, DONE, FINISH, HELLO, STREAM, STREAMED, UP, WHOLE, Core, body, frame, piece, run

OTHER = Target("two", "up-2", rank=1)
BOTH = (UP, OTHER)
FAULTS = [Down("x"), Limited("x"), Garbled("x"), Cut("x"), Timeout("x", sent=False), Refused("x", status=404)]


def code(fault: Fault) -> str:
    return fault.code


# What is durable when.


def test_a_whole_answer_goes_out_when_all_is_durable() -> None:
    """The entry is durable before the target is asked, and settled, durable, before the caller gets the answer."""

    async def main() -> None:
        core = Core(Scripted(WHOLE))
        assert await core.serve() is None
        assert core.journal == ["open", "opened", "send one", "settle complete", "settled", "whole"]

    run(main())


def test_a_stream_ends_when_its_end_is_durable() -> None:
    """Pieces go out as they come; the terminal frame leaves only after the settle is durable."""

    async def main() -> None:
        core = Core(Scripted(*STREAM))
        assert await core.serve(STREAMED) is None
        assert core.journal[:5] == ["open", "opened", "send one", "start", "write"]
        assert core.journal[-3:] == ["settle complete", "settled", "end"]
        assert core.caller.pieces[-1].endswith(DONE)
        assert not any(DONE in sent for sent in core.caller.pieces[:-1])

    run(main())


def test_an_empty_stream_is_an_answer() -> None:
    """A stream that ends well without any content is started and ended, after its settle."""

    async def main() -> None:
        core = Core(Scripted(FINISH, DONE))
        assert await core.serve(STREAMED) is None
        assert core.journal == ["open", "opened", "send one", "settle complete", "settled", "start", "end"]
        assert core.caller.body.endswith(DONE)

    run(main())


@pytest.mark.parametrize("asked", [HELLO, STREAMED], ids=["whole", "streamed"])
def test_an_end_that_cannot_be_written_is_no_end(asked: dict[str, object]) -> None:
    """Where the settle fails the caller gets a fault, or a broken stream, never an answer that looks finished."""

    async def main() -> None:
        core = Core(Scripted(WHOLE) if asked is HELLO else Scripted(*STREAM))
        core.ledger.fault = NoCapacity("the disk is full")
        fault = await core.serve(asked)
        assert not core.caller.ended
        if asked is HELLO:
            assert isinstance(fault, NoCapacity)
            assert core.caller.got == []
        else:
            assert core.caller.aborted
            assert DONE not in core.caller.body

    run(main())


# The commit point.


@pytest.mark.parametrize("fault", FAULTS, ids=code)
@pytest.mark.parametrize("asked", [HELLO, STREAMED], ids=["whole", "streamed"])
def test_before_content_another_target_is_tried(asked: dict[str, object], fault: Fault) -> None:
    """A fault before any content sends the caller nothing: the next target answers, and both attempts are on record."""

    async def main() -> None:
        silent = frame(choices=[{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}])
        first = Scripted(silent, fault=fault) if asked is STREAMED else fault
        second = Scripted(WHOLE) if asked is HELLO else Scripted(*STREAM)
        core = Core(targets=BOTH, scripts={"one": [first], "two": [second]})
        assert await core.serve(asked) is None
        assert core.rows() == [(1, "one/up-1", State.FAILED), (2, "two/up-2", State.COMPLETE)]
        order = [told for told in core.journal if told in {"send one", "next", "nexted", "send two"}]
        assert order == ["send one", "next", "nexted", "send two"]
        assert core.caller.ended
        assert core.end.usage == Usage(7, 3)
        assert core.meters.ends == [("public", "two/up-2", core.end)]
        assert all(answer.closed for upstream in core.upstreams.values() for answer in upstream.answers)

    run(main())


@pytest.mark.parametrize("fault", [Cut("x"), Timeout("x"), Garbled("x")], ids=code)
def test_after_content_the_fault_is_the_callers(fault: Fault) -> None:
    """A fault after content goes into the stream, which is aborted; no other target is asked; what was said counts."""

    async def main() -> None:
        core = Core(targets=BOTH, scripts={"one": [Scripted(piece("Into "), fault=fault)], "two": [Scripted(*STREAM)]})
        assert await core.serve(STREAMED) is None
        assert core.caller.got == ["start", "write", "write", "abort"]
        assert core.journal.index("settled") < core.journal.index("abort")
        assert b'"error"' in core.caller.pieces[-1]
        assert DONE not in core.caller.body
        assert core.upstreams["two"].calls == []
        assert core.end.state is State.UPSTREAM_CUT
        assert core.end.status == 200
        assert core.end.usage == Usage(input=5, output=1, estimated=True)

    run(main())


def test_what_was_sent_and_timed_out_is_not_sent_again() -> None:
    """A target that timed out after it was asked ends the plan, unless its row says that it may be asked again."""

    async def main(target: Target, expected: list[str]) -> None:
        scripts: dict[str, list[Scripted | Fault]] = {"one": [Timeout("late")], "two": [Scripted(WHOLE)]}
        core = Core(targets=(target, OTHER), scripts=scripts)
        await core.serve()
        assert [told for told in core.journal if told.startswith("send")] == expected

    run(main(UP, ["send one"]))
    run(main(msgspec.structs.replace(UP, resend=True), ["send one", "send two"]))


def test_an_exhausted_plan_gives_the_last_fault() -> None:
    """When every target failed, the last one's fault is raised and nothing was written to the caller."""

    async def main() -> None:
        core = Core(targets=BOTH, scripts={"one": [Down("a")], "two": [Down("b"), Down("c")]})
        fault = await core.serve_while_time_passes()
        assert isinstance(fault, Down)
        assert (fault.message, fault.target) == ("c", "two/up-2")
        assert core.caller.got == []
        assert core.end.state is State.FAILED
        assert core.end.status == 502
        assert [state for _, _, state in core.rows()] == [State.FAILED] * 3

    run(main())


# Repeats.


def test_the_only_target_is_asked_again_after_a_pause() -> None:
    """A passing fault of the last target repeats it after the policy's pause, not before."""

    async def main() -> None:
        core = Core(Down("x"), Scripted(WHOLE))
        serving = asyncio.ensure_future(core.serve())
        await core.clock.advance(0.19)
        assert len(core.upstream.calls) == 1
        await core.clock.advance(0.02)
        assert await serving is None
        assert [(number, state) for number, _, state in core.rows()] == [(1, State.FAILED), (2, State.COMPLETE)]

    run(main())


@pytest.mark.parametrize("wait", [0.0, 3.0, 10.0])
def test_retry_after_is_waited_for(wait: float) -> None:
    """The pause that the target asked for is kept exactly."""

    async def main() -> None:
        core = Core(Limited("x", retry_after=wait), Scripted(WHOLE))
        serving = asyncio.ensure_future(core.serve())
        if wait:
            await core.clock.advance(wait - 0.01)
            assert len(core.upstream.calls) == 1
        await core.clock.advance(0.02)
        assert await serving is None

    run(main())


def test_a_long_retry_after_is_told() -> None:
    """A longer pause than the cap ends the plan at once, and the fault still carries it."""

    async def main() -> None:
        core = Core(Limited("x", retry_after=11.0), Scripted(WHOLE))
        fault = await core.serve()
        assert isinstance(fault, Limited)
        assert fault.retry_after == 11.0
        assert core.clock.monotonic() == 0

    run(main())


def test_an_upstreams_own_words_are_honoured() -> None:
    """A 429 with `retry-after` in the target's answer is repeated after that many seconds."""

    async def main() -> None:
        error = body({"error": {"message": "slower", "type": "requests", "code": "rate_limit_exceeded"}})
        limited = Scripted(error, status=429, headers=((b"retry-after", b"2"),))
        core = Core(limited, Scripted(WHOLE))
        serving = asyncio.ensure_future(core.serve())
        await core.clock.advance(1.99)
        assert len(core.upstream.calls) == 1
        await core.clock.advance(0.02)
        assert await serving is None
        (first, _) = sorted(core.ledger.attempt_ends.items())
        assert first[1].status == 429

    run(main())


def test_repeats_end_with_their_budget() -> None:
    """Once the reserve is spent, a failing target is asked once for each request."""

    async def main() -> None:
        policy = Policy(retries=RetryPolicy(budget=0.0, reserve=2.0), breaker=BreakerPolicy(failures=100))
        core = Core(*[Down("x")] * 8, policy=policy)
        for _ in range(4):
            await core.serve_while_time_passes(seconds=5.0)
        assert len(core.upstream.calls) == 4 + 2

    run(main())


# Breakers.


def test_a_breaker_opens_looks_and_closes() -> None:
    """After failures in a row the target is left alone; after the cool-down one request looks, and closes it."""

    async def main() -> None:
        policy = Policy(retries=RetryPolicy(again=0), breaker=BreakerPolicy(failures=2, cool_down=5.0))
        core = Core(Down("1"), Down("2"), Scripted(WHOLE), Scripted(WHOLE), policy=policy)
        await core.serve()
        await core.serve()
        assert core.meters.phases == [("one/up-1", "open")]
        fault = await core.serve()
        assert fault is not None
        assert fault.code == "no_route"
        assert len(core.upstream.calls) == 2
        await core.clock.advance(5.0)
        assert await core.serve() is None
        assert core.meters.phases[1:] == [("one/up-1", "half_open"), ("one/up-1", "closed")]
        assert await core.serve() is None

    run(main())


def test_only_one_request_looks() -> None:
    """While the one that looks is under way, others find no route."""

    async def main() -> None:
        gate = asyncio.Event()
        policy = Policy(retries=RetryPolicy(again=0), breaker=BreakerPolicy(failures=1, cool_down=5.0))
        core = Core(Down("1"), Scripted(WHOLE, gate=gate), policy=policy)
        await core.serve()
        await core.clock.advance(5.0)
        looking = asyncio.ensure_future(core.serve())
        await core.clock.settle()
        fault = await core.serve()
        assert fault is not None
        assert fault.code == "no_route"
        gate.set()
        assert await looking is None
        assert len(core.upstream.calls) == 2

    run(main())


def test_a_request_that_cannot_be_said_does_not_close_a_breaker() -> None:
    """What the target never saw says nothing about its health."""

    async def main() -> None:
        policy = Policy(retries=RetryPolicy(again=0), breaker=BreakerPolicy(failures=2))
        core = Core(Down("1"), Down("2"), policy=policy)
        await core.serve()
        lines = core.services.directory.line(UP)
        speech = lines.speech
        lines.speech = {}
        fault = await core.serve()
        assert fault is not None
        assert fault.code == "unsupported"
        lines.speech = speech
        await core.serve()
        assert core.meters.phases == [("one/up-1", "open")]

    run(main())


def test_a_target_that_says_no_is_well() -> None:
    """A refusal closes a row of failures: the target answered."""

    async def main() -> None:
        policy = Policy(retries=RetryPolicy(again=0), breaker=BreakerPolicy(failures=2))
        core = Core(Down("1"), Refused("no"), Down("2"), Scripted(WHOLE), policy=policy)
        for _ in range(3):
            await core.serve()
        assert core.meters.phases == []
        assert await core.serve() is None

    run(main())


# What it took.


def test_usage_and_price_are_the_targets_own() -> None:
    """Tokens as the target counted them, priced by the target's rates in pico-units, in ledger and book alike."""

    async def main() -> None:
        rates = Rates(input=20_000, output=60_000, request=5, currency="EUR", version="v1")
        core = Core(Scripted(WHOLE), targets=(msgspec.structs.replace(UP, rates=rates),))
        await core.serve()
        price = 7 * 20_000 + 3 * 60_000 + 5
        assert core.end.usage == Usage(7, 3)
        assert (core.end.price, core.end.currency, core.end.price_version) == (price, "EUR", "v1")
        assert core.book.settled == [(0, Usage(7, 3), price)]

    run(main())


@pytest.mark.parametrize(("rates", "price", "currency"), [(None, None, None), (FREE, 0, "USD")])
def test_unknown_is_not_free(rates: Rates | None, price: int | None, currency: str | None) -> None:
    """Without rates the price is unknown and has no currency; what is free costs 0."""

    async def main() -> None:
        core = Core(Scripted(WHOLE), targets=(msgspec.structs.replace(UP, rates=rates),))
        await core.serve()
        assert (core.end.price, core.end.currency) == (price, currency)

    run(main())


@pytest.mark.parametrize("relay", [True, False])
def test_missing_usage_is_estimated_and_marked(relay: bool) -> None:
    """A target that does not count is counted by rule of thumb, in both lanes alike, and the entry says so."""

    async def main() -> None:
        core = Core(Scripted(*STREAM[:3], DONE), policy=Policy(relay=relay))
        await core.serve(STREAMED)
        assert core.end.usage == Usage(input=5, output=3, estimated=True)

    run(main())


def test_a_target_that_was_never_reached_took_nothing() -> None:
    """A connection that could not be made is charged nothing, and so is a refusal."""

    async def main() -> None:
        for fault in (Down("x", sent=False), Refused("no"), Limited("slower", retry_after=99)):
            core = Core(fault, fault)
            await core.serve_while_time_passes()
            assert core.end.usage == Usage(0, 0)

    run(main())


def test_the_first_token_is_timed() -> None:
    """The entry has the milliseconds to the first content and to the end."""

    async def main() -> None:
        gates = {0: asyncio.Event(), 2: asyncio.Event()}
        core = Core(Scripted(*STREAM, held=gates))
        serving = asyncio.ensure_future(core.serve(STREAMED))
        await core.clock.advance(0.25)
        gates[0].set()
        await core.clock.advance(0.5)
        gates[2].set()
        await serving
        assert (core.end.first_token, core.end.duration) == (250, 750)

    run(main())


# Others.


def test_a_slow_caller_pauses_its_upstream() -> None:
    """A caller that is full pauses the answer that feeds it, and gets the rest when it has read."""

    async def main() -> None:
        core = Core(Scripted(*[piece("word ")] * 50, FINISH, DONE), width=400)
        serving = asyncio.ensure_future(core.serve(STREAMED))
        await core.clock.settle()
        (answer,) = core.upstream.answers
        assert answer.paused
        assert answer.poured < 6
        while not serving.done():
            core.caller.drink()
            await core.clock.settle()
        assert core.caller.body.count(b"word ") == 50

    run(main())


def test_placement_and_capabilities_decide_before_anybody_is_asked() -> None:
    """Our own target goes first, and one that cannot do the operation is never asked."""

    async def main() -> None:
        ours = Target("two", "up-2", placement=Placement.GPU, profile=Profile(frozenset({Operation.EMBED})))
        core = Core(targets=(UP, ours), scripts={"one": [Scripted(WHOLE)], "two": []})
        assert await core.serve() is None
        assert core.upstreams["two"].calls == []

    run(main())


def test_an_answer_beyond_the_limit_is_garbled() -> None:
    """A whole answer that is larger than the policy allows becomes a fault, and its connection is closed."""

    async def main() -> None:
        policy = Policy(max_answer=10, retries=RetryPolicy(again=0))
        core = Core(Scripted(WHOLE), policy=policy)
        fault = await core.serve()
        assert isinstance(fault, Garbled)
        assert core.upstream.answers[0].closed

    run(main())


def test_counted_usage_is_hidden_from_who_did_not_ask() -> None:
    """The target is always asked to count; the caller sees the count only where it asked."""

    async def main() -> None:
        for relay in (True, False):
            core = Core(Scripted(*STREAM), policy=Policy(relay=relay))
            await core.serve(STREAMED)
            assert b"prompt_tokens" not in core.caller.body
            assert core.end.usage == Usage(7, 3)
            assert b"include_usage" in core.upstream.calls[0].body

    run(main())


def test_a_failed_attempts_tokens_are_its_own() -> None:
    """What a failed attempt took stands in its row; an entry whose last target was never reached took nothing."""

    async def main() -> None:
        lost = Down("x", sent=False)
        core = Core(targets=BOTH, scripts={"one": [Scripted(COUNTED, fault=Cut("x"))], "two": [lost, lost]})
        assert await core.serve_while_time_passes(STREAMED) is lost
        ends = [core.ledger.attempt_ends[key].usage for key in sorted(core.ledger.attempt_ends)]
        assert ends == [Usage(7, 3), Usage(0, 0), Usage(0, 0)]
        assert core.end.usage == Usage(0, 0)

    run(main())


@pytest.mark.parametrize("relay", [True, False])
def test_the_lane_is_the_policys(relay: bool) -> None:
    """Where both ends speak the same the bytes pass as they are, unless the policy translates all."""

    async def main() -> None:
        core = Core(Scripted(WHOLE.replace(b'"choices"', b'"choices"   ')), policy=Policy(relay=relay))
        assert await core.serve() is None
        assert (b'"choices"   :' in core.caller.body) is relay

    run(main())


def test_a_model_may_be_spoken_to_in_its_own_way() -> None:
    """A provider's speech may differ by model, even in whether it is relayed, and its client by what was asked."""

    async def main() -> None:
        core = Core(Scripted(WHOLE), Scripted(WHOLE))
        line = core.services.directory.line(UP)
        plain = line.speech[Operation.CHAT]
        told: list[tuple[Operation, str, str | None]] = []

        def by_request(request: Request, model: str) -> ClientCodec:
            told.append((Operation.CHAT, model, request.user))
            assert plain.client is not None
            return plain.client

        special = Speech("other", client=plain.client, by_request=by_request)
        line.speech = {
            Operation.CHAT: Speech(
                "openai", client=plain.client, by_model=lambda model: special if model == UP.model else plain
            )
        }
        assert await core.serve(HELLO | {"user": "Ada"}) is None
        assert told == [(Operation.CHAT, UP.model, "Ada")]

    run(main())


def test_a_callers_time_bounds_all_attempts() -> None:
    """What a caller gives the whole call is the most that any wait may take, less what earlier attempts took."""

    async def main() -> None:
        core = Core(Down("x", retry_after=2.0), Scripted(WHOLE))
        turn = core.turn(body(HELLO))
        ask = msgspec.structs.replace(turn.codec.read(turn.body), seconds=30.0)
        serving = asyncio.ensure_future(Run(core.services, turn, ask, (UP,), core.caller).serve())
        await core.clock.advance(3.0)
        await serving
        assert [patience.total for patience in core.upstream.patience] == [30.0, 28.0]
        assert [patience.connect for patience in core.upstream.patience] == [5.0, 5.0]

    run(main())


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_refusal_knows_its_own_status(status: int) -> None:
    """Whatever a target's refusal means for the caller, the fault knows the status that it came with."""

    async def main() -> None:
        policy = Policy(retries=RetryPolicy(again=0))
        fault = await Core(Scripted(b"{}", status=status), policy=policy).serve()
        assert fault is not None
        assert fault.answered == status

    run(main())


@pytest.mark.parametrize("seconds", [1.0, 2.0, None])
def test_a_callers_short_time_says_nothing_of_a_target(seconds: float | None) -> None:
    """A target that was not done when the caller's own time was up is asked again by others; else it has failed."""

    async def main() -> None:
        gate = asyncio.Event()
        late = Scripted(fault=Timeout("late"), gate=gate)
        core = Core(late, policy=Policy(breaker=BreakerPolicy(failures=1)))
        turn = core.turn(body(HELLO))
        ask = msgspec.structs.replace(turn.codec.read(turn.body), seconds=seconds)
        serving = asyncio.ensure_future(Run(core.services, turn, ask, (UP,), core.caller).serve())
        await core.clock.advance(1.0)
        gate.set()
        with pytest.raises(Timeout):
            await serving
        assert core.services.health.allows(UP.name, core.clock.monotonic()) == (seconds == 1.0)

    run(main())
