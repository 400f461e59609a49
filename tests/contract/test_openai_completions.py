"""The legacy completions of `openai`: both halves against each other and the golden cases, in both lanes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from foz.canon.estimate import at_least
from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    ReasoningGrew,
    RefusalGrew,
    Started,
    TextGrew,
    TokenLogprob,
    VendorSaid,
)
from foz.canon.fault import BadRequest, Fault, Garbled, Limited
from foz.canon.model import Capability
from foz.canon.request import Ask, CompleteRequest, Operation, Sampling
from foz.canon.response import fold
from foz.canon.usage import Usage
from foz.dialects.openai.completions.client import CompletionClient
from foz.dialects.openai.completions.relay import CompletionRelay
from foz.dialects.openai.completions.server import CompletionServer
from foz.ports.codec import Tally
from foz.wire.http import Reply

GOLDEN = Path(__file__).parents[1] / "golden/openai/completions"
CASES = sorted(path.name for path in GOLDEN.iterdir())
STREAMS = [name for name in CASES if (GOLDEN / name / "stream.sse").exists()]
WHOLES = [name for name in CASES if (GOLDEN / name / "response.json").exists()]
SERVER, CLIENT, RELAY = CompletionServer(), CompletionClient(), CompletionRelay()
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


def read(name: str, file: str) -> bytes:
    return (GOLDEN / name / file).read_bytes()


def golden_events(name: str) -> list[Event]:
    return msgspec.json.decode(read(name, "events.json"), type=list[Event])


def golden_fault(name: str) -> str | None:
    path = GOLDEN / name / "fault.json"
    return msgspec.json.decode(path.read_bytes(), type=dict[str, str])["code"] if path.exists() else None


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


def encode(request: CompleteRequest, model: str, events: list[Event]) -> bytes:
    encoder = SERVER.encoder(request, model)
    return b"".join(map(encoder.feed, events)) + encoder.close()


def ask_for(model: str, *, wants_usage: bool = True) -> Ask:
    return Ask(Operation.COMPLETE, model, stream=True, wants_usage=wants_usage)


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
    canon = msgspec.json.decode(read(name, "canon.json"), type=CompleteRequest)

    assert SERVER.decode_request(read(name, "request.json")) == canon


@pytest.mark.parametrize("name", CASES)
def test_the_facts_are_those_of_the_request(name: str) -> None:
    """What `read` says for the core agrees with the whole request: one choice for each prompt times `n`."""
    body = read(name, "request.json")
    request = SERVER.decode_request(body)
    ask = SERVER.read(body)

    assert (ask.operation, ask.model, ask.stream) == (Operation.COMPLETE, request.model, request.stream)
    assert ask.choices == len(request.prompts) * request.choices
    assert (ask.max_output, ask.wants_usage) == (request.max_output, request.wants_usage)
    assert ("logprobs" in ask.needs) == (request.logprobs is not None)


WORDS = st.text(max_size=12) | st.sampled_from(['a"b', '"model":"x"', "a\nb", "モデル", "\u2028", '","choices":['])
RAWS = st.sampled_from([Raw(b"1"), Raw(b'{"a":[null,"b"]}'), Raw(b'"model"'), Raw(b"false")])
VENDORS: st.SearchStrategy[dict[str, dict[str, Raw]]] = st.just({}) | st.builds(
    lambda bag: {"openai": bag}, st.dictionaries(st.sampled_from(["x_one", "x_two"]), RAWS, min_size=1)
)
TOKENS = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4).map(tuple)


@st.composite
def complete_requests(draw: st.DrawFn) -> CompleteRequest:
    choices = draw(st.integers(1, 4))
    stream = draw(st.booleans())
    return CompleteRequest(
        model=draw(st.text(min_size=1)),
        prompts=draw(st.lists(WORDS, min_size=1, max_size=3).map(tuple) | st.lists(TOKENS, min_size=1).map(tuple)),
        suffix=draw(st.none() | WORDS),
        echo=draw(st.booleans()),
        sampling=Sampling(
            temperature=draw(st.none() | st.floats(0, 2)),
            top_p=draw(st.none() | st.floats(0, 1)),
            top_k=draw(st.none() | st.integers(-1, 99)),
            frequency_penalty=draw(st.none() | st.floats(-2, 2)),
            logit_bias=draw(st.none() | st.dictionaries(WORDS, st.floats(-100, 100), max_size=2)),
            seed=draw(st.none() | st.integers(-(2**63), 2**63 - 1)),
        ),
        max_output=draw(st.none() | st.integers(0, 2**31 - 1)),
        choices=choices,
        best_of=draw(st.none() | st.just(choices)),
        logprobs=draw(st.none() | st.integers(0, 5)),
        stop=draw(st.lists(WORDS, max_size=2).map(tuple)),
        stream=stream,
        wants_usage=True,
        user=draw(st.none() | WORDS),
        vendor=draw(VENDORS),
    )


@SLOW
@given(complete_requests())
def test_what_the_client_asks_the_server_hears(request: CompleteRequest) -> None:
    """`encode_request` and `decode_request` are inverses; a stream always asks for usage."""
    assert SERVER.decode_request(CLIENT.encode_request(request, request.model).body) == request


@pytest.mark.parametrize("name", CASES)
def test_the_relay_swaps_the_model_and_asks_for_usage(name: str) -> None:
    """The upstream gets the caller's fields verbatim, but its own model name and, in a stream, usage asked for."""
    body = read(name, "request.json")
    call = RELAY.retarget(body, SERVER.read(body), "up-1")
    sent = msgspec.json.decode(call.body, type=dict[str, Raw])
    asked = {**msgspec.json.decode(body, type=dict[str, Raw]), "model": Raw(b'"up-1"')}

    assert (call.method, call.path) == ("POST", "/completions")
    if "stream" in asked:
        assert msgspec.json.decode(sent.pop("stream_options")) == {"include_usage": True}
        asked.pop("stream_options", None)
    assert sent == asked


BAD: list[tuple[bytes, str | None, str | None]] = [
    (b"", None, None),
    (b"[]", None, None),
    (b'{"prompt":"a"}', "model", "missing_required_parameter"),
    (b'{"model":"m"}', "prompt", "missing_required_parameter"),
    (b'{"model":"m","prompt":null}', "prompt", "invalid_type"),
    (b'{"model":"m","prompt":[]}', "prompt", "empty_array"),
    (b'{"model":"m","prompt":["a",[1]]}', "prompt[1]", "invalid_type"),
    (b'{"model":"m","prompt":[1,-1]}', "prompt[1]", "integer_below_min_value"),
    (b'{"model":"m","prompt":"a","n":0}', "n", "integer_below_min_value"),
    (b'{"model":"m","prompt":"a","n":129}', "n", "integer_above_max_value"),
    (b'{"model":"m","prompt":"a","n":"2"}', "n", "invalid_type"),
    (b'{"model":"m","prompt":"a","logprobs":6}', "logprobs", "integer_above_max_value"),
    (b'{"model":"m","prompt":"a","logprobs":true}', "logprobs", "invalid_type"),
    (b'{"model":"m","prompt":"a","max_tokens":-1}', "max_tokens", "integer_below_min_value"),
    (b'{"model":"m","prompt":"a","temperature":2.1}', "temperature", "decimal_above_max_value"),
    (b'{"model":"m","prompt":"a","top_p":-0.1}', "top_p", "decimal_below_min_value"),
    (b'{"model":"m","prompt":"a","presence_penalty":3}', "presence_penalty", "decimal_above_max_value"),
    (b'{"model":"m","prompt":"a","stop":7}', "stop", "invalid_type"),
    (b'{"model":"m","prompt":"a","stop":["a",7]}', "stop[1]", "invalid_type"),
    (b'{"model":"m","prompt":"a","n":3,"best_of":2}', "best_of", "invalid_value"),
    (b'{"model":"m","prompt":"a","best_of":2,"stream":true}', "best_of", "invalid_value"),
    (b'{"model":"m","prompt":"a","stream_options":{"include_usage":true}}', "stream_options", "invalid_value"),
    (b'{"model":"m","prompt":"a","stream":1}', "stream", "invalid_type"),
    (b'{"model":"m","prompt":%b' % (b"[" * 5000), None, None),
]


@pytest.mark.parametrize(("body", "field", "code"), BAD)
def test_a_bad_body_is_refused_naming_its_field(body: bytes, field: str | None, code: str | None) -> None:
    """Both readings of a bad body raise the same BadRequest, with field and code in OpenAI's words."""
    told = []
    for reading in (SERVER.read, SERVER.decode_request):
        with pytest.raises(BadRequest) as caught:
            reading(body)
        told.append((caught.value.field, caught.value.vendor_code))

    assert told == [(field, code)] * 2


# Logprobs as chat has them.

LIKELY = Ask(Operation.COMPLETE, "up", stream=True, needs=frozenset({Capability.LOGPROBS}))


def chunk(text: str, index: int, *tokens: str) -> bytes:
    """A chunk as llama.cpp writes it; no logprobs without tokens."""
    likely = [{"id": 1, "token": one, "bytes": [1], "logprob": -0.5, "top_logprobs": []} for one in tokens]
    choice = {"text": text, "index": index, "logprobs": {"content": likely} if tokens else None, "finish_reason": None}
    return b"data: %b\n\n" % msgspec.json.encode({"choices": [choice], "model": "up", "id": "x", "timings": {"n": 1}})


SAID = [chunk("", 0, ""), chunk("He", 0, "H", "e"), chunk("Ho", 1, "Ho"), chunk("y", 0), chunk("!", 0, "!")]
END = chunk("", 0).replace(b'"finish_reason":null', b'"finish_reason":"stop"')


def lists(passed: bytes) -> list[dict[str, Any]]:
    """The choices of a stream."""
    frames = [frame.removeprefix(b"data: ") for frame in passed.split(b"\n\n") if frame and frame != b"data: [DONE]"]
    return [choice for frame in frames for choice in msgspec.json.decode(frame)["choices"]]


def test_logprobs_of_chat_are_relayed_as_lists() -> None:
    """However a stream is cut, each chunk's tokens come as four lists with offsets in their choice; all else passes."""
    stream = b"".join((*SAID, END, END.replace(b'"index":0', b'"index":1')))
    whole = relay(LIKELY, stream, DONE).bytes
    told = [choice["logprobs"] for choice in lists(whole)]
    assert told[:5] == [
        {"tokens": [""], "token_logprobs": [-0.5], "top_logprobs": [{}], "text_offset": [0]},
        {"tokens": ["H", "e"], "token_logprobs": [-0.5, -0.5], "top_logprobs": [{}, {}], "text_offset": [0, 1]},
        {"tokens": ["Ho"], "token_logprobs": [-0.5], "top_logprobs": [{}], "text_offset": [0]},
        None,
        {"tokens": ["!"], "token_logprobs": [-0.5], "top_logprobs": [{}], "text_offset": [3]},
    ]
    assert whole.count(b'"timings":{"n":1}') == len(SAID) + 2
    for one, other in splits(stream + DONE):
        assert relay(LIKELY, one, other).bytes == whole


def test_logprobs_of_chat_in_a_whole_answer_are_relayed_as_lists() -> None:
    """A whole body's tokens come as four lists; what has lists already, or no tokens, passes byte for byte."""
    reply = Reply(200, (), read("llama_cpp_logprobs", "response.json"))
    (choice,) = msgspec.json.decode(RELAY.whole(reply, LIKELY)[0])["choices"]
    assert choice["logprobs"] == {
        "tokens": [" b"], "token_logprobs": [-0.25], "top_logprobs": [{" b": -0.25}], "text_offset": [0],
    }  # fmt: skip
    for name in ("echo_with_logprobs", "plain"):
        body = read(name, "response.json")
        model = msgspec.json.decode(body)["model"]
        assert RELAY.whole(Reply(200, (), body), msgspec.structs.replace(LIKELY, model=model))[0] is body


# Whole answers.


@pytest.mark.parametrize("name", WHOLES)
def test_a_whole_answer_is_the_fold_of_its_events(name: str) -> None:
    """Each golden body reads as the fold of its golden events."""
    assert CLIENT.decode_response(Reply(200, (), read(name, "response.json"))) == fold(golden_events(name))


@pytest.mark.parametrize("name", WHOLES)
def test_both_lanes_give_the_same_whole_answer(name: str) -> None:
    """A relayed body and a translated one are one canonical answer under the public name, with one count."""
    reply = Reply(200, (), read(name, "response.json"))
    request = SERVER.decode_request(read(name, "request.json"))
    answer = CLIENT.decode_response(reply)
    translated = SERVER.encode_response(answer, request, "public")
    passed, tally = RELAY.whole(reply, ask_for("public"))
    relayed = CLIENT.decode_response(Reply(200, (), passed))

    assert relayed == msgspec.structs.replace(answer, model="public")
    assert CLIENT.decode_response(Reply(200, (), translated)) == relayed
    assert tally.finished
    assert tally.usage == answer.usage
    assert tally.content == sum(len(choice.text or "") for choice in answer.choices)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[{"text":7}]}', b"[" * 5000, b'{"id":1}']
)
def test_a_garbled_answer_is_garbled_in_both_lanes(body: bytes) -> None:
    """A body that is no answer is the upstream's fault, translated or relayed."""
    with pytest.raises(Garbled):
        CLIENT.decode_response(Reply(200, (), body))
    with pytest.raises(Garbled):
        RELAY.whole(Reply(200, (), body), ask_for("public"))


def test_an_error_in_a_200_is_the_upstreams_fault() -> None:
    """A 2xx body that is an error object raises the fault it means, in both lanes."""
    reply = Reply(200, (), b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}')

    with pytest.raises(Limited):
        CLIENT.decode_response(reply)
    with pytest.raises(Limited):
        RELAY.whole(reply, ask_for("public"))


def test_lists_of_logprobs_may_be_short() -> None:
    """Logprobs whose lists are shorter than the tokens, or null, read as far as they go."""
    body = b'{"id":"x","created":1,"model":"m","choices":[{"text":"ab","logprobs":%b,"finish_reason":"stop"}]}'
    logprobs = b'{"tokens":["a","b"],"token_logprobs":[-1.0],"top_logprobs":null,"text_offset":[0]}'

    assert CLIENT.decode_response(Reply(200, (), body % logprobs)).choices[0].logprobs == (
        TokenLogprob("a", -1.0, offset=0),
        TokenLogprob("b", None, offset=1),
    )


# Streams.


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_says_its_events_wherever_it_is_split(name: str) -> None:
    """Each golden stream, whole, byte by byte and split at every offset, is its golden events and its fault."""
    stream = read(name, "stream.sse")
    expected = Told(golden_events(name), golden_fault(name))

    assert decode(stream) == expected
    assert decode(*(stream[at : at + 1] for at in range(len(stream)))) == expected
    for pieces in splits(stream):
        assert decode(*pieces) == expected


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("public", ["public", "up-1"])
@pytest.mark.parametrize("wants_usage", [True, False])
def test_a_relayed_stream_says_the_same_wherever_it_is_split(name: str, public: str, *, wants_usage: bool) -> None:
    """A relayed stream is the same events under the public name, without the usage that was not asked for."""
    stream = read(name, "stream.sse")
    events, fault = golden_events(name), golden_fault(name)
    expected = renamed(events, public, measured=wants_usage)
    ask = ask_for(public, wants_usage=wants_usage)

    for pieces in [(stream,), tuple(stream[at : at + 1] for at in range(len(stream))), *splits(stream)]:
        passed = relay(ask, *pieces)
        assert passed.fault == fault
        assert decode(passed.bytes).events == expected
        assert passed.bytes.endswith(DONE) == (fault is None)
        assert b'"usage"' not in passed.bytes or wants_usage
    assert passed.tally.finished == (fault is None)
    assert passed.tally.usage == next((event.usage for event in events if isinstance(event, Measured)), None)
    texts = [event.text for event in events if isinstance(event, TextGrew)]
    assert passed.tally.content == sum(map(len, texts))
    assert passed.tally.fewest == sum(map(at_least, texts))


@pytest.mark.parametrize("name", [name for name in STREAMS if not (GOLDEN / name / "fault.json").exists()])
def test_both_lanes_say_the_same(name: str) -> None:
    """A translated stream is, as canonical events, the relayed one, with the usage the caller asked for."""
    request = SERVER.decode_request(read(name, "request.json"))
    stream = read(name, "stream.sse")
    translated = encode(request, "public", decode(stream).events)
    relayed = relay(ask_for("public", wants_usage=request.wants_usage), stream).bytes

    assert decode(translated) == decode(relayed)
    assert translated.endswith(DONE)
    assert translated.count(b'"usage":null') == (translated.count(b"data: {") - 1 if request.wants_usage else 0)


LOGPROBS = st.lists(
    st.builds(
        TokenLogprob,
        NAMES := st.text(min_size=1, max_size=6),
        st.floats(-50, 0),
        top=st.dictionaries(NAMES, st.floats(-50, 0), max_size=2).map(
            lambda tops: tuple(TokenLogprob(token, how) for token, how in tops.items())
        ),
        offset=st.integers(0, 2**20),
    ),
    max_size=3,
).map(tuple)
CHOICES = st.integers(0, 3)
PIECES = st.builds(TextGrew, st.text(min_size=1, max_size=12), CHOICES, LOGPROBS) | st.builds(
    VendorSaid, st.just("openai"), st.dictionaries(st.sampled_from(["token_ids", "x"]), RAWS, min_size=1), CHOICES
)
USAGES = st.builds(
    Usage,
    input=st.integers(0, 2**40),
    output=st.integers(0, 2**40),
    cached=st.none() | st.integers(0, 2**40),
    reasoning=st.none() | st.integers(0, 2**40),
)


@st.composite
def event_lists(draw: st.DrawFn) -> list[Event]:
    pieces = draw(st.lists(PIECES, max_size=8))
    finished: list[Event] = [
        ChoiceFinished(draw(st.sampled_from(["stop", "length", "content_filter"])), choice, draw(st.none() | NAMES))
        for choice in sorted({piece.choice for piece in pieces} | {0})
    ]
    measured: list[Event] = [Measured(draw(USAGES))] if draw(st.booleans()) else []
    started = Started(draw(WORDS), draw(WORDS), draw(st.integers(0, 2**40)), draw(VENDORS))
    return [started, *pieces, *finished, *measured, Finished()]


@SLOW
@given(event_lists(), st.integers(0, 4000))
def test_what_the_encoder_says_the_decoder_hears(events: list[Event], cut: int) -> None:
    """Stream encoder and decoder are inverses, wherever the bytes are split."""
    request = CompleteRequest("m", ("a",), stream=True)
    started = events[0]
    assert isinstance(started, Started)
    stream = encode(request, started.model, events)

    assert decode(stream[:cut], stream[cut:]) == Told(events, None)


@SLOW
@given(event_lists())
def test_what_the_server_says_whole_the_client_hears(events: list[Event]) -> None:
    """`encode_response` and `decode_response` are inverses on what a stream folds to."""
    answer = fold(events)
    body = SERVER.encode_response(answer, CompleteRequest("m", ("a",)), answer.model)

    assert CLIENT.decode_response(Reply(200, (), body)) == answer


@SLOW
@given(events=event_lists(), public=st.text(min_size=1), wants_usage=st.booleans())
def test_any_stream_is_relayed_under_the_public_name(events: list[Event], public: str, *, wants_usage: bool) -> None:
    """Whatever is said, and whatever the names are, the relay changes the model's name and the usage only."""
    started = events[0]
    assert isinstance(started, Started)
    stream = encode(CompleteRequest("m", ("a",), stream=True), started.model, events)
    passed = relay(ask_for(public, wants_usage=wants_usage), stream)

    assert decode(passed.bytes) == Told(renamed(events, public, measured=wants_usage), None)


@SLOW
@given(
    name=st.sampled_from(STREAMS),
    at=st.integers(0, 2000),
    gone=st.integers(0, 30),
    put=st.binary(max_size=6) | st.sampled_from([b'"', b"{", b"null", b"[" * 300, b"\n\n", b"\r", b"1e999", b"\xff"]),
)
def test_a_broken_stream_is_a_fault_or_an_answer(name: str, at: int, gone: int, put: bytes) -> None:
    """Bytes lost or put anywhere end in a fault or a whole answer, the same for every split, in each lane."""
    stream = read(name, "stream.sse")
    broken = stream[:at] + put + stream[at + gone :]
    pieces = (broken[:at], broken[at:])

    assert decode(broken) == decode(*pieces)
    whole, split = relay(ask_for("public"), broken), relay(ask_for("public"), *pieces)
    assert (whole.bytes, whole.fault) == (split.bytes, split.fault)
    assert whole.bytes.endswith(DONE) == (whole.fault is None)


def test_what_completions_cannot_say_is_a_documented_loss() -> None:
    """Reasoning and calls are left out, a refusal is text, and a call's finish is a stop."""
    events: list[Event] = [
        Started("x", "m", 1),
        ReasoningGrew("hm"),
        CallOpened(0, "c", "f"),
        CallGrew(0, "{}"),
        RefusalGrew("no"),
        ChoiceFinished("tool_calls"),
        Finished(),
    ]
    said = decode(encode(CompleteRequest("m", ("a",), stream=True), "m", events)).events
    whole = SERVER.encode_response(fold(events), CompleteRequest("m", ("a",)), "m")

    assert said == [Started("x", "m", 1), TextGrew("no"), ChoiceFinished("stop"), Finished()]
    assert CLIENT.decode_response(Reply(200, (), whole)) == fold(said)


def test_offsets_are_counted_where_the_target_does_not() -> None:
    """`text_offset` goes on over the pieces of a choice where tokens come without it."""
    encoder = SERVER.encoder(CompleteRequest("m", ("a",), stream=True), "m")
    encoder.feed(Started("x", "m", 1))
    encoder.feed(TextGrew("abc"))
    chunk: Any = msgspec.json.decode(
        encoder.feed(TextGrew("dé f", logprobs=(TokenLogprob("dé", -1.0), TokenLogprob(" f", -2.0)))).removeprefix(
            b"data: "
        )
    )

    assert chunk["choices"][0]["logprobs"]["text_offset"] == [3, 5]
