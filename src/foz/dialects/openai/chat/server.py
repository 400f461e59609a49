"""`/v1/chat/completions` as we speak it to callers."""

import msgspec

from foz.canon.fault import Fault
from foz.canon.model import Capability
from foz.canon.request import Ask, ChatRequest, Operation, Request
from foz.canon.response import Choice, Response
from foz.dialects.openai import usage
from foz.dialects.openai.chat import asking, schema
from foz.dialects.openai.chat.messages import Wire
from foz.dialects.openai.chat.stream import ChatEncoder, say_logprobs, say_reason
from foz.dialects.openai.faults import encode_fault_event
from foz.dialects.openai.fields import Words, decode, invalid, refusal
from foz.dialects.openai.frames import DIALECT
from foz.ports.codec import Answer
from foz.ports.files import PREFIX
from foz.wire import json

_BODY = msgspec.json.Decoder(schema.Body)
_KNOWN: msgspec.json.Decoder[schema.Body] = msgspec.json.Decoder(schema.KnownBody)
_PARTS = ("text", "image_url", "input_audio", "file", "refusal")
WORDS: Words = {
    "messages[].role": ("system", "developer", "user", "assistant", "tool", "function"),
    "messages[].content[].type": _PARTS,
    "messages[].tool_calls[].type": ("function", "custom"),
    "tools[].type": ("function", "custom"),
    "tool_choice": ("none", "auto", "required"),
    "tool_choice.type": ("function", "custom", "allowed_tools"),
    "response_format.type": ("text", "json_object", "json_schema"),
    "reasoning_effort": ("none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max", "default"),
    "modalities[]": ("text", "audio"),
}
_NOTHING: frozenset[str] = frozenset()
PREFIX_BYTES = PREFIX.encode()


def _agree(asked: schema.Body) -> None:
    """Fields that only make sense together."""
    if asked.stream_options is not None and not asked.stream:
        raise refusal(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
            "invalid_value",
        )
    if asked.top_logprobs is not None and not asked.logprobs:
        raise refusal(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs", "invalid_value"
        )
    if asked.tool_choice not in (None, "none", "auto"):
        _offered(asked)
    if isinstance(asked.function_call, schema.Named):
        name = asked.function_call.name
        if not asked.functions:
            raise invalid("function_call", "'function_call' is only allowed when 'functions' are specified.")
        if all(function.name != name for function in asked.functions):
            raise invalid("function_call", f"Function '{name}' not found in 'functions' parameter.")


def _offered(asked: schema.Body) -> None:
    """A tool that must be called is one that was offered."""
    if not asked.tools:
        raise invalid("tool_choice", "'tool_choice' is only allowed when 'tools' are specified.")
    if isinstance(asked.tool_choice, schema.FunctionChoice):
        name = asked.tool_choice.function.name
        offered = {tool.function.name for tool in asked.tools if isinstance(tool, schema.FunctionTool)}
        if name not in offered:
            raise invalid("tool_choice", f"Tool choice '{name}' not found in 'tools' parameter.")


def _shown(asked: schema.Body) -> set[str]:
    """What the messages hold beside words."""
    needs: set[str] = set()
    for place, message in enumerate(asked.messages):
        if isinstance(message.content, list):
            for at, part in enumerate(message.content):
                if isinstance(part, schema.MEDIA):
                    needs.add(_need(part, place, at))
                if part.uuid is not None or _is_link(part):
                    needs.add(Capability.LINKS)
    return needs - {""}


def _is_link(part: schema.Part) -> bool:
    """Whether it says where something is."""
    match part:
        case schema.ImagePart(image_url=link) | schema.AudioLinkPart(audio_url=link) | schema.VideoPart(video_url=link):
            return link.url[:5].lower() != "data:"
        case schema.FilePart(file=document):
            return (document.file_data or "")[:8].lower().startswith(("http://", "https://"))
        case _:
            return False


def _need(part: schema.Part, place: int, at: int) -> str:
    match part:
        case schema.AudioPart() | schema.AudioLinkPart():
            return Capability.AUDIO
        case schema.FilePart(file=document):
            if document.file_data is None and document.file_id is None:
                field = f"messages[{place}].content[{at}].file"
                raise refusal(f"Missing required parameter: '{field}.file_id'.", field, "missing_required_parameter")
            return "" if _is_ours(document) else Capability.FILES
        case _:
            return Capability.IMAGES


def _is_ours(document: schema.Document) -> bool:
    """Whether it was uploaded here: what it needs of a target is known when it is read."""
    return document.file_data is None and document.file_id is not None and document.file_id.startswith(PREFIX)


def _files(asked: schema.Body) -> frozenset[str]:
    """The ids of files that were uploaded here."""
    return frozenset(
        part.file.file_id
        for message in asked.messages
        if isinstance(message.content, list)
        for part in message.content
        if isinstance(part, schema.FilePart) and _is_ours(part.file) and part.file.file_id is not None
    )


def _needs(asked: schema.Body) -> frozenset[str]:
    needs: set[str] = set()
    for message in asked.messages:
        if message.content.__class__ is list:
            needs = _shown(asked)
            break
    if asked.tools or asked.functions:
        needs.add(Capability.TOOLS)
    if asked.logprobs:
        needs.add(Capability.LOGPROBS)
    if asked.reasoning_effort is not None and asked.reasoning_effort != "none":
        needs.add(Capability.REASONING)
    if asked.modalities is not None and "audio" in asked.modalities:
        needs.add(Capability.AUDIO)
    if isinstance(asked.response_format, schema.SchemaFormat) or (
        isinstance(asked.response_format, schema.JsonFormat) and asked.response_format.schema is not None
    ):
        needs.add(Capability.JSON_SCHEMA)
    return frozenset(needs) if needs else _NOTHING


def _read(body: bytes, known: "msgspec.json.Decoder[schema.Body] | None" = None) -> schema.Body:
    asked = decode(_BODY, body, WORDS, known)
    _agree(asked)
    return asked


class ChatServer:
    """Implements `ports.codec.ServerCodec`."""

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        asked = _read(body)
        stream = bool(asked.stream)
        options = asked.stream_options
        return Ask(
            Operation.CHAT,
            asked.model,
            stream,
            _needs(asked),
            asked.n or 1,
            asked.max_completion_tokens or asked.max_tokens,
            not stream or (options is not None and options.include_usage is True),
            files=_files(asked) if PREFIX_BYTES in body else _NOTHING,
        )

    def decode_request(self, body: bytes) -> ChatRequest:
        """The whole request in our words."""
        return asking.hear(_read(body, _KNOWN), body)

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body."""
        if not isinstance(answer, Response) or not isinstance(request, ChatRequest):
            raise TypeError("a chat is answered by a Response")
        asked = request.vendor.get(DIALECT)
        legacy = asked is not None and "functions" in asked
        said: Wire = {
            "id": answer.id,
            "object": "chat.completion",
            "created": answer.created,
            "model": model,
            "choices": [_say_choice(index, choice, legacy=legacy) for index, choice in enumerate(answer.choices)],
        }
        if answer.usage is not None:
            said["usage"] = usage.say(answer.usage, answer.usage_vendor.get(DIALECT, {}))
        vendor = answer.vendor.get(DIALECT)
        return json.encode({**said, **vendor} if vendor else said)

    def encoder(self, request: Request, model: str) -> ChatEncoder:
        """For a stream."""
        if not isinstance(request, ChatRequest):
            raise TypeError("a chat is answered by a stream of a chat")
        return ChatEncoder(request, model)

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream."""
        return encode_fault_event(fault)


def _say_choice(index: int, choice: Choice, *, legacy: bool) -> Wire:
    likely, unlikely = choice.logprobs, choice.refusal_logprobs
    return {
        "index": index,
        "message": _say_message(choice, legacy=legacy),
        "logprobs": say_logprobs(likely, unlikely) if likely or unlikely else None,
        **say_reason(choice.reason or "stop", choice.detail, legacy=legacy),
    }


def _say_message(choice: Choice, *, legacy: bool) -> Wire:
    """`content` is null where something else was said instead."""
    vendor = choice.vendor.get(DIALECT)
    silent = choice.text is None and (choice.calls or choice.refusal is not None or vendor)
    said: Wire = {"role": "assistant", "content": None if silent else choice.text or "", "refusal": choice.refusal}
    thoughts = "".join([block.text for block in choice.reasoning]) if choice.reasoning else ""
    if thoughts:
        said["reasoning_content"] = thoughts
    if choice.calls and legacy:
        said["function_call"] = {"name": choice.calls[0].name, "arguments": choice.calls[0].arguments}
    elif choice.calls:
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in choice.calls
        ]
    return {**said, **vendor} if vendor else said
