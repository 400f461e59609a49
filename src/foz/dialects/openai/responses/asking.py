"""
A request for a response in our words, and what of it the answer says again.

What canon has no word for and chat completions know by the same name travels in `vendor["openai"]`, to upstreams of
that dialect. What the answer repeats travels in `vendor["responses"]`, which is said to nobody.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw, Struct

from foz.canon.content import Media, Message, Text
from foz.canon.fault import Unsupported
from foz.canon.model import Capability
from foz.canon.request import ChatRequest, ReasoningWish, ResponseFormat, Sampling
from foz.canon.tool import ToolChoice, ToolSpec
from foz.dialects.openai.fields import decode, extras, invalid, refusal
from foz.dialects.openai.frames import DIALECT
from foz.dialects.openai.responses import schema
from foz.dialects.openai.responses.items import hear_items, needs_of, read, whole_items
from foz.wire import json

ECHO = "responses"
"""The bag of what the answer repeats."""
PREFIX = "resp_"
MOST_TOOLS = 1_000
LONGEST_ID = 128
_BODY = msgspec.json.Decoder(schema.Body)
_KNOWN: msgspec.json.Decoder[schema.Body] = msgspec.json.Decoder(schema.KnownBody)
_KIND = msgspec.json.Decoder(schema.Kind)
_TOOL = msgspec.json.Decoder(schema.FunctionTool)
_NAMED = msgspec.json.Decoder(schema.FunctionChoice)
_ALLOWED = msgspec.json.Decoder(schema.AllowedChoice)
_NULL = b"null"
_NONE_SAID = (None, None, None)
_TRUE, _FALSE = Raw(b"true"), Raw(b"false")
_FORWARDED = frozenset({"prompt_cache_key", "safety_identifier", "service_tier"})
"""Fields that chat completions know by the same name."""
_LEFT = frozenset({"client_metadata", "modalities", "moderation", "prompt_cache_options", "prompt_cache_retention"})
"""Fields of OpenAI's own service, which nobody else can act on."""
_HEARD = (frozenset(schema.Body.__struct_fields__) - _FORWARDED) | _LEFT
_REFUSED = {
    "conversation": "conversations are not kept here; go on from a response with 'previous_response_id'",
    "prompt": "prompt templates are not kept here; send 'instructions' and 'input'",
    "context_management": "nothing is compacted here; send less of the conversation",
}
_LOGPROBS = "message.output_text.logprobs"
_SEALED = "reasoning.encrypted_content"


def heard(body: bytes) -> schema.Body:
    """A body, checked. Raises BadRequest, Unsupported."""
    asked = decode(_BODY, body, schema.WORDS, _KNOWN)
    _agree(asked)
    return asked


def _agree(asked: schema.Body) -> None:
    """What is not supported, and fields that only make sense together."""
    if (asked.conversation, asked.prompt, asked.context_management) != _NONE_SAID:
        name = next(name for name in _REFUSED if getattr(asked, name) is not None)
        raise Unsupported(f"'{name}' is not supported: {_REFUSED[name]}.", field=name)
    if asked.input is None and asked.previous_response_id is None:
        raise refusal("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    if asked.input == [] and asked.previous_response_id is None:
        raise refusal(
            "Invalid 'input': empty array. Expected an array with minimum length 1, but got an empty one instead.",
            "input",
            "empty_array",
        )
    if asked.background and asked.store is False:
        raise invalid("background", "a response in the background is kept, so it needs 'store'.")
    if asked.stream_options is not None and not asked.stream:
        raise invalid("stream_options", "it is only allowed when 'stream' is enabled.")
    if asked.previous_response_id is not None and len(asked.previous_response_id) > LONGEST_ID:
        raise invalid("previous_response_id", "this is no id of a response.")


def hear(
    asked: schema.Body, body: bytes, history: Sequence[Raw], instead: Sequence[tuple[int, Raw]] = ()
) -> ChatRequest:
    """
    A checked body in our words, what went before in front of it, and what its references mean in their place.
    Raises BadRequest, Unsupported.
    """
    if isinstance(asked.input, str) and not history:
        said: tuple[Message, ...] = (Message("user", (Text(asked.input),)),)
    else:
        said = hear_items(whole_items(asked.input, instead), history)
    told = (Message("system", (Text(asked.instructions),)),) if asked.instructions else ()
    tools = _hear_tools(asked.tools) if asked.tools else ()
    logprobs = (asked.include is not None and _LOGPROBS in asked.include) or bool(asked.top_logprobs)
    return ChatRequest(
        model=asked.model,
        messages=told + said,
        tools=tools,
        tool_choice=None if asked.tool_choice is None else _hear_choice(asked.tool_choice, tools),
        parallel_tools=asked.parallel_tool_calls if tools else None,
        response_format=None if asked.text is None else _hear_format(asked.text),
        reasoning=None if asked.reasoning is None else _hear_thinking(asked.reasoning),
        sampling=Sampling(asked.temperature, asked.top_p),
        max_output=asked.max_output_tokens,
        logprobs=logprobs,
        top_logprobs=(asked.top_logprobs or None) if logprobs else None,
        stream=asked.stream is True,
        user=asked.user,
        vendor=_vendor(asked, body),
    )


def needs(request: ChatRequest, shown: Sequence[Media]) -> frozenset[str]:
    """What a target must be able to do; `shown` is what the messages show."""
    wanted = needs_of(shown) if shown else set()
    if request.tools:
        wanted.add(Capability.TOOLS)
    if request.logprobs:
        wanted.add(Capability.LOGPROBS)
    if request.reasoning is not None and request.reasoning.effort not in {None, "none"}:
        wanted.add(Capability.REASONING)
    if request.response_format is not None and request.response_format.kind == "schema":
        wanted.add(Capability.JSON_SCHEMA)
    return frozenset(wanted)


def _vendor(asked: schema.Body, body: bytes) -> dict[str, dict[str, Raw]]:
    known: dict[str, Raw] = {}
    said_here = (asked.prompt_cache_key, asked.safety_identifier, asked.service_tier)
    if not isinstance(asked, schema.KnownBody) or said_here != _NONE_SAID:
        known = {name: raw for name, raw in extras(body, _HEARD).items() if bytes(raw) != _NULL}
    if asked.text is not None and asked.text.verbosity is not None:
        known["verbosity"] = Raw(json.encode(asked.text.verbosity))
    said = {
        "echo": Raw(json.encode(_echo(asked))),
        "summarizes": _TRUE if asked.reasoning is not None and _summary(asked.reasoning) is not None else _FALSE,
        "seals": _TRUE if asked.include is not None and _SEALED in asked.include else _FALSE,
    }
    return {ECHO: said, DIALECT: known} if known else {ECHO: said}


def _hear_tools(tools: list[Raw]) -> tuple[ToolSpec, ...]:
    if len(tools) > MOST_TOOLS:
        raise refusal(f"Invalid 'tools': at most {MOST_TOOLS} are taken.", "tools", "array_above_max_length")
    return tuple(_hear_tool(raw, f"tools[{place}]") for place, raw in enumerate(tools))


def _hear_tool(raw: Raw, place: str) -> ToolSpec:
    kind = read(_KIND, raw, place).type
    if kind is None:
        raise refusal(f"Missing required parameter: '{place}.type'.", f"{place}.type", "missing_required_parameter")
    if kind != "function":
        raise Unsupported(
            f"Tools of type '{kind[:64]}' run on OpenAI's own service only; this gateway takes tools of type "
            "'function', which the caller runs.",
            field=f"{place}.type",
        )
    tool = read(_TOOL, raw, place)
    parameters = None if tool.parameters is None else Raw(json.encode(tool.parameters))
    return ToolSpec(tool.name, tool.description, parameters, tool.strict)


def _hear_choice(said: object, tools: tuple[ToolSpec, ...]) -> ToolChoice | None:
    choice = _word_of(said) if isinstance(said, str) else _choice_of(Raw(json.encode(said)))
    if not tools and choice.mode in {"auto", "none"} and not choice.allowed:
        return None  # programs say it in any case; chats refuse it without tools
    offered = {tool.name for tool in tools}
    if choice.mode in {"required", "named"} and not offered:
        raise invalid("tool_choice", "'tool_choice' is only allowed when 'tools' are specified.")
    for name in (*choice.allowed, *((choice.name,) if choice.name is not None else ())):
        if name not in offered:
            raise invalid("tool_choice", f"Tool choice '{name[:64]}' not found in 'tools' parameter.")
    return choice


def _word_of(word: str) -> ToolChoice:
    match word:
        case "auto" | "none" | "required":
            return ToolChoice(word)
        case _:
            raise invalid("tool_choice", f"'{word[:64]}'. Supported values are: 'none', 'auto', 'required'.")


def _choice_of(raw: Raw) -> ToolChoice:
    kind = read(_KIND, raw, "tool_choice").type or ""
    if kind == "function":
        return ToolChoice("named", read(_NAMED, raw, "tool_choice").name)
    if kind == "allowed_tools":
        allowed = read(_ALLOWED, raw, "tool_choice")
        return ToolChoice(allowed.mode, None, tuple(tool.name for tool in allowed.tools))
    raise Unsupported(
        f"A tool choice of type '{kind[:64]}' is not supported; this gateway takes 'function' and 'allowed_tools'.",
        field="tool_choice.type",
    )


def _hear_format(text: schema.TextForm) -> ResponseFormat | None:
    match text.format:
        case schema.JsonFormat():
            return ResponseFormat("json")
        case schema.SchemaFormat() as form:
            return ResponseFormat("schema", form.name, form.description, Raw(json.encode(form.schema)), form.strict)
        case _:
            return None


def _hear_thinking(thinking: schema.Thinking) -> ReasoningWish | None:
    if thinking.effort is None:
        return None
    return ReasoningWish(thinking.effort, enabled=False if thinking.effort == "none" else None)


# What the answer repeats.


class _Thinking(Struct):
    effort: str | None = None
    summary: str | None = None


class _Form(Struct, omit_defaults=True):
    format: schema.TextFormat | schema.JsonFormat | schema.SchemaFormat
    verbosity: str | None = None


class _Echo(Struct):
    """In the order in which OpenAI writes it."""

    background: bool
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: _Thinking
    safety_identifier: str | None
    service_tier: str
    store: bool
    temperature: float | None
    text: _Form
    tool_choice: object
    tools: Sequence[Raw]
    top_logprobs: int
    top_p: float | None
    truncation: str
    user: str | None
    metadata: Mapping[str, str]


_NO_THINKING, _ANY_TEXT = _Thinking(), schema.TextFormat()
_NO_FORM = _Form(_ANY_TEXT)
_NO_METADATA: Mapping[str, str] = {}


def _summary(thinking: schema.Thinking) -> str | None:
    """As what thoughts are told, where they are told as their summary."""
    return thinking.summary or thinking.generate_summary


def keeps(asked: schema.Body) -> bool:
    """Whether the answer is kept: unless its caller does not want it."""
    return asked.store is not False


def _echo(asked: schema.Body) -> _Echo:
    thinking, text = asked.reasoning, asked.text
    return _Echo(
        asked.background is True,
        asked.instructions,
        asked.max_output_tokens,
        asked.max_tool_calls,
        asked.parallel_tool_calls is not False,
        asked.previous_response_id,
        asked.prompt_cache_key,
        _NO_THINKING if thinking is None else _Thinking(thinking.effort, _summary(thinking)),
        asked.safety_identifier,
        asked.service_tier or "auto",
        asked.store is not False,
        asked.temperature,
        _NO_FORM if text is None else _Form(text.format or _ANY_TEXT, text.verbosity),
        asked.tool_choice or "auto",
        asked.tools or (),
        asked.top_logprobs or 0,
        asked.top_p,
        asked.truncation or "disabled",
        asked.user,
        asked.metadata or _NO_METADATA,
    )
