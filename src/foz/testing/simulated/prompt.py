"""What a conversation asks of the model: its last turn, and what that turn holds."""

from collections import Counter

from foz.canon.content import Media, Message, Refusal, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest

_PLURALS = {"image": "images", "audio": "sounds", "video": "films", "file": "files"}
_SINGULARS = {"image": "image", "audio": "sound", "video": "film", "file": "file"}


def last_user(request: ChatRequest) -> Message | None:
    """The last message of the user's."""
    return next((message for message in reversed(request.messages) if message.role == "user"), None)


def last_turn(request: ChatRequest) -> Message | None:
    """The message to be answered: the last that is not an instruction of the system's."""
    return next((each for each in reversed(request.messages) if each.role not in {"system", "developer"}), None)


def text_of(message: Message | None) -> str:
    """The words of a message."""
    if message is None:
        return ""
    return " ".join(part.text for part in message.parts if isinstance(part, Text | Refusal)).strip()


def media_of(message: Message | None) -> str:
    """What else a message brought, counted by kind: `2 images and 1 file`; empty where there is nothing."""
    if message is None:
        return ""
    kinds = Counter(part.kind for part in message.parts if isinstance(part, Media))
    counted = [f"{number} {(_SINGULARS if number == 1 else _PLURALS)[kind]}" for kind, number in kinds.items()]
    return " and ".join(filter(None, (", ".join(counted[:-1]), *counted[-1:])))


def results_of(request: ChatRequest) -> list[tuple[str, str]]:
    """The tool results that end the conversation, as names and texts; empty where somebody spoke after them."""
    names = {part.id: part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall)}
    found: list[tuple[str, str]] = []
    for message in reversed(request.messages):
        if message.role in {"system", "developer"}:
            continue
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        if not results or (message.role == "user" and text_of(message)):
            break
        found = [(part.name or names.get(part.call_id, part.call_id), _told(part)) for part in results] + found
    return found


def _told(result: ToolResult) -> str:
    text = " ".join(part.text for part in result.parts if isinstance(part, Text)).strip()
    others = sum(isinstance(part, Media) for part in result.parts)
    if others:
        text = f"{text} (and {others} attached)".strip()
    return f"it failed: {text}" if result.failed else text
