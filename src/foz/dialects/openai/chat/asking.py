"""
The request as a whole, both ways.

What canon has no word for travels in `vendor["openai"]`, verbatim, and is said again to upstreams of this dialect.
Legacy `functions` are told as tools; they stay in the vendor bag as a mark, so that the answer is legacy too.
Custom tools, which no other dialect knows, stay in the bag as `tools`.
"""

from collections.abc import Collection

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import astuple

from foz.canon.request import ChatRequest, ReasoningWish, ResponseFormat, Sampling
from foz.canon.tool import ToolChoice, ToolSpec
from foz.dialects.openai.chat import schema
from foz.dialects.openai.chat.messages import Wire, hear_messages, say_messages
from foz.dialects.openai.chat.thinking import Thinking, with_fields, with_words
from foz.dialects.openai.fields import extras
from foz.dialects.openai.frames import DIALECT
from foz.wire import json

_HEARD = frozenset(
    {"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p"}
    | {"top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "logit_bias", "seed", "n"}
    | {"stop", "logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "response_format"}
    | {"reasoning_effort", "user", "function_call"}
)
"""What canon has words for."""
MARKS = frozenset({"functions"})
"""What is in the bag but was told in our words too."""
_DRAWN = Sampling.__struct_fields__
_BUDGETS = ((2048, "low"), (8192, "medium"))


class Manner(Struct, frozen=True):
    """How one provider's OpenAI differs from OpenAI's."""

    limit: str = "max_completion_tokens"
    """What it calls the most tokens to answer with: OpenAI's newer models refuse `max_tokens`, older servers ignore
    `max_completion_tokens`."""
    with_reasoning: bool = True
    """Whether an assistant's message may hold `reasoning_content`."""
    root: str = ""
    """Where its paths begin, where that is not where the provider's URL ends."""
    thinking: Thinking | None = None
    """How the family of this model is told to think; else by `reasoning_effort`."""


MANNER = Manner()
QUIRKS = ("max_tokens", "no_reasoning_back")
"""What a provider's row may say of its manner."""


def manner_of(quirks: Collection[str]) -> Manner:
    """The manner that a provider's row names; what is no quirk of this dialect is left to others."""
    return Manner(
        limit="max_tokens" if "max_tokens" in quirks else MANNER.limit,
        with_reasoning="no_reasoning_back" not in quirks,
    )


# In.


def hear(asked: schema.Body, body: bytes) -> ChatRequest:
    """A checked body in our words."""
    known = isinstance(asked, schema.KnownBody)
    vendor: dict[str, Raw] = {}
    if not isinstance(asked, schema.KnownBody) or asked.own:
        vendor = {name: raw for name, raw in extras(body, _HEARD).items() if bytes(raw) != b"null"}
        if isinstance(asked.tool_choice, schema.CustomChoice):
            vendor["tool_choice"] = Raw(json.encode(asked.tool_choice))
    if asked.tools:
        custom = [tool for tool in asked.tools if isinstance(tool, schema.CustomTool)]
        if custom:
            vendor["tools"] = Raw(json.encode(custom))
    options, choice, legacy = asked.stream_options, asked.tool_choice, asked.function_call
    return ChatRequest(
        model=asked.model,
        messages=hear_messages(asked.messages, None if known else body),
        tools=_hear_tools(asked) if asked.tools or asked.functions else (),
        tool_choice=None if choice is None and legacy is None else _hear_choice(choice) or _hear_legacy_choice(legacy),
        parallel_tools=asked.parallel_tool_calls,
        response_format=None if asked.response_format is None else _hear_format(asked.response_format),
        reasoning=None if asked.reasoning_effort is None else _hear_effort(asked.reasoning_effort),
        sampling=_hear_sampling(asked),
        max_output=asked.max_completion_tokens or asked.max_tokens,
        choices=asked.n or 1,
        stop=() if asked.stop is None else _hear_stop(asked.stop),
        logprobs=bool(asked.logprobs),
        top_logprobs=asked.top_logprobs,
        stream=bool(asked.stream),
        wants_usage=not asked.stream or bool(options and options.include_usage),
        user=asked.user,
        vendor={DIALECT: vendor} if vendor else {},
    )


def _hear_sampling(asked: schema.Body) -> Sampling:
    return Sampling(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        min_p=asked.min_p,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
        repetition_penalty=asked.repetition_penalty,
        logit_bias=asked.logit_bias,
        seed=asked.seed,
    )


def _hear_stop(stop: str | list[str]) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _hear_tools(asked: schema.Body) -> tuple[ToolSpec, ...]:
    functions = [tool.function for tool in asked.tools or () if isinstance(tool, schema.FunctionTool)]
    return tuple(
        ToolSpec(it.name, it.description, _raw(it.parameters), it.strict)
        for it in [*functions, *(asked.functions or ())]
    )


def _raw(bag: schema.Bag | None) -> Raw | None:
    return None if bag is None else Raw(json.encode(bag))


def _hear_choice(
    choice: str | schema.FunctionChoice | schema.CustomChoice | schema.AllowedChoice | None,
) -> ToolChoice | None:
    match choice:
        case "auto" | "none" | "required":
            return ToolChoice(choice)
        case schema.FunctionChoice(function=named):
            return ToolChoice("named", named.name)
        case schema.AllowedChoice(allowed_tools=allowed):
            names = [
                tool.function.name if isinstance(tool, schema.FunctionChoice) else tool.custom.name
                for tool in allowed.tools
            ]
            return ToolChoice(allowed.mode, None, tuple(names))
        case _:
            return None


def _hear_legacy_choice(choice: str | schema.Named | None) -> ToolChoice | None:
    match choice:
        case "auto" | "none":
            return ToolChoice(choice)
        case schema.Named(name=name):
            return ToolChoice("named", name)
        case _:
            return None


def _hear_format(form: schema.TextFormat | schema.JsonFormat | schema.SchemaFormat | None) -> ResponseFormat | None:
    match form:
        case schema.TextFormat():
            return ResponseFormat("text")
        case schema.JsonFormat(schema=None):
            return ResponseFormat("json")
        case schema.JsonFormat(schema=wanted):
            return ResponseFormat("schema", schema=_raw(wanted))
        case schema.SchemaFormat(json_schema=it):
            return ResponseFormat("schema", it.name, it.description, _raw(it.schema), it.strict)
        case _:
            return None


def _hear_effort(effort: str) -> ReasoningWish:
    return ReasoningWish(effort, enabled=False if effort == "none" else None)


# Out.


def say(request: ChatRequest, model: str, manner: Manner = MANNER) -> Wire:
    """The body for an upstream. Raises Unsupported."""
    thinking = manner.thinking
    messages = request.messages if thinking is None else with_words(request, thinking)
    said: Wire = {
        "model": model,
        "messages": say_messages(messages, with_reasoning=manner.with_reasoning),
        **_say_sampling(request.sampling),
    }
    own = request.vendor.get(DIALECT)
    if request.tools or own or request.tool_choice is not None or request.parallel_tools is not None:
        said |= _say_tools(request)
    _say_limits(said, request, manner)
    if request.response_format is not None:
        said["response_format"] = _say_format(request.response_format)
    effort = None if request.reasoning is None else _say_effort(request.reasoning)
    if effort is not None:
        said["reasoning_effort"] = effort
    if request.user is not None:
        said["user"] = request.user
    if request.stream:
        said["stream"] = True
        said["stream_options"] = {"include_usage": True}
    if own:
        for name, raw in own.items():
            if name not in MARKS:
                said.setdefault(name, raw)
    return said if thinking is None else with_fields(said, request.reasoning, thinking)


def _say_sampling(sampling: Sampling) -> Wire:
    return {name: value for name, value in zip(_DRAWN, astuple(sampling), strict=True) if value is not None}


def _say_limits(said: Wire, request: ChatRequest, manner: Manner) -> None:
    if request.max_output is not None:
        said[manner.limit] = request.max_output
    if request.choices != 1:
        said["n"] = request.choices
    if request.stop:
        said["stop"] = request.stop
    if request.logprobs:
        said["logprobs"] = True
        if request.top_logprobs is not None:
            said["top_logprobs"] = request.top_logprobs


def _say_tools(request: ChatRequest) -> Wire:
    tools: list[object] = [{"type": "function", "function": _say_tool(tool)} for tool in request.tools]
    custom = request.vendor.get(DIALECT, {}).get("tools")
    if custom is not None:
        tools.extend(_RAWS.decode(custom))
    said: Wire = {"tools": tools} if tools else {}
    if request.tool_choice is not None:
        said["tool_choice"] = _say_choice(request.tool_choice)
    if request.parallel_tools is not None:
        said["parallel_tool_calls"] = request.parallel_tools
    return said


def _say_tool(tool: ToolSpec) -> Wire:
    said: Wire = {"name": tool.name}
    if tool.description is not None:
        said["description"] = tool.description
    if tool.schema is not None:
        said["parameters"] = tool.schema
    if tool.strict is not None:
        said["strict"] = tool.strict
    return said


def _say_choice(choice: ToolChoice) -> object:
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    if choice.allowed and choice.mode != "none":
        tools = [{"type": "function", "function": {"name": name}} for name in choice.allowed]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}
    return choice.mode


def _say_format(form: ResponseFormat) -> Wire:
    if form.kind != "schema":
        return {"type": "text" if form.kind == "text" else "json_object"}
    said: Wire = {"name": form.name or "response"}
    if form.description is not None:
        said["description"] = form.description
    if form.schema is not None:
        said["schema"] = form.schema
    if form.strict is not None:
        said["strict"] = form.strict
    return {"type": "json_schema", "json_schema": said}


def _say_effort(wish: ReasoningWish) -> str | None:
    """A budget is told as the nearest level."""
    if wish.effort is not None:
        return wish.effort
    if wish.enabled is False:
        return "none"
    if wish.budget is None:
        return None
    return next((effort for most, effort in _BUDGETS if wish.budget <= most), "high")


_RAWS = msgspec.json.Decoder(list[Raw])
