"""What the queue does while RabbitMQ is away, frozen or in an alarm, and after that: a real one, of these tests."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import aio_pika
import pytest

from foz.canon.model import Placement
from foz.scale import topology
from foz.scale.rabbit import RabbitQueue
from foz.testing.servers import RabbitServer
from tests.integration.scale.grounds import DEADLINE, SLACK, SOON, at_last, ended, refused
from tests.jobs import new_id

GPU = Placement.GPU
Story = Callable[[RabbitQueue], Awaitable[None]]
IMPATIENT = ("consumer_timeout = 1000",)
TICKS = "[{rabbit, [{channel_tick_interval, 500}]}].\n"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """One for all tests of this file, whose patience with who does not acknowledge is a second."""
    with RabbitServer(tmp_path_factory.mktemp("rabbit"), settings=IMPATIENT, advanced=TICKS) as server:
        yield server


def play(broker: RabbitServer, story: Story, hold: float = 0.4) -> None:
    """Runs a story with one process of four hands a lane, on queues that nobody else uses."""

    async def told() -> None:
        name = f"foz-{new_id().hex()}"
        queue = RabbitQueue(broker.url, dict.fromkeys(Placement, 4), deadline=DEADLINE, name=name, hold=hold)
        try:
            await at_last(lambda: queue.lane(GPU))
            await asyncio.wait_for(story(queue), 60)
        finally:
            await ended(queue)

    asyncio.run(told())


async def held(broker: RabbitServer, queue: str) -> int:
    """How many messages wait in a queue of the broker."""
    async with await aio_pika.connect(broker.url) as connection, connection.channel() as channel:
        found = await channel.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0


async def until_held(broker: RabbitServer, queue: str, count: int) -> None:
    """Waits until so many wait in a queue."""
    async with asyncio.timeout(SOON):
        while await held(broker, queue) != count:  # noqa: ASYNC110 - the broker says nothing
            await asyncio.sleep(0.05)


def test_a_frozen_broker_is_told_of_within_the_deadline(broker: RabbitServer) -> None:
    """Frozen, it costs each publication and each look the deadline and no more; thawed, all works by itself."""

    async def story(queue: RabbitQueue) -> None:
        one, two = new_id(), new_id()
        await queue.publish(GPU, one)
        first = await queue.take(GPU)
        broker.freeze()
        try:
            for _ in range(2):
                with refused():
                    await queue.publish(GPU, new_id())
                with refused():
                    await queue.lane(GPU)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await first.done()
            assert loop.time() - began < DEADLINE + SLACK
        finally:
            broker.thaw()
        await at_last(lambda: queue.publish(GPU, two))
        async with asyncio.timeout(SOON):
            while (delivery := await queue.take(GPU)).id != two:
                await delivery.done()  # what was refused may have come all the same
            await delivery.done()

    play(broker, story)


def test_a_killed_broker_keeps_what_it_confirmed(broker: RabbitServer) -> None:
    """Killed, it is told of within the deadline; started again, every id that it had confirmed comes."""

    async def story(queue: RabbitQueue) -> None:
        ids = {new_id() for _ in range(50)}
        await asyncio.gather(*(queue.publish(GPU, id) for id in ids))
        taken = await queue.take(GPU)
        broker.kill()
        try:
            with refused():
                await queue.publish(GPU, new_id())
            with refused():
                await queue.lane(GPU)
            await taken.later(0.0)
        finally:
            await asyncio.to_thread(broker.start)
        got: set[bytes] = set()
        async with asyncio.timeout(SOON):
            while got != ids:
                delivery = await queue.take(GPU)
                got.add(delivery.id)
                await delivery.done()

    play(broker, story)


def test_an_alarm_refuses_submissions_and_lets_work_end(broker: RabbitServer) -> None:
    """While its memory alarm stands it refuses ids within the deadline; what was taken is done; then all works."""

    async def story(queue: RabbitQueue) -> None:
        await queue.publish(GPU, new_id())
        taken = await queue.take(GPU)
        await asyncio.to_thread(broker.alarm)
        try:
            with refused():
                await queue.publish(GPU, new_id())
            with refused(0.1):
                await queue.publish(GPU, new_id())  # it is known now, and not waited for again
            await taken.done()
        finally:
            await asyncio.to_thread(broker.calm)
        last = new_id()
        await at_last(lambda: queue.publish(GPU, last))
        async with asyncio.timeout(SOON):
            while (delivery := await queue.take(GPU)).id != last:
                assert delivery.id != taken.id
                await delivery.done()
            await delivery.done()

    play(broker, story)


def test_queues_that_were_removed_are_declared_anew(broker: RabbitServer) -> None:
    """An id that no queue takes is refused, never lost in silence; soon after, the queues are there again."""

    async def story(queue: RabbitQueue) -> None:
        name = queue.name
        async with await aio_pika.connect(broker.url) as connection, connection.channel() as channel:
            await channel.queue_delete(topology.lane(GPU, name))
        with refused():
            await queue.publish(GPU, new_id())
        id = new_id()
        await at_last(lambda: queue.publish(GPU, id))
        async with asyncio.timeout(SOON):
            delivery = await queue.take(GPU)
        assert delivery.id == id
        await delivery.done()

    play(broker, story)


def test_dead_letters_and_rubbish_are_in_the_dead_letter_queue(broker: RabbitServer) -> None:
    """What is answered with `dead`, at once or long after, and what is no id, is in the broker's queue of the dead."""

    async def story(queue: RabbitQueue) -> None:
        name = queue.name
        for _ in range(2):
            await queue.publish(GPU, new_id())
        at_once, long_after = await queue.take(GPU), await queue.take(GPU)
        await at_once.dead()
        await until_held(broker, topology.dead(name), 1)
        await asyncio.sleep(0.6)  # longer than it is held, which nobody tells
        await long_after.dead()
        await until_held(broker, topology.dead(name), 2)
        async with await aio_pika.connect(broker.url) as connection, connection.channel() as channel:
            rubbish = aio_pika.Message(b"\xff no id \n")
            await channel.default_exchange.publish(rubbish, topology.lane(GPU, name))
        await until_held(broker, topology.dead(name), 3)
        await queue.publish(GPU, id := new_id())
        async with asyncio.timeout(SOON):
            assert (await queue.take(GPU)).id == id

    play(broker, story)


@pytest.mark.parametrize("hold", [0.4, 60.0], ids=["acknowledged in time", "broker loses patience"])
def test_a_job_longer_than_the_brokers_patience_is_in_one_pair_of_hands(
    broker: RabbitServer, hold: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Held for three times the broker's acknowledgement timeout, an id comes to nobody else before it is answered."""

    async def story(queue: RabbitQueue) -> None:
        await queue.publish(GPU, long := new_id())
        delivery = await queue.take(GPU)
        taking = asyncio.ensure_future(queue.take(GPU))
        await asyncio.wait({taking}, timeout=3.5)
        assert not taking.done()
        await delivery.done()
        await asyncio.wait({taking}, timeout=0.2)
        if taking.done():  # the broker gave it again: only after the first was answered
            assert taking.result().id == long
            await taking.result().done()
            taking = asyncio.ensure_future(queue.take(GPU))
        await at_last(lambda: queue.publish(GPU, short))
        async with asyncio.timeout(SOON):
            while (await taking).id == long:
                await taking.result().done()
                taking = asyncio.ensure_future(queue.take(GPU))
        assert taking.result().id == short
        await taking.result().done()

    short = new_id()
    play(broker, story, hold)
    assert ("is lost" in caplog.text) == (hold > 1)


def test_nobody_at_the_address_is_told_within_the_deadline() -> None:
    """Where nothing listens at the address, closing takes no longer than it should, and publishing is refused."""

    async def story() -> None:
        queue = RabbitQueue("amqp://guest:guest@127.0.0.1:1/", deadline=DEADLINE)
        with refused():
            await queue.publish(GPU, new_id())
        await ended(queue)

    asyncio.run(story())
