"""
An upstream that may put a call off: it answers 202 with an id, and the answer is asked for by that id elsewhere, until
it is there or the call's time is up (NVIDIA's cloud functions: `NVCF-REQID`, `NVCF-STATUS`, `NVCF-POLL-SECONDS`).
"""

import re

from foz.canon.fault import Down, Garbled, Timeout
from foz.canon.model import Patience
from foz.net.kept import looked
from foz.ports.clock import Clock
from foz.ports.upstream import Upstream, UpstreamAnswer
from foz.wire.http import Call, Headers

PUT_OFF = 202
PAUSE = 1.0
"""Seconds from one question to the next, at least."""
HOLD = 20
"""Seconds that a question may be held until the answer is there, at most."""
_ID = re.compile(rb"[A-Za-z0-9_-]{1,128}")
_OVER = frozenset({b"rejected", b"errored"})


def _named(answer: UpstreamAnswer, name: bytes) -> bytes:
    return next((value for key, value in answer.headers if key == name), b"")


class Polling:
    """Implements `ports.upstream.Upstream` around another; `statuses` is where answers are asked for, by their id."""

    def __init__(self, upstream: Upstream, statuses: Upstream, clock: Clock) -> None:
        self._upstream = upstream
        self._statuses = statuses
        self._clock = clock

    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> UpstreamAnswer:
        """Sends it and waits for what it comes to. Raises Timeout where the call's time is up before."""
        end = self._clock.monotonic() + patience.total
        answer = await self._upstream.send(call, patience, along)
        id = b""
        while answer.status == PUT_OFF:
            id = _named(answer, b"nvcf-reqid") or id
            state = _named(answer, b"nvcf-status")
            await looked(answer)
            if not _ID.fullmatch(id):
                raise Garbled("the upstream put the call off (202) without an id to ask for it by (NVCF-REQID)")
            if state in _OVER:
                raise Down(f"the upstream put the call off and then gave it up: {state.decode()}")
            answer = await self._ask(call, id, patience, end, along)
        return answer

    async def _ask(self, call: Call, id: bytes, patience: Patience, end: float, along: Headers) -> UpstreamAnswer:
        """What has become of it. Answers that are not there yet come no faster than the pause."""
        began = self._clock.monotonic()
        left = end - began
        if left <= 0:
            raise Timeout(f"the upstream put the call off and had no answer after {patience.total:g} s")
        held = (b"nvcf-poll-seconds", b"%d" % max(1, min(HOLD, int(left))))
        accept = tuple(header for header in call.headers if header[0] == b"accept")
        question = Call("GET", f"/{id.decode()}", (*accept, held))
        answer = await self._statuses.send(question, patience.within(left), along)
        if answer.status == PUT_OFF:
            rest = PAUSE - (self._clock.monotonic() - began)
            if rest > 0:
                await self._clock.sleep(min(rest, left))
        return answer

    async def close(self) -> None:
        """Closes idle connections of both."""
        try:
            await self._upstream.close()
        finally:
            await self._statuses.close()
