"""
The hands of one lane in one process: each is a consumer of its own that the broker gives one message at a time.

A hand holds its message, unacknowledged, until it is answered. A broker takes a message back (and closes the channel)
when that lasts too long, half an hour by default; so after `HOLD` the hand stops consuming and acknowledges. From then
on the store's lease alone stands for the job, as it does anyway: if the worker dies, the sweep publishes the job again.
An id that this process holds already (it was published twice, or given again after a lost connection) waits until the
first is answered; if that takes more than a second it is put off, so that others may have it.
A hand that was given a message which nobody takes (its process takes no more) gives it back and rests until somebody
does.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiormq.abc import AbstractChannel, DeliveredMessage

from foz.canon.fault import NoCapacity
from foz.canon.identity import parse
from foz.scale.link import TROUBLES, WHO, Wire
from foz.scale.trouble import within

log = logging.getLogger("foz.scale")

HOLD = 5 * 60.0
"""Seconds for which a message is held; a broker's `consumer_timeout` must be longer."""
UNTAKEN = 1.0
"""Seconds after which a message that nobody takes goes back."""
ASIDE = 2.0
"""Seconds for which an id that this process works at is put off."""

Own = Callable[[Coroutine[Any, Any, None]], object]
"""Runs something in the background."""


class Hand:
    """One consumer, while it has a tag; and what it holds."""

    def __init__(self) -> None:
        self.tag: str | None = None
        self.held: Held | None = None


class Held:
    """A message in a hand."""

    def __init__(self, hand: Hand, wire: Wire, channel: AbstractChannel, tag: int, id: bytes) -> None:
        self.hand = hand
        self.wire = wire
        self.channel = channel
        self.tag = tag
        self.id = id
        self.acknowledged = False
        self.timer: asyncio.TimerHandle | None = None

    @property
    def ours(self) -> bool:
        """Whether the broker waits for our answer to it."""
        return self.wire.alive and not self.acknowledged


async def _ignored(_: DeliveredMessage) -> None:
    """Where processes are counted nothing is sent."""


class Hands:
    """All of a lane."""

    def __init__(
        self,
        queue: str,
        presence: str,
        number: int,
        *,
        deadline: float,
        own: Own,
        postpone: Callable[[str, bytes, float], Awaitable[None]],
        hold: float = HOLD,
    ) -> None:
        self._queue = queue
        self._presence = presence
        self._postpone = postpone
        self._deadline = deadline
        self._own = own
        self._hold = hold
        self._hands = [Hand() for _ in range(number)]
        self._resting: deque[Hand] = deque()
        self._arrived: deque[Held] = deque()
        self._doubles: list[Held] = []
        self._ids: dict[bytes, Held] = {}
        """What is worked at, or comes next."""
        self._takers: set[asyncio.Future[None]] = set()
        self._wire: Wire | None = None
        self._source: AbstractChannel | None = None
        self._opening = asyncio.Lock()

    # -- consuming ---------------------------------------------------------

    async def open(self, wire: Wire) -> None:
        """All hands that hold nothing consume. Raises NoCapacity, and drops the connection then."""
        if self._wire is wire and not self._resting and not self._opening.locked():
            return
        try:
            async with self._opening, within(self._deadline, WHO, *TROUBLES):
                if self._wire is not wire:
                    await self._move(wire)
                while self._resting:
                    await self._consume(self._resting.popleft(), wire)
        except NoCapacity:
            wire.drop()
            raise

    async def _move(self, wire: Wire) -> None:
        """To another connection: what waited in the last one is the broker's again."""
        channel = await wire.channel(confirms=False)
        await channel.set_qos(prefetch_count=1)
        self._source = plain = await channel.get_underlay_channel()
        await plain.basic_consume(self._presence, _ignored, no_ack=True)
        for held in (*self._arrived, *self._doubles):
            self._drop(held)
        self._arrived.clear()
        self._doubles.clear()
        for hand in self._hands:
            hand.tag = None
        self._resting = deque(hand for hand in self._hands if hand.held is None)
        self._wire = wire
        wire.watch(self._stir)

    async def _consume(self, hand: Hand, wire: Wire) -> None:
        source = self._source
        if source is None or hand.held is not None or hand.tag is not None:
            return

        async def arrived(message: DeliveredMessage) -> None:
            await self._arrive(hand, wire, source, message)

        hand.tag = (await source.basic_consume(self._queue, arrived)).consumer_tag

    # -- taking ------------------------------------------------------------

    async def _arrive(self, hand: Hand, wire: Wire, channel: AbstractChannel, message: DeliveredMessage) -> None:
        tag = message.delivery_tag or 0
        try:
            id = parse(message.body[:64].decode("latin-1"))
        except ValueError:
            log.warning("the broker's queue %s held a message that is no job's id; it is a dead letter", self._queue)
            await channel.basic_reject(tag, requeue=False)
            return
        hand.held = held = Held(hand, wire, channel, tag, id)
        held.timer = asyncio.get_running_loop().call_later(UNTAKEN, self._untaken, held)
        if id in self._ids:
            self._doubles.append(held)
        else:
            self._come(held)

    def _come(self, held: Held) -> None:
        self._ids[held.id] = held
        self._arrived.append(held)
        self._stir()

    def _stir(self) -> None:
        for taker in self._takers:
            if not taker.done():
                taker.set_result(None)

    async def next(self, wire: Wire) -> Held | None:
        """The next message; None where the connection is lost."""
        while wire.alive:
            if self._arrived:
                return self._given(self._arrived.popleft())
            taker = asyncio.get_running_loop().create_future()
            self._takers.add(taker)
            try:
                await taker
            finally:
                self._takers.discard(taker)
        return None

    def _given(self, held: Held) -> Held:
        self._stop(held)
        held.timer = asyncio.get_running_loop().call_later(self._hold, self._too_long, held)
        return held

    # -- answering ---------------------------------------------------------

    @staticmethod
    def _stop(held: Held) -> None:
        if held.timer is not None:
            held.timer.cancel()
            held.timer = None

    def _drop(self, held: Held) -> None:
        self._stop(held)
        if held.hand.held is held:
            held.hand.held = None
        if self._ids.get(held.id) is held:
            del self._ids[held.id]

    def release(self, held: Held) -> None:
        """It is answered: the hand is free, and who waited for that may come."""
        if held.hand.held is held and held.hand.tag is None:
            self._resting.append(held.hand)
        self._drop(held)
        if held.id in self._ids:
            return
        double = next((one for one in self._doubles if one.id == held.id), None)
        if double is not None:
            self._doubles.remove(double)
            self._come(double)

    async def tell(self, held: Held, *, back: bool | None = None) -> bool:
        """Acknowledges it, or rejects it: `back` to its queue, or to the dead letters. Whether the broker was told."""
        if not held.ours:
            return False
        held.acknowledged = True
        try:
            async with within(self._deadline, WHO, *TROUBLES):
                if back is None:
                    await held.channel.basic_ack(held.tag, wait=False)
                else:
                    await held.channel.basic_reject(held.tag, requeue=back)
        except NoCapacity:
            held.wire.drop()  # it comes again then
            return False
        return True

    def _untaken(self, held: Held) -> None:
        if held in self._doubles:
            self._doubles.remove(held)
            self._own(self._put_off(held))
        elif held in self._arrived and not self._takers:
            self._own(self._pause(held.wire))

    async def _put_off(self, held: Held) -> None:
        try:
            await self._postpone(self._queue, held.id, ASIDE)
        except NoCapacity:
            await asyncio.sleep(ASIDE)
            await self.tell(held, back=True)
        else:
            await self.tell(held)
        self.release(held)

    async def _pause(self, wire: Wire) -> None:
        """Nobody takes: no hand consumes, and what has come goes back. The next taker makes them consume again."""
        async with self._opening:
            if self._wire is not wire or self._takers:
                return
            idle = [hand for hand in self._hands if hand.tag is not None and hand.held is None]
            self._resting.extend([hand for hand in idle if await self._rested(hand, wire)])
            while self._arrived:
                held = self._arrived.popleft()
                await self._rested(held.hand, wire)
                await self.tell(held, back=True)
                self.release(held)
        if self._takers:
            self._own(self.open(wire))

    def _too_long(self, held: Held) -> None:
        if held.ours:
            self._own(self._let_go(held))

    async def _let_go(self, held: Held) -> None:
        if await self._rested(held.hand, held.wire):
            await self.tell(held)

    async def _rested(self, hand: Hand, wire: Wire) -> bool:
        """Whether it will be given nothing more."""
        tag, source = hand.tag, self._source
        if not wire.alive or tag is None or source is None:
            return False
        try:
            async with within(self._deadline, WHO, *TROUBLES):
                await source.basic_cancel(tag)
        except NoCapacity:
            wire.drop()
            return False
        hand.tag = None
        return True
