"""
What a skin may ask of the data plane, over a real socket: plain text, whole and streamed, bodies that are forms, the
path's model, names of its own source, and its own words for whatever goes wrong.
"""

import asyncio
import os
from collections.abc import Callable, Sequence

import msgspec
import pytest
from starlette.responses import PlainTextResponse

from foz.canon.entry import State
from foz.canon.event import Event, TextGrew
from foz.canon.fault import Cut, Fault
from foz.canon.identity import Identities
from foz.canon.model import Model, Standing
from foz.canon.principal import Principal
from foz.canon.request import Ask, Attribution, ChatRequest, Operation, Request
from foz.canon.response import Response
from foz.net.watch import TickingWatch
from foz.ports.codec import Answer
from foz.ports.headers import attribution_of, key_of
from foz.ports.skin import FORM, JSON, Route, Visit
from foz.serve.http.guard import Guard
from foz.serve.http.house import House, Limits
from foz.serve.http.routes import Table
from foz.serve.http.server import HttpServer, bind
from foz.skins.openai import OpenAISkin
from foz.testing.raw import RawConnection, request
from foz.testing.upstream import Scripted
from foz.wire.http import Call, Headers, Reply
from tests.core import COUNTED, DONE, FINISH, PUBLIC, WHOLE, Core, frame, piece

TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)
_ASKED = Attribution(project="body")


class Whisper:
    """Implements `ports.codec.EventEncoder`: bare words."""

    def feed(self, event: Event) -> bytes:
        return event.text.encode() if isinstance(event, TextGrew) else b""

    def close(self) -> bytes:
        return b""


class PlainCodec:
    """Implements `ports.codec.ServerCodec`: any body is the question; the path says the rest."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    def read(self, body: bytes) -> Ask:
        return Ask(Operation.CHAT, self._visit.model, self._visit.rest == ("async",), attribution=_ASKED)

    def decode_request(self, body: bytes) -> Request:
        return ChatRequest(self._visit.model, (), stream=self._visit.rest == ("async",))

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        assert isinstance(answer, Response)
        kind = self._visit.call.header(b"content-type") or b""
        return b"%b|%b|%b" % (kind, self._visit.request_id.encode(), (answer.choices[0].text or "").encode())

    def encoder(self, request: Request, model: str) -> Whisper:
        return Whisper()

    def encode_fault_event(self, fault: Fault) -> bytes:
        return b""


class PlainSkin:
    """Implements `ports.skin.Skin`."""

    name = "plain"
    relays = ""
    source = "plain"
    roots: tuple[str, ...] = ("/plain",)
    routes: tuple[Route, ...] = (
        Route("POST", "/plain/{model}/ask/{how}", "plain", "chat", "", accepts=(JSON, FORM), whole=TEXT, stream=TEXT),
        Route("GET", "/plain/models", "plain", "list_models", ""),
    )

    def codec(self, visit: Visit) -> PlainCodec:
        return PlainCodec(visit)

    def key(self, call: Call) -> str | None:
        return key_of(call)

    def attribution(self, visit: Visit) -> Attribution:
        return attribution_of(visit.call)

    def list_models(self, models: list[Model], visit: Visit) -> Reply:
        return Reply(200, TEXT, f"{visit.request_id}: {', '.join(model.name for model in models)}".encode())

    def show_model(self, model: Model, visit: Visit) -> Reply:
        raise NotImplementedError(Standing)

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        return Reply(fault.status, TEXT, f"plainly {request_id}: {fault.message}".encode())

    def schemas(self) -> dict[str, object]:
        return {}


class AnyKey:
    """Implements `ports.keys.Keyring`: whoever shows a key is its project's."""

    open = False

    def find(self, key: str) -> Principal | None:
        return Principal(key, project=None if key == "free" else key)


def _house(core: Core) -> House:
    plain, openai = PlainSkin(), OpenAISkin()
    return House(
        gateway=core.gateway,
        router=Table((openai, plain)).router,
        skins={"openai": openai, "plain": plain},
        fallback=openai,
        guard=Guard(AnyKey()),
        watch=TickingWatch(asyncio.get_running_loop()),
        identities=Identities(core.clock.now, os.urandom),
        limits=Limits(max_body=1000),
    )


def _served(turns: Sequence[Scripted], ask: Callable[[RawConnection], None]) -> Core:
    """Serves in a loop of its own while `ask` talks to it from a thread."""

    async def serve() -> Core:
        core = Core(*turns)
        server = HttpServer(_house(core), PlainTextResponse("control plane"))
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


KEYED: Headers = ((b"x-api-key", b"free"), (b"x-request-id", b"mine"))
SYNC, ASYNC = f"/plain/{PUBLIC}/ask/sync", f"/plain/{PUBLIC}/ask/async"


def test_a_whole_answer_is_of_the_routes_own_type() -> None:
    """What is asked of the path's model comes back as the route's type, and the codec knew the type and the id."""

    def ask(connection: RawConnection) -> None:
        reply = connection.call("POST", SYNC, b"x", (*KEYED, (b"content-type", b"multipart/form-data; boundary=b")))
        assert (reply.status, reply.header(b"content-type")) == (200, b"text/plain; charset=utf-8")
        assert reply.body == b"multipart/form-data; boundary=b|mine|Into the sea"

    core = _served([Scripted(WHOLE)], ask)
    (entry,) = core.ledger.entries.values()
    assert (entry.skin, entry.model) == ("plain", PUBLIC)


def test_a_stream_is_of_the_routes_own_type() -> None:
    """Words come piece by piece as plain text, and the last chunk says that they are all."""

    def ask(connection: RawConnection) -> None:
        connection.send(request("POST", ASYNC, b"{}", KEYED))
        head = connection.head()
        assert dict(head.headers)[b"content-type"] == b"text/plain; charset=utf-8"
        assert b"cache-control" not in dict(head.headers)
        assert b"".join(iter(connection.chunk, b"")) == b"Into the sea"

    _served([Scripted(piece("Into "), piece("the sea"), FINISH, COUNTED, DONE)], ask)


THOUGHT = frame(choices=[{"index": 0, "delta": {"reasoning_content": "hm"}, "finish_reason": None}])


@pytest.mark.parametrize(("first", "heard"), [(piece("Into "), b"5\r\nInto \r\n"), (THOUGHT, b"")])
def test_a_broken_text_never_looks_finished(first: bytes, heard: bytes) -> None:
    """Where the dialect has no words for a fault, the connection ends without the last chunk, said or unsaid."""

    def ask(connection: RawConnection) -> None:
        connection.send(request("POST", ASYNC, b"{}", KEYED))
        assert connection.head().status == 200
        assert connection.rest() == heard

    core = _served([Scripted(first, fault=Cut("it broke"))], ask)
    assert core.end.state is State.UPSTREAM_CUT


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", SYNC, (*KEYED, (b"content-type", b"text/html")), 415),
        ("POST", SYNC, (), 401),
        ("POST", "/plain/none/ask/sync", KEYED, 404),
        ("POST", "/plain/%ff/ask/sync", KEYED, 400),
        ("PUT", SYNC, KEYED, 405),
        ("DELETE", "/plain/models", KEYED, 405),
        ("POST", SYNC, (*KEYED, (b"content-length", b"2000")), 413),
        ("POST", SYNC, (*KEYED, (b"x-long", b"x" * 70_000)), 431),
        ("POST", SYNC, (*KEYED, (b"host", b"again")), 400),
    ],
)
def test_faults_are_told_in_the_words_of_whose_path_it_is(
    method: str, path: str, headers: Headers, status: int
) -> None:
    """Whatever is wrong, before or after a route is known, is told by the path's skin, and nothing is sent on."""

    def ask(connection: RawConnection) -> None:
        connection.send(request(method, path, b"{}", headers))
        reply = connection.reply()
        assert reply.status == status
        assert reply.body.startswith(b"plainly ")

    core = _served([], ask)
    assert core.upstream.calls == []
    assert core.ledger.entries == {}


def test_paths_of_nobody_are_told_in_the_houses_words() -> None:
    """A refusal at a path outside every root is the first skin's; a path without a route is the control plane's."""

    def ask(connection: RawConnection) -> None:
        assert connection.call("GET", "/plain/nothing").body == b"control plane"
        connection.send(request("POST", "/plainly", b"", ((b"x-long", b"x" * 70_000),)))
        assert "error" in msgspec.json.decode(connection.reply().body)

    _served([], ask)


@pytest.mark.parametrize(("key", "project"), [(b"free", "body"), (b"bound", "bound")])
def test_a_call_is_for_whom_body_headers_and_key_say(key: bytes, project: str) -> None:
    """The body's project wins over the header's, and a key's own over both; what only headers say is kept."""
    headers = ((b"x-api-key", key), (b"x-foz-project", b"header"), (b"x-foz-user-key", b"u"))

    core = _served([Scripted(WHOLE)], lambda connection: _well(connection.call("POST", SYNC, b"{}", headers)))
    (entry,) = core.ledger.entries.values()
    assert (entry.project, entry.attribution.user_key) == (project, "u")


def _well(reply: Reply) -> None:
    assert reply.status == 200


def test_a_list_of_models_knows_its_visit() -> None:
    """The skin's list is made for this very request."""

    def ask(connection: RawConnection) -> None:
        assert connection.call("GET", "/plain/models", headers=KEYED).body == b"mine: public"

    _served([], ask)
