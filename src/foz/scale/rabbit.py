"""
Ids of jobs in RabbitMQ (`ports.jobs.JobQueue`).

Who publishes and who takes have a connection each, for a broker in an alarm reads nothing more from who publishes.
A publication is durable when the broker has confirmed it, which a quorum queue does once it is on disk; one that no
queue took comes back (`mandatory`), one that is too much is refused. Answers to deliveries are not confirmed: an
acknowledgement that is lost brings the id again, and the store knows then that the job is over.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from ssl import SSLContext
from typing import Any, cast

from aio_pika import DeliveryMode, connect
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq import spec
from aiormq.abc import AbstractChannel as Plain
from aiormq.channel import Channel as Confirmed

from foz.canon.fault import NoCapacity
from foz.canon.identity import text
from foz.canon.model import Placement
from foz.ports.jobs import Delivery, Lane
from foz.scale import topology
from foz.scale.hands import HOLD, Hands, Held
from foz.scale.link import TROUBLES, WHO, Link, Wire
from foz.scale.topology import LONGEST_WAIT, NAME
from foz.scale.trouble import AGAIN, DEADLINE, within

log = logging.getLogger("foz.scale")

HANDS = 8
COUNTED = 0.5
"""Seconds for which a count of the processes that work is taken for true."""


async def declare(channel: AbstractChannel, name: str = NAME) -> None:
    """Makes all of the topology that is not there."""
    found = topology.topology(name)
    queues = {
        queue.name: await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
        for queue in found.queues
    }
    for exchange in found.exchanges:
        made = await channel.declare_exchange(exchange.name, exchange.kind, durable=True)
        await queues[exchange.queue].bind(made)


async def undeclare(url: str, name: str) -> None:
    """Removes all of a topology, with what is in it."""
    found = topology.topology(name)
    async with await connect(url) as connection, connection.channel() as channel:
        for queue in found.queues:
            await channel.queue_delete(queue.name)
        for exchange in found.exchanges:
            await channel.exchange_delete(exchange.name)


class _Desk:
    """What is published through, of one connection."""

    def __init__(self, wire: Wire, plain: Plain, kept: AbstractChannel, confirmed: Confirmed) -> None:
        self.wire = wire
        self._kept = kept  # it tells when what is under it closes
        self.plain = plain
        self.confirmed = confirmed


class _Delivery:
    """Implements `ports.jobs.Delivery`: an id in a hand of ours."""

    def __init__(self, queue: "RabbitQueue", hands: Hands, held: Held, lane: Placement) -> None:
        self._queue = queue
        self._hands = hands
        self._held = held
        self._lane = lane

    @property
    def id(self) -> bytes:
        """The job's."""
        return self._held.id

    async def done(self) -> None:
        """The broker may forget it."""
        await self._hands.tell(self._held)
        self._hands.release(self._held)

    async def later(self, seconds: float) -> None:
        """It comes again, to anybody."""
        held = self._held
        if not held.ours and not held.acknowledged:  # with its connection it went back to the broker
            self._hands.release(held)
            return
        try:
            await self._queue.postpone(self._lane, held.id, seconds)
        except NoCapacity as fault:
            log.warning("an id stays in hand for now: %s", fault.message)
            self._queue.own(self._stay(seconds))
            return
        await self.done()

    async def _stay(self, seconds: float) -> None:
        """Where it cannot be published it stays unacknowledged for so long, then goes back."""
        await asyncio.sleep(min(max(seconds, AGAIN), LONGEST_WAIT))
        await self._hands.tell(self._held, back=True)
        self._hands.release(self._held)

    async def dead(self) -> None:
        """It goes to the dead letters."""
        try:
            if not await self._hands.tell(self._held, back=False):
                await self._queue.bury(self._lane, self._held.id)
        except NoCapacity as fault:  # the store knows it
            log.warning("job %s is no dead letter of the broker's: %s", text(self._held.id), fault.message)
        finally:
            self._hands.release(self._held)


class RabbitQueue:
    """
    Implements `ports.jobs.JobQueue` for one process, in the loop it is used in. `hands` is how many jobs of each lane
    it works at at once; `name` comes before the names of its queues; no answer takes longer than `deadline` seconds.
    """

    def __init__(
        self,
        url: str,
        hands: Mapping[Placement, int] | None = None,
        *,
        deadline: float = DEADLINE,
        name: str = NAME,
        hold: float = HOLD,
        context: SSLContext | None = None,
    ) -> None:
        self._deadline = deadline
        self.name = name
        self._desk: _Desk | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._publishing = Link(url, self._lay, context)
        self._taking = Link(url, self._declare, context)
        self._hands = {
            lane: Hands(
                topology.lane(lane, name),
                topology.workers(lane, name),
                HANDS if hands is None else hands.get(lane, 0),
                deadline=deadline,
                own=self.own,
                postpone=self._later,
                hold=hold,
            )
            for lane in Placement
        }
        self._counted: dict[Placement, tuple[float, int]] = {}

    # -- publishing --------------------------------------------------------

    async def publish(self, lane: Placement, id: bytes) -> None:
        """Confirmed by the broker when it returns. Raises NoCapacity."""
        await self._send(None, topology.lane(lane, self.name), id)

    async def postpone(self, lane: Placement, id: bytes, seconds: float) -> None:
        """It comes to its lane after so long, or so long as may be. Raises NoCapacity."""
        await self._later(topology.lane(lane, self.name), id, seconds)

    async def _later(self, queue: str, id: bytes, seconds: float) -> None:
        if seconds <= 0:
            await self._send(None, queue, id)
        else:
            await self._send(topology.later(self.name), queue, id, min(max(seconds, 0.001), LONGEST_WAIT))

    async def bury(self, lane: Placement, id: bytes) -> None:
        """It is a dead letter. Raises NoCapacity."""
        await self._send(topology.dead(self.name), topology.lane(lane, self.name), id)

    async def _send(self, exchange: str | None, key: str, id: bytes, seconds: float | None = None) -> None:
        expires = None if seconds is None else str(int(seconds * 1000))
        said = text(id)
        about = spec.Basic.Properties(
            content_type="text/plain",
            delivery_mode=DeliveryMode.PERSISTENT.value,
            expiration=expires,
            message_id=said,
        )
        desk: _Desk | None = None
        try:
            async with within(self._deadline, WHO, *TROUBLES):
                desk = await self._open_desk()
                await desk.wire.unblocked(self._deadline)
                await desk.confirmed.basic_publish(
                    said.encode(),
                    exchange=exchange or "",
                    routing_key=key,
                    properties=about,
                    mandatory=True,
                    wait=False,  # for its confirmation it is waited anyway
                )
        except NoCapacity as fault:
            if desk is not None:
                self._judge(desk.wire, key, fault.__cause__)
            raise

    def _judge(self, wire: Wire, key: str, cause: BaseException | None) -> None:
        """What becomes of a connection over which a publication failed."""
        if isinstance(cause, PublishError):  # no queue took it: a new connection declares them
            log.warning("the broker has no queue %s any more; it is declared anew", key)
            wire.drop()
        elif isinstance(cause, DeliveryError):
            log.warning("the broker refuses ids for %s: the queue is full", key)
        else:
            wire.doubt()
            self.own(wire.silent())

    async def _open_desk(self) -> _Desk:
        if self._closed:
            raise NoCapacity(f"{WHO} is closed.")
        await self._publishing.wire()
        if self._desk is None:
            raise NoCapacity(f"{WHO} went away; ask again.")
        return self._desk

    async def _lay(self, wire: Wire) -> None:
        channel = await wire.channel(confirms=True)
        await declare(channel, self.name)
        plain = await (await wire.channel(confirms=False)).get_underlay_channel()
        self._desk = _Desk(wire, plain, channel, cast("Confirmed", await channel.get_underlay_channel()))

    # -- taking ------------------------------------------------------------

    async def take(self, lane: Placement) -> Delivery:
        """The next one, over reconnections."""
        hands = self._hands[lane]
        while True:
            wire = await self._taking.wire()
            try:
                await asyncio.shield(self.own(hands.open(wire)))  # who leaves it half-done breaks its channel
            except NoCapacity as fault:
                log.warning("the queue gives no %s jobs for now: %s", lane.value, fault.message)
                continue
            held = await hands.next(wire)
            if held is not None:
                return _Delivery(self, hands, held, lane)

    async def _declare(self, wire: Wire) -> None:
        channel = await wire.channel(confirms=False)
        await declare(channel, self.name)

    # -- looking -----------------------------------------------------------

    async def lane(self, lane: Placement) -> Lane:
        """How many wait, and how many processes work. Raises NoCapacity."""
        found: Lane = await asyncio.shield(self.own(self._look(lane)))  # who leaves it half-done breaks its channel
        return found

    async def _look(self, lane: Placement) -> Lane:
        desk: _Desk | None = None
        try:
            async with within(self._deadline, WHO, *TROUBLES):
                desk = await self._open_desk()
                await desk.wire.unblocked(self._deadline)
                found = await desk.plain.queue_declare(topology.lane(lane, self.name), passive=True)
                workers = await self._workers(desk.plain, lane)
        except NoCapacity:
            if desk is not None:
                desk.wire.doubt()
                self.own(desk.wire.silent())
            raise
        return Lane(found.message_count or 0, workers)

    async def _workers(self, plain: Plain, lane: Placement) -> int:
        now = asyncio.get_running_loop().time()
        at, count = self._counted.get(lane, (-COUNTED, 0))
        if now - at >= COUNTED:
            found = await plain.queue_declare(topology.workers(lane, self.name), passive=True)
            count = found.consumer_count or 0
            self._counted[lane] = now, count
        return count

    # -- closing -----------------------------------------------------------

    def own(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Runs something that ends with this queue at the latest."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._owned)
        return task

    def _owned(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # who waits for it gets it

    async def close(self) -> None:
        """Gives back what was taken and not answered."""
        self._closed = True
        await self._taking.close()
        await self._publishing.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
