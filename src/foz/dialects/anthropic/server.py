"""`/v1/messages` as we speak it to callers."""

from collections.abc import Iterable

from msgspec import UNSET

from foz.canon.content import Media, Part, ToolResult
from foz.canon.fault import Fault, Unsupported
from foz.canon.model import Capability
from foz.canon.request import Ask, ChatRequest, Operation, Request
from foz.canon.response import Choice, Response
from foz.dialects.anthropic import hearing, schema, usage
from foz.dialects.anthropic.answer import BLOCK
from foz.dialects.anthropic.faults import NO_THREADS, encode_fault_event
from foz.dialects.anthropic.fields import decode, invalid
from foz.dialects.anthropic.frames import DIALECT, NULL
from foz.dialects.anthropic.media import Wire
from foz.dialects.anthropic.messages import say_input
from foz.dialects.anthropic.stream import MessagesEncoder, stop_of
from foz.ports.codec import Answer
from foz.wire import json

_NOTHING: frozenset[str] = frozenset()


def agree(asked: schema.Asked) -> None:
    """Fields that only make sense together."""
    if asked.thread is not UNSET and bytes(asked.thread) != NULL:
        raise Unsupported(
            "thread: this gateway holds no conversations; send the whole of it, without 'thread'.",
            field="thread",
            vendor_code=NO_THREADS,
        )
    thinking = asked.thinking
    if thinking is not None and thinking.type == "enabled" and thinking.budget_tokens is None:
        raise invalid("thinking.enabled.budget_tokens", "Field required")
    if asked.tool_choice is not None and not asked.tools and isinstance(asked.tool_choice, schema.Any | schema.One):
        raise invalid("tool_choice", "may only be specified while providing tools")
    for place, message in enumerate(asked.messages):
        if not message.content and message.role == "user":
            raise invalid(f"messages.{place}", "user messages must have non-empty content")


def _shown(parts: Iterable[Part]) -> Iterable[str]:
    """What parts need of a model."""
    for part in parts:
        if isinstance(part, Media):
            yield Capability.IMAGES if part.kind == "image" else Capability.FILES
            if part.is_link:
                yield Capability.LINKS
        elif isinstance(part, ToolResult):
            yield from _shown(part.parts)


def needs(asked: schema.Asked) -> frozenset[str]:
    """What is needed of a model. Blocks are read for it, and refused where they are not as they must be."""
    found: set[str] = set()
    blocks = asked.system.__class__ is list
    for said in asked.messages:
        blocks = blocks or said.content.__class__ is list
    if blocks:
        for message in hearing.hear_messages(asked):
            found.update(_shown(message.parts))
    if asked.tools and hearing.hear_tools(asked.tools):
        found.add(Capability.TOOLS)
    if asked.thinking is not None and asked.thinking.type == "enabled":
        found.add(Capability.REASONING)
    if asked.output_format is not None or (asked.output_config is not None and asked.output_config.format is not None):
        found.add(Capability.JSON_SCHEMA)
    return frozenset(found) if found else _NOTHING


class MessagesServer:
    """Implements `ports.codec.ServerCodec`."""

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        asked = decode(schema.BODY, body)
        agree(asked)
        return Ask(Operation.CHAT, asked.model, bool(asked.stream), needs(asked), max_output=asked.max_tokens)

    def decode_request(self, body: bytes) -> ChatRequest:
        """The whole request in our words."""
        asked = decode(schema.BODY, body, known=schema.KNOWN)
        agree(asked)
        return hearing.hear(asked, body)

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body."""
        if not isinstance(answer, Response) or not isinstance(request, ChatRequest):
            raise TypeError("messages are answered by a Response")
        choice = answer.choices[0] if answer.choices else Choice()
        own = choice.vendor.get(DIALECT)
        stopped, sequence = stop_of(choice.reason or "stop", choice.detail, request, refused=choice.refusal is not None)
        said: Wire = {
            "id": answer.id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": say_content(choice, own),
            "stop_reason": stopped,
            "stop_sequence": sequence,
        }
        if own:
            said |= {name: raw for name, raw in own.items() if not name.startswith(BLOCK)}
        said["usage"] = usage.say(answer.usage, answer.usage_vendor.get(DIALECT, {}))
        return json.encode(said)

    def encoder(self, request: Request, model: str) -> MessagesEncoder:
        """For a stream."""
        if not isinstance(request, ChatRequest):
            raise TypeError("messages are answered by a stream of a chat")
        return MessagesEncoder(request, model)

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream."""
        return encode_fault_event(fault)


def say_content(choice: Choice, own: schema.Bag | None) -> list[object]:
    """The blocks: thoughts, words, calls, and what is told verbatim."""
    said: list[object] = []
    for block in choice.reasoning:
        if block.sealed is not None:
            said.append({"type": "redacted_thinking", "data": block.sealed})
        elif block.text or block.signature:
            said.append({"type": "thinking", "thinking": block.text, "signature": block.signature or ""})
    if choice.text:
        said.append({"type": "text", "text": choice.text})
    if choice.refusal:
        said.append({"type": "text", "text": choice.refusal})
    if choice.calls:
        said += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": say_input(call.arguments)}
            for call in choice.calls
        ]
    if own:
        said += [own[name] for name in sorted(own) if name.startswith(BLOCK)]
    return said
