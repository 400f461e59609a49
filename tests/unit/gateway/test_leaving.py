"""A caller that leaves, at any moment: one settle, the upstream closed, no task left."""

import asyncio

import pytest

from foz.canon.entry import State
from foz.canon.fault import Cut, Down, Fault, Limited
from foz.canon.model import Target
from foz.canon.usage import Usage
from foz.gateway.services import Policy
from foz.testing.upstream import Scripted
from tests.core import HELLO, STREAM, STREAMED, UP, WHOLE, Core, piece, run

BOTH = (UP, Target("two", "up-2", rank=1))
WAYS: dict[str, tuple[object, dict[str, list[Scripted | Fault]]]] = {
    "whole": (HELLO, {"one": [Scripted(WHOLE)]}),
    "streamed": (STREAMED, {"one": [Scripted(*STREAM)]}),
    "falling over": (STREAMED, {"one": [Down("x")], "two": [Scripted(*STREAM)]}),
    "repeating": (HELLO, {"one": [Limited("x", retry_after=0), Scripted(WHOLE)]}),
    "failing": (STREAMED, {"one": [Scripted(piece("Into"), fault=Cut("x"))]}),
}


async def leave_after(steps: int, way: str, *, relay: bool, again: int | None = None) -> bool:
    """
    Hangs up after so many turns of the loop, and `again` as many turns later, and looks at what is left;
    whether it was over before.
    """
    asked, scripts = WAYS[way]
    core = Core(targets=BOTH[: len(scripts)], scripts=dict(scripts), policy=Policy(relay=relay))
    before = asyncio.all_tasks()
    serving = asyncio.get_running_loop().create_task(core.serve(asked))
    for _ in range(steps):
        await asyncio.sleep(0)
    if serving.done():
        return True
    begun = [told for told in core.journal if told.startswith("settle ")]
    opened = "open" in core.journal
    serving.cancel()
    if again is not None:
        for _ in range(again):
            await asyncio.sleep(0)
        serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert serving.cancelled()
    await core.clock.settle()

    assert asyncio.all_tasks() == before
    assert len(core.ledger.settles) == opened
    if opened:
        assert core.end.state == (begun[0].removeprefix("settle ") if begun else State.CALLER_GONE)
        assert State.OPEN not in [state for _, _, state in core.rows()]
        assert core.caller.feeder is None
        assert core.meters.in_flight == core.services.in_flight == 0
        assert len(core.book.settled) == 1
    for name, upstream in core.upstreams.items():
        headless = sum(isinstance(turn, Fault) for turn in scripts[name])
        assert len(upstream.answers) + upstream.cancelled >= len(upstream.calls) - headless
        assert all(answer.closed for answer in upstream.answers)
    return False


@pytest.mark.parametrize("relay", [True, False], ids=["relay", "translate"])
@pytest.mark.parametrize("way", WAYS)
def test_a_caller_may_leave_at_any_moment(way: str, relay: bool) -> None:
    """Cancelled after any number of steps, a call is settled exactly once and its upstream closed; no task is left."""

    async def main() -> None:
        steps = 0
        while not await leave_after(steps, way, relay=relay):
            steps += 1
        assert steps > 5

    run(main())


@pytest.mark.parametrize("again", [0, 1, 2, 3])
@pytest.mark.parametrize("way", WAYS)
def test_being_stopped_twice_changes_nothing(way: str, again: int) -> None:
    """Cancelled once more while the first cancellation is being settled, a call is still settled exactly once."""

    async def main() -> None:
        steps = 0
        while not await leave_after(steps, way, relay=True, again=again):
            steps += 1
        assert steps > 5

    run(main())


def test_a_caller_that_leaves_while_waiting_for_a_repeat_is_gone_at_once() -> None:
    """In the pause before a repeat a hang-up ends the call, and the target is not asked again."""

    async def main() -> None:
        core = Core(Limited("x", retry_after=9.0), Scripted(WHOLE))
        serving = asyncio.ensure_future(core.serve())
        await core.clock.advance(1.0)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert core.end.state is State.CALLER_GONE
        assert len(core.upstream.calls) == 1

    run(main())


def test_tokens_seen_so_far_are_the_entrys() -> None:
    """A caller that leaves mid-stream is charged the fewest tokens that can have come, marked as estimated."""

    async def main() -> None:
        core = Core(Scripted(*STREAM, held={1: asyncio.Event()}))
        serving = asyncio.ensure_future(core.serve(STREAMED))
        await core.clock.settle()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert core.end.state is State.CALLER_GONE
        assert core.end.status == 200
        assert core.end.usage == Usage(input=5, output=1, estimated=True)

    run(main())
