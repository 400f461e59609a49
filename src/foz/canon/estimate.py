"""
The rule of thumb for tokens that nobody counted, offline and the same for every model: four characters are a token; a
picture, sound or file is 256.

That is a likely number, for requests and for answers that ended. An answer that did not end (its caller left, or its
target broke off) might be given more than was ever made, and nobody shall pay for that. So it counts as the
fewest tokens that can have been in what came: each piece of content is at least one, no token spans two words, and none
has more than 16 characters. Where a target says a token at a time, or whole words, that is just what came.
"""

from foz.canon.content import Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest, CompleteRequest, Prompt, Request
from foz.canon.usage import Usage

CHARACTERS = 4
MEDIA = 256
LONGEST = 16
"""Characters of a word that one token may be."""


def in_characters(characters: int) -> int:
    """The tokens of so many characters."""
    return -(-characters // CHARACTERS)


def at_least(text: str) -> int:
    """The fewest tokens that a piece of content can be."""
    size = len(text)
    if size <= LONGEST:
        return len(text.split()) or int(size > 0)
    return sum(-(-len(word) // LONGEST) for word in text.split()) or 1


def _part(part: Part) -> int:
    match part:
        case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
            return in_characters(len(text))
        case ToolCall(name=name, arguments=arguments):
            return in_characters(len(name) + len(arguments))
        case ToolResult(parts=parts):
            return sum(map(_part, parts))
        case _:
            return MEDIA


def _prompt(prompt: Prompt) -> int:
    return in_characters(len(prompt)) if isinstance(prompt, str) else len(prompt)


def in_request(request: Request) -> int:
    """The tokens of a request."""
    if isinstance(request, ChatRequest):
        said = sum(_part(part) for message in request.messages for part in message.parts)
        tools = sum(
            len(bytes(tool.schema or b"")) + len(tool.name) + len(tool.description or "") for tool in request.tools
        )
        return said + in_characters(tools)
    if isinstance(request, CompleteRequest):
        return sum(map(_prompt, request.prompts))
    return sum(map(_prompt, request.inputs))


def filled(usage: Usage | None, request: Request, output: int) -> Usage:
    """The target's count where it is whole, else what is missing is estimated: `output` is a guess."""
    known = usage or Usage()
    if known.input is not None and known.output is not None:
        return known
    return Usage(
        input=known.input if known.input is not None else in_request(request),
        output=known.output if known.output is not None else output,
        cached=known.cached,
        cache_written=known.cache_written,
        reasoning=known.reasoning,
        estimated=True,
    )
