"""An upstream whose every call is signed."""

from foz.canon.model import Patience
from foz.ports.clock import Clock
from foz.ports.signer import Signer
from foz.ports.upstream import Upstream, UpstreamAnswer
from foz.wire.http import Call, Headers


class Signed:
    """Implements `ports.upstream.Upstream` around another. What goes along is not part of what is signed."""

    def __init__(self, upstream: Upstream, signer: Signer, base_url: str, clock: Clock) -> None:
        self._upstream = upstream
        self._signer = signer
        self._base_url = base_url
        self._clock = clock

    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> UpstreamAnswer:
        """Sends it with its signature, made at this moment."""
        proof = self._signer.sign(call, self._base_url, self._clock.now())
        return await self._upstream.send(call, patience, (*proof, *along))

    async def close(self) -> None:
        """Closes idle connections."""
        await self._upstream.close()
