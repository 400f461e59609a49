"""What upstreams around upstreams share: an answer that was read already, and one that is told as it was meant."""

from collections.abc import Callable

from foz.canon.fault import Garbled
from foz.canon.model import Patience
from foz.ports.upstream import Upstream, UpstreamAnswer
from foz.wire.http import Call, Headers, Reply

FAILED = 500

MAX_LOOK = 64 * 1024
"""More of an answer that is only looked at is not read."""


class KeptAnswer:
    """Implements `ports.upstream.UpstreamAnswer` of a whole one."""

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self._reply = reply

    async def whole(self, limit: int) -> Reply:
        """All of it."""
        if len(self._reply.body) > limit:
            raise Garbled(f"the answer is longer than {limit} bytes")
        return self._reply

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """All of it at once."""
        if self._reply.body:
            sink(self._reply.body)

    def pause(self) -> None:
        """There is nothing to hold back."""

    def resume(self) -> None:
        """There is nothing to go on with."""

    def close(self) -> None:
        """It is closed."""


async def looked(answer: UpstreamAnswer) -> Reply:
    """An answer that is short, whole, and its connection free again."""
    try:
        return await answer.whole(MAX_LOOK)
    finally:
        answer.close()


class Meant:
    """Implements `ports.upstream.Upstream` around one whose failures are told as `read` says that they are meant."""

    def __init__(self, upstream: Upstream, read: Callable[[Reply], Reply]) -> None:
        self._upstream = upstream
        self._read = read

    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> UpstreamAnswer:
        """Sends it."""
        answer = await self._upstream.send(call, patience, along)
        return answer if answer.status != FAILED else KeptAnswer(self._read(await looked(answer)))

    async def close(self) -> None:
        """Closes idle connections."""
        await self._upstream.close()
