"""
What was said, for skins whose capture is on: the input as a list of messages, the output as its text.

Captured calls take the translate lane, where both are known in our words.
"""

import msgspec

from foz.canon.content import Media, Message, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest, CompleteRequest, Request

LONGEST = 64_000
"""Characters of an output that are gathered; the store cuts again, and says so."""


def heard(request: Request) -> str:
    """The input, as JSON."""
    if isinstance(request, ChatRequest):
        said = [{"role": message.role, "content": _content(message)} for message in request.messages]
    else:
        prompts = request.prompts if isinstance(request, CompleteRequest) else request.inputs
        said = [
            {"role": "user", "content": prompt if isinstance(prompt, str) else f"[{len(prompt)} tokens]"}
            for prompt in prompts
        ]
    return msgspec.json.encode(said).decode()


def _content(message: Message) -> str:
    return "\n".join(filter(None, map(_words, message.parts)))


def _words(part: Part) -> str:
    match part:
        case Text(text=text) | Refusal(text=text):
            return text
        case Reasoning():
            return ""
        case Media(kind=kind):
            return f"[{kind}]"
        case ToolCall(name=name, arguments=arguments):
            return f"{name}({arguments})"
        case ToolResult(parts=parts):
            return "\n".join(filter(None, map(_words, parts)))
        case _:
            return "[other]"
