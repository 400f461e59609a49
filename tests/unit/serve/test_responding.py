"""Responses over a real socket, before a core of fakes: what is kept when, and what is told where it cannot be."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence

import msgspec
import pytest
from starlette.responses import PlainTextResponse

from foz.canon.fault import NoCapacity
from foz.canon.identity import Identities
from foz.canon.principal import Principal
from foz.net.watch import TickingWatch
from foz.ports.responses import KeptResponse
from foz.serve.http.guard import Guard
from foz.serve.http.house import House, Limits
from foz.serve.http.responding import Responding
from foz.serve.http.routes import Table
from foz.serve.http.server import HttpServer, bind
from foz.skins.openai import RESPONSES, OpenAISkin
from foz.testing.raw import RawConnection, request
from foz.testing.responses import MemoryResponses
from foz.testing.upstream import Scripted
from foz.wire.sse import Decoder
from tests.core import PUBLIC, STREAM, WHOLE, Core

KEYED = ((b"x-api-key", b"mine"),)
WHOSE = ("mine", "")
ID = "0123456789abcdef0123456789abcdef"


class AnyKey:
    """Implements `ports.keys.Keyring`: a key is its principal."""

    open = False

    def find(self, key: str) -> Principal | None:
        return Principal(key)


def served(store: MemoryResponses, turns: Sequence[Scripted], ask: Callable[[RawConnection], None]) -> Core:
    """Serves in a loop of its own while `ask` talks to it from a thread."""

    async def serve() -> Core:
        core, skin = Core(*turns), OpenAISkin()
        house = House(
            gateway=core.gateway,
            router=Table((skin,)).router,
            skins={"openai": skin},
            fallback=skin,
            guard=Guard(AnyKey()),
            watch=TickingWatch(asyncio.get_running_loop()),
            identities=Identities(core.clock.now, os.urandom),
            limits=Limits(),
            attendants={RESPONSES: Responding(core.gateway, store, None, core.clock)},
        )
        server = HttpServer(house, PlainTextResponse("control plane"))
        listener = bind("127.0.0.1", 0)
        await server.listen((listener,))

        def talk(port: int) -> None:
            with RawConnection(port) as connection:
                ask(connection)

        try:
            await asyncio.to_thread(talk, listener.getsockname()[1])
        finally:
            await server.drain(1.0)
        return core

    return asyncio.run(serve())


def body(**said: object) -> bytes:
    return msgspec.json.encode({"model": PUBLIC, "input": "Where do rivers end?", **said})


def test_what_is_asked_upstream_is_a_chat() -> None:
    """The upstream of the same vendor's dialect is asked in chats: nothing of the caller's body passes as it is."""

    def ask(connection: RawConnection) -> None:
        assert connection.call("POST", RESPONSES, body(store=False), KEYED).status == 200

    core = served(MemoryResponses(), [Scripted(WHOLE)], ask)
    (call,) = core.upstreams["one"].calls

    assert call.path == "/chat/completions"
    assert msgspec.json.decode(call.body) == {
        "model": "up-1",
        "messages": [{"role": "user", "content": "Where do rivers end?"}],
    }


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_heard_is_what_is_kept(stream: bool) -> None:
    """The response that its caller has, whole or as a stream's last event, is kept by then, with what was asked."""
    store = MemoryResponses()

    def ask(connection: RawConnection) -> None:
        connection.send(request("POST", RESPONSES, body(stream=stream), KEYED))
        if stream:
            connection.head()
            said = Decoder().feed(b"".join(iter(connection.chunk, b"")))[-1].data
            heard = msgspec.json.decode(said)["response"]
        else:
            heard = msgspec.json.decode(connection.reply().body)
        (kept,) = store.kept.values()
        assert msgspec.json.decode(kept.body or b"") == heard
        assert heard["output"][0]["content"][0]["text"] == "Into the sea"
        assert b"Where do rivers end?" in kept.input

    served(store, [Scripted(*STREAM) if stream else Scripted(WHOLE)], ask)
    assert [whose for whose, _ in store.kept] == [WHOSE]


def test_a_whole_answer_that_cannot_be_kept_is_a_fault() -> None:
    """Where the store refuses, its fault is the answer: nobody is given an id that leads nowhere."""

    def ask(connection: RawConnection) -> None:
        reply = connection.call("POST", RESPONSES, body(), KEYED)
        assert (reply.status, msgspec.json.decode(reply.body)["error"]["code"]) == (503, "no_capacity")

    served(MemoryResponses(NoCapacity("The disk is full.")), [Scripted(WHOLE)], ask)


def test_a_stream_that_cannot_be_kept_has_failed() -> None:
    """Where the store refuses at the end of a stream, its last event is `response.failed`, and none says complete."""

    def ask(connection: RawConnection) -> None:
        connection.send(request("POST", RESPONSES, body(stream=True), KEYED))
        connection.head()
        events = [msgspec.json.decode(frame.data) for frame in Decoder().feed(b"".join(iter(connection.chunk, b"")))]
        assert events[-1]["type"] == "response.failed"
        assert events[-1]["response"]["error"]["message"] == "The disk is full."
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert "response.completed" not in {event["type"] for event in events}

    served(MemoryResponses(NoCapacity("The disk is full.")), [Scripted(*STREAM)], ask)


def test_without_jobs_nothing_runs_in_the_background() -> None:
    """A gateway that keeps no jobs refuses `background` by name, and keeps nothing of it."""
    store = MemoryResponses()

    def ask(connection: RawConnection) -> None:
        reply = connection.call("POST", RESPONSES, body(background=True), KEYED)
        assert (reply.status, msgspec.json.decode(reply.body)["error"]["param"]) == (400, "background")

    served(store, [], ask)
    assert store.kept == {}


def test_what_a_store_forgets_in_between_is_not_found() -> None:
    """A response of which nothing is left is told by the field that names it, in OpenAI's code."""

    def ask(connection: RawConnection) -> None:
        reply = connection.call("POST", RESPONSES, body(previous_response_id="resp_gone"), KEYED)
        error = msgspec.json.decode(reply.body)["error"]
        assert (reply.status, error["param"], error["code"]) == (
            404,
            "previous_response_id",
            "previous_response_not_found",
        )

    served(MemoryResponses(), [], ask)


def test_what_an_input_refers_to_has_a_limit() -> None:
    """Many references to an item of many are looked up at once, and to more than may be read they are refused."""
    store = MemoryResponses()
    small = [f'{{"id":"msg_{ID}{place:04x}","role":"user","content":"s"}}' for place in range(5_000)]
    large = f'{{"id":"msg_{ID}ffff","role":"user","content":"{"x" * 2**20}"}}'
    kept = KeptResponse(f"resp_{ID}", 1, None, f"[{','.join([*small, large])}]".encode())
    store.kept[WHOSE, kept.id] = kept
    statuses: list[int] = []

    def ask(connection: RawConnection) -> None:
        for item, times in ((f"msg_{ID}1387", 2_000), (f"msg_{ID}ffff", 100)):
            said = [{"type": "item_reference", "id": item}] * times
            statuses.append(connection.call("POST", RESPONSES, body(store=False, input=said), KEYED).status)

    began = time.process_time()
    served(store, [Scripted(WHOLE)], ask)

    assert statuses == [200, 413]
    assert time.process_time() - began < 4
