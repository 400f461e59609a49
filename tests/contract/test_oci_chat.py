"""The chat of the `oci` dialect against the golden cases: three formats out, whole answers and streams in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foz.canon.content import Message, Text
from foz.canon.event import Event, Measured, Started
from foz.canon.fault import Fault, Garbled, Unsupported
from foz.canon.request import ChatRequest
from foz.canon.response import Response, fold
from foz.dialects.oci.client import ChatClient
from foz.dialects.oci.telling import FORMATS, Call, Facts, Format, Memory, Place, Telling, by_name, otherwise
from foz.dialects.openai.chat.server import ChatServer
from foz.testing.oracle import hear
from foz.testing.oracle.tell import Teller, whole
from foz.testing.simulated.answer import answer
from foz.wire.http import Reply
from tests.strategies import chat_requests

HERE = Path(__file__).parents[1] / "golden"
GOLDEN, REQUESTS = HERE / "oci", HERE / "oci_requests"
STREAMS = sorted(path.parent.name for path in GOLDEN.glob("*/stream.sse"))
WHOLES = sorted(path.parent.name for path in GOLDEN.glob("*/response.json"))
ASKED = sorted(path.stem for path in REQUESTS.glob("*.json"))
PLACE = Place("c")
CLIENT = ChatClient(PLACE, Memory(PLACE))
SLOW = settings(max_examples=40)


class Told(NamedTuple):
    """How far a stream came: what it said, and the code of the fault that ended it."""

    events: list[Event]
    fault: str | None


def plain(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def read(name: str, file: str) -> bytes:
    return (GOLDEN / name / file).read_bytes()


def golden(name: str) -> Told:
    events = msgspec.json.decode(read(name, "events.json"), type=list[Event])
    fault = GOLDEN / name / "fault.json"
    return Told(plain(events), msgspec.json.decode(fault.read_bytes())["code"] if fault.exists() else None)


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


def body_of(call: Call) -> Any:
    return msgspec.json.decode(call.body)["chatRequest"]


def told_in(request: ChatRequest, format: Format) -> Call:
    call = CLIENT.encode_request(request, "m.x")
    assert call.retold is not None
    return call.retold(Telling(format))


# Requests.


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", ASKED)
def test_a_request_is_said_in_each_format(name: str, format: Format) -> None:
    """Each golden request is exactly its golden body in each format, or the fault that says what it cannot hold."""
    case = msgspec.json.decode((REQUESTS / f"{name}.json").read_bytes())
    request = _request(name)

    if "fault" in case[format]:
        with pytest.raises(Unsupported) as refused:
            told_in(request, format)
        assert refused.value.field == case[format]["field"]
    else:
        assert body_of(told_in(request, format)) == case[format]


def _request(name: str) -> ChatRequest:
    """A golden request, asked in OpenAI's words."""
    asked = msgspec.json.decode((REQUESTS / f"{name}.json").read_bytes())["asked"]
    return ChatServer().decode_request(msgspec.json.encode(asked))


def test_only_our_vendors_fields_are_said() -> None:
    """A field that only this dialect knows is said again in it, one of another dialect's is not."""
    bag = {"oci": {"safetyMode": msgspec.Raw(b'"STRICT"')}, "openai": {"x": msgspec.Raw(b"1")}}
    body = body_of(told_in(ChatRequest("m", (Message("user", (Text("x"),)),), vendor=bag), "COHERE"))

    assert body["safetyMode"] == "STRICT"
    assert "x" not in body


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", ASKED)
def test_what_we_say_is_heard_by_who_is_strict(name: str, format: Format) -> None:
    """What is said in a format has only fields, roles, types and limits that the service takes, and the same words."""
    request = _request(name)
    try:
        body = body_of(told_in(request, format))
    except Unsupported:
        return
    heard = hear.chat(body, "m.x")

    texts = [part for message in request.messages for part in plain(message.parts) if part["type"] == "text"]
    again = [part for message in heard.messages for part in plain(message.parts) if part["type"] == "text"]
    said = "\n".join(part["text"] for part in texts)
    assert all(line in "\n".join(part["text"] for part in again) for line in said.split("\n"))
    assert heard.stream == request.stream


@SLOW
@given(chat_requests(), st.sampled_from(FORMATS))
def test_any_request_is_said_or_refused(request: ChatRequest, format: Format) -> None:
    """Whatever is asked becomes a body of JSON, or a fault of the caller's that names a field; never anything else."""
    try:
        said = body_of(told_in(request, format))["apiFormat"]
    except Fault as fault:
        said = (fault.status, bool(fault.field))

    assert said in {format, (400, True)}


def test_some_models_are_called_one_tool_at_a_time() -> None:
    """Google's models get each call of a turn as a turn of its own, its result behind it; others get them together."""
    request = _request("tool_results")

    def turns(model: str) -> list[tuple[str, list[str], str | None]]:
        said = body_of(CLIENT.encode_request(request, model))["messages"]
        return [
            (one["role"], [call["id"] for call in one.get("toolCalls", [])], one.get("toolCallId")) for one in said[1:]
        ]

    assert turns("google.gemini-2.5-pro") == [
        ("ASSISTANT", ["call_1"], None),
        ("TOOL", [], "call_1"),
        ("ASSISTANT", ["call_2"], None),
        ("TOOL", [], "call_2"),
    ]
    assert turns("meta.llama") == [
        ("ASSISTANT", ["call_1", "call_2"], None),
        ("TOOL", [], "call_1"),
        ("TOOL", [], "call_2"),
    ]


# Which format.


@pytest.mark.parametrize(
    ("name", "format", "limit"),
    [
        ("meta.llama-3.3-70b-instruct", "GENERIC", "maxTokens"),
        ("openai.gpt-5-mini", "GENERIC", "maxCompletionTokens"),
        ("openai.o3", "GENERIC", "maxCompletionTokens"),
        ("openai.gpt-oss-20b", "GENERIC", "maxTokens"),
        ("cohere.command-r-08-2024", "COHERE", "maxTokens"),
        ("cohere.command-a-03-2025", "COHERE", "maxTokens"),
        ("cohere.command-a-vision-07-2025", "COHEREV2", "maxTokens"),
        ("cohere.command-a-reasoning", "COHEREV2", "maxTokens"),
    ],
)
def test_a_vendors_name_tells_the_format(name: str, format: Format, limit: str) -> None:
    """Each vendor's models are told in their format, with their limit's name."""
    told = by_name(name)

    assert told is not None
    assert (told.format, told.limit, told.sure) == (format, limit, True)


def test_an_ocid_tells_nothing() -> None:
    """A model that is only an OCID is guessed GENERIC until a row says otherwise, or another telling has worked."""
    ocid = "ocid1.generativeaimodel.oc1.us-chicago-1.amaaa"
    memory = Memory(Place("c", {"ocid1.named": Facts(name="cohere.command-r"), "ocid1.said": Facts(format="COHEREV2")}))

    assert by_name(ocid) is None
    assert memory.recall(ocid) == Telling("GENERIC", sure=False)
    assert memory.recall("ocid1.named").format == "COHERE"
    assert memory.recall("ocid1.said").format == "COHEREV2"
    memory.remember(ocid, Telling("COHERE"))
    assert memory.recall(ocid) == Telling("COHERE", sure=True)


def test_a_400_asks_the_next_format() -> None:
    """A guess that is refused is followed by each other format once; what is sure is not tried in another."""
    tried: tuple[Telling, ...] = (Telling(),)
    while (following := otherwise(tried, b'{"code":"400","message":"no"}')) is not None:
        tried += (following,)

    assert [one.format for one in tried] == ["GENERIC", "COHERE", "COHEREV2"]
    assert otherwise((Telling(sure=True),), b'{"code":"400","message":"no"}') is None


@pytest.mark.parametrize(
    "body",
    [
        rb'{"code":"400","message":"{\"error\":{\"message\":\"no\",\"param\":\"maxTokens\",\"code\":\"x\"}}"}',
        b'{"error":{"message":"no","param":"maxTokens","code":"unsupported_parameter"}}',
    ],
)
def test_a_400_that_names_the_limit_changes_its_name(body: bytes) -> None:
    """A model that refuses `maxTokens`, be the error plain or JSON within JSON, is told `maxCompletionTokens`, once."""
    sure = Telling("GENERIC", sure=True)
    changed = otherwise((sure,), body)

    assert changed == Telling("GENERIC", "maxCompletionTokens", sure=True)
    assert otherwise((sure, changed), body.replace(b"maxTokens", b"maxCompletionTokens")) is None


def _refused(param: str, code: str) -> bytes:
    return msgspec.json.encode({"error": {"message": "no", "param": param, "code": code}})


@pytest.mark.parametrize(
    ("last", "param", "code", "left_out"),
    [
        (by_name("openai.gpt-5"), "temperature", "unsupported_value", "temperature"),
        (by_name("openai.gpt-5"), "topP", "unsupported_value", "topP"),
        (Telling(), "top_p", "unsupported_value", "topP"),
        (by_name("xai.grok-4"), "frequencyPenalty", "unsupported_parameter", "frequencyPenalty"),
        (by_name("xai.grok-4"), "temperature", "unsupported_value", None),
        (by_name("openai.gpt-5"), "temperature", "invalid_value", None),
        (by_name("openai.gpt-5"), "messages", "unsupported_value", None),
        (by_name("openai.gpt-5"), "stop", "unsupported_parameter", None),
    ],
)
def test_a_400_that_names_sampling_leaves_it_out(last: Telling, param: str, code: str, left_out: str | None) -> None:
    """What a model draws in one way only is left out once; what another vendor finds wrong is told to the caller."""
    changed = otherwise((last,), _refused(param, code))

    if left_out is None:
        assert changed is None
    else:
        assert changed == msgspec.structs.replace(last, without=frozenset({left_out}))
        assert otherwise((last, changed), _refused(param, code)) in {None, Telling("COHERE")}


@pytest.mark.parametrize(
    ("model", "serving"),
    [
        ("meta.llama", {"servingType": "ON_DEMAND", "modelId": "meta.llama"}),
        ("ocid1.generativeaimodel.oc1..a", {"servingType": "ON_DEMAND", "modelId": "ocid1.generativeaimodel.oc1..a"}),
        (
            "ocid1.generativeaiendpoint.oc1..a",
            {"servingType": "DEDICATED", "endpointId": "ocid1.generativeaiendpoint.oc1..a"},
        ),
        ("own", {"servingType": "DEDICATED", "endpointId": "ocid1.generativeaiendpoint.oc1..b"}),
    ],
)
def test_where_a_model_runs(model: str, serving: dict[str, str]) -> None:
    """An endpoint's OCID, the model's own or a row's, means dedicated serving, all else on demand."""
    place = Place("c", {"own": Facts(endpoint="ocid1.generativeaiendpoint.oc1..b")})

    assert place.serving(model) == serving


# Streams.


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_heard_as_its_events_wherever_it_is_split(name: str) -> None:
    """Each golden stream, split in two at every byte, gives its golden events and ends with its golden fault."""
    expected = golden(name)

    for chunks in splits(read(name, "stream.sse")):
        assert decode(*chunks) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_heard_byte_by_byte(name: str) -> None:
    """Each golden stream that comes in single bytes gives its golden events."""
    assert decode(*(bytes([byte]) for byte in read(name, "stream.sse"))) == golden(name)


@pytest.mark.parametrize("name", WHOLES)
def test_a_whole_answer_is_heard(name: str) -> None:
    """Each golden body is exactly its golden answer."""
    heard = CLIENT.decode_response(Reply(200, (), read(name, "response.json")))

    assert plain(heard) == plain(msgspec.json.decode(read(name, "answer.json"), type=Response))


@pytest.mark.parametrize("name", sorted(set(STREAMS) & set(WHOLES)))
def test_whole_and_streamed_fold_to_the_same(name: str) -> None:
    """A golden stream folds to what its whole answer says, but for what only one of them names."""
    streamed = fold(msgspec.json.decode(read(name, "events.json"), type=list[Event]))
    answered = CLIENT.decode_response(Reply(200, (), read(name, "response.json")))

    assert plain(streamed.choices) == plain(answered.choices)
    assert streamed.usage == answered.usage


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", ["plain", "tools", "tool_results", "reasoning", "system_and_turns"])
def test_the_models_events_survive_each_format(name: str, format: Format) -> None:
    """What the simulated model says in a format, whole or streamed, is heard as it was meant: words, calls, usage."""
    request = hear.chat(body_of(told_in(_request(name), format)), "m.x")
    events = list(answer(request))
    teller = Teller(format, "m.x", wants_usage=True)
    stream = b"".join(frame for event in events for frame in teller.feed(event)) + b"".join(teller.close())
    streamed = fold(msgspec.convert(decode(stream).events, list[Event]))
    answered = CLIENT.decode_response(Reply(200, (), whole(fold(events), format, "m.x")))
    meant = fold(events)

    for heard in (streamed, answered):
        assert [choice.text for choice in heard.choices] == [choice.text or None for choice in meant.choices]
        assert [choice.reason for choice in heard.choices] == [choice.reason for choice in meant.choices]
        assert [(call.name, plain(msgspec.Raw(call.arguments.encode()))) for call in heard.choices[0].calls] == [
            (call.name, plain(msgspec.Raw(call.arguments.encode()))) for call in meant.choices[0].calls
        ]
        assert heard.usage == meant.usage


@SLOW
@given(st.binary(max_size=200), st.integers(0, 200))
def test_hostile_bytes_are_a_fault(noise: bytes, at: int) -> None:
    """Any bytes are events or a fault of the dialect's, as a stream and as a whole answer; never another error."""
    told = decode(noise[:at], noise[at:])
    assert told.fault is not None or told.events == []
    with pytest.raises(Fault):
        CLIENT.decode_response(Reply(200, (), noise))


def test_a_frame_without_end_is_garbled() -> None:
    """A stream that never ends a frame is refused at the limit, not gathered for ever."""
    decoder = CLIENT.decoder()

    half = b"data: " + b"x" * (9 * 2**20)
    decoder.feed(half)
    with pytest.raises(Garbled):
        decoder.feed(half)


def test_usage_comes_last() -> None:
    """The count of an event behind the finish event is told before the end."""
    events = msgspec.json.decode(read("generic_text", "events.json"), type=list[Event])

    assert isinstance(events[0], Started)
    assert isinstance(events[-2], Measured)
