"""Text generation of the `huggingface` dialect against its golden cases: what is asked, how answers are read."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foz.canon.content import Media, Message, Text, ToolCall, ToolResult
from foz.canon.event import ChoiceFinished, Event
from foz.canon.fault import Cut, Fault, Garbled, NotFound, Unsupported, UpstreamFault
from foz.canon.request import ChatRequest, CompleteRequest, Sampling
from foz.canon.response import fold
from foz.canon.tool import ToolChoice, ToolSpec
from foz.canon.usage import Usage
from foz.dialects.huggingface.answer import Cutter
from foz.dialects.huggingface.generation import GenerationClient
from foz.dialects.huggingface.kind import PLAIN, Kind
from foz.dialects.openai.chat.server import ChatServer
from foz.dialects.openai.completions.server import CompletionServer
from foz.providers.profile import families, family
from foz.wire.http import Headers, Reply

GOLDEN = Path(__file__).parents[1] / "golden/huggingface/generation"
CASES = sorted(path.name for path in GOLDEN.iterdir())
STREAMS = [name for name in CASES if (GOLDEN / name / "stream.sse").exists()]
WHOLES = [name for name in CASES if (GOLDEN / name / "response.json").exists()]
KINDS = [known for known in families() if known.prompt is not None]
WORDS = st.text("abc \n🌊é", max_size=12)
SLOW = settings(max_examples=100)


class Told(NamedTuple):
    """How far a stream came: what it said, and the code of the fault that ended it."""

    events: list[Event]
    fault: str | None


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
    if isinstance(value, list | tuple):
        return [lean(inner) for inner in value]
    return value


def read(name: str, file: str) -> Any:
    return msgspec.json.decode((GOLDEN / name / file).read_bytes())


def case_request(name: str) -> ChatRequest | CompleteRequest:
    """What a caller asked; cases write it as OpenAI's bodies, which everybody reads."""
    body = (GOLDEN / name / "asked.json").read_bytes()
    asked = ChatServer().decode_request(body) if b'"messages"' in body else CompletionServer().decode_request(body)
    assert isinstance(asked, ChatRequest | CompleteRequest)
    return asked


def client_of(request: ChatRequest | CompleteRequest) -> GenerationClient:
    return GenerationClient(family(request.model).prompt or PLAIN).asking(request)


def golden_events(name: str) -> list[Event]:
    return msgspec.json.decode((GOLDEN / name / "events.json").read_bytes(), type=list[Event])


def golden_fault(name: str) -> str | None:
    return read(name, "fault.json")["code"] if (GOLDEN / name / "fault.json").exists() else None


def reply_of(name: str) -> Reply:
    headers: Headers = ()
    if (GOLDEN / name / "headers.json").exists():
        headers = tuple((key.encode(), value.encode()) for key, value in read(name, "headers.json").items())
    return Reply(200, headers, (GOLDEN / name / "response.json").read_bytes())


def decode(client: GenerationClient, *chunks: bytes) -> Told:
    decoder = client.decoder()
    events: list[Event] = []
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
        events += decoder.close()
    except Fault as fault:
        return Told(events, fault.code)
    return Told(events, None)


def splits(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    return ((stream[:at], stream[at:]) for at in range(len(stream) + 1))


@pytest.mark.parametrize("name", CASES)
def test_a_request_is_asked_as_its_call(name: str) -> None:
    """Each golden request becomes exactly its golden call: path, form of the answer, prompt and parameters."""
    request, expected = case_request(name), read(name, "call.json")
    call = client_of(request).encode_request(request, request.model)

    assert (call.method, call.path) == ("POST", expected["path"])
    assert call.header(b"accept") == expected["accept"].encode()
    assert msgspec.json.decode(call.body) == expected["body"]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_heard_as_its_events_wherever_it_is_split(name: str) -> None:
    """Each golden stream, split in two at every byte, gives its golden events and ends with its golden fault."""
    client, golden = client_of(case_request(name)), Told(golden_events(name), golden_fault(name))

    for chunks in splits((GOLDEN / name / "stream.sse").read_bytes()):
        assert decode(client, *chunks) == golden


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_heard_byte_by_byte(name: str) -> None:
    """Each golden stream that comes in single bytes gives its golden events."""
    stream = (GOLDEN / name / "stream.sse").read_bytes()

    assert decode(client_of(case_request(name)), *(bytes([byte]) for byte in stream)) == Told(
        golden_events(name), golden_fault(name)
    )


@pytest.mark.parametrize("name", [name for name in WHOLES if golden_fault(name) is None])
def test_a_whole_answer_is_the_fold_of_its_events(name: str) -> None:
    """Each golden answer, whole, is the fold of its golden events, which are those of its stream where it has one."""
    heard = client_of(case_request(name)).decode_response(reply_of(name))

    assert heard == fold(golden_events(name))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("loading_in_answer", "upstream_down"),
        ("generation_error", "upstream_down"),
        ("garbled", "upstream_garbled"),
        ("neither", "upstream_garbled"),
    ],
)
def test_an_answer_that_is_none_is_a_fault(name: str, code: str) -> None:
    """An error under status 200, and a body of another form, are faults and no answers."""
    with pytest.raises(Fault) as caught:
        client_of(case_request(name)).decode_response(reply_of(name))

    assert caught.value.code == code


@pytest.mark.parametrize("known", KINDS, ids=lambda known: known.match[0])
def test_every_family_says_whole_conversations(known: Any) -> None:
    """Each family's prompt holds every turn and the system's words, in order, and ends where the answer begins."""
    words = ["the rules", "first question", "first answer", "second question"]
    roles = ["system", "user", "assistant", "user"]
    messages = tuple(
        Message("system" if role == "system" else "assistant" if role == "assistant" else "user", (Text(text),))
        for role, text in zip(roles, words, strict=True)
    )
    request = ChatRequest("m", messages)
    call = GenerationClient(known.prompt, dedicated=True).encode_request(request, "m")
    prompt: str = msgspec.json.decode(call.body)["inputs"]

    places = [prompt.find(text) for text in words]
    assert places == sorted(places)
    assert -1 not in places
    assert prompt.endswith(known.prompt.answer)
    assert call.path == ""


def test_the_oldest_turns_are_left_out_where_there_is_no_room() -> None:
    """
    A family that reads few characters gets the last turns whole, of a turn that is too long its end, and of a system
    prompt that is too long the beginning.
    """
    kind = Kind(between="  ", fits=20)
    turns = [Message("user", (Text(f"turn number {number}"),)) for number in range(9)]

    def prompt(*messages: Message) -> str:
        body = GenerationClient(kind).encode_request(ChatRequest("m", messages), "m").body
        found: str = msgspec.json.decode(body)["inputs"]
        return found

    system, question = Message("system", (Text("be kind, " * 9),)), Message("user", (Text("why?"),))
    assert prompt(system, question) == "be kind, be ki\n\nwhy?"
    assert prompt(system, Message("user", (Text("x" * 30 + "the end"),))) == "be kind, b\n\nxthe end"
    assert prompt(*turns) == "turn number 8"
    assert prompt(Message("user", (Text("x" * 30 + "the end"),))) == "x" * 13 + "the end"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ChatRequest("m", (), tools=(ToolSpec("f"),)), "tools"),
        (ChatRequest("m", (), choices=2), "n"),
        (ChatRequest("m", (Message("user", (Media("image", url="http://x/a.png"),)),)), "messages"),
        (ChatRequest("m", (Message("tool", (ToolResult("1", (Text("2"),)),)),)), "messages"),
        (ChatRequest("m", (Message("assistant", (ToolCall("1", "f", "{}"),)),)), "messages"),
        (CompleteRequest("m", ("a", "b")), "prompt"),
        (CompleteRequest("m", ((1, 2),)), "prompt"),
        (CompleteRequest("m", ("a",), suffix="b"), "suffix"),
        (CompleteRequest("m", ("a",), best_of=2), "n"),
    ],
)
def test_what_cannot_be_said_is_refused(request_: ChatRequest | CompleteRequest, field: str) -> None:
    """What a task endpoint has no place for is refused before it is asked, and the fault names the field."""
    with pytest.raises(Unsupported) as caught:
        GenerationClient().encode_request(request_, "org/m")

    assert caught.value.field == field


def test_tools_that_may_not_be_called_are_left_out() -> None:
    """Tools with `tool_choice` none change nothing, so the request goes through without them."""
    request = ChatRequest("m", (), tools=(ToolSpec("f"),), tool_choice=ToolChoice("none"))

    assert b"tools" not in GenerationClient().encode_request(request, "org/m").body


@pytest.mark.parametrize(
    "model", ["", "a/b/c", "../secrets", "a/..", "..", "a b", "a/b?c", "a\n/b", "модель", "/a", "a/"]
)
def test_a_name_that_is_no_id_is_not_found(model: str) -> None:
    """A name that the Hub could not have is NotFound, and leads to no other path of the endpoint."""
    with pytest.raises(NotFound):
        GenerationClient().encode_request(ChatRequest("m", ()), model)


def test_its_own_fields_go_along() -> None:
    """What a caller of this dialect said that canon has no word for is said again, in its place."""
    raw = {name: msgspec.Raw(value) for name, value in (("max_time", b"30"), ("options", b'{"use_cache":false}'))}
    request = ChatRequest("m", (Message("user", (Text("x"),)),), vendor={"huggingface": raw})
    body = msgspec.json.decode(GenerationClient().encode_request(request, "org/m").body)

    assert body["options"] == {"use_cache": False}
    assert body["parameters"]["max_time"] == 30


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=0.0), {"do_sample": False}),
        (Sampling(temperature=0.0, top_p=0.5, top_k=3), {"do_sample": False}),
        (Sampling(temperature=0.2), {"temperature": 0.2, "do_sample": True}),
        (Sampling(top_p=1.0, top_k=0), {}),
        (Sampling(top_p=0.0, temperature=0.7), {"do_sample": False}),
        (Sampling(repetition_penalty=1.1, seed=3), {"repetition_penalty": 1.1, "seed": 3}),
    ],
)
def test_sampling_is_said_as_the_endpoints_take_it(sampling: Sampling, expected: dict[str, object]) -> None:
    """A temperature or a `top_p` of 0 is greedy, and a `top_p` of 1 is not said: the endpoints refuse these numbers."""
    body = GenerationClient().encode_request(ChatRequest("m", (), sampling=sampling), "org/m").body
    said = msgspec.json.decode(body)["parameters"]

    assert {name: value for name, value in said.items() if name not in {"details", "return_full_text"}} == expected


@SLOW
@given(st.lists(WORDS, max_size=6), st.lists(st.text("ab\n🌊", min_size=1, max_size=3), max_size=3))
def test_text_is_cut_at_the_first_stop_however_it_comes(pieces: list[str], stops: list[str]) -> None:
    """In whatever pieces a text comes, it passes up to the stop that is complete first, and whole where none stands."""
    cutter = Cutter(tuple(stops))
    passed = "".join(map(cutter.feed, pieces)) + cutter.close()
    text = "".join(pieces)
    found = [(text.find(stop) + len(stop), -len(stop)) for stop in stops if stop in text]

    assert passed == (text[: sum(min(found))] if found else text)
    assert (cutter.hit is not None) is bool(found)


@SLOW
@given(st.lists(WORDS, min_size=1, max_size=6), st.sampled_from(["length", "eos_token", "stop_sequence", None]))
def test_a_stream_and_its_whole_are_the_same_answer(pieces: list[str], reason: str | None) -> None:
    """Whatever tokens come, streamed and whole answers fold to the same text, reason and count."""
    details = None if reason is None else {"finish_reason": reason, "generated_tokens": len(pieces)}
    frames = [{"token": {"id": at, "text": text}} for at, text in enumerate(pieces)]
    frames[-1] |= {"generated_text": "".join(pieces), "details": details}  # type: ignore[dict-item]  # JSON of any shape
    client = GenerationClient().asking(ChatRequest("m", (), stop=("b c", "é")))
    whole = client.decode_response(
        Reply(200, body=msgspec.json.encode([{"generated_text": "".join(pieces), "details": details}]))
    )
    told = decode(client, b"".join(b"data:" + msgspec.json.encode(frame) + b"\n\n" for frame in frames))

    assert told.fault is None
    assert fold(told.events) == whole


@SLOW
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), st.integers(0, 200))
def test_hostile_bytes_are_garbled_or_cut(data: bytes, at: int) -> None:
    """Whatever bytes come, as a stream or whole, the answer is read or a fault says that it cannot be."""
    client = GenerationClient().asking(ChatRequest("m", ()))
    told = decode(client, data[:at], data[at:])

    assert told.fault in {None, Cut.code, Garbled.code, "upstream_down", "upstream_limited", "upstream_refused"}
    with suppress(UpstreamFault):
        client.decode_response(Reply(200, body=data))


def test_counts_of_headers_come_before_those_of_details() -> None:
    """Where the endpoint tells the prompt's tokens in a header, they are the usage's input."""
    body = b'[{"generated_text":"x","details":{"finish_reason":"length","generated_tokens":2}}]'
    headers = ((b"x-prompt-tokens", b"12"), (b"x-generated-tokens", b"3"))

    assert GenerationClient().decode_response(Reply(200, headers, body)).usage == Usage(12, 3)
    assert GenerationClient().decode_response(Reply(200, (), body)).usage == Usage(None, 2)
    assert (
        GenerationClient().decode_response(Reply(200, ((b"x-prompt-tokens", b"x"),), b'{"generated_text":"x"}')).usage
        is None
    )


def test_the_callers_own_stop_is_told_and_the_familys_is_not() -> None:
    """A stop that the caller asked for is named; one of the family's own marks is nobody's business."""
    kind = Kind(stop=("\nUser:",))
    client = GenerationClient(kind).asking(ChatRequest("m", (), stop=("END",)))

    def end(text: str) -> ChoiceFinished:
        body = msgspec.json.encode([{"generated_text": text}])
        choice = client.decode_response(Reply(200, body=body)).choices[0]
        assert choice.reason is not None
        return ChoiceFinished(choice.reason, 0, choice.detail)

    assert end("a END b") == ChoiceFinished("stop", 0, "END")
    assert end("a\nUser: b") == ChoiceFinished("stop", 0, None)
