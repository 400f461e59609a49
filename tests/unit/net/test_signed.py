"""Calls that are signed on their way out."""

import asyncio

from foz.canon.model import Patience
from foz.net.signed import Signed
from foz.testing.clock import StillClock
from foz.testing.upstream import Scripted, ScriptedUpstream
from foz.wire.http import Call, Headers


class Notary:
    """Implements `ports.signer.Signer`: says what it saw."""

    def sign(self, call: Call, base_url: str, now: int) -> Headers:
        return ((b"signature", f"{call.method} {base_url}{call.path} {len(call.body)} {now}".encode()),)


def test_each_call_is_signed_at_its_moment() -> None:
    """The upstream gets the call with a proof over it, its place and the time, then what goes along unsigned."""

    async def send() -> None:
        inner, clock = ScriptedUpstream([Scripted(b"a"), Scripted(b"b")]), StillClock()
        signed = Signed(inner, Notary(), "https://x.example/v1", clock)
        began = clock.now()
        await signed.send(Call("POST", "/chat", body=b"{}"), Patience(), ((b"x-request-id", b"r"),))
        await clock.advance(60.0)
        await signed.send(Call("GET", "/list"), Patience())
        await signed.close()

        assert [call.headers for call in inner.calls] == [
            ((b"signature", b"POST https://x.example/v1/chat 2 %d" % began), (b"x-request-id", b"r")),
            ((b"signature", b"GET https://x.example/v1/list 0 %d" % (began + 60_000)),),
        ]
        assert inner.closed

    asyncio.run(send())
