"""
What callers ask a fake Ollama server, in our words: the dialect's schema read the other way round.

What the real server refuses is refused with its own sentences.
"""

from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw

from foz.canon.content import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult
from foz.canon.fault import BadRequest
from foz.canon.request import (
    ChatRequest,
    CompleteRequest,
    EmbedRequest,
    ReasoningWish,
    ResponseFormat,
    Sampling,
    Vendor,
)
from foz.canon.tool import ToolSpec
from foz.dialects.ollama import schema
from foz.dialects.ollama.frames import BROKEN, DIALECT
from foz.wire import json

CHAT = msgspec.json.Decoder(schema.ChatBody)
GENERATE = msgspec.json.Decoder(schema.GenerateBody)
EMBED = msgspec.json.Decoder(schema.EmbedBody)
SHOW = msgspec.json.Decoder(schema.ShowBody)
T = TypeVar("T")
LEVELS = ("high", "medium", "low", "max")
MOST_TOP = 20
_SAMPLED = {
    "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p", "seed": "seed",
    "frequency_penalty": "frequency_penalty", "presence_penalty": "presence_penalty",
    "repeat_penalty": "repetition_penalty",
}  # fmt: skip
_KNOWN = frozenset({*_SAMPLED, "stop", "num_predict"})
_ROLES = ("system", "user", "assistant", "tool")


def read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """A checked body. Raises BadRequest."""
    if not body:
        raise BadRequest("missing request body")
    if json.too_deep(body):
        raise BadRequest("the body is nested too deeply")
    try:
        return decoder.decode(body)
    except BROKEN as error:
        raise BadRequest(str(error)) from None


def hear_chat(asked: schema.ChatBody) -> ChatRequest:
    """A conversation."""
    names: dict[str, str] = {}
    options = _hear_options(asked.options)
    return ChatRequest(
        model=_model(asked.model),
        messages=tuple(_hear_message(message, names) for message in asked.messages),
        tools=tuple(_hear_tool(tool) for tool in asked.tools or ()),
        response_format=_hear_format(asked),
        reasoning=_hear_think(asked.think),
        sampling=_sampling(options),
        max_output=_limit(options),
        stop=_stop(options),
        logprobs=asked.logprobs,
        top_logprobs=_top(asked) if asked.logprobs else None,
        stream=asked.stream is not False,
        vendor=_vendor(asked, options),
    )


def hear_generate(asked: schema.GenerateBody) -> CompleteRequest:
    """A text to continue."""
    options = _hear_options(asked.options)
    return CompleteRequest(
        model=_model(asked.model),
        prompts=(asked.prompt,),
        suffix=asked.suffix,
        sampling=_sampling(options),
        max_output=_limit(options),
        stop=_stop(options),
        logprobs=_top(asked) if asked.logprobs else None,
        stream=asked.stream is not False,
        vendor=_vendor(asked, options),
    )


def hear_embed(asked: schema.EmbedBody) -> EmbedRequest:
    """Texts to place in a space."""
    inputs = (asked.input,) if isinstance(asked.input, str) else tuple(asked.input)
    return EmbedRequest(model=_model(asked.model), inputs=inputs, dimensions=asked.dimensions)


def _model(name: str) -> str:
    if not name:
        raise BadRequest("model is required")
    return name


def _vendor(asked: schema.Asked, options: schema.Bag) -> Vendor:
    """What only Ollama has words for."""
    own = {name: raw for name, raw in options.items() if name not in _KNOWN}
    bag = {"options": Raw(json.encode(own))} if own else {}
    if asked.keep_alive is not UNSET:
        bag["keep_alive"] = asked.keep_alive
    return {DIALECT: bag} if bag else {}


# Options. The real server only warns of those that it does not know.


def _hear_options(options: schema.Bag | None) -> schema.Bag:
    return {name: raw for name, raw in (options or {}).items() if bytes(raw) != b"null"}


def _option(options: schema.Bag, name: str, kind: type, wording: str) -> object:
    if name not in options:
        return None
    try:
        return msgspec.json.decode(options[name], type=kind, strict=True)
    except BROKEN:
        raise BadRequest(f'option "{name}" must be of type {wording}') from None


def _sampling(options: schema.Bag) -> Sampling:
    kinds = {"top_k": (int, "integer"), "seed": (int, "integer")}
    said = {ours: _option(options, theirs, *kinds.get(theirs, (float, "float32"))) for theirs, ours in _SAMPLED.items()}
    return msgspec.convert(said, Sampling)


def _limit(options: schema.Bag) -> int | None:
    limit = _option(options, "num_predict", int, "integer")
    return limit if isinstance(limit, int) and limit >= 0 else None


def _stop(options: schema.Bag) -> tuple[str, ...]:
    found = _option(options, "stop", list[str], "an array of strings")
    return tuple(found) if isinstance(found, list) else ()


def _top(asked: schema.Asked) -> int:
    if not 0 <= asked.top_logprobs <= MOST_TOP:
        raise BadRequest("top_logprobs must be between 0 and 20")
    return asked.top_logprobs


def _hear_format(asked: schema.Asked) -> ResponseFormat | None:
    if asked.format is UNSET or bytes(asked.format) in {b"null", b'""'}:
        return None
    written = bytes(asked.format)
    if written == b'"json"':
        return ResponseFormat("json")
    if not written.startswith(b"{"):
        raise BadRequest(f'invalid format: {written[:80].decode()}; expected "json" or a valid JSON Schema object')
    return ResponseFormat("schema", schema=Raw(written))


def _hear_think(think: bool | str | None) -> ReasoningWish | None:
    if think is None:
        return None
    if isinstance(think, bool):
        return ReasoningWish(enabled=think)
    if think not in LEVELS:
        raise BadRequest(f'invalid think value: "{think}" (must be "high", "medium", "low", "max", true, or false)')
    return ReasoningWish(think)


# Messages.


def _hear_tool(tool: schema.Tool) -> ToolSpec:
    if not bytes(tool.function.parameters).startswith(b"{"):
        raise BadRequest("json: cannot unmarshal into Go struct field .tools of type api.ToolFunctionParameters")
    return ToolSpec(tool.function.name, tool.function.description, tool.function.parameters)


def _hear_message(message: schema.Message, names: dict[str, str]) -> Message:
    role = message.role.lower()
    text = message.content or ""
    images = tuple(Media("image", data=data) for data in message.images or ())
    if role == "tool":
        shown: tuple[Text | Media, ...] = ((Text(text),) if text else ()) + images
        return Message("tool", (ToolResult(message.tool_call_id or "", shown, message.tool_name),))
    if role not in _ROLES:
        raise BadRequest(f"invalid role: {message.role}")
    parts: list[Part] = [Reasoning(message.thinking)] if message.thinking else []
    parts += [Text(text)] if text else []
    parts += images
    for place, call in enumerate(message.tool_calls or ()):
        parts.append(_hear_call(call, place))
    names.update({part.id: part.name for part in parts if isinstance(part, ToolCall)})
    return msgspec.structs.replace(msgspec.convert({"role": role}, Message), parts=tuple(parts))


def _hear_call(call: schema.Call, place: int) -> ToolCall:
    """Arguments must be an object, as the real server's own type wants it."""
    written = bytes(call.function.arguments)
    if not written.startswith(b"{"):
        raise BadRequest("json: cannot unmarshal into Go struct field of type api.ToolCallFunctionArguments")
    return ToolCall(call.id or f"call_{place}", call.function.name, written.decode())
