"""
A request for a response in our words, and what of it the answer says again.

What canon has no word for and chat completions know by the same name travels in `vendor["openai"]`, to upstreams of
that dialect. What the answer repeats travels in `vendor["responses"]`, which is said to nobody.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from foz.canon.content import Message, Text
from foz.canon.fault import Unsupported
from foz.canon.model import Capability
from foz.canon.request import ChatRequest, ReasoningWish, ResponseFormat, Sampling
from foz.canon.tool import ToolChoice, ToolSpec
from foz.dialects.openai.fields import decode, extras, invalid, refusal
from foz.dialects.openai.frames import DIALECT
from foz.dialects.openai.responses import schema
from foz.dialects.openai.responses.items import as_items, hear_items, needs_of, read
from foz.wire import json

ECHO = "responses"
"""The bag of what the answer repeats."""
PREFIX = "resp_"
MOST_TOOLS = 1_000
LONGEST_ID = 128
_BODY = msgspec.json.Decoder(schema.Body)
_KNOWN = msgspec.json.Decoder(schema.KnownBody)
_KIND = msgspec.json.Decoder(schema.Kind)
_TOOL = msgspec.json.Decoder(schema.FunctionTool)
_NAMED = msgspec.json.Decoder(schema.FunctionChoice)
_ALLOWED = msgspec.json.Decoder(schema.AllowedChoice)
_NULL = b"null"
_NONE_SAID = (None, None, None)
_NO_THINKING, _NO_FORM, _ANY_TEXT = schema.Thinking(), schema.TextForm(), schema.TextFormat()
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
    asked = json.certain(_KNOWN, body) or decode(_BODY, body, schema.WORDS)
    _agree(asked)
    return asked


def _agree(asked: schema.Body) -> None:
    """What is not supported, and fields that only make sense together."""
    for name, why in _REFUSED.items():
        if getattr(asked, name) is not None:
            raise Unsupported(f"'{name}' is not supported: {why}.", field=name)
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
    if len(asked.previous_response_id or "") > LONGEST_ID:
        raise invalid("previous_response_id", "this is no id of a response.")


def hear(asked: schema.Body, body: bytes, history: Sequence[Raw], instead: Mapping[int, Raw]) -> ChatRequest:
    """
    A checked body in our words, what went before in front of it, and what its references mean in their place.
    Raises BadRequest, Unsupported.
    """
    if isinstance(asked.input, str) and not history:
        said: tuple[Message, ...] = (Message("user", (Text(asked.input),)),)
    else:
        items = [instead.get(place, raw) for place, raw in enumerate(as_items(asked.input))]
        said = hear_items(items, history)
    told = (Message("system", (Text(asked.instructions),)),) if asked.instructions else ()
    tools = _hear_tools(asked)
    return ChatRequest(
        model=asked.model,
        messages=told + said,
        tools=tools,
        tool_choice=_hear_choice(asked.tool_choice, tools),
        parallel_tools=asked.parallel_tool_calls if tools else None,
        response_format=_hear_format(asked.text),
        reasoning=_hear_thinking(asked.reasoning),
        sampling=Sampling(temperature=asked.temperature, top_p=asked.top_p),
        max_output=asked.max_output_tokens,
        logprobs=_wants_logprobs(asked),
        top_logprobs=(asked.top_logprobs or None) if _wants_logprobs(asked) else None,
        stream=bool(asked.stream),
        user=asked.user,
        vendor=_vendor(asked, body),
    )


def needs(request: ChatRequest) -> frozenset[str]:
    """What a target must be able to do."""
    wanted = needs_of(request.messages)
    if request.tools:
        wanted.add(Capability.TOOLS)
    if request.logprobs:
        wanted.add(Capability.LOGPROBS)
    if request.reasoning is not None and request.reasoning.effort not in {None, "none"}:
        wanted.add(Capability.REASONING)
    if request.response_format is not None and request.response_format.kind == "schema":
        wanted.add(Capability.JSON_SCHEMA)
    return frozenset(wanted)


def _wants_logprobs(asked: schema.Body) -> bool:
    return _LOGPROBS in (asked.include or ()) or bool(asked.top_logprobs)


def _vendor(asked: schema.Body, body: bytes) -> dict[str, dict[str, Raw]]:
    known: dict[str, Raw] = {}
    said_here = (asked.prompt_cache_key, asked.safety_identifier, asked.service_tier)
    if not isinstance(asked, schema.KnownBody) or said_here != _NONE_SAID:
        known = {name: raw for name, raw in extras(body, _HEARD).items() if bytes(raw) != _NULL}
    if asked.text is not None and asked.text.verbosity is not None:
        known["verbosity"] = Raw(json.encode(asked.text.verbosity))
    said = {
        "echo": Raw(json.encode(_echo(asked))),
        "summarizes": _TRUE if _summarizes(asked) else _FALSE,
        "seals": _TRUE if _SEALED in (asked.include or ()) else _FALSE,
    }
    return {ECHO: said, DIALECT: known} if known else {ECHO: said}


def _hear_tools(asked: schema.Body) -> tuple[ToolSpec, ...]:
    tools = asked.tools or []
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
    if said is None:
        return None
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


def _hear_format(text: schema.TextForm | None) -> ResponseFormat | None:
    match None if text is None else text.format:
        case schema.JsonFormat():
            return ResponseFormat("json")
        case schema.SchemaFormat() as form:
            return ResponseFormat("schema", form.name, form.description, Raw(json.encode(form.schema)), form.strict)
        case _:
            return None


def _hear_thinking(thinking: schema.Thinking | None) -> ReasoningWish | None:
    if thinking is None or thinking.effort is None:
        return None
    return ReasoningWish(thinking.effort, enabled=False if thinking.effort == "none" else None)


# What the answer repeats.


def _summarizes(asked: schema.Body) -> bool:
    """Whether thoughts are told as their summary."""
    return asked.reasoning is not None and (asked.reasoning.summary or asked.reasoning.generate_summary) is not None


def keeps(asked: schema.Body) -> bool:
    """Whether the answer is kept: unless its caller does not want it."""
    return asked.store is not False


def _echo(asked: schema.Body) -> dict[str, object]:
    """In the order in which OpenAI writes it."""
    thinking, text = asked.reasoning or _NO_THINKING, asked.text or _NO_FORM
    return {
        "background": bool(asked.background),
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "max_tool_calls": asked.max_tool_calls,
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": asked.previous_response_id,
        "prompt_cache_key": asked.prompt_cache_key,
        "reasoning": {"effort": thinking.effort, "summary": thinking.summary or thinking.generate_summary},
        "safety_identifier": asked.safety_identifier,
        "service_tier": asked.service_tier or "auto",
        "store": keeps(asked),
        "temperature": asked.temperature,
        "text": {"format": text.format or _ANY_TEXT, **_verbosity(text)},
        "tool_choice": asked.tool_choice or "auto",
        "tools": asked.tools or [],
        "top_logprobs": asked.top_logprobs or 0,
        "top_p": asked.top_p,
        "truncation": asked.truncation or "disabled",
        "user": asked.user,
        "metadata": asked.metadata or {},
    }


def _verbosity(text: schema.TextForm) -> dict[str, object]:
    return {} if text.verbosity is None else {"verbosity": text.verbosity}
