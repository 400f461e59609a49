"""Several engines of one model: who is asked, and what happens where one of them is gone."""

import asyncio
import socket
from collections.abc import Sequence

import pytest
from typing_extensions import override

from foz.canon.fault import Cut, Down, Fault, Timeout
from foz.canon.model import Patience
from foz.net.distant import Distant
from foz.net.fleet import ASIDE, Fleet, Way
from foz.net.origin import Endpoint
from foz.net.watch import TickingWatch
from foz.ports.upstream import UpstreamAnswer
from foz.testing.upstream import Scripted, ScriptedUpstream
from foz.wire.http import Call
from tests.unit.net.served import HELLO, run, saying, served

CALL = Call("POST", "/chat/completions", body=b"{}")
WELL = Scripted(b"yes")


class Engines:
    """A fleet of scripted engines, and a clock that a test moves."""

    def __init__(self, *scripts: Sequence[Scripted | Fault]) -> None:
        self.engines = [ScriptedUpstream(script) for script in scripts]
        self.now = 0.0
        self.fleet = Fleet([Way(engine) for engine in self.engines], lambda: self.now)

    async def ask(self) -> UpstreamAnswer:
        return await self.fleet.send(CALL, Patience())

    @property
    def asked(self) -> list[int]:
        return [len(engine.calls) for engine in self.engines]


def test_the_least_busy_is_asked() -> None:
    """Four calls at once over two engines are two each, and the next goes to the one whose answer was closed."""

    async def work() -> None:
        town = Engines([WELL] * 4, [WELL] * 4)
        answers = [await town.ask() for _ in range(4)]
        assert town.asked == [2, 2]
        answers[1].close()
        answers[1].close()  # once more counts nothing
        answers[3].close()
        await town.ask()
        await town.ask()
        assert town.asked == [2, 4]

    asyncio.run(work())


def test_idle_engines_take_turns() -> None:
    """Calls one after another go round."""

    async def work() -> None:
        town = Engines([WELL] * 2, [WELL] * 2, [WELL] * 2)
        for _ in range(6):
            (await town.ask()).close()
        assert town.asked == [2, 2, 2]

    asyncio.run(work())


@pytest.mark.parametrize("fault", [Down("gone", sent=False), Down("gone"), Timeout("no connection", sent=False)])
def test_who_is_gone_is_passed_over(fault: Fault) -> None:
    """The same call goes to the next engine; the one that was gone is not asked again until a moment has passed."""

    async def work() -> None:
        town = Engines([fault, WELL], [WELL] * 4)
        for _ in range(3):
            (await town.ask()).close()
        assert town.asked == [1, 3]
        town.now = ASIDE + 1
        (await town.ask()).close()
        assert town.asked == [2, 3]

    asyncio.run(work())


def test_all_are_gone() -> None:
    """Where nobody can be reached the last fault is told, and the next call tries again."""

    async def work() -> None:
        town = Engines([Down("a"), WELL], [Down("b")])
        with pytest.raises(Down, match="b"):
            await town.ask()
        (await town.ask()).close()
        assert town.asked == [2, 1]

    asyncio.run(work())


def test_what_was_sent_and_is_late_is_not_sent_again() -> None:
    """An engine that took a call and does not answer in time may be at work at it: nobody else is asked."""

    async def work() -> None:
        town = Engines([Timeout("late")], [WELL])
        with pytest.raises(Timeout, match="late"):
            await town.ask()
        assert town.asked == [1, 0]

    asyncio.run(work())


@pytest.mark.parametrize("whole", [True, False])
def test_a_cut_answer(whole: bool) -> None:
    """Whose answer is cut is left aside; the answer itself is the gateway's to judge."""

    async def work() -> None:
        town = Engines([Scripted(b"y", fault=Cut("cut"))], [WELL] * 2)
        answer = await town.ask()
        with pytest.raises(Cut):
            await (answer.whole(10) if whole else answer.pour(lambda _: None))
        answer.close()
        for _ in range(2):
            (await town.ask()).close()
        assert town.asked == [1, 2]

    asyncio.run(work())


def test_a_call_that_is_cancelled_is_not_counted() -> None:
    """A caller who goes while the head is waited for leaves the engine as idle as it was."""

    async def work() -> None:
        gate = asyncio.Event()
        town = Engines([Scripted(b"", gate=gate), WELL], [WELL] * 2)
        call = asyncio.ensure_future(town.ask())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait((call,))
        held = await town.ask()
        assert town.asked == [1, 1]
        await town.ask()
        assert town.asked == [2, 1]
        held.close()
        await town.fleet.close()
        assert all(engine.closed for engine in town.engines)

    asyncio.run(work())


def test_a_machine_that_vanishes_is_missed() -> None:
    """The kernel looks after connections to other machines: after 4 seconds of silence it says that nobody is there."""
    seen: list[int] = []

    class Looked(Distant):
        @override
        def _meet(self, transport: asyncio.Transport) -> None:
            super()._meet(transport)
            ours: socket.socket = transport.get_extra_info("socket")
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            seen.append(ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            seen.extend(ours.getsockopt(socket.IPPROTO_TCP, option) for option in options)

    async def main() -> None:
        async with served(saying(HELLO)) as port:
            watch = TickingWatch(asyncio.get_running_loop())
            origin = Looked(Endpoint(f"http://127.0.0.1:{port}/v1"), watch)
            answer = await origin.send(CALL, Patience())
            answer.close()
            await origin.close()

    run(main())
    on, idle, every, misses = seen
    assert on
    assert idle + every * misses <= 4
