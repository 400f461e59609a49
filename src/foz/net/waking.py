"""
An upstream whose models may be asleep: it says that one is loading and how long it will take, and is asked again until
the model is there or the call's time is up.
"""

from collections.abc import Callable

from foz.canon.fault import Timeout
from foz.canon.model import Patience
from foz.net.kept import KeptAnswer, looked
from foz.ports.clock import Clock
from foz.ports.upstream import Upstream, UpstreamAnswer
from foz.wire.http import Call, Headers, Reply

ASLEEP = 503
SHORTEST = 1.0
LONGEST = 10.0
"""Seconds between two questions: what an upstream thinks it will take is a guess."""


class Waking:
    """Implements `ports.upstream.Upstream` around another. `loading` reads a refusal: how many seconds more, if so."""

    def __init__(self, upstream: Upstream, clock: Clock, loading: Callable[[Reply], float | None], code: str) -> None:
        self._upstream = upstream
        self._clock = clock
        self._loading = loading
        self._code = code
        """The fault's, where the time is up."""

    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> UpstreamAnswer:
        """Sends it until the model is there. Raises Timeout, which says so, where the call's time is up before."""
        began = self._clock.monotonic()
        left = patience.total
        while True:
            answer = await self._upstream.send(call, patience.within(left), along)
            if answer.status != ASLEEP:
                return answer
            reply = await looked(answer)
            wait = self._loading(reply)
            if wait is None:
                return KeptAnswer(reply)
            left = patience.total - (self._clock.monotonic() - began)
            await self._clock.sleep(max(min(wait, left, LONGEST), min(SHORTEST, left), 0.0))
            left = patience.total - (self._clock.monotonic() - began)
            if left <= 0:
                raise Timeout(
                    f"the model is still loading after {round(patience.total, 1):g} s, and needed about {wait:g} s "
                    "more when last asked: ask again then, or give the call more time",
                    status=ASLEEP,
                    retry_after=wait,
                    vendor_code=self._code,
                )

    async def close(self) -> None:
        """Closes idle connections."""
        await self._upstream.close()
