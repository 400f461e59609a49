"""
Messages as Ollama takes them: one text for each, pictures beside it as bare base64, calls with arguments that are an
object, and each tool's result as a message of its own that names the tool.

Parts lose their order among each other within a message; texts are joined by line breaks. What a message cannot hold
(a link, a sound, a file, a part that only another vendor knows) is Unsupported, never left out.
"""

from collections.abc import Sequence

from msgspec import Raw

from foz.canon.content import Media, Message, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from foz.canon.fault import Unsupported
from foz.dialects.ollama import schema
from foz.dialects.ollama.frames import DIALECT
from foz.wire import json

_ROLES = {"developer": "system", "tool": "user"}
_NOTHING = Raw(b"{}")


def say_messages(messages: Sequence[Message]) -> list[object]:
    """The messages as Ollama's. Raises Unsupported."""
    said: list[object] = []
    names: dict[str, str] = {}
    for message in messages:
        parts = message.parts
        if len(parts) == 1 and parts[0].__class__ is Text:
            role = message.role
            said.append(_with_extras(schema.Message(_ROLES.get(role, role), parts[0].text), message))
            continue
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        names.update({part.id: part.name for part in rest if isinstance(part, ToolCall)})
        said += [_with_extras(_say_result(result, names), message) for result in results]
        if rest or not results:
            said.append(_with_extras(_say(message, rest), message))
    return said


def _with_extras(said: schema.Message, message: Message) -> object:
    """What only this dialect knows is said again."""
    extras = message.vendor.get(DIALECT) if message.vendor else None
    return {**extras, **schema.BAG.decode(json.encode(said))} if extras else said


def _say_result(result: ToolResult, names: dict[str, str]) -> schema.Message:
    return schema.Message(
        role="tool",
        content=_join([part.text for part in result.parts if isinstance(part, Text)]),
        images=[say_image(part) for part in result.parts if isinstance(part, Media)] or None,
        tool_name=result.name or names.get(result.call_id),
        tool_call_id=result.call_id or None,
    )


def _join(texts: Sequence[str]) -> str:
    return "\n".join(texts)


def _say(message: Message, parts: Sequence[Part]) -> schema.Message:
    role = _ROLES.get(message.role, message.role)
    assistant = role == "assistant"
    texts: list[str] = []
    thoughts: list[str] = []
    images: list[str] = []
    calls: list[schema.Call] = []
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text):
                texts.append(text)
            case Media():
                images.append(say_image(part))
            case Reasoning(text=text) if assistant:
                thoughts.append(text)
            case ToolCall() if assistant:
                calls.append(_say_call(part))
            case _:
                raise _unsayable(part, role)
    return schema.Message(
        role=role,
        content=_join(texts),
        thinking="".join(thoughts) or None,
        images=images or None,
        tool_calls=calls or None,
    )


def _unsayable(part: Part, role: str) -> Unsupported:
    what = f"a part that only {part.dialect} knows" if isinstance(part, Opaque) else type(part).__name__.lower()
    return Unsupported(
        f"This model's provider is an Ollama server, where a message of role '{role}' cannot hold {what}.",
        field="messages",
    )


def _say_call(call: ToolCall) -> schema.Call:
    written = call.arguments.strip().encode("utf-8", "backslashreplace")
    if written and not (written.startswith(b"{") and not json.too_deep(written) and json.valid(written)):
        raise Unsupported(
            f"This model's provider is an Ollama server, which takes a call's arguments as a JSON object; those of the "
            f"call '{call.id}' of '{call.name}' are none. Correct them or leave the call out.",
            field="messages",
        )
    return schema.Call(schema.Called(call.name, Raw(written) if written else _NOTHING), call.id or None)


def say_image(media: Media) -> str:
    """A picture's bytes in base64. Raises Unsupported."""
    if media.kind != "image":
        raise Unsupported(
            f"This model's provider is an Ollama server, which takes text and pictures, but no {media.kind}.",
            field="messages",
        )
    if media.data is None:
        how = "by a link" if media.url is not None else "by the id of an uploaded file"
        raise Unsupported(
            f"This model's provider is an Ollama server, which takes pictures as bytes, not {how}: "
            "send them in base64, as in data:image/png;base64,...",
            field="messages",
        )
    return media.data
