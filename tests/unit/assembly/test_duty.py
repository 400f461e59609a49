"""What is done from time to time goes on, and says what it came to."""

import asyncio
import logging
from collections.abc import Sequence

import apsw
import pytest

from foz.assembly.duty import every, tried
from foz.canon.fault import NoCapacity
from foz.testing.clock import StillClock


def run(outcomes: Sequence[BaseException | None]) -> int:
    """How many rounds are done where each in turn comes to this."""
    clock = StillClock()
    waiting = list(outcomes)

    async def do() -> None:
        if (outcome := waiting.pop(0)) is not None:
            raise outcome

    async def story() -> None:
        duty = asyncio.ensure_future(every(1.0, do, "it is late", clock.sleep))
        await clock.advance(len(outcomes) - 0.5)
        duty.cancel()
        await asyncio.wait([duty])
        assert duty.cancelled()

    asyncio.run(story())
    return len(outcomes) - len(waiting)


@pytest.mark.parametrize("error", [NoCapacity("full"), apsw.BusyError("locked"), OSError("disk"), KeyError("a defect")])
def test_a_round_that_fails_ends_no_duty(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """The rounds after one that failed are done, and what it means is told; a defect with its traceback."""
    with caplog.at_level(logging.INFO):
        assert run([None, error, None]) == 3

    assert [record.message for record in caplog.records] == [f"it is late: {error}", "no longer so: it is late"]
    assert (caplog.records[0].exc_info is not None) is isinstance(error, KeyError)


def test_what_stays_the_same_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Rounds that fail for one reason are one line in the log; another reason is another."""
    assert run([OSError("disk"), OSError("disk"), OSError("disk"), OSError("other"), OSError("disk")]) == 5

    assert [record.message.split()[-1] for record in caplog.records] == ["disk", "other", "disk"]


def test_who_cancels_a_duty_cancels_its_round() -> None:
    """A round that is under way when the duty is cancelled is cancelled too, before the duty has ended."""
    ended = []

    async def do() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("round")

    async def story() -> None:
        duty = asyncio.ensure_future(every(1.0, do, "it is late", asyncio.sleep))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        duty.cancel()
        await asyncio.wait([duty])
        ended.append("duty")

    asyncio.run(story())

    assert ended == ["round", "duty"]


def test_what_one_attempt_came_to_is_given() -> None:
    """`tried` gives None after success, and the error itself after a failure."""
    full = NoCapacity("full")

    async def fail() -> None:
        raise full

    assert asyncio.run(tried("late", lambda: asyncio.sleep(0))) is None
    assert asyncio.run(tried("late", fail)) is full
