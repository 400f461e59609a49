"""
`POST /v1/responses`: what a request goes on from is looked up before it, and its answer is kept before its last byte
leaves, so that a caller who has heard the end can go on from it. In the background it is a job, whose stream is its
answer.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing

import msgspec
from msgspec import Raw, structs

from foz.canon.fault import BadRequest, Cut, Fault, NotFound, Unsupported
from foz.canon.identity import text
from foz.canon.job import Job, JobState, Piece
from foz.canon.principal import Principal
from foz.dialects.openai.responses import keeping
from foz.dialects.openai.responses.asking import PREFIX, keeps
from foz.dialects.openai.responses.items import reference_of, whole_items
from foz.dialects.openai.responses.schema import Body
from foz.dialects.openai.responses.server import ResponsesServer, Thread, packed
from foz.gateway.pipeline import Gateway
from foz.jobs.following import Told
from foz.jobs.intake import Jobs
from foz.jobs.lanes import fault_of
from foz.ports.clock import Clock
from foz.ports.codec import ServerCodec
from foz.ports.responses import KeptResponse, Responses, Whose
from foz.ports.skin import WHOLE, Visit
from foz.ports.turn import Turn
from foz.ports.upstream import UpstreamAnswer
from foz.serve.http.exchange import Exchange
from foz.serve.http.staying import while_here
from foz.wire import json
from foz.wire.http import Reply

MOST_REFERRED = 1_000
LONGEST_REFERRED = 64 * 2**20
"""Bytes: of the responses that an input refers to, and of each item as often as it does."""
TOO_LARGE = 413
PACE = 0.05
"""Seconds between looks at a caller who does not keep up with what is told from the store."""
KEEP_ALIVE = b": keep-alive\n\n"
_ANEW = "The response is made anew; ask for its events from the beginning."
_FIELD = "previous_response_id"
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


class Responding:
    """Responses, for the doors of a process. Implements `serve.http.house.Attendant`."""

    def __init__(self, gateway: Gateway, store: Responses, jobs: Jobs | None, clock: Clock) -> None:
        self._gateway = gateway
        self._jobs = jobs
        self._clock = clock
        self.store = store

    async def serve(self, turn: Turn, visit: Visit, exchange: Exchange) -> None:
        """One request, to the caller's last byte. Raises the fault where nothing was sent yet."""
        codec = turn.codec
        if not isinstance(codec, ResponsesServer):
            raise TypeError("responses are spoken by their own codec")
        whose = (turn.principal.id, turn.principal.project or turn.attribution.project or "")
        try:
            asked = codec.body(turn.body)
            thread = Thread(f"{PREFIX}{turn.id.hex()}", self._clock.now() // 1000, queued=asked.background is True)
            if asked.previous_response_id is not None or isinstance(asked.input, list):
                thread = await self._on(thread, whose, turn.principal, asked)
            codec.go_on(thread)
            if asked.background:
                kept = await self._accept(turn, visit, whose, thread)
        except Fault as fault:
            self._gateway.refuse(turn.skin.name, fault)
            raise
        if not asked.background:
            if asked.stream or keeps(asked):
                await self._wait(turn, codec, whose, exchange)
            else:
                await self._gateway.serve(turn, exchange)
        elif asked.stream:
            await self._tell(exchange, turn.principal, whose, kept)
        else:
            fresh = kept.queued if kept.id == thread.id else None
            body = fresh or await self.look(turn.principal, whose, kept.id)
            exchange.reply(Reply(200, WHOLE, keeping.shown(body, ())))

    async def _wait(self, turn: Turn, codec: ResponsesServer, whose: Whose, exchange: Exchange) -> None:
        """One whose caller waits for it: it is kept before its last byte leaves."""
        asked = codec.body(turn.body)
        holding = _Holding(exchange)
        await self._gateway.serve(turn, holding)
        if holding.last is None:
            return
        try:
            if keeps(asked):
                await self.store.keep(whose, _kept(asked, codec.thread, self._clock.now(), body=codec.kept()))
        except Fault as fault:
            if not holding.streams:
                raise
            exchange.end(codec.encode_fault_event(fault))
            return
        holding.release()

    # -- what goes before --------------------------------------------------

    async def _on(self, thread: Thread, whose: Whose, principal: Principal, asked: Body) -> Thread:
        """With what the request goes on from. Raises NotFound, BadRequest."""
        history: Sequence[Raw] = ()
        if asked.previous_response_id is not None:
            history = keeping.turns(await self._chain(principal, whose, asked.previous_response_id))
        instead = await self._referred(whose, asked.input) if isinstance(asked.input, list) else ()
        return Thread(thread.id, thread.created, tuple(history), instead, thread.queued)

    async def _chain(self, principal: Principal, whose: Whose, id: str) -> Sequence[KeptResponse]:
        kept = await self.store.find(whose, id)
        if kept is not None and kept.body is None:
            await self._settled(principal, whose, kept)
        chain = await self.store.chain(whose, id)
        if not chain:
            raise NotFound(
                f"Previous response with id '{id}' not found.",
                field=_FIELD,
                vendor_code="previous_response_not_found",
            )
        return chain

    async def _referred(self, whose: Whose, input: Sequence[Raw]) -> tuple[tuple[int, Raw], ...]:
        """The items that the input only refers to. Raises NotFound."""
        responses: dict[str, Mapping[str, Raw]] = {}
        found: list[tuple[int, Raw]] = []
        room = LONGEST_REFERRED
        for place, raw in enumerate(input):
            id = reference_of(raw, f"input[{place}]")
            if id is None:
                continue
            response = keeping.whose(id) or ""
            if response not in responses:
                if len(responses) >= MOST_REFERRED:
                    raise BadRequest(f"The input refers to more than {MOST_REFERRED} responses.", field="input")
                kept = await self.store.find(whose, response)
                room -= 0 if kept is None else len(kept.input) + len(kept.body or b"")
                responses[response] = keeping.items_of(kept)
            item = responses[response].get(id)
            if item is None:
                raise NotFound(
                    f"Item with id '{id[:128]}' not found.", field=f"input[{place}]", vendor_code="item_not_found"
                )
            found.append((place, item))
            room -= len(bytes(item))
            if room < 0:
                raise BadRequest(
                    f"What the input refers to is more than {LONGEST_REFERRED} bytes.", field="input", status=TOO_LARGE
                )
        return tuple(found)

    # -- in the background -------------------------------------------------

    async def _accept(self, turn: Turn, visit: Visit, whose: Whose, thread: Thread) -> KeptResponse:
        """Accepts it as a job, or gives the one that its key stands for. Raises what stands against it."""
        if self._jobs is None:
            raise Unsupported("This gateway keeps no jobs, so nothing runs in the background.", field="background")
        codec = ResponsesServer(thread)
        asked = codec.body(turn.body)
        kept = _kept(asked, thread, self._clock.now(), queued=codec.queued(turn.body))
        body = json.encode({**_MEMBERS.decode(turn.body), "stream": True})
        visit = structs.replace(visit, call=structs.replace(visit.call, body=body), rest=(packed(thread),))
        await self.store.keep(whose, kept)
        accepted = False
        try:
            job = await self._jobs.submit(structs.replace(turn, codec=codec, body=body), visit)
            accepted = job.id == turn.id
        finally:
            if not accepted:
                await self.store.remove(whose, kept.id)
        if accepted:
            return kept
        return await self.find(whose, f"{PREFIX}{job.id.hex()}")

    async def _tell(self, exchange: Exchange, principal: Principal, whose: Whose, kept: KeptResponse) -> None:
        """Its events, as they come."""
        following = await self.follow(principal, whose, kept.id, -1)
        exchange.start()
        async with aclosing(following):
            async for told in following:
                while exchange.paused:
                    await self._clock.sleep(PACE)
                exchange.write(told)
        exchange.end(b"")

    # -- what is kept ------------------------------------------------------

    async def find(self, whose: Whose, id: str) -> KeptResponse:
        """Raises NotFound."""
        kept = await self.store.find(whose, id)
        if kept is None:
            raise keeping.missing(id)
        return kept

    async def look(self, principal: Principal, whose: Whose, id: str) -> bytes:
        """A response as it stands, with all that is kept of it. Raises NotFound."""
        kept = await self.find(whose, id)
        return kept.body if kept.body is not None else await self._settled(principal, whose, kept)

    async def cancel(self, principal: Principal, whose: Whose, id: str) -> bytes:
        """Ends one that is made in the background; as it stands then. Raises NotFound, BadRequest."""
        kept = await self.find(whose, id)
        if kept.queued is None:
            raise BadRequest("Only responses that are made in the background can be cancelled.", field="response_id")
        if kept.body is None:
            await self._jobs_of(id).cancel(principal, text((await self._job(principal, id)).id))
        return await self.look(principal, whose, id)

    async def remove(self, principal: Principal, whose: Whose, id: str) -> None:
        """Raises NotFound."""
        kept = await self.find(whose, id)
        if kept.body is None:
            await self.cancel(principal, whose, id)
        if kept.queued is not None and self._jobs is not None:
            await self._jobs.remove(principal, id.removeprefix(PREFIX))
        if not await self.store.remove(whose, id):
            raise keeping.missing(id)

    async def _settled(self, principal: Principal, whose: Whose, kept: KeptResponse) -> bytes:
        """One that is made in the background, as its job stands; kept once it is over."""
        job = await self._job(principal, kept.id)
        queued = kept.queued or b"{}"
        if not job.over:
            return keeping.standing(queued, keeping.STATUSES[job.state])
        body = keeping.final(await self._jobs_of(kept.id).answer(job)) if job.state is JobState.COMPLETED else None
        if body is None:
            error = fault_of(job) if job.state is not JobState.CANCELLED else None
            body = keeping.standing(queued, "cancelled" if error is None else "failed", error)
        await self.store.settle(whose, kept.id, body)
        return body

    def _jobs_of(self, id: str) -> Jobs:
        if self._jobs is None:
            raise keeping.missing(id)
        return self._jobs

    async def _job(self, principal: Principal, id: str) -> Job:
        try:
            return await self._jobs_of(id).find(principal, id.removeprefix(PREFIX))
        except NotFound:
            raise keeping.missing(id) from None

    # -- streams -----------------------------------------------------------

    async def follow(self, principal: Principal, whose: Whose, id: str, after: int) -> AsyncGenerator[bytes]:
        """The events of one that is made in the background, after a number. Raises NotFound, BadRequest."""
        kept = await self.find(whose, id)
        if kept.queued is None:
            raise BadRequest(
                "Only responses that were made in the background can be streamed again; ask without 'stream'.",
                field="stream",
            )
        await self._job(principal, id)
        return self._events(principal, whose, kept, after)

    async def _events(
        self, principal: Principal, whose: Whose, kept: KeptResponse, after: int
    ) -> AsyncGenerator[bytes]:
        follower = keeping.Follower(after)
        yield follower.feed(keeping.beginning(kept.queued or b"{}"))
        job = await self._job(principal, kept.id)
        epoch: int | None = None
        async with aclosing(self._jobs_of(kept.id).follow(principal, text(job.id))) as following:
            try:
                await anext(following)  # as it stood
                while got := await while_here(self._gateway.services, _next(following)):
                    (one,) = got
                    if one is None:
                        yield KEEP_ALIVE
                    elif isinstance(one, Piece):
                        if epoch not in {None, one.mark.epoch}:
                            yield keeping.broken(Cut(_ANEW), follower.last + 1)
                            return
                        epoch = one.mark.epoch
                        yield follower.feed(one.data)
                    elif one.over and one.state is not JobState.COMPLETED:
                        yield keeping.ending(await self.look(principal, whose, kept.id), follower.last + 1)
            except Fault as fault:
                yield keeping.broken(fault, follower.last + 1)


class _Holding:
    """A caller whose last bytes wait until they may leave. Implements `ports.caller.Caller`."""

    def __init__(self, exchange: Exchange) -> None:
        self._to = exchange
        self.last: bytes | None = None
        self.streams = False

    def whole(self, body: bytes) -> None:
        """A whole answer waits."""
        self.last = body

    def waits(self, codec: ServerCodec) -> None:  # noqa: ARG002 - why stands below
        """
        A stream is asked for and nothing of it is here yet. A fault is told by who has told nothing: what an attempt
        said before it failed has reached nobody.
        """
        self._to.waits(ResponsesServer())

    def start(self) -> None:
        """A streamed answer begins."""
        self.streams = True
        self._to.start()

    def write(self, piece: bytes) -> None:
        """A piece of it."""
        self._to.write(piece)

    def end(self, last: bytes) -> None:
        """Its last piece waits."""
        self.last = last

    def abort(self) -> None:
        """It was told that the response has failed, and that is an end."""
        self._to.end(b"")

    def note(self, name: bytes, value: bytes) -> None:
        """A header of the answer."""
        self._to.note(name, value)

    def feed_from(self, answer: UpstreamAnswer | None) -> None:
        """Whom to pause while the caller does not keep up."""
        self._to.feed_from(answer)

    def release(self) -> None:
        """What waits may leave."""
        if self.last is not None:
            (self._to.end if self.streams else self._to.whole)(self.last)


def _kept(
    asked: Body, thread: Thread, now: int, *, body: bytes | None = None, queued: bytes | None = None
) -> KeptResponse:
    said = keeping.packed_items(whole_items(asked.input, thread.instead), thread.id)
    return KeptResponse(thread.id, now, asked.previous_response_id, said, body, queued)


async def _next(following: AsyncIterator[Told]) -> tuple[Told] | tuple[()]:
    async for one in following:
        return (one,)
    return ()
