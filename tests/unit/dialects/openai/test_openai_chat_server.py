"""What callers may ask of a chat: facts, refusals, needs."""

import msgspec
import pytest

from foz.canon.content import Media, Message, Opaque, Reasoning, Text, ToolResult
from foz.canon.fault import BadRequest, Unsupported
from foz.canon.request import ChatRequest, ReasoningWish
from foz.canon.response import fold
from foz.dialects.openai.chat.asking import Manner, manner_of
from foz.dialects.openai.chat.client import ChatClient
from foz.dialects.openai.chat.server import ChatServer

SERVER = ChatServer()
HI = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f"}}
SMELL = {"type": "smell"}
SOUND = {"type": "input_audio", "input_audio": {"data": "a", "format": "wav"}}
LINK = {"url": "https://example.com/a.png"}
IMAGE = {"type": "image_url", "image_url": LINK}
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
PAGES = {"file_data": "HTTPS://example.com/a.pdf"}
TRICK = {"type": "text", "text": "a", "uuid": "u", "image_url": "http://169.254.169.254/"}
"""What vLLM takes for a picture."""


def body(**fields: object) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": HI, **fields})


def sent(request: ChatRequest, manner: Manner | None = None) -> dict[str, object]:
    client = ChatClient(manner) if manner else ChatClient()
    said: dict[str, object] = msgspec.json.decode(client.encode_request(request, "up").body)
    return said


def talk(*messages: Message) -> ChatRequest:
    return ChatRequest("m", messages)


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"model": 7}, "model", "invalid_type"),
        ({"model": ""}, "model", "empty_string"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [*HI, {"role": "boss", "content": "hi"}]}, "messages[1].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user", "content": [SMELL]}]}, "messages[0].content[0].type", "invalid_value"),
        ({"messages": [{"role": "system", "content": [IMAGE]}]}, "messages[0].content[0].type", "invalid_value"),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
            "messages[0].content[0].file",
            "missing_required_parameter",
        ),
        ({"messages": [{"role": "tool", "content": "42"}]}, "messages[0].tool_call_id", "missing_required_parameter"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {}}]}]},
            "messages[0].tool_calls[0].function.name",
            "missing_required_parameter",
        ),
        ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
        ({"temperature": -0.1}, "temperature", "decimal_below_min_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"top_p": 1.1}, "top_p", "decimal_above_max_value"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 129}, "n", "integer_above_max_value"),
        ({"n": True}, "n", "invalid_type"),
        ({"frequency_penalty": 3}, "frequency_penalty", "decimal_above_max_value"),
        ({"presence_penalty": -3}, "presence_penalty", "decimal_below_min_value"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens", "invalid_type"),
        ({"logit_bias": {"5": 101}}, "logit_bias", "decimal_above_max_value"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
        ({"top_logprobs": 2}, "top_logprobs", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"stop": 5}, "stop", "invalid_type"),
        ({"stop": ["a", 5]}, "stop[1]", "invalid_type"),
        ({"seed": "7"}, "seed", "invalid_type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ({"tools": [{"type": "magic"}]}, "tools[0].type", "invalid_value"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": 5}}]}, "tools[0].function.parameters",
         "invalid_type"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tool_choice": "maybe", "tools": [TOOL]}, "tool_choice", "invalid_value"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "g"}}, "tools": [TOOL]},
            "tool_choice",
            "invalid_value",
        ),
        ({"response_format": {"type": "yaml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
        ({"reasoning_effort": "heroic"}, "reasoning_effort", "invalid_value"),
        ({"metadata": {"a": 1}}, "metadata", "invalid_type"),
        ({"user": 5}, "user", "invalid_type"),
    ],
)  # fmt: skip
def test_what_openai_refuses_is_refused_naming_the_field(fields: dict[str, object], field: str, code: str) -> None:
    """A wrong type, role, range or combination is a 400 with OpenAI's param and code; its message names the field."""
    with pytest.raises(BadRequest) as caught:
        SERVER.read(body(**fields))

    assert (caught.value.field, caught.value.vendor_code, caught.value.status) == (field, code, 400)
    assert field.rpartition(".")[2] in caught.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0, "top_p": 1, "n": 128, "max_tokens": 1, "frequency_penalty": -2, "seed": 2**63 - 1},
        {"temperature": None, "tools": None, "tool_choice": None, "stop": None, "stream": None, "stream_options": None},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": []}, *HI]},
        {"messages": [{"content": "hi", "name": "ana", "role": "user"}]},
        {"tool_choice": "auto"},
        {"stop": ["a", "b", "c", "d"]},
        {"anything": [{"at": "all"}], "reasoning": {"effort": "high"}},
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
        {"modalities": ["text"], "store": False, "metadata": {}, "service_tier": "auto", "verbosity": "low"},
    ],
)
def test_what_openai_takes_is_taken(fields: dict[str, object]) -> None:
    """Edges of ranges, nulls, any order of keys and unknown fields are accepted, by both readings."""
    assert SERVER.read(body(**fields)).model == SERVER.decode_request(body(**fields)).model == "m"


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({}, set()),
        ({"tools": [TOOL]}, {"tools"}),
        ({"functions": [{"name": "f"}]}, {"tools"}),
        ({"logprobs": True}, {"logprobs"}),
        ({"reasoning_effort": "low"}, {"reasoning"}),
        ({"reasoning_effort": "none"}, set()),
        ({"response_format": {"type": "json_object"}}, set()),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}, {"json_schema"}),
        ({"modalities": ["text", "audio"]}, {"audio"}),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]}]}, {"images", "links"}),
        ({"messages": [{"role": "tool", "tool_call_id": "t", "content": [PIXEL]}]}, {"images"}),
        ({"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": LINK}]}]}, {"images", "links"}),
        ({"messages": [{"role": "user", "content": [{"type": "audio_url", "audio_url": LINK}]}]}, {"audio", "links"}),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": PAGES}]}]}, {"files", "links"}),
        ({"messages": [{"role": "system", "content": [TRICK]}]}, {"links"}),
        ({"messages": [{"role": "user", "content": [SOUND]}]}, {"audio"}),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, {"files"}),
    ],
)  # fmt: skip
def test_the_needs_are_what_is_asked_for(fields: dict[str, object], needs: set[str]) -> None:
    """`Ask.needs` names exactly the capabilities that the request asks for."""
    assert SERVER.read(body(**fields)).needs == needs


@pytest.mark.parametrize(
    ("options", "shown"),
    [(None, False), ({}, False), ({"include_usage": False}, False), ({"include_usage": True}, True)],
)
def test_usage_of_a_stream_is_shown_only_when_asked(options: dict[str, bool] | None, shown: bool) -> None:
    """`wants_usage` of a stream is `include_usage`; of a whole answer it is true."""
    assert SERVER.read(body(stream=True, stream_options=options)).wants_usage is shown
    assert SERVER.read(body()).wants_usage


def test_what_a_tool_shows_follows_its_results() -> None:
    """Pictures of tool results go into one user's message behind the run of results, for a tool message holds text."""
    shown = Media("image", data="QQ==", mime="image/png")
    said = sent(
        talk(
            Message("tool", (ToolResult("a", (Text("see"), shown)), ToolResult("b", (Text("ok"),)))),
            Message("tool", (ToolResult("c", (shown,)),)),
            Message("user", (Text("well?"),)),
        )
    )["messages"]

    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}
    assert said == [
        {"role": "tool", "tool_call_id": "a", "content": "see"},
        {"role": "tool", "tool_call_id": "b", "content": "ok"},
        {"role": "tool", "tool_call_id": "c", "content": ""},
        {"role": "user", "content": [picture, picture]},
        {"role": "user", "content": "well?"},
    ]


def test_a_picture_of_unknown_type_is_known_by_its_first_bytes() -> None:
    """Base64 without a media type, as Ollama has it, is sent with the type that its beginning shows."""
    said = sent(talk(Message("user", (Media("image", data="/9j/4AAQ"),))))

    assert "data:image/jpeg;base64,/9j/4AAQ" in str(said["messages"])


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (Message("user", (Opaque("anthropic", msgspec.Raw(b"{}")),)), "a part that only anthropic knows"),
        (Message("assistant", (Media("image", url="https://example.com"),)), "media"),
        (Message("system", (Media("image", url="https://example.com"),)), "media"),
        (Message("user", (Media("file"),)), "neither data nor a link"),
    ],
)
def test_what_the_dialect_cannot_say_is_unsupported(message: Message, told: str) -> None:
    """A part that has no place in a message of its role is refused by saying which, never dropped."""
    with pytest.raises(Unsupported, match=told):
        sent(talk(message))


@pytest.mark.parametrize(
    ("wish", "effort"),
    [
        (ReasoningWish(budget=1000), "low"),
        (ReasoningWish(budget=8000), "medium"),
        (ReasoningWish(budget=32000), "high"),
        (ReasoningWish(enabled=False), "none"),
        (ReasoningWish(enabled=True), None),
        (ReasoningWish("high", 10), "high"),
    ],
)
def test_a_budget_of_thoughts_is_told_as_a_level(wish: ReasoningWish, effort: str | None) -> None:
    """Budgets become the nearest level, off becomes `none`, and on is left to the model."""
    assert sent(ChatRequest("m", (Message("user", (Text("hi"),)),), reasoning=wish)).get("reasoning_effort") == effort


def test_a_provider_may_have_its_own_manner() -> None:
    """A row's quirks may say that its limit is called `max_tokens` and that thoughts are not given back."""
    request = ChatRequest("m", (Message("assistant", (Reasoning("hm"), Text("a"))),), max_output=5)
    said = sent(request, manner_of(["max_tokens", "no_reasoning_back", "another dialect's"]))

    assert said["max_tokens"] == 5
    assert said["messages"] == [{"role": "assistant", "content": "a"}]
    assert sent(request)["max_completion_tokens"] == 5
    assert sent(request)["messages"] == [{"role": "assistant", "content": "a", "reasoning_content": "hm"}]


def test_an_answer_to_legacy_functions_is_legacy() -> None:
    """Who asked with `functions` gets one `function_call`, and no tool calls."""
    request = SERVER.decode_request(body(functions=[{"name": "f"}]))
    client = ChatClient()
    stream = (
        b'data: {"id":"a","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c",'
        b'"function":{"name":"f","arguments":"{}"}},{"index":1,"id":"d","function":{"name":"g","arguments":"[]"}}]},'
        b'"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n'
    )
    encoder = SERVER.encoder(request, "m")
    said = b"".join(map(encoder.feed, client.decoder().feed(stream)))

    assert b'"delta":{"function_call":{"name":"f","arguments":""}}' in said
    assert b'"delta":{"function_call":{"arguments":"{}"}}' in said
    assert b'"finish_reason":"function_call"' in said
    assert b"tool_calls" not in said
    assert b'"g"' not in said
    whole = SERVER.encode_response(fold(client.decoder().feed(stream)), request, "m")
    choice = msgspec.json.decode(whole)["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert "tool_calls" not in choice["message"]
