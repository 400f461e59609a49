"""OpenAI's face: where keys and names are found, and what routes, models and faults look like."""

import re

import msgspec
import pytest

from foz.canon.fault import BadRequest, NotFound
from foz.canon.model import Model
from foz.canon.request import NOBODY, Attribution, Operation
from foz.ports.headers import MAX_WORD
from foz.ports.skin import STREAM, Skin, Visit
from foz.skins.openai import OpenAISkin
from foz.wire.http import Call

SKIN: Skin = OpenAISkin()


def _call(*headers: tuple[bytes, bytes]) -> Call:
    return Call("POST", "/v1/chat/completions", headers)


def _visit(*headers: tuple[bytes, bytes]) -> Visit:
    return Visit(SKIN.routes[0], _call(*headers), "req-1")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        (((b"authorization", b"Bearer sk-1"),), "sk-1"),
        (((b"authorization", b"bearer sk-1"),), "sk-1"),
        (((b"authorization", b"BEARER   sk-1  "),), "sk-1"),
        (((b"authorization", b"Bearer sk-1"), (b"x-api-key", b"sk-2")), "sk-1"),
        (((b"x-api-key", b" sk-2 "),), "sk-2"),
        (((b"authorization", b"Basic dTpw"), (b"x-api-key", b"sk-2")), "sk-2"),
        (((b"authorization", b"Bearer "), (b"x-api-key", b"sk-2")), "sk-2"),
        (((b"authorization", b"Basic dTpw"),), None),
        (((b"authorization", b"Bearer"),), None),
        (((b"authorization", b"sk-1"),), None),
        (((b"x-api-key", b"\xff"),), "\xff"),
        ((), None),
    ],
)
def test_the_key_is_where_openais_callers_put_it(headers: tuple[tuple[bytes, bytes], ...], key: str | None) -> None:
    """A bearer of any case wins, then `X-API-Key`; other schemes and empty values are no key."""
    assert SKIN.key(_call(*headers)) == key


def test_names_are_taken_from_headers() -> None:
    """Project, process, subprocess and user come from their headers; what is not said is None."""
    visit = _visit(
        (b"x-foz-project", "Rügen 海".encode()),
        (b"x-foz-process-id", b"p-1"),
        (b"x-foz-subprocess-id", b"  "),
        (b"x-foz-user-key", b"u-9"),
    )

    assert SKIN.attribution(visit) == Attribution("Rügen 海", "p-1", None, "u-9")
    assert SKIN.attribution(_visit((b"x-other", b"\xff"))) is NOBODY


@pytest.mark.parametrize("name", ["X-Foz-Project", "X-Foz-Process-Id", "X-Foz-Subprocess-Id", "X-Foz-User-Key"])
@pytest.mark.parametrize("value", [b"x" * (MAX_WORD + 1), b"a\x00b", b"a\tb", b"\xff", "a\u2028b".encode()])
def test_a_name_that_cannot_be_is_refused(name: str, value: bytes) -> None:
    """A name that is too long, unprintable or not UTF-8 is a BadRequest that names the header."""
    with pytest.raises(BadRequest) as caught:
        SKIN.attribution(_visit((name.lower().encode(), value)))

    assert caught.value.field == name
    assert SKIN.attribution(_visit((name.lower().encode(), b"x" * MAX_WORD))) != NOBODY


def test_models_are_listed_as_the_sdks_read_them() -> None:
    """The list and a card have OpenAI's members, and ids with slashes and colons stand as they are."""
    model = Model("org/name:tag", (), created=1700000000, owner="acme")
    listed, shown = SKIN.list_models([model], _visit()), SKIN.show_model(model, _visit())
    card = {"id": "org/name:tag", "object": "model", "created": 1700000000, "owned_by": "acme"}

    assert msgspec.json.decode(listed.body) == {"object": "list", "data": [card]}
    assert msgspec.json.decode(shown.body) == card
    assert (listed.status, listed.header(b"content-type")) == (200, b"application/json")
    assert msgspec.json.decode(SKIN.list_models([], _visit()).body) == {"object": "list", "data": []}


def test_a_model_that_is_not_there_is_openais_404() -> None:
    """An unknown model is status 404, param `model`, code `model_not_found`."""
    reply = SKIN.encode_fault(NotFound("The model 'x' does not exist", field="model"), "req-1")

    assert reply.status == 404
    assert msgspec.json.decode(reply.body) == {
        "error": {
            "message": "The model 'x' does not exist",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
    }


def test_every_operation_has_its_route_and_codec() -> None:
    """The routes are OpenAI's paths; each operation's codec reads its route's own example."""
    assert [(route.method, route.path) for route in SKIN.routes] == [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{model}"),
    ]
    for route in SKIN.routes:
        if route.example is not None:
            operation = Operation(route.action)
            visit = Visit(route, Call(route.method, route.path), "req-1")
            assert SKIN.codec(visit).read(route.example).operation is operation
    assert {route.skin for route in SKIN.routes} == {SKIN.name}


def test_schemas_are_whole() -> None:
    """Every schema that a route names or another refers to is there, and faults have theirs under `Error`."""
    schemas = SKIN.schemas()
    named = {name for route in SKIN.routes for name in (route.request_schema, route.response_schema) if name}
    referred = set(re.findall(rb"#/components/schemas/([\w.-]+)", msgspec.json.encode(schemas)))

    assert named | {"Error"} <= set(schemas)
    assert {name.decode() for name in referred} <= set(schemas)


def test_a_stream_is_kept_back_by_nobody() -> None:
    """A stream's headers say its type with a charset, and tell caches and nginx to let it through."""
    assert {route.stream for route in SKIN.routes} == {STREAM}
    assert dict(STREAM) == {
        b"content-type": b"text/event-stream; charset=utf-8",
        b"cache-control": b"no-cache",
        b"x-accel-buffering": b"no",
    }
