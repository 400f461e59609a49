"""
An upstream of Oracle's Generative AI, whose models do not all take the same format.

What a model takes that is only an OCID is asked of the management API, once. A chat that is refused with a 400 is said
again in another way, as long as the dialect knows one; what works is remembered. If nothing does, the first refusal
is the answer.
"""

import asyncio
from collections.abc import Callable

from foz.canon.fault import Fault
from foz.canon.model import Patience
from foz.dialects.oci import described, telling
from foz.dialects.oci.telling import Telling, otherwise
from foz.ports.upstream import Upstream, UpstreamAnswer
from foz.wire.http import Call, Headers, Reply

OK = range(200, 300)
BAD_REQUEST = 400
MAX_REFUSAL = 256 * 1024
MAX_DESCRIPTION = 1024 * 1024
MOST_ASKED = 10_000
SHORT = Patience(connect=2.0, first_byte=5.0, idle=5.0, total=8.0)


class Heard:
    """An answer that was read already. Implements `ports.upstream.UpstreamAnswer`."""

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self._reply = reply

    async def whole(self, limit: int) -> Reply:
        """All of it."""
        del limit
        return self._reply

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """Hands it over in one piece."""
        sink(self._reply.body)

    def pause(self) -> None:
        """There is nothing to pause."""

    def resume(self) -> None:
        """There is nothing to resume."""

    def close(self) -> None:
        """There is nothing to close."""


class Retold:
    """Implements `ports.upstream.Upstream` around another; `management` is asked what models are."""

    def __init__(self, upstream: Upstream, management: Upstream) -> None:
        self._upstream = upstream
        self._management = management
        self._asked: dict[str, asyncio.Task[Telling | None]] = {}

    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> UpstreamAnswer:
        """Sends it as the model takes it."""
        if not isinstance(call, telling.Call) or call.retold is None:
            return await self._upstream.send(call, patience, along)
        if not call.telling.sure:
            described = await self._described(call.model)
            call = call if described is None else _again(call, described)
        tried: tuple[Telling, ...] = (call.telling,)
        first: Reply | None = None
        while True:
            answer = await self._upstream.send(call, patience, along)
            if answer.status in OK and call.learned is not None and (not call.telling.sure or first is not None):
                call.learned(call.telling)
            if answer.status != BAD_REQUEST:
                return answer if first is None or answer.status in OK else _closed(answer, first)
            reply = await answer.whole(MAX_REFUSAL)
            answer.close()
            first = first or reply
            following = otherwise(tried, reply.body)
            if following is None:
                return Heard(first)
            tried += (following,)
            try:
                call = _again(call, following)
            except Fault:  # that format cannot say what was asked
                return Heard(first)

    async def close(self) -> None:
        """Closes idle connections, and asks about no model any more."""
        asking = [asked for asked in self._asked.values() if not asked.done()]
        for asked in asking:
            asked.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self._upstream.close()
        await self._management.close()

    async def _described(self, model: str) -> Telling | None:
        """
        What the management API says of a model; asked once, whatever came of it. All who want to know of a model wait
        for one question, and none for that about another model; who hangs up does not end it.
        """
        if model not in self._asked:
            if len(self._asked) >= MOST_ASKED:
                self._asked = {name: asked for name, asked in self._asked.items() if not asked.done()}
            self._asked[model] = asyncio.ensure_future(self._look_up(model))
        return await asyncio.shield(self._asked[model])

    async def _look_up(self, model: str) -> Telling | None:
        """An endpoint's description names its model, whose description is asked next."""
        for _ in range(2):
            question = described.question(model)
            if question is None:
                return None
            try:
                answer = await self._management.send(question, SHORT)
                reply = await answer.whole(MAX_DESCRIPTION)
                answer.close()
            except Fault:
                return None
            found = described.read(reply.body) if reply.status in OK else None
            if not isinstance(found, str):
                return found
            model = found
        return None


def _again(call: telling.Call, told: Telling) -> telling.Call:
    return call if call.retold is None else call.retold(told)


def _closed(answer: UpstreamAnswer, first: Reply) -> UpstreamAnswer:
    """A guess that led to another fault than the first refusal tells less than that refusal."""
    answer.close()
    return Heard(first)
