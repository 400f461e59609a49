"""
An upstream of Oracle's agents: it sees to the session of each chat.

A chat that names its session must own it. One that names channel and user there gets their session, made if there is
none; where the agent knows it no more it is made anew, once (the session is repaired). Any other chat has a session of
its own, which is ended when the answer is closed. A 409 that is not final is asked again after a pause, up to three
times: a session takes one chat at a time.
"""

import asyncio
import logging
from collections.abc import Callable

from foz.canon.fault import Fault, Limited, NotFound
from foz.canon.model import Patience
from foz.dialects.oci_agent import session as wire
from foz.dialects.oci_agent.faults import decode_fault
from foz.dialects.oci_agent.session import Used
from foz.net.retold import Heard
from foz.ports.clock import Clock
from foz.ports.sessions import whose_of
from foz.ports.upstream import Upstream, UpstreamAnswer
from foz.sessions.keeper import Keeper
from foz.wire.http import Call, Headers, Reply

log = logging.getLogger("foz.agents")

OK = range(200, 300)
CONFLICT, NOT_FOUND = 409, 404
MAX_BODY = 256 * 1024
PAUSES = (0.25, 0.5, 1.0)
CALM = Patience(connect=5.0, first_byte=10.0, idle=5.0, total=15.0)
Whose = tuple[str, str]


class Told:
    """An answer that also tells its session. `then` is done when it is closed."""

    def __init__(self, answer: UpstreamAnswer, used: Used, then: Callable[[], None] | None = None) -> None:
        self._answer = answer
        self._used = used
        self._then = then
        self.status = answer.status
        self.headers = (*answer.headers, *wire.told(used))

    async def whole(self, limit: int) -> Reply:
        """All of it."""
        reply = await self._answer.whole(limit)
        return Reply(reply.status, self.headers, reply.body)

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """Hands each piece to the sink, and before the first the session."""
        sink(wire.mark(self._used))
        await self._answer.pour(sink)

    def pause(self) -> None:
        """Stop reading."""
        self._answer.pause()

    def resume(self) -> None:
        """Read on."""
        self._answer.resume()

    def close(self) -> None:
        """Done with it."""
        self._answer.close()
        then, self._then = self._then, None
        if then is not None:
            then()


class Agents:
    """Implements `ports.upstream.Upstream` around another, and `ports.sessions.Agency`."""

    def __init__(self, upstream: Upstream, keeper: Keeper, clock: Clock, provider: str) -> None:
        self._upstream = upstream
        self._keeper = keeper
        self._clock = clock
        self._provider = provider
        self._errands: set[asyncio.Future[None]] = set()

    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> UpstreamAnswer:
        """Sends it within its session."""
        whose, along = whose_of(along)
        if not isinstance(call, wire.Call) or call.within is None:
            return await self._upstream.send(call, patience, along)
        wish = call.wish
        if wish.session is not None:
            await self._keeper.check(whose, self._key(call.agent), wish.session)
            answer = await self._ask(call.within(wish.session), patience, along)
            if answer.status == NOT_FOUND:
                answer.close()
                raise NotFound("The agent does not know this session any more.", field="session")
            return Told(answer, Used(wish.session, reused=True))
        if wish.channel is not None and wish.cuid is not None:
            return await self._seated((*whose, self._key(call.agent), wish.channel, wish.cuid), call, patience, along)
        own = await self._open(call.agent)
        try:
            answer = await self._ask(call.within(own), patience, along)
        except BaseException:
            self._end(call.agent, own)
            raise
        return Told(answer, Used(own), lambda: self._end(call.agent, own))

    async def open(self, whose: Whose, agent: str, name: str | None = None) -> bytes:
        """A new session of its own."""
        body = await self._opened(agent, name)
        await self._keeper.own(whose, self._key(agent), wire.opened(body))
        return body

    async def end(self, whose: Whose, agent: str, session: str) -> None:
        """Ends one; one that the agent has forgotten already is over too."""
        await self._keeper.check(whose, self._key(agent), session)
        reply = await self._whole(wire.ending(agent, session))
        if reply.status not in OK and reply.status != NOT_FOUND:
            raise decode_fault(reply)
        await self._keeper.end(whose, self._key(agent), session)

    async def close(self) -> None:
        """Ends what is to be ended, and closes idle connections."""
        if self._errands:
            await asyncio.wait(self._errands, timeout=CALM.connect)
        await self._upstream.close()

    def _key(self, agent: str) -> str:
        """An agent as sessions are kept for it."""
        return f"{self._provider}/{agent}"

    async def _seated(
        self, seat: tuple[str, str, str, str, str], call: wire.Call, patience: Patience, along: Headers
    ) -> UpstreamAnswer:
        """In the seat's session; repaired once where the agent knows it no more."""
        within = call.within
        for repaired in (False, True):
            seated = await self._keeper.seat(seat, lambda: self._open(call.agent))
            if seated.stale is not None:
                self._end(call.agent, seated.stale)
            answer = await self._ask(call if within is None else within(seated.session), patience, along)
            if answer.status != NOT_FOUND or repaired or not seated.reused:
                break
            answer.close()
            await self._keeper.left(seat, seated.session)
        return Told(answer, Used(seated.session, seated.reused))

    async def _ask(self, call: Call, patience: Patience, along: Headers) -> UpstreamAnswer:
        """Sends, and again after a 409 that may pass."""
        for pause in (*PAUSES, None):
            answer = await self._upstream.send(call, patience, along)
            if answer.status != CONFLICT:
                return answer
            reply = await answer.whole(MAX_BODY)
            answer.close()
            if pause is None or not isinstance(decode_fault(reply), Limited):
                return Heard(reply)
            await self._clock.sleep(pause)
        raise AssertionError("the last pause is none")

    async def _open(self, agent: str) -> str:
        return wire.opened(await self._opened(agent, None))

    async def _opened(self, agent: str, name: str | None) -> bytes:
        answer = await self._ask(wire.opening(agent, name), CALM, ())
        reply = await answer.whole(MAX_BODY)
        answer.close()
        if reply.status not in OK:
            raise decode_fault(reply)
        return reply.body

    async def _whole(self, call: Call) -> Reply:
        answer = await self._upstream.send(call, CALM)
        try:
            return await answer.whole(MAX_BODY)
        finally:
            answer.close()

    def _end(self, agent: str, session: str) -> None:
        """Ends a session that nobody waits for."""
        errand = asyncio.ensure_future(self._try_to_end(agent, session))
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def _try_to_end(self, agent: str, session: str) -> None:
        try:
            reply = await self._whole(wire.ending(agent, session))
        except Fault as fault:
            log.warning("%s: a session could not be ended: %s", self._provider, fault.message)
            return
        if reply.status not in OK and reply.status != NOT_FOUND:
            log.warning("%s: a session could not be ended: status %d", self._provider, reply.status)
