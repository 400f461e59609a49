"""
Items as messages: what a caller sends as `input`, and what of earlier turns goes before it.

What the model said in one go (thoughts, words, calls) is one message of ours, however many items it was.
A result of a call is a message of its own. Items that only OpenAI's own tools make are refused, by their place.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw

from foz.canon.content import Media, Message, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from foz.canon.fault import BadRequest, Unsupported
from foz.canon.model import Capability
from foz.dialects.openai.fields import explain, refusal
from foz.dialects.openai.responses import schema
from foz.dialects.openai.responses.seal import opened
from foz.ports.files import PREFIX

T = TypeVar("T")

MOST_ITEMS = 20_000
REFERENCE = "item_reference"
_SAID = (Text, Refusal, ToolCall)
"""Behind one of these the model does not think again in the same go."""
_WORDS = (schema.InputText, schema.OutputText, schema.PlainText)
_KIND = msgspec.json.Decoder(schema.Kind)
_MESSAGE = msgspec.json.Decoder(schema.MessageItem)
_CALL = msgspec.json.Decoder(schema.CallItem)
_OUTPUT = msgspec.json.Decoder(schema.OutputItem)
_REASONING = msgspec.json.Decoder(schema.ReasoningItem)
_REFERENCE = msgspec.json.Decoder(schema.ReferenceItem)


def read(decoder: "msgspec.json.Decoder[T]", raw: Raw, place: str) -> T:
    """A piece of a body that was decoded before. Raises BadRequest, naming the field by its place in the body."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        said = str(error)
        placed = said.replace("`$", f"`$.{place}", 1) if "`$" in said else f"{said} - at `$.{place}`"
        raise explain(placed, schema.WORDS) from None


def kind_of(raw: Raw, place: str) -> str:
    """What an item is; without a word for it, it is a message."""
    return read(_KIND, raw, place).type or "message"


def reference_of(raw: Raw, place: str) -> str | None:
    """The id that an item only refers to, where it does."""
    if kind_of(raw, place) != REFERENCE:
        return None
    return read(_REFERENCE, raw, place).id


def as_items(said: "str | list[Raw] | None") -> list[Raw]:
    """An input as items: words alone are the user's."""
    if said is None:
        return []
    if isinstance(said, str):
        return [Raw(msgspec.json.encode({"type": "message", "role": "user", "content": said}))]
    return said


def whole_items(said: "str | list[Raw] | None", instead: Sequence[tuple[int, Raw]]) -> list[Raw]:
    """An input as items; `instead` has those that it only refers to, by their place."""
    items = as_items(said)
    if not instead:
        return items
    placed = dict(instead)
    return [placed.get(place, raw) for place, raw in enumerate(items)]


def hear_items(items: Sequence[Raw], history: Sequence[Raw] = ()) -> tuple[Message, ...]:
    """The items in our words, those of earlier turns before them. Raises BadRequest, Unsupported."""
    if len(items) + len(history) > MOST_ITEMS:
        raise refusal(f"At most {MOST_ITEMS} items go with a request.", "input", "array_above_max_length")
    said: list[Message] = []
    for place, raw in (*enumerate(history), *enumerate(items)):
        said.append(_hear(raw, f"input[{place}]"))
    return tuple(_joined(said))


def _joined(said: Iterable[Message]) -> Iterable[Message]:
    """Neighbours that the model said in one go are one: nobody speaks or thinks again behind a call, nor twice."""
    parts: list[Part] | None = None
    ended = False
    for message in said:
        ours = message.role == "assistant"
        if parts is not None and not (ours and (not ended or _only_calls(message))):
            yield Message("assistant", tuple(parts))
            parts, ended = None, False
        if not ours:
            yield message
            continue
        parts = parts or []
        parts += message.parts
        for part in message.parts:
            ended = ended or isinstance(part, _SAID)
    if parts is not None:
        yield Message("assistant", tuple(parts))


def _only_calls(message: Message) -> bool:
    return all(isinstance(part, ToolCall) for part in message.parts)


def _hear(raw: Raw, place: str) -> Message:
    kind = kind_of(raw, place)
    match kind:
        case "message":
            item = read(_MESSAGE, raw, place)
            return Message(item.role, hear_parts(item.content, f"{place}.content"))
        case "function_call":
            call = read(_CALL, raw, place)
            return Message("assistant", (ToolCall(call.call_id, call.name, call.arguments),))
        case "function_call_output":
            output = read(_OUTPUT, raw, place)
            shown = hear_parts(output.output, f"{place}.output")
            return Message(
                "tool", (ToolResult(output.call_id, tuple(part for part in shown if isinstance(part, Text | Media))),)
            )
        case "reasoning":
            return Message("assistant", (_thought(read(_REASONING, raw, place)),))
        case _:
            raise _unheard(kind, place)


def _unheard(kind: str, place: str) -> BadRequest | Unsupported:
    if kind == REFERENCE:
        return refusal(f"Item '{place}' refers to an item that is not kept here.", place, "item_not_found")
    return Unsupported(
        f"Items of type '{kind[:64]}' are not understood by this gateway, which has none of OpenAI's own tools; "
        "it takes 'message', 'reasoning', 'function_call', 'function_call_output' and 'item_reference'.",
        field=f"{place}.type",
    )


def _thought(item: schema.ReasoningItem) -> Reasoning:
    told = "".join(piece.text for piece in item.content or item.summary or ())
    sealed = opened(item.encrypted_content)
    return Reasoning(told) if sealed is None else Reasoning(sealed.text or told, sealed.signature, sealed.sealed)


def hear_parts(content: "str | list[schema.Part]", place: str) -> tuple[Part, ...]:
    """What a message holds. Raises BadRequest."""
    if isinstance(content, str):
        return (Text(content),)
    return tuple(
        [
            Text(part.text) if isinstance(part, _WORDS) else _hear_other(part, f"{place}[{at}]")
            for at, part in enumerate(content)
        ]
    )


def _hear_other(part: schema.Other, place: str) -> Part:
    match part:
        case schema.RefusalPart():
            return Refusal(part.refusal)
        case schema.InputImage():
            if not part.image_url and not part.file_id:
                raise _missing(f"{place}.image_url")
            url, data, mime = _link(part.image_url)
            return Media("image", url, data, mime, file_id=part.file_id, detail=part.detail)
        case schema.InputFile():
            return _hear_file(part, place)
        case schema.InputAudio():
            return Media("audio", data=part.input_audio.data, mime=f"audio/{part.input_audio.format}")


def _hear_file(part: schema.InputFile, place: str) -> Media:
    if not (part.file_data or part.file_url or part.file_id):
        raise _missing(f"{place}.file_id")
    url, data, mime = _link(part.file_data or part.file_url)
    if part.file_data and data is None:
        url, data = None, part.file_data
    return Media("file", url, data, mime, part.filename, part.file_id)


def _missing(field: str) -> BadRequest:
    return refusal(f"Missing required parameter: '{field}'.", field, "missing_required_parameter")


def _link(url: str | None) -> tuple[str | None, str | None, str | None]:
    """(url, data, mime) of a link that may be a data URI."""
    if url is not None and url[:5].lower() == "data:":
        head, _, data = url.partition(",")
        if head.endswith(";base64"):
            return None, data, head[5:-7] or None
    return url, None, None


def media_of(messages: Iterable[Message]) -> Sequence[Media]:
    """What messages show beside their words."""
    shown: list[Media] = []
    for message in messages:
        for part in message.parts:
            if part.__class__ is Text:
                continue
            if isinstance(part, Media):
                shown.append(part)
            elif isinstance(part, ToolResult):
                shown += [one for one in part.parts if isinstance(one, Media)]
    return shown


def files_of(shown: Iterable[Media]) -> frozenset[str]:
    """The ids of files that were uploaded here."""
    return frozenset(one.file_id for one in shown if one.file_id is not None and _is_ours(one))


def needs_of(shown: Iterable[Media]) -> set[str]:
    """What a target must be able to do for these; what our own files need is known when they are read."""
    wanted = {"image": Capability.IMAGES, "audio": Capability.AUDIO, "file": Capability.FILES}
    needs = {wanted[one.kind].value for one in shown if not _is_ours(one) and one.kind in wanted}
    return needs | {Capability.LINKS.value} if any(one.is_link for one in shown) else needs


def _is_ours(media: Media) -> bool:
    named = media.file_id is not None and media.file_id.startswith(PREFIX)
    return named and media.data is None and media.url is None
