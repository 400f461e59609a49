"""The client role of the `ollama` dialect against its golden cases: what is sent, and what is heard of answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from foz.canon.event import CallOpened, Event
from foz.canon.fault import Fault
from foz.canon.request import ChatRequest, CompleteRequest
from foz.canon.response import fold
from foz.dialects.ollama.client import WordsClient
from foz.wire.http import Reply
from tests.strategies import raw

GOLDEN = Path(__file__).parents[1] / "golden/ollama"
CASES = sorted(f"{path.parent.name}/{path.name}" for path in GOLDEN.glob("*/*"))
STREAMS = [name for name in CASES if (GOLDEN / name / "stream.ndjson").exists()]
WHOLES = [name for name in CASES if (GOLDEN / name / "response.json").exists()]
CLIENT = WordsClient()
UPSTREAM = "up:1"


class Told(NamedTuple):
    """How far a stream came: what it said, and the code of the fault that ended it."""

    events: Any
    fault: str | None


def plain(value: object) -> Any:
    """A value as JSON has it, so that verbatim parts are compared by what they say."""
    return msgspec.json.decode(msgspec.json.encode(value))


def read(name: str, file: str) -> bytes:
    return (GOLDEN / name / file).read_bytes()


def request_of(name: str) -> ChatRequest | CompleteRequest:
    """The golden canon. msgspec reads no `Raw | None`, so schemas are put in by hand."""
    if name.startswith("generate/"):
        return msgspec.json.decode(read(name, "canon.json"), type=CompleteRequest)
    said = msgspec.json.decode(read(name, "canon.json"))
    schemas = [tool.pop("schema", None) for tool in said.get("tools", ())]
    wanted = said.get("response_format", {}).pop("schema", None)
    request = msgspec.json.decode(msgspec.json.encode(said), type=ChatRequest)
    return msgspec.structs.replace(
        request,
        tools=tuple(
            msgspec.structs.replace(tool, schema=raw(schema) if schema else None)
            for tool, schema in zip(request.tools, schemas, strict=True)
        ),
        response_format=request.response_format
        and msgspec.structs.replace(request.response_format, schema=raw(wanted) if wanted else None),
    )


def golden_events(name: str) -> list[Event]:
    return msgspec.json.decode(read(name, "events.json"), type=list[Event])


def golden(name: str) -> Told:
    path = GOLDEN / name / "fault.json"
    fault = msgspec.json.decode(path.read_bytes())["code"] if path.exists() else None
    return Told(plain(golden_events(name)), fault)


def decode(*chunks: bytes) -> Told:
    decoder = CLIENT.decoder()
    events: list[Event] = []
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
        events += decoder.close()
    except Fault as fault:
        return Told(plain(events), fault.code)
    return Told(plain(events), None)


def splits(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    return ((stream[:at], stream[at:]) for at in range(len(stream) + 1))


@pytest.mark.parametrize("name", CASES)
def test_a_request_is_said_as_its_golden_body(name: str) -> None:
    """Each golden canon request is sent as its golden body, to the path of its operation, in the form it streams in."""
    request = request_of(name)
    call = CLIENT.encode_request(request, UPSTREAM)

    assert msgspec.json.decode(call.body) == msgspec.json.decode(read(name, "request.json"))
    assert (call.method, call.path) == ("POST", f"/api/{name.partition('/')[0]}")
    assert call.header(b"content-type") == b"application/json"
    assert (call.header(b"accept") == b"application/x-ndjson") is request.stream


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_heard_as_its_events_wherever_it_is_split(name: str) -> None:
    """Each golden stream, split in two at every byte, gives its golden events and ends with its golden fault."""
    expected = golden(name)

    for chunks in splits(read(name, "stream.ndjson")):
        assert decode(*chunks) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_heard_byte_by_byte(name: str) -> None:
    """Each golden stream that comes in single bytes gives its golden events."""
    assert decode(*(bytes([byte]) for byte in read(name, "stream.ndjson"))) == golden(name)


@pytest.mark.parametrize("name", WHOLES)
def test_a_whole_answer_is_the_fold_of_its_events(name: str) -> None:
    """Each golden answer, whole, is the fold of its golden events, which are those of its stream."""
    heard = CLIENT.decode_response(Reply(200, body=read(name, "response.json")))

    assert plain(heard) == plain(fold(golden_events(name)))


@pytest.mark.parametrize("name", [name for name in STREAMS if "/tools" in name])
def test_calls_are_told_apart(name: str) -> None:
    """Every call has an id and an index of its own, whether the server gave ids, none, or one twice."""
    opened = [event for event in golden_events(name) if isinstance(event, CallOpened)]

    assert [call.index for call in opened] == list(range(len(opened)))
    assert len({call.id for call in opened}) == len(opened)
    assert all(call.id for call in opened)


def test_answers_of_two_moments_have_other_ids() -> None:
    """An answer that began later has another id, and so have its calls, where the server gives none."""
    line = (
        b'{"model":"m","created_at":"2026-01-02T03:04:05.00000000%dZ","message":{"role":"assistant","tool_calls":'
        b'[{"function":{"name":"now","arguments":{}}}]},"done":true}'
    )
    first, again, second = (CLIENT.decode_response(Reply(200, body=line % moment)) for moment in (1, 1, 2))

    assert first == again
    assert first.id != second.id
    assert first.choices[0].calls[0].id != second.choices[0].calls[0].id


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"model":"m","message":{"role":"assistant","content":"he"},"done":false}', "upstream_garbled"),
        (b'{"error":"model runner has unexpectedly stopped"}', "upstream_down"),
        (b"{}", "upstream_garbled"),
        (b"[]", "upstream_garbled"),
        (b"", "upstream_garbled"),
        (b'{"message":{"content":"\xff"},"done":true}', "upstream_garbled"),
        (
            b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":"\\ud800"}}]},"done":true}',
            "upstream_garbled",
        ),
        (b'{"message":' + b"[" * 100_000, "upstream_garbled"),
    ],
)
def test_a_broken_whole_answer_is_the_upstreams_fault(body: bytes, code: str) -> None:
    """A whole answer that is not done, an error, not JSON or not Ollama's is a fault of the upstream, and no other."""
    with pytest.raises(Fault) as caught:
        CLIENT.decode_response(Reply(200, body=body))

    assert caught.value.code == code
