"""Upstreams around upstreams: models that are loading are waited for, calls that were put off are asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from foz.canon.fault import Down, Fault, Garbled, Timeout
from foz.canon.model import Patience
from foz.net.polling import Polling
from foz.net.waking import Waking
from foz.ports.upstream import UpstreamAnswer
from foz.testing.clock import StillClock
from foz.testing.upstream import Scripted, ScriptedUpstream
from foz.wire.http import Call, Headers, Reply

T = TypeVar("T")
CALL = Call("POST", "/m", ((b"accept", b"application/json"),), b"{}")
ALONG = ((b"x-request-id", b"r"),)


def asleep(seconds: float) -> Scripted:
    return Scripted(b"%g" % seconds, status=503)


def put_off(id: bytes = b"req-1", state: bytes = b"in-progress") -> Scripted:
    headers: Headers = ((b"nvcf-reqid", id), (b"nvcf-status", state))
    return Scripted(status=202, headers=headers if id else headers[1:])


def seconds_in(reply: Reply) -> float | None:
    return float(reply.body) if reply.body != b"down" else None


def while_time_passes(clock: StillClock, work: Callable[[], Awaitable[T]], seconds: float) -> T:
    async def main() -> T:
        task = asyncio.ensure_future(work())
        await clock.advance(seconds)
        assert task.done(), "it still waits"
        return await task

    return asyncio.run(main())


def waking(clock: StillClock, *turns: Scripted, total: float = 60.0) -> tuple[ScriptedUpstream, Waking, Patience]:
    inner = ScriptedUpstream(turns)
    return inner, Waking(inner, clock, seconds_in, "model_loading"), Patience(total=total)


def test_a_loading_model_is_asked_again_until_it_is_there() -> None:
    """A model that needs 3 seconds is asked after 3, and one that is still not there is asked again."""
    clock = StillClock()
    inner, upstream, patience = waking(clock, asleep(3), asleep(0), Scripted(b"hello"))

    answer = while_time_passes(clock, lambda: upstream.send(CALL, patience, ALONG), 4.0)
    assert answer.status == 200
    assert inner.calls == [CALL.with_headers(ALONG)] * 3
    assert [patience.total for patience in inner.patience] == [60.0, 57.0, 56.0]


def test_a_guess_is_not_believed_for_long() -> None:
    """A model that thinks it needs an hour is asked again after ten seconds."""
    clock = StillClock()
    _, upstream, patience = waking(clock, asleep(3600), Scripted(b"hello"))

    assert while_time_passes(clock, lambda: upstream.send(CALL, patience), 10.0).status == 200


def test_the_wait_ends_with_the_calls_time_and_says_so() -> None:
    """When the call's time is up the fault says that the model is loading, and how long it may take."""
    clock = StillClock()
    inner, upstream, patience = waking(clock, asleep(20), asleep(15), total=12.0)

    with pytest.raises(Timeout, match="still loading after 12 s") as caught:
        while_time_passes(clock, lambda: upstream.send(CALL, patience), 12.0)
    fault = caught.value
    assert (fault.status, fault.retry_after, fault.vendor_code) == (503, 15.0, "model_loading")
    assert len(inner.calls) == 2


def test_another_refusal_is_handed_on() -> None:
    """A 503 that is not about loading reaches whoever asked, body and all, as an answer like any other."""
    clock = StillClock()
    _, upstream, patience = waking(clock, Scripted(b"down", status=503))

    async def read() -> tuple[Reply, list[bytes]]:
        answer = await upstream.send(CALL, patience)
        answer.pause()
        answer.resume()
        poured: list[bytes] = []
        await answer.pour(poured.append)
        whole = await answer.whole(100)
        with pytest.raises(Garbled):
            await answer.whole(2)
        answer.close()
        return whole, poured

    assert while_time_passes(clock, read, 0.0) == (Reply(503, (), b"down"), [b"down"])


def test_a_cancelled_wait_asks_no_more() -> None:
    """A caller who leaves while a model is loading ends the wait."""
    clock = StillClock()
    inner, upstream, patience = waking(clock, asleep(5), Scripted(b"hello"))

    async def main() -> None:
        task = asyncio.ensure_future(upstream.send(CALL, patience))
        await clock.advance(1.0)
        task.cancel()
        await asyncio.wait([task])
        await clock.advance(30.0)
        await upstream.close()

    asyncio.run(main())
    assert len(inner.calls) == 1
    assert inner.closed


def polling(
    clock: StillClock, first: Scripted, *statuses: Scripted
) -> tuple[ScriptedUpstream, Callable[[], Awaitable[UpstreamAnswer]]]:
    asked, polled = ScriptedUpstream([first]), ScriptedUpstream(statuses)
    upstream = Polling(asked, polled, clock)
    return polled, lambda: upstream.send(CALL, Patience(total=30.0), ALONG)


def test_a_call_that_was_put_off_is_asked_for_by_its_id() -> None:
    """The answer of a call under 202 is what its id gives in the end, asked for once a second at most."""
    clock = StillClock()
    polled, send = polling(clock, put_off(), put_off(), put_off(b""), Scripted(b"hello"))

    assert while_time_passes(clock, send, 2.0).status == 200
    assert [call.path for call in polled.calls] == ["/req-1"] * 3
    assert polled.calls[0].method == "GET"
    assert polled.calls[0].headers == ((b"accept", b"application/json"), (b"nvcf-poll-seconds", b"20"), *ALONG)
    assert [patience.total for patience in polled.patience] == [30.0, 29.0, 28.0]


@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_answer_at_once_is_not_asked_for(status: int) -> None:
    """Whatever comes with another status than 202 is the answer, without a question."""
    clock = StillClock()
    polled, send = polling(clock, Scripted(b"x", status=status))

    assert while_time_passes(clock, send, 0.0).status == status
    assert polled.calls == []


@pytest.mark.parametrize(
    ("first", "leaf"),
    [
        (put_off(b""), Garbled),
        (put_off(b"../../keys"), Garbled),
        (put_off(state=b"errored"), Down),
        (put_off(state=b"rejected"), Down),
    ],
)
def test_a_call_that_leads_nowhere_is_a_fault(first: Scripted, leaf: type[Fault]) -> None:
    """No id, an id that would lead to another path, and a call that was given up are the upstream's faults."""
    clock = StillClock()
    polled, send = polling(clock, first)

    with pytest.raises(leaf):
        while_time_passes(clock, send, 0.0)
    assert polled.calls == []


def test_asking_ends_with_the_calls_time() -> None:
    """A call that is put off without end is a timeout when its time is up."""
    clock = StillClock()
    polled, send = polling(clock, *(put_off() for _ in range(40)))

    with pytest.raises(Timeout, match="30 s"):
        while_time_passes(clock, send, 30.0)
    assert len(polled.calls) == 30


def test_both_ends_are_closed() -> None:
    """Closing it closes the connections to both."""
    asked, polled = ScriptedUpstream(), ScriptedUpstream()
    asyncio.run(Polling(asked, polled, StillClock()).close())

    assert asked.closed
    assert polled.closed
