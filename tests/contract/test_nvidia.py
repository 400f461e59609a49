"""NVIDIA's models: how families are told to think, how thoughts are told from answers, embeddings, and refusals."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foz.canon.content import Message, Text
from foz.canon.event import Event, ReasoningGrew, TextGrew
from foz.canon.fault import Fault, Limited, Refused
from foz.canon.request import ChatRequest, EmbedRequest, Operation, ReasoningWish
from foz.canon.response import fold
from foz.dialects.openai.chat.asking import manner_of
from foz.dialects.openai.chat.client import ChatClient
from foz.dialects.openai.chat.server import ChatServer
from foz.dialects.openai.faults import decode_fault
from foz.dialects.openai.speech import speech
from foz.ports.codec import ClientCodec
from foz.providers.profile import families, family, habits
from foz.wire.http import Reply

GOLDEN = Path(__file__).parents[1] / "golden/nvidia"
CASES = sorted(path.name for path in GOLDEN.iterdir())
STREAMS = [name for name in CASES if (GOLDEN / name / "stream.sse").exists()]
SPEECH = speech(manner_of(["max_tokens"]), habits)
THINKING = sorted({pattern.replace("*", "") for one in families() if one.thinking is not None for pattern in one.match})
USER = (Message("user", (Text("2+2?"),)),)
SLOW = settings(max_examples=100)


def read(name: str, file: str) -> Any:
    return msgspec.json.decode((GOLDEN / name / file).read_bytes())


def case_request(name: str) -> ChatRequest:
    return ChatServer().decode_request((GOLDEN / name / "asked.json").read_bytes())


def client_of(request: ChatRequest) -> ClientCodec:
    client = SPEECH[Operation.CHAT].about(request.model).asking(request, request.model)
    assert client is not None
    return client


def golden_events(name: str) -> list[Event]:
    return msgspec.json.decode((GOLDEN / name / "events.json").read_bytes(), type=list[Event])


def decode(client: ClientCodec, *chunks: bytes) -> list[Event]:
    decoder = client.decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.close()


def splits(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    return ((stream[:at], stream[at:]) for at in range(len(stream) + 1))


@pytest.mark.parametrize("name", CASES)
def test_a_request_is_said_as_the_family_wants_it(name: str) -> None:
    """Each golden request becomes its golden body: the family's switch in place of `reasoning_effort`."""
    request = case_request(name)

    body = client_of(request).encode_request(request, request.model).body
    assert msgspec.json.decode(body) == read(name, "body.json")


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_heard_as_its_events_wherever_it_is_split(name: str) -> None:
    """Each golden stream, split in two at every byte and in single bytes, gives its golden events."""
    client, stream = client_of(case_request(name)), (GOLDEN / name / "stream.sse").read_bytes()

    for chunks in splits(stream):
        assert decode(client, *chunks) == golden_events(name)
    assert decode(client, *(bytes([byte]) for byte in stream)) == golden_events(name)


@pytest.mark.parametrize("name", CASES)
def test_a_whole_answer_is_the_fold_of_its_events(name: str) -> None:
    """Each golden answer, whole, is the fold of its golden events, which are those of its stream where it has one."""
    body = (GOLDEN / name / "response.json").read_bytes()

    assert client_of(case_request(name)).decode_response(Reply(200, body=body)) == fold(golden_events(name))


@pytest.mark.parametrize("model", THINKING)
def test_a_wish_is_always_said(model: str) -> None:
    """Each family with a switch is told on and off in different words, never by a level that it does not know."""
    thinking = family(model).thinking
    assert thinking is not None
    said = {}
    for enabled in (True, False, None):
        request = ChatRequest(model, USER, reasoning=ReasoningWish(enabled=enabled))
        said[enabled] = msgspec.json.decode(client_of(request).encode_request(request, model).body)

    if thinking.on != thinking.off:
        assert said[True] != said[False]
    assert said[None] == {"model": model, "messages": [{"role": "user", "content": "2+2?"}]}
    assert SPEECH[Operation.CHAT].about(model).relay is None


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("nvidia/nvidia-nemotron-nano-9b-v2", {"min_thinking_tokens": 64, "max_thinking_tokens": 64}),
        ("nvidia/nemotron-3-nano-30b-a3b", {"reasoning_budget": 64, "chat_template_kwargs": {"enable_thinking": True}}),
        (
            "nvidia/nemotron-3-super-120b-a12b",
            {"chat_template_kwargs": {"enable_thinking": True, "reasoning_budget": 64}},
        ),
        ("nvidia/llama-3.3-nemotron-super-49b-v1", {}),
    ],
)
def test_a_budget_is_said_where_the_family_takes_it(model: str, expected: dict[str, object]) -> None:
    """A budget of thoughts stands in the family's own fields, and nowhere where it has none."""
    request = ChatRequest(model, USER, reasoning=ReasoningWish(budget=64))
    body = msgspec.json.decode(client_of(request).encode_request(request, model).body)

    assert {name: value for name, value in body.items() if name not in {"model", "messages"}} == expected


def test_what_no_family_wants_is_relayed() -> None:
    """A model without habits is spoken to as any other of the dialect, bytes relayed."""
    for operation in (Operation.CHAT, Operation.COMPLETE, Operation.EMBED):
        assert SPEECH[operation].about("meta/llama-3.1-8b-instruct").relay is not None


# Thoughts in the text.

PIECES = st.lists(
    st.sampled_from(["<think>", "</think>", "<th", "ink>", "</", "think>", " ", "\n", "a", "b c", "🌊", "<", "think"]),
    max_size=8,
)


def grown(inside: bool, pieces: list[str]) -> list[Event]:
    """The words of a stream in these pieces, of a family whose template opens its thoughts, or does not."""
    model = "nvidia-nemotron-nano-9b-v2" if inside else "llama-3.3-nemotron-super-49b-v1.5"
    client = client_of(ChatRequest(model, USER))
    frames = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    stream = b"".join(b"data: " + msgspec.json.encode(frame) + b"\n\n" for frame in [*frames, end])
    return decode(client, stream + b"data: [DONE]\n\n")


@SLOW
@given(PIECES, st.booleans())
def test_pieces_change_nothing(pieces: list[str], inside: bool) -> None:
    """However a text is cut into pieces, its thoughts and its answer are those of the text in one piece."""
    many, one = fold(grown(inside, pieces)), fold(grown(inside, ["".join(pieces)]))

    assert many.choices == one.choices


@SLOW
@given(PIECES, st.booleans())
def test_no_word_is_lost(pieces: list[str], inside: bool) -> None:
    """Thoughts and answer together are the text, but for the first tags and white space around them."""
    said = "".join(event.text for event in grown(inside, pieces) if isinstance(event, TextGrew | ReasoningGrew))
    text = "".join(pieces)
    without = text.lstrip().removeprefix("<think>")
    if inside or without != text.lstrip():
        without = without.replace("</think>", "", 1)

    assert "".join(said.split()) == "".join(without.split())


# Embeddings.


@pytest.mark.parametrize(
    ("model", "vendor", "expected"),
    [
        ("nvidia/nv-embedqa-e5-v5", {}, "passage"),
        ("nvidia/llama-3.2-nv-embedqa-1b-v2", {"input_type": msgspec.Raw(b'"query"')}, "query"),
        ("nvidia/nv-embedqa-e5-v5-query", {}, None),
        ("baai/bge-m3", {}, None),
    ],
)
def test_an_asymmetric_model_is_told_which_side_a_text_is(
    model: str, vendor: dict[str, msgspec.Raw], expected: str | None
) -> None:
    """`input_type` is the caller's; else a passage where the model needs one and its name does not say."""
    request = EmbedRequest(model, ("a",), vendor={"openai": vendor})
    client = SPEECH[Operation.EMBED].about(model).asking(request, model)
    assert client is not None

    assert msgspec.json.decode(client.encode_request(request, model).body).get("input_type") == expected


# Refusals.


@pytest.mark.parametrize(
    ("status", "body", "leaf", "told"),
    [
        (401, {"status": 401, "title": "Unauthorized", "detail": "Authentication failed"}, Refused, "own key"),
        (404, {"status": 404, "title": "Not Found", "detail": "Function 'f': Not found"}, Refused, "Function 'f'"),
        (402, {"status": 402, "title": "Payment Required", "detail": "No credits"}, Limited, "No credits"),
        (429, {"status": 429, "title": "Too Many Requests"}, Limited, "Too Many"),
        (400, {"type": "urn:inference-service:problem-details:bad-request", "title": "Bad Request", "status": 400,
               "detail": "Inference error", "instance": "/v2/nvcf/pexec/functions/x", "requestId": "r"},
         Refused, "Inference error"),
        (400, {"error": "'input_type' parameter is required for asymmetric models"}, Refused, "'input_type'"),
        (400, {"object": "error", "message": "long", "type": "BadRequestError", "param": None, "code": 400},
         Refused, "long"),
        (400, {"error": {"message": "no", "type": "BadRequestError", "param": None, "code": 400}}, Refused, "no"),
    ],
)  # fmt: skip
def test_its_refusals_are_read(status: int, body: dict[str, object], leaf: type[Fault], told: str) -> None:
    """Each form of refusal that its hosts were seen to give is the leaf of its status, with its own words."""
    fault = decode_fault(Reply(status, body=msgspec.json.encode(body)))

    assert type(fault) is leaf
    assert told in fault.message


def test_an_error_in_its_stream_ends_it() -> None:
    """NVIDIA's error frame is a refusal in the middle of a stream, also where thoughts were held back."""
    decoder = ChatClient(manner_of(["max_tokens"])).decoder()
    frame = b'data: {"error":{"object":"error","message":"too long","type":"BadRequestError"}}\n\n'

    with pytest.raises(Refused, match="too long"):
        decoder.feed(frame)
