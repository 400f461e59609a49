"""
What an answer took: the target's own count, or an estimate by rule of thumb, marked so.

The rule, offline and the same for every model: four characters are a token; a picture, sound or file is 256.
"""

from foz.canon.content import Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest, CompleteRequest, Prompt, Request
from foz.canon.usage import Usage
from foz.ports.codec import ServerCodec, Tally

CHARACTERS = 4
MEDIA = 256


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS)


def _part(part: Part) -> int:
    match part:
        case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
            return _tokens(len(text))
        case ToolCall(name=name, arguments=arguments):
            return _tokens(len(name) + len(arguments))
        case ToolResult(parts=parts):
            return sum(map(_part, parts))
        case Media():
            return MEDIA
        case _:
            return MEDIA


def _prompt(prompt: Prompt) -> int:
    return _tokens(len(prompt)) if isinstance(prompt, str) else len(prompt)


def estimated_input(request: Request) -> int:
    """The tokens of a request, by rule of thumb."""
    if isinstance(request, ChatRequest):
        said = sum(_part(part) for message in request.messages for part in message.parts)
        tools = sum(
            len(bytes(tool.schema or b"")) + len(tool.name) + len(tool.description or "") for tool in request.tools
        )
        return said + _tokens(tools)
    if isinstance(request, CompleteRequest):
        return sum(map(_prompt, request.prompts))
    return sum(map(_prompt, request.inputs))


def measured(tally: Tally | None, codec: ServerCodec, body: bytes) -> Usage:
    """The usage for the ledger: whole from the target, else what is missing is estimated."""
    usage = None if tally is None else tally.usage
    if usage is not None and usage.input is not None and usage.output is not None:
        return usage
    if tally is None:
        return Usage()
    known = usage or Usage()
    return Usage(
        input=known.input if known.input is not None else estimated_input(codec.decode_request(body)),
        output=known.output if known.output is not None else _tokens(tally.content),
        cached=known.cached,
        cache_written=known.cache_written,
        reasoning=known.reasoning,
        estimated=True,
    )
