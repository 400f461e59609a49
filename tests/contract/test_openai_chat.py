"""The chat of the `openai` dialect: both halves against each other and against the golden cases, in both lanes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foz.canon.estimate import at_least
from foz.canon.event import CallGrew, Event, Measured, ReasoningGrew, RefusalGrew, Started, TextGrew
from foz.canon.fault import Fault
from foz.canon.request import Ask, ChatRequest, Operation
from foz.canon.response import fold
from foz.dialects.openai.chat.answer import Reader
from foz.dialects.openai.chat.client import ChatClient
from foz.dialects.openai.chat.relay import ChatRelay
from foz.dialects.openai.chat.server import ChatServer
from foz.ports.codec import Tally
from foz.wire.http import Reply
from tests.strategies import NAMES, bent, chat_requests, event_lists

GOLDEN = Path(__file__).parents[1] / "golden/openai/chat"
CASES = sorted(path.name for path in GOLDEN.iterdir())
STREAMS = [name for name in CASES if (GOLDEN / name / "stream.sse").exists()]
WHOLES = [name for name in CASES if (GOLDEN / name / "response.json").exists()]
SERVER, CLIENT, RELAY = ChatServer(), ChatClient(), ChatRelay()
UPSTREAM = "up-1"
DONE = b"data: [DONE]\n\n"
SLOW = settings(max_examples=60)


class Told(NamedTuple):
    """How far a stream came: what it said, and the code of the fault that ended it."""

    events: list[Event]
    fault: str | None


class Passed(NamedTuple):
    """What a relay let through, what it counted, and the code of the fault that ended it."""

    bytes: bytes
    tally: Tally
    fault: str | None


def plain(value: object) -> Any:
    """A value as JSON has it, so that verbatim parts are compared by what they say."""
    return msgspec.json.decode(msgspec.json.encode(value))


def lean(value: object) -> Any:
    """A value as the golden files write it: as JSON, without what is left at its default."""
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        said = {} if tag is None else {"type": tag}
        for field in msgspec.structs.fields(value):
            at = getattr(value, field.name)
            if field.required or at != (field.default_factory() if callable(field.default_factory) else field.default):
                said[field.name] = lean(at)
        return said
    if isinstance(value, dict):
        return {name: lean(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [lean(inner) for inner in value]
    return plain(value)


def read(name: str, file: str) -> bytes:
    return (GOLDEN / name / file).read_bytes()


def request_of(name: str) -> ChatRequest:
    return SERVER.decode_request(read(name, "request.json"))


def golden_events(name: str) -> list[Event]:
    return msgspec.json.decode(read(name, "events.json"), type=list[Event])


def golden_fault(name: str) -> str | None:
    path = GOLDEN / name / "fault.json"
    return msgspec.json.decode(path.read_bytes())["code"] if path.exists() else None


def decode(*chunks: bytes) -> Told:
    decoder = CLIENT.decoder()
    events: list[Event] = []
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
        events += decoder.close()
    except Fault as fault:
        return Told(events, fault.code)
    return Told(events, None)


def relay(ask: Ask, *chunks: bytes) -> Passed:
    stream = RELAY.stream(ask)
    passed = b""
    try:
        for chunk in chunks:
            passed += stream.feed(chunk)
        passed += stream.close()
    except Fault as fault:
        return Passed(passed, stream.tally, fault.code)
    return Passed(passed, stream.tally, None)


def encode(request: ChatRequest, model: str, events: list[Event]) -> bytes:
    encoder = SERVER.encoder(request, model)
    return b"".join(map(encoder.feed, events)) + encoder.close()


def ask_for(model: str, *, wants_usage: bool = True) -> Ask:
    return Ask(Operation.CHAT, model, stream=True, wants_usage=wants_usage)


def renamed(events: list[Event], model: str, *, measured: bool = True) -> list[Event]:
    """The same events from a target of another name."""
    return [
        msgspec.structs.replace(event, model=model) if isinstance(event, Started) else event
        for event in events
        if measured or not isinstance(event, Measured)
    ]


def splits(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    return ((stream[:at], stream[at:]) for at in range(len(stream) + 1))


# Requests.


@pytest.mark.parametrize("name", CASES)
def test_a_request_is_heard_as_its_canon(name: str) -> None:
    """Each golden request is exactly its golden canon."""
    assert lean(request_of(name)) == msgspec.json.decode(read(name, "canon.json"))


@pytest.mark.parametrize("name", CASES)
def test_the_facts_agree_with_the_whole_request(name: str) -> None:
    """What `read` tells the core is what the whole request says."""
    ask, request = SERVER.read(read(name, "request.json")), request_of(name)

    assert (ask.model, ask.stream, ask.choices, ask.max_output, ask.wants_usage) == (
        request.model,
        request.stream,
        request.choices,
        request.max_output,
        request.wants_usage,
    )


@pytest.mark.parametrize("name", [name for name in CASES if name != "legacy_functions"])
def test_a_request_said_again_is_heard_the_same(name: str) -> None:
    """A golden request, translated for an upstream, means the same to an upstream that reads it with our server."""
    request = request_of(name)
    again = SERVER.decode_request(CLIENT.encode_request(request, UPSTREAM).body)

    assert plain(again) == plain(msgspec.structs.replace(request, model=UPSTREAM, wants_usage=True))


@SLOW
@given(chat_requests(), NAMES)
def test_requests_are_inverse(request: ChatRequest, model: str) -> None:
    """Whatever request the dialect can say is heard as it was said, under the upstream's name."""
    body = CLIENT.encode_request(request, model).body

    assert plain(SERVER.decode_request(body)) == plain(msgspec.structs.replace(request, model=model))


@SLOW
@given(chat_requests(), NAMES, st.booleans())
def test_a_relayed_request_means_what_was_asked(request: ChatRequest, model: str, wants_usage: bool) -> None:
    """A body that is relayed differs in its model and in that usage is asked for, and in nothing else."""
    body = plain(msgspec.Raw(CLIENT.encode_request(request, "public").body))
    if request.stream and not wants_usage:
        del body["stream_options"]
    sent = msgspec.json.encode(body)
    relayed = RELAY.retarget(sent, SERVER.read(sent), model).body

    expected = body | {"model": model} | ({"stream_options": {"include_usage": True}} if request.stream else {})
    assert msgspec.json.decode(relayed) == expected


# Streams.


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_heard_as_its_events_wherever_it_is_split(name: str) -> None:
    """Each golden stream, split in two at every byte, gives its golden events and ends with its golden fault."""
    golden = Told(plain(golden_events(name)), golden_fault(name))

    for chunks in splits(read(name, "stream.sse")):
        told = decode(*chunks)
        assert (plain(told.events), told.fault) == golden


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_heard_byte_by_byte(name: str) -> None:
    """Each golden stream that comes in single bytes gives its golden events, and so does its relay."""
    pieces = [bytes([byte]) for byte in read(name, "stream.sse")]

    assert plain(decode(*pieces).events) == plain(golden_events(name))
    assert relay(ask_for("public"), *pieces)[::2] == relay(ask_for("public"), b"".join(pieces))[::2]


def said(events: list[Event]) -> list[str]:
    """The content of each event that has some."""
    texts = [event.text for event in events if isinstance(event, TextGrew | RefusalGrew | ReasoningGrew)]
    return texts + [event.arguments for event in events if isinstance(event, CallGrew)]


@pytest.mark.parametrize("wants_usage", [True, False])
@pytest.mark.parametrize("public", ["public", UPSTREAM])
@pytest.mark.parametrize("name", STREAMS)
def test_a_relayed_stream_says_the_same_wherever_it_is_split(name: str, public: str, wants_usage: bool) -> None:
    """
    Each golden stream, relayed, means its golden events under the public name, counts the golden usage, and is the
    same bytes wherever it was split.
    """
    stream, ask = read(name, "stream.sse"), ask_for(public, wants_usage=wants_usage)
    events, fault = golden_events(name), golden_fault(name)
    passed = relay(ask, stream)

    told = decode(passed.bytes)
    assert plain(told.events) == plain(renamed(events, public, measured=wants_usage))
    assert passed.fault == fault
    assert passed.bytes.endswith(DONE) is passed.tally.finished is (fault is None)
    assert passed.bytes.count(b"[DONE]") == (fault is None)
    usages = [event.usage for event in events if isinstance(event, Measured)]
    assert passed.tally.usage == (usages[0] if usages else None)
    for chunks in splits(stream):
        again = relay(ask, *chunks)
        assert (again.bytes, again.fault) == (passed.bytes, fault)
        assert (again.tally.content, again.tally.usage) == (passed.tally.content, passed.tally.usage)
        assert again.tally.fewest == passed.tally.fewest == sum(map(at_least, said(events)))


@pytest.mark.parametrize("name", [name for name in STREAMS if golden_fault(name) is None])
def test_both_lanes_say_the_same(name: str) -> None:
    """What the caller of a golden stream gets means the same whether it was relayed or translated."""
    stream, request = read(name, "stream.sse"), request_of(name)
    ask = SERVER.read(read(name, "request.json"))
    translated = encode(request, ask.model, decode(stream).events)

    assert plain(decode(relay(ask, stream).bytes)) == plain(decode(translated))


@SLOW
@given(event_lists(), NAMES, st.data())
def test_events_are_inverse(events: list[Event], model: str, data: st.DataObject) -> None:
    """Whatever events the dialect can say are heard as they were said, wherever their bytes are split."""
    stream = encode(ChatRequest(model, (), stream=True), model, events)
    at = data.draw(st.integers(0, len(stream)))

    assert plain(decode(stream[:at], stream[at:])) == plain(Told(renamed(events, model), None))


@SLOW
@given(event_lists(), NAMES, NAMES, st.booleans(), st.data())
def test_relayed_events_are_the_same(
    events: list[Event], upstream: str, public: str, wants_usage: bool, data: st.DataObject
) -> None:
    """Whatever the names and the content, a relayed stream says what the upstream said, under the public name."""
    stream = encode(ChatRequest(upstream, (), stream=True), upstream, events)
    at = data.draw(st.integers(0, len(stream)))
    passed = relay(ask_for(public, wants_usage=wants_usage), stream[:at], stream[at:])

    expected = Told(renamed(events, public, measured=wants_usage), None)
    assert plain(decode(passed.bytes)) == plain(expected)


@SLOW
@given(event_lists())
def test_a_stream_and_its_whole_are_the_same_answer(events: list[Event]) -> None:
    """The fold of a stream, said whole and heard again, is the fold of the stream."""
    answer = fold(events)
    body = SERVER.encode_response(answer, ChatRequest("m", ()), answer.model)

    heard = CLIENT.decode_response(Reply(200, body=body))
    assert plain(heard) == plain(answer)


# Whole answers.


@pytest.mark.parametrize("name", WHOLES)
def test_a_whole_answer_is_the_fold_of_its_events(name: str) -> None:
    """Each golden answer, whole, is the fold of its golden events, which are those of its stream."""
    heard = CLIENT.decode_response(Reply(200, body=read(name, "response.json")))

    assert plain(heard) == plain(fold(golden_events(name)))


CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "words", "refusal": None}}
USUAL = {"id": "a", "created": 5, "model": "m", "choices": [CHOICE], "usage": {"prompt_tokens": 1}}
ANSWERS = bent(
    USUAL,
    {
        "choices.0.message.content": ["", None, [{"type": "text", "text": "w"}], ...],
        "choices.0.message.refusal": ["", "no"],
        "choices.0.message.reasoning": [None, "hm", {}],
        "choices.0.message.reasoning_content": ["hm"],
        "choices.0.message.tool_calls": [[], [{"function": {"name": "f"}}]],
        "choices.0.message.function_call": [None, {"name": "f"}],
        "choices.0.message.annotations": [[]],
        "choices.0.message": [None],
        "choices.0.index": [1, ...],
        "choices.0.finish_reason": [None, "", "length", "odd", ...],
        "choices.0.stop_reason": [None, "x", 3],
        "choices.0.logprobs": [None, {}, {"content": [{"token": "a"}]}, {"refusal": [{"token": "a"}]}],
        "choices": [[], [CHOICE, {**CHOICE, "index": 1}], [CHOICE, CHOICE]],
        "usage": [None, {}, {"prompt_tokens": "1"}, {"prompt_tokens": 1, "cost": 2}, ...],
        "error": [None, {}, "broken"],
        "system_fingerprint": [None, "fp"],
        "service_tier": ["flex"],
        "id": [None],
        "created": [5.5, ...],
        "other": [1],
    },
)


def outcome(told: Callable[[], object]) -> Any:
    """What is told, or how it was refused."""
    try:
        return plain(told())
    except Fault as fault:
        return type(fault).__name__, fault.message


@settings(SLOW, max_examples=300)
@given(ANSWERS)
def test_a_whole_answer_of_any_shape_is_the_fold_of_its_events(said: dict[str, Any]) -> None:
    """However a whole answer looks, it is what its events fold to, or is refused in the same words."""
    body, reader = msgspec.json.encode(said), Reader()

    folded = outcome(lambda: fold([*reader.take(body, whole=True), *reader.finish()]))

    assert outcome(lambda: CLIENT.decode_response(Reply(200, body=body))) == folded


@pytest.mark.parametrize("public", ["public", UPSTREAM])
@pytest.mark.parametrize("name", WHOLES)
def test_both_lanes_answer_the_same(name: str, public: str) -> None:
    """A golden answer means the same whether it was relayed or translated, and is counted the same."""
    reply, request = Reply(200, body=read(name, "response.json")), request_of(name)
    body, tally = RELAY.whole(reply, Ask(Operation.CHAT, public))
    heard = CLIENT.decode_response(reply)
    translated = SERVER.encode_response(heard, request, public)

    relayed = CLIENT.decode_response(Reply(200, body=body))
    assert plain(relayed) == plain(CLIENT.decode_response(Reply(200, body=translated)))
    assert relayed.model == public
    assert (tally.usage, tally.finished) == (heard.usage, True)
