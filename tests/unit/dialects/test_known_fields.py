"""What has only known fields is read in a shorter way, and the same comes of it: a field more changes nothing else."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, structs

from bench import dialects
from bench.dialects import CALLERS, RESPONSES, UPSTREAMS, Dialect
from foz.canon.content import ToolCall, ToolResult
from foz.canon.event import ChoiceFinished, Event, Finished, Measured, Started, TextGrew, TokenLogprob
from foz.canon.request import ChatRequest, Operation
from foz.canon.response import Choice, Response, fold
from foz.canon.usage import Usage
from foz.dialects.anthropic import speech as anthropic
from foz.dialects.ollama import speech as ollama
from foz.dialects.openai import speech as openai
from foz.dialects.openai.responses.server import ResponsesServer
from foz.ports.codec import ServerCodec
from foz.testing.matrix.cases import CASES, Case
from foz.testing.matrix.faces import FACES, Face
from foz.wire.http import Reply

SPEECHES = {"openai": openai.SPEECH, "anthropic": anthropic.SPEECH, "ollama": ollama.SPEECH}
NEW = "x_nobody_knows"
ADDED = {NEW: Raw(b"[1]")}
CALLS = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}]
LIKELY = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}], "refusal": None}
OPENAIS: list[dict[str, Any]] = [
    {"role": "assistant", "content": "words", "refusal": None},
    {"role": "assistant", "content": None, "tool_calls": CALLS},
    {"role": "assistant", "content": "words", "reasoning_content": "thoughts"},
    {"role": "assistant", "content": None, "refusal": "no"},
]
OLLAMAS: list[dict[str, Any]] = [
    {"role": "assistant", "content": "words"},
    {"role": "assistant", "content": "words", "thinking": "thoughts"},
    {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]},
]


def _openai(message: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "logprobs": LIKELY, "finish_reason": "stop"}
    counted: dict[str, Any] = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    counted |= {"prompt_tokens_details": {"cached_tokens": 1}}
    head = {"id": "c", "object": "chat.completion", "created": 5, "model": "m"}
    return {**head, "choices": [choice], "usage": counted, "system_fingerprint": "fp", "service_tier": None}


def _ollama(message: dict[str, Any]) -> dict[str, Any]:
    counted = {"prompt_eval_count": 3, "eval_count": 2, "total_duration": 7}
    return {"model": "m", "created_at": "2025-10-09T08:53:20Z", "message": message, "done": True, **counted}


def _anthropic(block: dict[str, Any]) -> dict[str, Any]:
    said = {"id": "msg", "type": "message", "role": "assistant", "model": "m", "content": [block]}
    return {**said, "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 2}}


WHOLE = [
    *(("openai", _openai(message), (("choices", 0, "message"), ("usage",), ())) for message in OPENAIS),
    *(("ollama", _ollama(message), (("message",), ())) for message in OLLAMAS),
    ("anthropic", _anthropic({"type": "text", "text": "words"}), (("usage",), ())),
    ("anthropic", _anthropic({"type": "thinking", "thinking": "hm", "signature": "s"}), (("usage",), ())),
]


def _with_new(said: dict[str, Any], path: tuple[str | int, ...]) -> bytes:
    """A body with a field more at this place."""
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(said))
    place: Any = copy
    for step in path:
        place = place[step]
    place[NEW] = [1]
    return msgspec.json.encode(copy)


def _heard(dialect: str, body: bytes) -> Response:
    client = SPEECHES[dialect][Operation.CHAT].client
    assert client is not None
    answer = client.decode_response(Reply(200, (), body))
    assert isinstance(answer, Response)
    return answer


def _plain(answer: Response) -> Response:
    """Without what only a vendor has words for."""
    choices = tuple(structs.replace(choice, vendor={}) for choice in answer.choices)
    return structs.replace(answer, choices=choices, vendor={}, usage_vendor={})


@pytest.mark.parametrize(("dialect", "said", "paths"), WHOLE)
def test_a_new_field_of_an_answer_changes_nothing_else(
    dialect: str, said: dict[str, Any], paths: tuple[tuple[str | int, ...], ...]
) -> None:
    """An answer with a field that nobody knows, anywhere, is otherwise heard as the one without it."""
    known = _heard(dialect, msgspec.json.encode(said))
    for path in paths:
        assert _plain(_heard(dialect, _with_new(said, path))) == _plain(known)


@pytest.mark.parametrize(
    ("dialect", "said", "path"),
    [
        ("openai", _openai(OPENAIS[0]), ("choices", 0, "message")),
        ("openai", _openai(OPENAIS[0]), ()),
        ("openai", _openai(OPENAIS[0]), ("usage",)),
        ("ollama", _ollama(OLLAMAS[0]), ("message",)),
        ("ollama", _ollama(OLLAMAS[0]), ()),
        ("anthropic", WHOLE[-2][1], ("usage",)),
    ],
)
def test_a_new_field_of_an_answer_is_not_lost(dialect: str, said: dict[str, Any], path: tuple[str | int, ...]) -> None:
    """What nobody knows travels on, verbatim, and stands beside what was there without it."""
    known, told = _heard(dialect, msgspec.json.encode(said)), _heard(dialect, _with_new(said, path))
    before = [known.vendor, known.usage_vendor, known.choices[0].vendor]
    after = [told.vendor, told.usage_vendor, told.choices[0].vendor]
    pairs = [(new.get(dialect, {}), old.get(dialect, {})) for new, old in zip(after, before, strict=True)]

    assert [new for new, old in pairs if new != old] == [{**old, **ADDED} for new, old in pairs if new != old]
    assert sum(new != old for new, old in pairs) == 1


def test_openais_custom_calls_are_kept_whole() -> None:
    """A call of a custom tool, which canon has no word for, is no call of ours and travels verbatim."""
    custom = [{"id": "call_1", "type": "custom", "custom": {"name": "f", "input": "x"}}]
    answer = _heard(
        "openai", msgspec.json.encode(_openai({"role": "assistant", "content": None, "tool_calls": custom}))
    )

    assert answer.choices[0].calls == ()
    assert msgspec.json.decode(answer.choices[0].vendor["openai"]["tool_calls"]) == custom


def _asked(dialect: Dialect, body: bytes) -> ChatRequest:
    server: ServerCodec | None = ResponsesServer()
    if dialect is not RESPONSES:
        server = SPEECHES[dialect.name][Operation.CHAT].server
    assert server is not None
    request = server.decode_request(body)
    assert isinstance(request, ChatRequest)
    messages = tuple(structs.replace(message, vendor={}) for message in request.messages)
    return structs.replace(request, messages=messages, vendor={})


@pytest.mark.parametrize("dialect", CALLERS, ids=lambda one: one.name)
def test_a_new_field_of_a_request_changes_nothing_else(dialect: Dialect) -> None:
    """A request with a field that nobody knows, in its body or in a message, is otherwise heard as without it."""
    body = dialects.request(dialect, "m", stream=False)
    said = msgspec.json.decode(body)

    assert _asked(dialect, _with_new(said, ())) == _asked(dialect, body)
    if "messages" in said:
        assert _asked(dialect, _with_new(said, ("messages", 0))) == _asked(dialect, body)


BY_NAME = {dialect.name: dialect for dialect in CALLERS}
FACED = {"openai": "openai", "openai.responses": RESPONSES.name, "anthropic": "anthropic", "ollama": "ollama"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("face", [face for face in FACES if face.name in FACED], ids=lambda face: face.name)
def test_a_new_field_changes_nothing_else_of_any_case(face: Face, case: Case) -> None:
    """Each request of the matrix, in each dialect, is heard with a field that nobody knows as it is without it."""
    said = face.say(case.request, "m")[1]
    dialect = BY_NAME[FACED[face.name]]

    assert _asked(dialect, _with_new(said, ())) == _asked(dialect, msgspec.json.encode(said))


def test_calls_of_functions_are_told_apart() -> None:
    """Calls from before there were tools get an id each, their results the same; with new fields and without."""
    calls = [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}]
    turns = [*calls, {"role": "function", "name": "f", "content": "1"}]
    said = {"model": "m", "messages": [{"role": "user", "content": "hello"}, *turns, *turns]}
    heard = _asked(dialects.OPENAI, msgspec.json.encode(said))

    assert heard == _asked(dialects.OPENAI, _with_new(said, ("messages", 0)))
    parts = [message.parts[0] for message in heard.messages[1:]]
    calls_made = [part.id for part in parts if isinstance(part, ToolCall)]
    results = [part.call_id for part in parts if isinstance(part, ToolResult)]
    assert calls_made == results == ["call_1", "call_3"]


@pytest.mark.parametrize("stands", [(), ("messages", 0)])
def test_a_new_field_of_a_chat_is_not_lost(stands: tuple[str | int, ...]) -> None:
    """What a caller of OpenAI's says that nobody knows travels on, of the body and of a message."""
    server = SPEECHES["openai"][Operation.CHAT].server
    assert server is not None
    said = msgspec.json.decode(dialects.request(dialects.OPENAI, "m", stream=False))
    request = server.decode_request(_with_new(said, stands))
    assert isinstance(request, ChatRequest)

    assert (request if not stands else request.messages[0]).vendor == {"openai": ADDED}


def test_openais_own_fields_are_kept() -> None:
    """Fields that stand in the schema and that canon has no word for travel on, though all fields are known."""
    server = SPEECHES["openai"][Operation.CHAT].server
    assert server is not None
    said = msgspec.json.decode(dialects.request(dialects.OPENAI, "m", stream=False))
    request = server.decode_request(msgspec.json.encode({**said, "service_tier": "flex", "store": None}))

    assert request.vendor == {"openai": {"service_tier": Raw(b'"flex"')}}


@settings(max_examples=60)
@given(
    st.text(min_size=1),
    st.integers(0, 3),
    st.sampled_from([None, Usage(input=1, output=2)]),
    st.sampled_from(["stop", "length", "content_filter"]),
    st.booleans(),
)
def test_a_text_that_came_at_once_folds_as_one_that_grew(
    text: str, at: int, usage: Usage | None, reason: Any, likely: bool
) -> None:
    """The commonest answers, one text at once, fold to what the same text in two pieces folds to."""
    tokens = (TokenLogprob(text, -1.0),) if likely else ()
    measured: list[Event] = [] if usage is None else [Measured(usage, {"openai": ADDED})]
    first, last = Started("id", "m", 5), [ChoiceFinished(reason, 0, "why"), *measured, Finished()]
    grown = [first, TextGrew(text[:at], 0, tokens), TextGrew(text[at:]), *last]
    whole = fold([first, TextGrew(text, 0, tokens), *last])

    assert whole == fold(grown)
    assert whole.choices == (Choice(text, reason=reason, detail="why", logprobs=tokens),)


@pytest.mark.parametrize("dialect", UPSTREAMS, ids=lambda one: one.name)
def test_the_benchs_answers_are_all_known(dialect: Dialect) -> None:
    """What the bench's upstreams say leaves nothing in a vendor's bag of a choice."""
    assert _heard(dialect.name, dialects.answer(dialect, "mock")).choices[0].vendor == {}
