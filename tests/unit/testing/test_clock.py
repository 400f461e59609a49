"""A clock whose time moves only when told."""

import asyncio

from foz.testing.clock import LoopClock, StillClock


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    """Whoever sleeps shorter wakes first, equals in the order they lay down, each at its own time."""

    async def run() -> list[tuple[str, float]]:
        clock = StillClock()
        woken: list[tuple[str, float]] = []

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic()))

        async with asyncio.TaskGroup() as group:
            for name, seconds in (("c", 3.0), ("a", 1.0), ("b", 1.0), ("d", 10.0)):
                group.create_task(sleeper(name, seconds))
            await clock.advance(5)
            assert clock.sleepers == 1
            assert clock.next_waking() == 5.0
            await clock.advance(5)
        return woken

    assert asyncio.run(run()) == [("a", 1.0), ("b", 1.0), ("c", 3.0), ("d", 10.0)]


def test_who_sleeps_again_is_woken_in_the_same_advance() -> None:
    """A task that sleeps, wakes and sleeps again within the time that passes runs each of its steps at its own time."""

    async def run() -> list[int]:
        clock = StillClock(start=1000)
        steps: list[int] = []

        async def walk() -> None:
            for _ in range(3):
                await clock.sleep(0.5)
                steps.append(clock.now())

        async with asyncio.TaskGroup() as group:
            group.create_task(walk())
            await clock.advance(2)
        return steps

    assert asyncio.run(run()) == [1500, 2000, 2500]


def test_time_stands_still_by_itself() -> None:
    """Nobody wakes until the clock is told to move, however long the loop runs."""

    async def run() -> bool:
        clock = StillClock()
        task = asyncio.get_running_loop().create_task(clock.sleep(0.001))
        await clock.settle()
        still = not task.done() and clock.monotonic() == 0.0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert clock.next_waking() is None
        return still

    assert asyncio.run(run())


def test_the_loops_clock_is_the_real_one() -> None:
    """The server's clock moves on while it sleeps."""

    async def run() -> float:
        clock = LoopClock()
        before = clock.monotonic()
        await clock.sleep(0.001)
        assert clock.now() > 1_700_000_000_000
        return clock.monotonic() - before

    assert asyncio.run(run()) >= 0.001
