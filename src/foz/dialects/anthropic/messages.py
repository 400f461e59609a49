"""
Messages as Anthropic's.

What `system` and `developer` say is told in one place, before all turns. Results of tools and what the user says right
after them are one message, the results first, for so the API wants it. Of a model's thoughts only those are given
back that bear a vendor's mark: others are refused there.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Raw

from foz.canon.content import Media, Message, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from foz.dialects.anthropic.frames import BROKEN, DIALECT, NULL
from foz.dialects.anthropic.media import Wire, say_media, unsupported
from foz.wire import json

_NO_ID = re.compile(r"[^a-zA-Z0-9_-]")
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_BLOCKS = msgspec.json.Decoder(list[Raw])
_RANKS = frozenset({"system", "developer"})


def say_id(id: str) -> str:
    """An id with none of the signs that Anthropic's have not: the same for a call and its result."""
    return _NO_ID.sub("_", id) or "_"


def say_input(arguments: str) -> Raw | Wire:
    """The object that a call is called with; what is none is shown as it was written, as Anthropic advises."""
    written = arguments.encode()
    try:
        _OBJECT.decode(written or b"{}")
    except BROKEN:
        return {"INVALID_JSON": arguments}
    return Raw(written or b"{}")


def say_system(messages: Sequence[Message]) -> str | list[object] | None:
    """What all of the system's and developer's messages say; None where nobody says anything."""
    said: list[object] = []
    for message in messages:
        if message.role in _RANKS:
            said += _verbatim(message) or _say_texts(message)
    if len(said) == 1 and isinstance(said[0], dict):
        return str(said[0]["text"])
    return said or None


def _say_texts(message: Message) -> list[Wire]:
    said: list[Wire] = []
    for part in message.parts:
        if not isinstance(part, Text):
            raise _unsayable(part, message.role)
        if part.text:
            said.append({"type": "text", "text": part.text})
    return said


def say_messages(messages: Sequence[Message]) -> list[Wire]:
    """The turns."""
    said: list[Wire] = []
    results: list[object] | None = None
    """The content of the user's message whose results the next turn may be told with."""
    for message in messages:
        if message.role in _RANKS:
            continue
        words = _words(message) if results is None and message.role != "tool" else ""
        if words:
            said.append({"role": message.role, "content": words})
            continue
        content = _say(message)
        if message.role == "tool":
            if results is None:
                results = []
                said.append({"role": "user", "content": results})
            results += content
        elif message.role == "user" and results is not None:
            results += content
            results = None
        elif content:
            results = None
            said.append({"role": message.role, "content": _shortly(content)})
    return said


def _words(message: Message) -> str:
    """What most messages are: one text, and nothing beside it."""
    parts = message.parts
    if len(parts) == 1 and not message.vendor and isinstance(parts[0], Text):
        return parts[0].text
    return ""


def _shortly(content: list[object]) -> object:
    """A text that stands alone."""
    first = content[0]
    if len(content) == 1 and isinstance(first, dict) and first.get("type") == "text":
        return first["text"]
    return content


def _verbatim(message: Message) -> list[object] | None:
    """The content as this dialect's caller wrote it, where it had to be kept; empty where it was told already."""
    own = message.vendor.get(DIALECT)
    kept = None if own is None else own.get("content")
    if kept is None:
        return None
    return [] if bytes(kept) == NULL else list(_BLOCKS.decode(kept))


def _say(message: Message) -> list[object]:
    kept = _verbatim(message)
    if kept is not None:
        return kept
    blocks = (_block(part, message.role) for part in message.parts)
    return [block for block in blocks if block is not None]


def _block(part: Part, role: str) -> object | None:
    match part:
        case Text(text=text) | Refusal(text=text):
            return {"type": "text", "text": text} if text else None
        case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
            return raw
        case Media() if role in {"user", "tool"}:
            return say_media(part)
        case ToolResult():
            return _result(part)
        case ToolCall(id=id, name=name, arguments=arguments) if role == "assistant":
            return {"type": "tool_use", "id": say_id(id), "name": name, "input": say_input(arguments)}
        case Reasoning() if role == "assistant":
            return _thought(part)
        case _:
            raise _unsayable(part, role)


def _thought(part: Reasoning) -> Wire | None:
    if part.sealed is not None:
        return {"type": "redacted_thinking", "data": part.sealed}
    if part.signature:
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    return None


def _result(part: ToolResult) -> Wire:
    said: Wire = {"type": "tool_result", "tool_use_id": say_id(part.call_id)}
    if len(part.parts) == 1 and isinstance(part.parts[0], Text):
        said["content"] = part.parts[0].text
    elif part.parts:
        said["content"] = list(_shown(part.parts))
    if part.failed:
        said["is_error"] = True
    return said


def _shown(parts: Iterable[Text | Media]) -> Iterable[Wire]:
    for part in parts:
        if isinstance(part, Media):
            yield say_media(part)
        elif part.text:
            yield {"type": "text", "text": part.text}


def _unsayable(part: Part, role: str) -> Exception:
    what = f"a part that only {part.dialect} knows" if isinstance(part, Opaque) else type(part).__name__.lower()
    return unsupported(f"a message of role '{role}' cannot hold {what}")


def _calling(messages: Sequence[Message]) -> list[tuple[Part, ...]]:
    """What the assistant said with calls since the user spoke last."""
    last = next((place for place in range(len(messages) - 1, -1, -1) if messages[place].role == "user"), 0)
    return [
        message.parts
        for message in messages[last:]
        if message.role == "assistant" and any(isinstance(part, ToolCall) for part in message.parts)
    ]


def thinks_on(messages: Sequence[Message]) -> bool:
    """
    Whether a model that thinks by a budget may be told to: while tools are being called it wants the thoughts back that
    it began with, marked, and who came by another dialect may not have them.
    """
    return all(isinstance(parts[0], Reasoning) and _thought(parts[0]) is not None for parts in _calling(messages))


def leaves_thoughts_out(messages: Sequence[Message]) -> bool:
    """Whether thoughts that nobody signed stood beside calls that go on."""
    return any(isinstance(part, Reasoning) and _thought(part) is None for parts in _calling(messages) for part in parts)


def encode(body: Wire) -> bytes:
    """A body as bytes."""
    return json.encode(body)
