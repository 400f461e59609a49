"""The ModelService's messages: requests as REST's bodies, answers and pieces, and every fault as a status."""

import math
from typing import Any

import msgspec
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

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
from foz.canon.fault import (
    LEAVES,
    BadRequest,
    Down,
    Fault,
    NoCapacity,
    NoRoute,
    RateLimited,
    Refused,
    UpstreamFault,
)
from foz.canon.request import Operation
from foz.canon.response import fold
from foz.canon.usage import Usage
from foz.skins.model_grpc import asking, telling
from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc.codec import MessageCodec
from foz.skins.model_grpc.pieces import ChatPieces, CompletionPieces
from foz.skins.model_grpc.status import CODES, code_of, status_of
from foz.wire.protobuf import frames

TURN = pb.Message(role="user", content="Hello")


def body(asked: pb.ChatCompletionRequest, *, stream: bool = False) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(asking.chat(asked, stream=stream))
    return said


def details(trailers: tuple[tuple[str, str | bytes], ...]) -> dict[str, Any]:
    raw = dict(trailers)["grpc-status-details-bin"]
    assert isinstance(raw, bytes)
    status = status_pb2.Status.FromString(raw)
    kinds = {one.type_url.rpartition(".")[2]: one.value for one in status.details}
    return {kind: getattr(error_details_pb2, kind).FromString(value) for kind, value in kinds.items()}


# -- requests --------------------------------------------------------------


def test_what_is_not_set_is_not_said() -> None:
    """A request with nothing but its turn has a body with nothing but model, stream and that turn."""
    asked = pb.ChatCompletionRequest(model_id="m", messages=[TURN])

    assert body(asked) == {"model": "m", "stream": False, "messages": [{"role": "user", "content": "Hello"}]}


def test_an_explicit_zero_is_said_by_its_twin() -> None:
    """exact_temperature 0 is said, and wins over temperature; exact_max_tokens likewise."""
    asked = pb.ChatCompletionRequest(model_id="m", messages=[TURN], temperature=0.7, exact_temperature=0)
    text = pb.CompletionRequest(model_id="m", prompt="a", max_tokens=5, exact_max_tokens=0)

    assert body(asked)["temperature"] == 0
    assert msgspec.json.decode(asking.completion(text, stream=False))["max_tokens"] == 0


def test_parts_calls_and_choices_have_their_places() -> None:
    """Pictures, a call, its result, tools and the choice among them stand in the body as OpenAI writes them."""
    asked = pb.ChatCompletionRequest(
        model_id="m",
        messages=[
            pb.Message(
                role="user",
                content="What is it?",
                parts=[pb.ContentPart(image_url=pb.Link(url="https://example.com/a.png", detail="low"))],
            ),
            pb.Message(
                role="assistant",
                tool_calls=[pb.ToolCall(id="1", function=pb.FunctionCall(name="f", arguments="{}"))],
            ),
            pb.Message(role="tool", tool_call_id="1", content="done"),
        ],
        tools=[pb.Tool(function=pb.Function(name="f", parameters='{"type":"object"}', strict=False))],
        tool_choice=pb.ToolChoice(function="f"),
    )
    said = body(asked)
    called = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    assert said["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            ],
        },
        {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "content": "done", "tool_call_id": "1"},
    ]
    assert said["tools"] == [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": False}}
    ]
    assert said["tool_choice"] == {"type": "function", "function": {"name": "f"}}


def test_what_has_no_field_goes_into_extra() -> None:
    """A field of `extra` is a field of the body; what the proto has a field for is said by that one."""
    extra = {"service_tier": '"flex"', "model": '"other"', "stream": "true"}

    said = body(pb.ChatCompletionRequest(model_id="m", messages=[TURN], extra=extra))

    assert (said["service_tier"], said["model"], said["stream"]) == ("flex", "m", False)


@pytest.mark.parametrize("text", ["", "{", '1, "model": "x"', "[" * 100_000, "nul", '"\\ud800'])
def test_json_text_is_one_value_or_refused(text: str) -> None:
    """What is no JSON, or more than one value, or too deep, is a BadRequest that names the field."""
    with pytest.raises(BadRequest) as caught:
        asking.chat(pb.ChatCompletionRequest(model_id="m", messages=[TURN], extra={"x": text}), stream=False)

    assert caught.value.field == "extra[x]"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["temperature", "top_p", "min_p", "exact_temperature"])
def test_what_is_not_finite_is_refused(field: str, value: float) -> None:
    """NaN and infinities, which JSON cannot say, are refused by the name of their field."""
    asked = pb.ChatCompletionRequest(model_id="m", messages=[TURN], **{field: value})  # type: ignore[arg-type]  # each is a float

    with pytest.raises(BadRequest) as caught:
        asking.chat(asked, stream=False)

    assert caught.value.field == field


@given(st.binary(max_size=200), st.sampled_from(Operation), st.booleans())
def test_any_bytes_are_a_message_or_a_bad_request(data: bytes, operation: Operation, stream: bool) -> None:
    """Whatever bytes come: a request that was read, or BadRequest; never another error."""
    codec = MessageCodec(operation, stream=stream)
    try:
        ask = codec.read(data)
    except BadRequest:
        return
    assert ask.operation is operation


def test_fields_that_nobody_knows_are_left_aside() -> None:
    """A message with a field of a later proto is read as if it were not there."""
    message = pb.ChatCompletionRequest(model_id="m", messages=[TURN]).SerializeToString() + b"\xfa\x3f\x02hi"

    assert MessageCodec(Operation.CHAT, stream=False).read(message).model == "m"


def test_a_body_that_is_wrong_names_its_field_here() -> None:
    """What the body calls `model` is called `model_id`, and invalid UTF-8 is no text."""
    codec = MessageCodec(Operation.CHAT, stream=False)
    with pytest.raises(BadRequest) as missing:
        codec.read(b"")
    with pytest.raises(BadRequest, match="ChatCompletionRequest"):
        MessageCodec(Operation.CHAT, stream=False).read(b"\x0a\x02\xff\xfe")

    assert missing.value.field == "model_id"


# -- answers ---------------------------------------------------------------

EVENTS: tuple[Event, ...] = (
    Started("c-1", "up", 7, {"openai": {"system_fingerprint": Raw(b'"fp"')}}),
    ReasoningGrew("Hm."),
    TextGrew("Hel"),
    TextGrew("lo", logprobs=(TokenLogprob("lo", -0.5, (108, 111), (TokenLogprob("la", -2.0),)),)),
    RefusalGrew("No.", 1),
    CallOpened(0, "call-1", "f"),
    CallGrew(0, '{"a"'),
    CallGrew(0, ":1}"),
    VendorSaid("openai", {"annotations": Raw(b"[1]")}),
    ChoiceFinished("tool_calls"),
    ChoiceFinished("stop", 1, "END"),
    Measured(Usage(input=3, output=5, reasoning=0), {"openai": {"cost": Raw(b"0.1")}}),
    Finished(),
)


def streamed(events: tuple[Event, ...]) -> list[pb.ChatCompletionChunk]:
    pieces = ChatPieces("public")
    said = b"".join(map(pieces.feed, events)) + pieces.close()
    return [pb.ChatCompletionChunk.FromString(one) for one in frames(said)]


def test_pieces_make_the_whole_answer() -> None:
    """A stream's messages, put together, are the whole answer: words, thoughts, calls, logprobs, extras, usage."""
    whole = pb.ChatCompletionResponse.FromString(telling.chat(fold(EVENTS), "public"))
    chunks = streamed(EVENTS)

    for index, choice in enumerate(whole.choices):
        mine = [one for chunk in chunks for one in chunk.choices if one.index == index]
        assert "".join(one.delta.content for one in mine) == choice.message.content
        assert "".join(one.delta.refusal for one in mine) == choice.message.refusal
        assert "".join(one.delta.reasoning_content for one in mine) == choice.message.reasoning_content
        assert [token for one in mine for token in one.logprobs.content] == list(choice.logprobs.content)
        assert "".join(one.finish_reason for one in mine) == choice.finish_reason
        assert "".join(one.stop_reason for one in mine) == choice.stop_reason
        assert {key: text for one in mine for key, text in one.delta.extra.items()} == dict(choice.message.extra)
        calls = [call for one in mine for call in one.delta.tool_calls]
        assert "".join(call.function.arguments for call in calls) == "".join(
            call.function.arguments for call in choice.message.tool_calls
        )
    assert whole.choices[0].message.tool_calls[0].function.arguments == '{"a":1}'
    assert whole.usage == chunks[-1].usage
    assert dict(whole.usage.extra) == {"cost": "0.1"}
    assert not whole.usage.HasField("prompt_tokens_details")
    assert whole.usage.completion_tokens_details.reasoning_tokens == 0
    assert {(chunk.id, chunk.model, chunk.created, chunk.extra["system_fingerprint"]) for chunk in chunks} == {
        ("c-1", "public", 7, '"fp"')
    }


def test_every_message_of_a_stream_has_a_choice_with_a_delta() -> None:
    """Seed 004, 流式响应示例: chunk.Choices[0].Delta.Content can be read of each message, the last one too."""
    chunks = streamed(EVENTS)

    assert len(chunks) == 11
    assert all(chunk.choices and chunk.choices[0].HasField("delta") for chunk in chunks)
    assert [chunk.choices[0].delta.role for chunk in chunks].count("assistant") == 2


def test_pieces_of_a_completion_make_its_text() -> None:
    """Texts of two choices, put together by their index, are the texts of the whole; offsets count from its start."""
    token = TokenLogprob("b", -1.0)
    events: tuple[Event, ...] = (
        Started("x", "up", 7),
        TextGrew("a"),
        TextGrew("b", logprobs=(token,)),
        TextGrew("c", 1),
        ChoiceFinished("length"),
        ChoiceFinished("stop", 1),
        Measured(Usage(input=1, output=2)),
        Finished(),
    )
    pieces = CompletionPieces("public")
    said = b"".join(map(pieces.feed, events)) + pieces.close()
    chunks = [pb.CompletionChunk.FromString(one) for one in frames(said)]
    whole = pb.CompletionResponse.FromString(telling.completion(fold(events), "public"))
    choices = [choice for chunk in chunks for choice in chunk.choices]

    for index, choice in enumerate(whole.choices):
        assert "".join(one.text for one in choices if one.index == index) == choice.text
        assert "".join(one.finish_reason for one in choices if one.index == index) == choice.finish_reason
    assert [token.text_offset for one in choices for token in one.logprobs.content] == [1]
    assert chunks[-1].usage == whole.usage


# -- faults ----------------------------------------------------------------


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.code)
def test_every_leaf_has_a_status(leaf: type[Fault]) -> None:
    """Each leaf has its code, its words, ErrorInfo with reason and status, and the request's id in the details."""
    fault = leaf("it broke here", target="far/model" if issubclass(leaf, UpstreamFault) else None)
    status = status_of(fault, "req-1")
    found = details(status.trailers)

    assert status.code == CODES[leaf]
    assert "it broke here" in status.message
    assert found["ErrorInfo"].reason == leaf.code.upper()
    assert found["ErrorInfo"].domain == "foz"
    assert found["ErrorInfo"].metadata["http_status"] == str(leaf.default_status)
    assert found["ErrorInfo"].metadata.get("target", "") == (fault.target or "")
    assert found["RequestInfo"].request_id == "req-1"


def test_all_leaves_are_in_the_table() -> None:
    """No leaf of the tree is without a status, and nothing else is in the table."""
    assert set(CODES) == set(LEAVES)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (BadRequest("too large", status=413), 8),
        (BadRequest("late", status=408), 4),
        (Refused("no", status=404), 5),
        (Refused("our key", status=502), 9),
        (Refused("no", status=422), 3),
    ],
)
def test_a_refusals_status_says_it_more_exactly(fault: Fault, code: int) -> None:
    """Where one leaf stands for several HTTP statuses, the code is that of the status."""
    assert code_of(fault) == code


def test_when_to_ask_again_is_said() -> None:
    """What is soon over has RetryInfo and its pushback; all else is told not to retry."""
    soon = status_of(RateLimited("slow", retry_after=1.5), "r")
    known = status_of(NoRoute("off", retry_after=2), "r")
    full = status_of(NoCapacity("full"), "r")
    down = status_of(Down("off", retry_after=3), "r")

    assert details(soon.trailers)["RetryInfo"].retry_delay.ToMilliseconds() == 1500
    assert dict(soon.trailers)["grpc-retry-pushback-ms"] == "1500"
    assert dict(known.trailers)["grpc-retry-pushback-ms"] == "2000"
    assert "grpc-retry-pushback-ms" not in dict(full.trailers)
    assert dict(down.trailers)["grpc-retry-pushback-ms"] == "-1"


@given(st.text(max_size=4000), st.text(max_size=4000))
def test_a_status_is_small_enough_for_any_client(message: str, field: str) -> None:
    """However long the words are, trailers stay far below the 8 kB that clients take, and are whole characters."""
    status = status_of(BadRequest(message, field=field, vendor_code=field), "r")
    found = details(status.trailers)

    assert len(status.message.encode()) <= 1000
    assert sum(len(value) for _, value in status.trailers) < 3000
    assert len(found) == 3
