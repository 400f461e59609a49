"""What Oracle's models take is asked of the management API: once for each model, and nobody waits for another's."""

import asyncio

import msgspec

from foz.canon.content import Message, Text
from foz.canon.model import Patience
from foz.canon.request import ChatRequest
from foz.dialects.oci.client import ChatClient
from foz.dialects.oci.telling import Memory, Place
from foz.net.retold import Retold
from foz.testing.upstream import Scripted, ScriptedUpstream
from foz.wire.http import Call

FIRST, SECOND = "ocid1.generativeaimodel.oc1..first", "ocid1.generativeaimodel.oc1..second"
COHERE = Scripted(b'{"vendor":"cohere","displayName":"c"}')


def chat(client: ChatClient, model: str) -> Call:
    return client.encode_request(ChatRequest("m", (Message("user", (Text("hi"),)),)), model)


def client() -> ChatClient:
    place = Place("ocid1.compartment.oc1..c")
    return ChatClient(place, Memory(place))


def formats(upstream: ScriptedUpstream) -> list[str]:
    return [msgspec.json.decode(call.body)["chatRequest"]["apiFormat"] for call in upstream.calls]


def test_nobody_waits_for_what_another_model_is() -> None:
    """While the management API is silent about one model, another one is asked about, and answers."""

    async def main() -> tuple[bool, list[str]]:
        silent = asyncio.Event()
        upstream = ScriptedUpstream([Scripted(b"{}"), Scripted(b"{}")])
        retold = Retold(upstream, ScriptedUpstream([Scripted(b"{}", gate=silent), COHERE]))
        oracle = client()
        first = asyncio.ensure_future(retold.send(chat(oracle, FIRST), Patience()))
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await retold.send(chat(oracle, SECOND), Patience())
        waits = not first.done()
        silent.set()
        await first
        return waits, formats(upstream)

    assert asyncio.run(main()) == (True, ["COHERE", "GENERIC"])


def test_who_hangs_up_does_not_end_the_question() -> None:
    """Two calls for one model ask once; the first one's hang-up leaves the second its answer."""

    async def main() -> tuple[int, list[str]]:
        held = asyncio.Event()
        upstream = ScriptedUpstream([Scripted(b"{}")])
        management = ScriptedUpstream([Scripted(*COHERE.pieces, gate=held)])
        retold, oracle = Retold(upstream, management), client()
        first, second = (asyncio.ensure_future(retold.send(chat(oracle, FIRST), Patience())) for _ in range(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        held.set()
        await asyncio.wait([first, second])
        return len(management.calls), formats(upstream)

    assert asyncio.run(main()) == (1, ["COHERE"])


def test_a_question_ends_with_the_gateway() -> None:
    """Who closes does not wait for a management API that is silent."""

    async def main() -> int:
        management = ScriptedUpstream([Scripted(b"{}", gate=asyncio.Event())])
        retold = Retold(ScriptedUpstream(), management)
        asked = asyncio.ensure_future(retold.send(chat(client(), FIRST), Patience()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked.cancel()
        async with asyncio.timeout(10):
            await retold.close()
        await asyncio.wait([asked])
        return management.cancelled

    assert asyncio.run(main()) == 1
