"""
Tokens, by one rule for input, output and reasoning: a token is up to 16 characters of a word,
with the white space before it. So a text of ordinary words has as many tokens as words.
White space at the end belongs to the last token. Each token of a prompt given as numbers is one.
A picture, sound, film or file is 16 tokens. Nothing else of a request counts, and nothing is ever cached.
"""

import re

from foz.canon.content import Media, Message, Reasoning, Refusal, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest, Prompt

PER_MEDIA = 16
_TOKEN = re.compile(r"\s*\S{1,16}(?:\s+\Z)?|\s+\Z")


def tokens(text: str) -> list[str]:
    """The tokens of a text; joined they are the text."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """How many tokens a text has."""
    return len(tokens(text))


def count_prompt(prompt: Prompt) -> int:
    """How many tokens a prompt has."""
    return count(prompt) if isinstance(prompt, str) else len(prompt)


def spell(prompt: Prompt) -> str:
    """A prompt as text; tokens given as numbers are written as numbers."""
    return prompt if isinstance(prompt, str) else " ".join(str(token) for token in prompt)


def count_chat(request: ChatRequest) -> int:
    """How many tokens the messages of a chat have."""
    return sum(_count_message(message) for message in request.messages)


def _count_message(message: Message) -> int:
    total = 0
    for part in message.parts:
        match part:
            case Text(text=text) | Reasoning(text=text) | Refusal(text=text):
                total += count(text)
            case Media():
                total += PER_MEDIA
            case ToolCall(arguments=arguments):
                total += count(arguments)
            case ToolResult(parts=parts):
                total += sum(count(inner.text) if isinstance(inner, Text) else PER_MEDIA for inner in parts)
            case _:
                pass
    return total
