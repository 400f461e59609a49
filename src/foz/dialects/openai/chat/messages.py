"""
Messages, both ways.

In: one of ours for each of theirs. Out: one of theirs, but a tool result is a message of its own, and what it shows
(pictures, files) follows in a user's message, because a `tool` message can only hold text.
Calls of legacy functions are given ids; a call of a custom tool, which only this dialect has, is an `Opaque`
among the calls.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Raw, Struct

from foz.canon.content import Media, Message, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from foz.canon.fault import Unsupported
from foz.dialects.openai.chat import schema
from foz.dialects.openai.chat.media import hear_media, say_media
from foz.dialects.openai.frames import DIALECT
from foz.wire import json

Wire = dict[str, object]
Vendor = dict[str, dict[str, Raw]]

_KNOWN = frozenset(
    {"role", "content", "name", "refusal", "tool_calls", "function_call", "reasoning_content", "reasoning"}
    | {"tool_call_id"}
)


class _Loose(Struct):
    messages: list[dict[str, Raw]]


_LOOSE = msgspec.json.Decoder(_Loose)


# In.


def hear_messages(messages: list[schema.Message], body: bytes | None) -> tuple[Message, ...]:
    """The messages of a checked body in our words; without the body where they say nothing else."""
    made: dict[str, str] = {}
    if body is None:
        return tuple([_hear(message, place, made) for place, message in enumerate(messages)])
    heard: list[Message] = []
    loose = _LOOSE.decode(body).messages
    for place, (message, fields) in enumerate(zip(messages, loose, strict=True)):
        extra = {name: value for name, value in fields.items() if name not in _KNOWN}
        heard.append(_hear(message, place, made, {DIALECT: extra} if extra else None))
    return tuple(heard)


def _hear(message: schema.Message, place: int, made: dict[str, str], vendor: Vendor | None = None) -> Message:
    """`made` has the ids that were made for calls of functions, which have none."""
    vendor = vendor or {}
    match message:
        case schema.UserMessage(content=content, name=name):
            return Message("user", _hear_content(content), name, vendor)
        case schema.SystemMessage(content=content, name=name):
            return Message("system", _hear_content(content), name, vendor)
        case schema.DeveloperMessage(content=content, name=name):
            return Message("developer", _hear_content(content), name, vendor)
        case schema.AssistantMessage(function_call=called):
            if called is not None:
                made[called.name] = f"call_{place}"
            return Message("assistant", tuple(_hear_assistant(message, made)), message.name, vendor)
        case schema.ToolMessage():
            shown = tuple(part for part in _hear_content(message.content) if isinstance(part, Text | Media))
            return Message("tool", (ToolResult(message.tool_call_id, shown, message.name),), None, vendor)
        case schema.FunctionMessage(name=name):
            said = (Text(message.content or ""),)
            return Message("tool", (ToolResult(made.get(name, name), said, name),), None, vendor)


def _hear_content(content: "str | Iterable[schema.Part] | None") -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    if content is None:
        return ()
    return tuple(_hear_part(part) for part in content)


def _hear_part(part: schema.Part) -> Part:
    match part:
        case schema.TextPart():
            return Text(part.text)
        case schema.RefusalPart():
            return Refusal(part.refusal)
        case _:
            return hear_media(part)


def _hear_assistant(message: schema.AssistantMessage, made: dict[str, str]) -> Iterator[Part]:
    """In the order in which models say it. Empty text is how many programs write none."""
    thought = message.reasoning_content or message.reasoning
    if thought:
        yield Reasoning(thought)
    yield from (part for part in _hear_content(message.content) if part != Text(""))
    if message.refusal:
        yield Refusal(message.refusal)
    for call in message.tool_calls or ():
        if isinstance(call, schema.CustomCall):
            yield Opaque(DIALECT, Raw(json.encode(call)))
        else:
            yield ToolCall(call.id, call.function.name, call.function.arguments)
    called = message.function_call
    if called:
        yield ToolCall(made[called.name], called.name, called.arguments)


# Out.


def say_messages(messages: tuple[Message, ...], *, with_reasoning: bool) -> list[Wire]:
    """The messages as OpenAI's; `with_reasoning` gives the model its thoughts back."""
    said: list[Wire] = []
    shown: list[Wire] = []
    for message in messages:
        text = None if shown else _text(message)
        if text is not None:
            said.append({"role": message.role, "content": text})
            continue
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        if shown and not results:
            said.append({"role": "user", "content": shown})
            shown = []
        for result in results:
            said.append(_say_result(result, message))
            shown.extend(say_media(part) for part in result.parts if isinstance(part, Media))
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        if message.role == "tool" and not rest:
            continue
        if shown:
            said.append({"role": "user", "content": shown})
            shown = []
        said.append(_say(message, rest, with_reasoning=with_reasoning))
    if shown:
        said.append({"role": "user", "content": shown})
    return said


def _text(message: Message) -> str | None:
    """What it says, where that is one text and nothing else."""
    parts = message.parts
    if len(parts) != 1 or message.name is not None or message.vendor or message.role == "tool":
        return None
    return parts[0].text if isinstance(parts[0], Text) else None


def _say_result(result: ToolResult, message: Message) -> Wire:
    texts = [part.text for part in result.parts if isinstance(part, Text)]
    said: Wire = {"role": "tool", "tool_call_id": result.call_id, "content": _say_texts(texts) or ""}
    if result.name is not None:
        said["name"] = result.name
    return {**said, **message.vendor.get(DIALECT, {})}


def _say_texts(texts: list[str]) -> str | list[Wire] | None:
    if not texts:
        return None
    return texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]


def _say(message: Message, parts: Sequence[Part], *, with_reasoning: bool) -> Wire:
    if message.role == "assistant":
        said = _say_assistant(parts, with_reasoning=with_reasoning)
    else:
        role = "user" if message.role == "tool" else message.role
        said = {"role": role, "content": _say_content(parts, role)}
    if message.name is not None:
        said["name"] = message.name
    return {**said, **message.vendor.get(DIALECT, {})}


def _say_content(parts: Sequence[Part], role: str) -> object:
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [_say_part(part, role) for part in parts] or ""


def _say_part(part: Part, role: str) -> object:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Opaque) and part.dialect == DIALECT:
        return part.raw
    if isinstance(part, Media) and role == "user":
        return say_media(part)
    raise _unsayable(part, role)


def _unsayable(part: Part, role: str) -> Unsupported:
    what = f"a part that only {part.dialect} knows" if isinstance(part, Opaque) else type(part).__name__.lower()
    return Unsupported(
        f"This model's provider speaks the OpenAI dialect, where a message of role '{role}' cannot hold {what}.",
        field="messages",
    )


def _say_assistant(parts: Sequence[Part], *, with_reasoning: bool) -> Wire:
    texts: list[str] = []
    calls: list[object] = []
    thoughts: list[str] = []
    refusals: list[str] = []
    for part in parts:
        match part:
            case Text(text=text):
                texts.append(text)
            case Reasoning(text=text):
                thoughts.append(text)
            case Refusal(text=text):
                refusals.append(text)
            case ToolCall(id=id, name=name, arguments=arguments):
                called = {"name": name, "arguments": arguments}
                calls.append({"id": id, "type": "function", "function": called})
            case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
                calls.append(raw)
            case _:
                raise _unsayable(part, "assistant")
    content = _say_texts(texts)
    said: Wire = {"role": "assistant", "content": "" if content is None and not calls and not refusals else content}
    if with_reasoning and any(thoughts):
        said["reasoning_content"] = "".join(thoughts)
    if refusals:
        said["refusal"] = "".join(refusals)
    if calls:
        said["tool_calls"] = calls
    return said
