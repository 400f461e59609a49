"""The fakes behind ports keep their ports' promises."""

import asyncio

import pytest

from foz.canon.fault import Cut, Down, Garbled
from foz.canon.model import Patience
from foz.ports.caller import Caller
from foz.ports.upstream import Upstream
from foz.testing.caller import RecordedCaller
from foz.testing.upstream import Scripted, ScriptedUpstream
from foz.wire.http import Call

CALL = Call("POST", "/x")


def test_a_script_is_played_in_order() -> None:
    """Each call gets the next turn: an answer, a fault instead of a head, a fault in the middle; calls are kept."""

    async def run() -> None:
        scripted = ScriptedUpstream([Scripted(b"a", b"b"), Down("gone")])
        scripted.then(Scripted(b"c", fault=Cut("cut")))
        upstream: Upstream = scripted
        whole = await (await upstream.send(CALL, Patience())).whole(10)
        assert whole.body == b"ab"
        with pytest.raises(Down):
            await upstream.send(CALL, Patience())
        pieces: list[bytes] = []
        with pytest.raises(Cut):
            await (await upstream.send(CALL, Patience())).pour(pieces.append)
        assert pieces == [b"c"]
        assert scripted.calls == [CALL] * 3
        with pytest.raises(IndexError):
            await upstream.send(CALL, Patience())

    asyncio.run(run())


def test_a_gate_holds_the_head_and_the_pieces() -> None:
    """A turn waits for its gate before the head and for its event before a piece; a cancelled send is counted."""

    async def run() -> None:
        gate, second = asyncio.Event(), asyncio.Event()
        upstream = ScriptedUpstream([Scripted(gate=gate), Scripted(b"1", b"2", held={1: second})])
        loop = asyncio.get_running_loop()
        sending = loop.create_task(upstream.send(CALL, Patience()))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert upstream.cancelled == 1
        answer = await upstream.send(CALL, Patience())
        pieces: list[bytes] = []
        pouring = loop.create_task(answer.pour(pieces.append))
        for _ in range(5):
            await asyncio.sleep(0)
        assert pieces == [b"1"]
        second.set()
        await pouring
        assert pieces == [b"1", b"2"]

    asyncio.run(run())


def test_a_scripted_answer_has_a_limit() -> None:
    """A whole answer beyond the limit is Garbled, as the port says."""

    async def run() -> None:
        answer = await ScriptedUpstream([Scripted(b"12345")]).send(CALL, Patience())
        with pytest.raises(Garbled):
            await answer.whole(4)

    asyncio.run(run())


def test_a_narrow_caller_pauses_who_feeds_it() -> None:
    """A caller that takes two bytes pauses the answer at the third and goes on when it has drunk."""

    async def run() -> None:
        answer = await ScriptedUpstream([Scripted(b"ab", b"c", b"d")]).send(CALL, Patience())
        recorded = RecordedCaller(width=2)
        caller: Caller = recorded
        caller.feed_from(answer)
        caller.start()
        pouring = asyncio.get_running_loop().create_task(answer.pour(caller.write))
        for _ in range(10):
            await asyncio.sleep(0)
        assert recorded.body == b"abc"
        recorded.drink()
        await pouring
        caller.end(b"e")
        assert recorded.body == b"abcde"
        assert recorded.ended
        assert not recorded.aborted
        assert answer.pauses == 1

    asyncio.run(run())


def test_an_aborted_caller_does_not_look_finished() -> None:
    """After an abort the answer has not ended."""
    caller = RecordedCaller()
    caller.start()
    caller.write(b"x")
    caller.abort()

    assert caller.aborted
    assert not caller.ended
    assert caller.told == ["start", "write", "abort"]
