"""
Running a plan: attempt, repeat, fall over, settle.

The commit point is the first content for the caller: before it, other attempts may be made and nothing has been sent;
after it, a fault goes into the stream and the connection is closed. The entry is durable before the first target is
asked and settled, durable, before the dialect's terminal frame leaves. Whatever ends a run, it is settled once.
"""

import asyncio
import logging

from msgspec import structs

from foz.canon.entry import Attempt, AttemptEnd, Entry, EntryEnd, State
from foz.canon.fault import Bug, Cut, Down, Draining, Fault, Garbled, Limited, Refused, Timeout, UpstreamFault
from foz.canon.model import Target
from foz.canon.money import charge
from foz.canon.request import Ask, Request
from foz.canon.response import Response
from foz.canon.usage import Timing, Usage
from foz.gateway.capture import heard
from foz.gateway.completing import spoken
from foz.gateway.health import Phase
from foz.gateway.lane import Name, TranslateStream, passage, tallied, words
from foz.gateway.meter import measured
from foz.gateway.opening import entry_of, project_of
from foz.gateway.remembering import Memory
from foz.gateway.retry import after
from foz.gateway.services import Services
from foz.ports.caller import Caller
from foz.ports.codec import ClientCodec, Passage, RelayCodec, RelayStream, Tally
from foz.ports.sessions import asking
from foz.ports.turn import Turn
from foz.ports.upstream import UpstreamAnswer

log = logging.getLogger("foz.gateway")

OK = range(200, 300)
MAX_FAULT_BODY = 64 * 1024
CALLER_GONE = 499
NOTHING = Usage(input=0, output=0)
MAX_FAULT_TEXT = 500
MOST_HELD = 10_000
BILLION = 1_000_000_000


class Run:
    """One entry and its attempts."""

    def __init__(
        self,
        services: Services,
        turn: Turn,
        ask: Ask,
        plan: tuple[Target, ...],
        caller: Caller,
        memory: Memory | None = None,
    ) -> None:
        self._services = services
        self._turn = turn
        self._ask = ask
        self._plan = plan
        self._caller = caller
        self._memory = memory
        """Where the answer is kept for another time."""
        self._request: Request | None = None if memory is None else memory.request
        self._target = plan[0]
        self._number = 1
        self._tally: Tally | None = None
        self._sent = False
        self._status: int | None = None
        self._committed = False
        self._settled = False
        self._said: list[str] | None = [] if turn.skin.name in services.policy.captured else None
        """The answer's words, where the skin is captured."""
        self._ended: AttemptEnd | None = None
        """The attempt that failed, until the next one is open."""
        self._looks = False
        """Whether this attempt is the one that is let through to see how an ailing target does."""
        self._first: float | None = None
        self._began = self._attempt_began = services.clock.monotonic()
        self._id = turn.id
        self.spent = NOTHING
        self.price: int | None = None
        self._end: EntryEnd | None = None

    @property
    def asked(self) -> str:
        """The target of the last attempt."""
        return self._target.name

    def ended(self) -> EntryEnd:
        """How it ended; known once `serve` is over."""
        if self._end is None:
            raise Bug("a run that was not settled")
        return self._end

    async def serve(self) -> None:
        """Everything, up to the caller's last byte. Raises the fault of a run that committed nothing."""
        if self._ask.stream:
            self._caller.waits(self._turn.codec)
        try:
            await self._services.ledger.open(self._entry(), self._attempt_row())
            await self._attempts()
        except asyncio.CancelledError:
            if self._services.stopping:
                await self._settle(State.FAILED, Draining("the gateway was stopped before the answer was complete"))
            else:
                await self._settle(State.CALLER_GONE, None)
            raise
        except Fault as fault:
            cut = self._committed and isinstance(fault, Cut | Timeout | Garbled)
            await self._settle(State.UPSTREAM_CUT if cut else State.FAILED, fault)
            if not self._committed:
                raise
            self._caller.write(self._turn.codec.encode_fault_event(fault))
            self._caller.abort()
        finally:
            if not self._settled:
                await self._settle(State.FAILED, Bug("a defect of Foz ended this call; its log says more"))

    async def _attempts(self) -> None:
        services, policy = self._services, self._services.policy.retries
        position = repeats = 0
        while True:
            target = self._plan[position]
            try:
                await self._attempt(target)
            except Fault as fault:
                fault.target = fault.target or target.name
                self._note_failure(fault)
                following = self._following(position)
                more = following is not None
                step = after(fault, target, policy, repeats, more_targets=more, dice=services.dice())
                if self._committed or step.step == "give_up":
                    raise
                if following is None:
                    if not self._allows(target) or not services.repeats.spend():
                        raise
                    repeats += 1
                else:
                    position, repeats = following, 0
                self._ended = self._attempt_end(State.FAILED, self._usage(fault), fault)
                if step.pause:
                    await services.clock.sleep(step.pause)
                await self._move_on(self._ended, self._plan[position])
            else:
                return

    def _allows(self, target: Target) -> bool:
        return self._services.health.allows(target.name, self._services.clock.monotonic())

    def _following(self, position: int) -> int | None:
        """The next target of the plan that may still be asked."""
        return next((at for at in range(position + 1, len(self._plan)) if self._allows(self._plan[at])), None)

    async def _move_on(self, ended: AttemptEnd, target: Target) -> None:
        self._number += 1
        self._target = target
        self._tally, self._sent, self._status = None, False, None
        self._said = None if self._said is None else []
        self._attempt_began = self._services.clock.monotonic()
        self._ended = None
        await self._services.ledger.next_attempt(ended, self._attempt_row())

    # -- one attempt -------------------------------------------------------

    async def _attempt(self, target: Target) -> None:
        services, turn, ask = self._services, self._turn, self._ask
        line = services.directory.line(target)
        speech, client, asked = spoken(line, target, ask.operation)
        self._looks = services.health.looks(target.name, services.clock.monotonic())
        if self._looks:
            self._turned("half_open")
        passes = services.policy.relay and self._said is None and self._memory is None
        way = passage(turn, ask, speech) if passes else None
        if way is not None:
            call = way.retarget(turn.body, ask, target.model)
        else:
            request = asked(self._decoded())
            client = speech.asking(request, target.model) or client
            call = client.encode_request(request, target.model)
        self._sent = True
        patience = target.patience
        if ask.seconds is not None:
            patience = patience.within(ask.seconds - (services.clock.monotonic() - self._began))
        along = line.along(turn.headers, turn.request_id)
        if line.agency is not None:
            along = (*along, *asking(turn.principal.id, project_of(turn, ask)))
        answer = await line.upstream.send(call, patience, along)
        self._status = answer.status
        self._caller.feed_from(answer)
        try:
            if answer.status not in OK:
                fault = client.decode_fault(await answer.whole(MAX_FAULT_BODY))
                fault.answered = answer.status
                raise fault
            if ask.stream:
                await self._stream(answer, self._road(client, None if way is None else speech.relay))
            else:
                await self._whole(answer, client, way)
        except UpstreamFault as fault:
            fault.message = line.hide(fault.message)
            raise
        finally:
            self._caller.feed_from(None)
            answer.close()

    def _decoded(self) -> Request:
        if self._request is None:
            self._request = self._turn.codec.decode_request(self._turn.body)
        return self._request

    async def _whole(self, answer: UpstreamAnswer, client: ClientCodec, way: Passage | None) -> None:
        reply = await answer.whole(self._services.policy.max_answer)
        answer.close()
        passed = None if way is None else way.whole(reply, self._ask)
        if passed is not None:
            body, self._tally = passed
        else:
            said = client.decode_response(reply)
            if isinstance(said, Response) and not (said.id and said.created):
                said = self._name().given_whole(said)
            timed = structs.replace(said, timing=self._took())
            body = self._turn.codec.encode_response(timed, self._decoded(), self._ask.model)
            self._tally = tallied(said)
            if self._said is not None:
                self._said = words(said)
            if self._memory is not None:
                self._memory.answer = said
        self._first = self._services.clock.monotonic()
        self._did_well()
        await self._settle(State.COMPLETE, None)
        self._caller.whole(body)
        self._remember()

    def _road(self, client: ClientCodec, relay: RelayCodec | None) -> RelayStream:
        if relay is not None:
            return relay.stream(self._ask)
        encoder = self._turn.codec.encoder(self._decoded(), self._ask.model)
        road = TranslateStream(client.decoder(), encoder, self._name())
        road.said = self._said
        road.took = self._took
        if self._memory is not None:
            self._memory.begin(road.tally)
            road.told = self._memory.hear
        return road

    def _took(self) -> Timing:
        """How long it took so far, all attempts together."""
        took, first = self._services.clock.monotonic() - self._began, self._first
        return Timing(round(took * BILLION), None if first is None else round((first - self._began) * BILLION))

    def _name(self) -> Name:
        """What the answer is called where its target gives it no name: the entry, and now."""
        return Name(f"foz-{self._id.hex()}", self._services.clock.now() // 1000)

    async def _stream(self, answer: UpstreamAnswer, road: RelayStream) -> None:
        tally = self._tally = road.tally
        caller = self._caller
        feed, write = road.feed, caller.write
        held: list[bytes] = []

        def sink(chunk: bytes) -> None:
            piece = feed(chunk)
            if self._committed:
                if piece:
                    write(piece)
                return
            held.append(piece)
            if len(held) > MOST_HELD:
                raise Garbled(f"the stream brought {MOST_HELD} pieces and no content")
            if tally.pieces:
                self._committed = True
                self._first = self._services.clock.monotonic()
                caller.start()
                caller.write(b"".join(held))

        await answer.pour(sink)
        last = road.close()
        answer.close()
        self._did_well()
        await self._settle(State.COMPLETE, None)
        if not self._committed:
            caller.start()
            last = b"".join(held) + last
        caller.end(last)
        self._remember()

    def _remember(self) -> None:
        if self._memory is not None:
            self._memory.keep(self._target.placement, self._services.clock.now())

    # -- what it came to ---------------------------------------------------

    def _did_well(self) -> None:
        self._turned(self._services.health.did_well(self._target.name))

    def _turned(self, phase: Phase | None) -> None:
        if phase is None:
            return
        self._services.meters.breaker(self._target.name, phase)
        if phase == "open":
            log.warning("%s failed too often and is left alone for a while", self._target.name)
        elif phase == "closed":
            log.warning("%s answers again", self._target.name)

    def _note_failure(self, fault: Fault) -> None:
        services, name = self._services, self._target.name
        if isinstance(fault, Timeout) and self._time_is_up():
            return  # the caller's doing: who is given a second and takes two is not ailing
        if isinstance(fault, Down | Timeout | Garbled | Cut):
            self._turned(services.health.did_fail(name, services.clock.monotonic(), looking=self._looks))
        elif isinstance(fault, Refused | Limited):  # else it is not the target's doing: nothing is known of its health
            self._turned(services.health.did_well(name))

    def _time_is_up(self) -> bool:
        """Whether the caller gave the call so much, and no more."""
        seconds = self._ask.seconds
        return seconds is not None and self._services.clock.monotonic() - self._began >= seconds

    def _entry(self) -> Entry:
        return entry_of(self._turn, self._ask, self._services.clock.now())

    def _attempt_row(self) -> Attempt:
        target = self._target
        return Attempt(self._id, self._number, target.name, target.placement, self._services.clock.now())

    def _usage(self, fault: Fault | None) -> Usage:
        if isinstance(fault, Bug):
            return self._tally.usage or Usage() if self._tally is not None else Usage()  # to estimate may be the defect
        if self._tally is None and (not self._sent or isinstance(fault, Refused | Limited)):
            return NOTHING
        if fault is not None and self._tally is None:
            return NOTHING if not fault.sent else Usage()
        return measured(self._tally or Tally(), self._turn.codec, self._turn.body)

    def _attempt_end(self, state: State, usage: Usage, fault: Fault | None) -> AttemptEnd:
        took = self._services.clock.monotonic() - self._attempt_began
        return AttemptEnd(self._id, self._number, state, usage, _told(fault), self._status, duration=round(took * 1000))

    async def _settle(self, state: State, fault: Fault | None) -> None:
        if self._settled:
            return
        usage = self._usage(fault) if self._ended is None else self._ended.usage
        self._settled = True
        rates = self._target.rates
        self.spent = usage
        self.price = charge(rates, usage)
        now = self._services.clock.monotonic()
        self._end = end = EntryEnd(
            id=self._id,
            state=state,
            status=_status(state, fault, committed=self._committed),
            usage=usage,
            first_token=None if self._first is None else round((self._first - self._began) * 1000),
            duration=round((now - self._began) * 1000),
            price=self.price,
            currency=rates.currency if rates is not None and self.price is not None else None,
            price_version=rates.version if rates is not None and self.price is not None else None,
            fault=_told(fault),
        )
        await self._services.ledger.settle(end, self._ended or self._attempt_end(state, usage, fault))
        if self._services.content is not None and self._said is not None:
            self._services.content.keep(self._entry(), heard(self._decoded()), "".join(self._said))


def _told(fault: Fault | None) -> str | None:
    return None if fault is None else f"{fault.code}: {fault.message}"[:MAX_FAULT_TEXT]


def _status(state: State, fault: Fault | None, *, committed: bool) -> int:
    if committed or state is State.COMPLETE:
        return 200
    return CALLER_GONE if fault is None else fault.status
