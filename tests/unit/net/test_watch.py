"""One tick for all deadlines: each is noticed, whatever the others do."""

import asyncio
from math import inf

from foz.net.watch import TickingWatch
from tests.unit.net.served import LoopOf, on_each_loop, run


class Waits:
    """Somebody with a deadline; a broken one raises when it has passed."""

    def __init__(self, watch: TickingWatch, *, broken: bool = False) -> None:
        self.deadline = 0.0
        self.broken = broken
        self.told = asyncio.get_running_loop().create_future()
        watch.add(self)

    def expired(self) -> None:
        """The deadline has passed."""
        if self.broken:
            raise ValueError("a defect")
        self.deadline = inf
        self.told.set_result(None)


@on_each_loop
def test_a_defect_of_one_stops_no_other_deadline(loop_of: LoopOf) -> None:
    """One whose `expired` raises each time is told to the loop; all others learn of their deadline, now and later."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: list[object] = []
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        watch = TickingWatch(loop)
        broken = Waits(watch, broken=True)
        waiting = [Waits(watch) for _ in range(20)]
        await asyncio.wait_for(asyncio.gather(*(one.told for one in waiting)), 5)
        await asyncio.wait_for(Waits(watch).told, 5)
        watch.discard(broken)
        assert told
        assert all(isinstance(one, ValueError) for one in told)

    run(main(), loop_of)
