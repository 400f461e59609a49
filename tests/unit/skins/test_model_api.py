"""The envelope of the 模型 API: whole answers, chunks, faults of every kind, and the model in the path."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.event import Event, Finished, Measured, Started, TextGrew
from foz.canon.fault import LEAVES, BadRequest, Down, Fault, RateLimited
from foz.canon.request import NOBODY, Attribution
from foz.canon.usage import Usage
from foz.dialects.openai.fields import with_model
from foz.ports.skin import Skin, Visit
from foz.skins.model_api import examples
from foz.skins.model_api.skin import ModelApiSkin
from foz.wire import sse
from foz.wire.http import Call, Headers

SKIN: Skin = ModelApiSkin()
CHAT = SKIN.routes[0]


def _visit(model: str = "gpt-4", request_id: str = "req-1", headers: Headers = ()) -> Visit:
    return Visit(CHAT, Call("POST", CHAT.path, headers), request_id, model)


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_fault_has_its_envelope(leaf: type[Fault]) -> None:
    """Each leaf is status = code, a message, data null and the id, before a stream and in it; in it nothing ends it."""
    fault = leaf("it broke here", field="top_p")
    reply = SKIN.encode_fault(fault, "req-1")
    told = {"code": reply.status, "message": "it broke here", "data": None, "request_id": "req-1"}

    assert msgspec.json.decode(reply.body) == told
    assert reply.status == leaf.default_status
    decoder = sse.Decoder()
    (frame,) = decoder.feed(SKIN.codec(_visit()).encode_fault_event(fault))
    assert msgspec.json.decode(frame.data) == told


def test_a_fault_says_when_to_ask_again_and_whose_it_is() -> None:
    """Retry-after is in the headers as in the OpenAI dialect, and an upstream's fault names the target once."""
    reply = SKIN.encode_fault(RateLimited("slow down", retry_after=1.5), "r")
    down = SKIN.encode_fault(Down("gone", target="far/x"), "r")

    assert (reply.header(b"retry-after"), reply.header(b"retry-after-ms")) == (b"2", b"1500")
    assert msgspec.json.decode(down.body)["message"] == "gone (target far/x)"


@given(st.text(min_size=1, max_size=300), st.text(max_size=20))
def test_the_model_is_the_paths(model: str, said: str) -> None:
    """Whatever the body says of it, the model is the one of the path, and nothing else of the body changes."""
    body = {**msgspec.json.decode(examples.CHAT), "model": said, "extra": {"a": [1.5, None, "海"]}}
    named = with_model(msgspec.json.encode(body), model)

    assert msgspec.json.decode(named) == {**body, "model": model}


@given(st.binary(max_size=200))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """No bytes make the codec raise anything but BadRequest."""
    with suppress(BadRequest):
        assert SKIN.codec(_visit()).read(body).model == "gpt-4"


def test_a_stream_is_frames_of_the_envelope() -> None:
    """Each chunk stands in an envelope of its own with the id as JSON has it, and `[DONE]` stands bare."""
    codec = SKIN.codec(_visit(request_id='odd"id'))
    body = msgspec.json.encode({**msgspec.json.decode(examples.CHAT), "stream": True})
    encoder = codec.encoder(codec.decode_request(body), "gpt-4")
    events: list[Event] = [
        Started("c", "up", 1), TextGrew("a\n\ndata: b"), TextGrew("海"), Measured(Usage(1, 2)), Finished(),
    ]  # fmt: skip
    said = b"".join(map(encoder.feed, events)) + encoder.close()
    *frames, last = sse.Decoder().feed(said)
    told = [msgspec.json.decode(frame.data) for frame in frames]

    assert last.data == b"[DONE]"
    assert {one["request_id"] for one in told} == {'odd"id'}
    deltas = [choice["delta"].get("content") or "" for one in told for choice in one["data"]["choices"]]
    assert "".join(deltas) == "a\n\ndata: b海"


def test_whom_a_call_is_for_stands_in_headers() -> None:
    """The skin's callers name projects in headers, as OpenAI's do."""
    assert SKIN.attribution(_visit(headers=((b"x-foz-project", b"blue"),))) == Attribution("blue")
    assert SKIN.attribution(_visit()) is NOBODY


def test_every_body_is_described_without_its_model() -> None:
    """No schema of a request asks for the model, which stands in the path."""
    schemas = SKIN.schemas()

    for route in SKIN.routes:
        schema = schemas[route.request_schema or ""]
        assert "model" not in schema["properties"]  # type: ignore[index]  # a schema of an object
        assert "model" not in schema["required"]  # type: ignore[index]  # as above
        assert schema["required"]  # type: ignore[index]  # as above
