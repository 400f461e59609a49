"""What the three formats say alike: words and pictures, sampling, effort, schemas without what the API refuses."""

from collections.abc import Iterable, Sequence

import msgspec

from foz.canon.content import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from foz.canon.fault import Unsupported
from foz.canon.request import ChatRequest, ReasoningWish
from foz.wire import json

Wire = dict[str, object]
MAX_DEPTH = 32
GROWTH, SPARE = 4, 65_536
"""How much longer a schema may become when what it refers to is put in place: so many times, and so many characters."""
_SIGNATURES = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""How base64 begins, for pictures whose type nobody said."""
_MIMES = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "file": "application/pdf"}
_EFFORTS = {"none": "NONE", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH"}
_BUDGETS = ((2048, "LOW"), (8192, "MEDIUM"))
_ANY = msgspec.json.Decoder()


def unsayable(what: str, format: str, field: str = "messages") -> Unsupported:
    """What a format has no place for."""
    return Unsupported(f"This model is called through OCI's {format} format, which cannot hold {what}.", field=field)


def named(part: Part) -> str:
    """A part, in a fault."""
    if isinstance(part, Opaque):
        return f"a part that only {part.dialect} knows"
    if isinstance(part, Media):
        return f"a part of kind {part.kind}"
    return type(part).__name__.lower()


def text_of(parts: Iterable[Part], format: str) -> str:
    """Parts that must be words, joined by lines."""
    texts = []
    for part in parts:
        if not isinstance(part, Text | Refusal):
            raise unsayable(named(part), format)
        texts.append(part.text)
    return "\n".join(texts)


def link(media: Media) -> str:
    """A URL, or the data as one."""
    if media.data is None:
        if media.url is None:
            raise Unsupported(
                f"A part of kind '{media.kind}' is only known to its provider; this one needs its data or a link.",
                field="messages",
            )
        return media.url
    mime = media.mime
    if mime is None and media.kind == "image":
        mime = next((kind for start, kind in _SIGNATURES.items() if media.data.startswith(start)), None)
    return f"data:{mime or _MIMES[media.kind]};base64,{media.data}"


def text_part(text: str) -> Wire:
    """Words as a part."""
    return {"type": "TEXT", "text": text}


def result_texts(result: ToolResult) -> list[str]:
    """The words of a tool's result."""
    return [part.text for part in result.parts if isinstance(part, Text)]


def shown(results: Sequence[ToolResult]) -> list[Media]:
    """What tools' results show: it follows in a user's message, for a result holds text."""
    return [part for result in results for part in result.parts if isinstance(part, Media)]


class Said(msgspec.Struct):
    """An assistant's message, sorted."""

    texts: list[str] = []
    thoughts: list[str] = []
    refusals: list[str] = []
    calls: list[ToolCall] = []


def sort(parts: Iterable[Part], format: str) -> Said:
    """What an assistant said, by kind. Thoughts that are sealed for another vendor are left out."""
    said = Said()
    for part in parts:
        match part:
            case Text(text=text):
                said.texts.append(text)
            case Reasoning(text=text):
                said.thoughts.append(text)
            case Refusal(text=text):
                said.refusals.append(text)
            case ToolCall():
                said.calls.append(part)
            case _:
                raise unsayable(f"{named(part)} in an assistant's message", format)
    return said


def sampling(request: ChatRequest) -> Wire:
    """How tokens are drawn; `min_p` and `repetition_penalty` have no word here."""
    drawn = request.sampling
    said: Wire = {
        "temperature": drawn.temperature,
        "topP": drawn.top_p,
        "topK": drawn.top_k,
        "frequencyPenalty": drawn.frequency_penalty,
        "presencePenalty": drawn.presence_penalty,
        "seed": drawn.seed,
    }
    return {name: value for name, value in said.items() if value is not None}


def streaming(request: ChatRequest) -> Wire:
    """A stream always asks for its usage."""
    return {"isStream": True, "streamOptions": {"isIncludeUsage": True}} if request.stream else {"isStream": False}


def effort(wish: ReasoningWish | None) -> str | None:
    """A level; a budget is told as the nearest one, and levels above the highest as it."""
    if wish is None:
        return None
    if wish.effort is not None:
        return _EFFORTS.get(wish.effort, "HIGH")
    if wish.enabled is False:
        return "NONE"
    if wish.budget is None:
        return None
    return next((word for most, word in _BUDGETS if wish.budget <= most), "HIGH")


def plain_schema(raw: msgspec.Raw | None) -> dict[str, object]:
    """
    A JSON schema as the API takes it: `$ref` put in place, `title` and `$defs` dropped, a type that may be null
    as the type alone, of alternatives the first that is not null.
    """
    if raw is None:
        return {"type": "object", "properties": {}}
    value = _ANY.decode(raw)
    if not isinstance(value, dict):
        raise Unsupported("A schema must be a JSON object.", field="tools")
    definitions = {**_table(value, "definitions"), **_table(value, "$defs")}
    plain = _Plain(definitions, SPARE + GROWTH * len(bytes(raw))).of(value, 0)
    return plain if isinstance(plain, dict) else {}


def _table(value: dict[str, object], name: str) -> dict[str, object]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


class _Plain:
    """One schema while it is made plain. What refers to itself ends as a plain object."""

    def __init__(self, definitions: dict[str, object], room: int) -> None:
        self._definitions = definitions
        self._left = 5_000
        self._room = room
        """Characters that may still be said: what is referred to is said as often as it is."""

    def of(self, value: object, depth: int) -> object:
        if depth > MAX_DEPTH or not self._fits(value):
            return {"type": "object"}
        if isinstance(value, list):
            return [self.of(item, depth + 1) for item in value]
        if not isinstance(value, dict):
            return value
        found = self._resolved(value)
        plain: dict[str, object] = {}
        for name, inner in found.items():
            if name in {"$defs", "definitions", "$schema", "$id"} or (name == "title" and isinstance(inner, str)):
                continue
            if name in {"properties", "patternProperties"} and isinstance(inner, dict):
                self._room -= sum(map(len, inner))
                plain[name] = {key: self.of(each, depth + 1) for key, each in inner.items()}
            elif name == "type" and isinstance(inner, list):
                plain[name] = next((kind for kind in inner if kind != "null"), "null")
            elif name in {"const", "default", "enum", "examples"}:
                self._room -= len(json.encode(inner))
                if self._room >= 0:
                    plain[name] = inner
            else:
                plain[name] = self.of(inner, depth + 1)
        return plain

    def _fits(self, value: object) -> bool:
        """Whether there is room for it, which it takes."""
        self._left -= 1
        if isinstance(value, str):
            self._room -= len(value)
        return self._left >= 0 and self._room >= 0

    def _resolved(self, value: dict[str, object]) -> dict[str, object]:
        for _ in range(MAX_DEPTH):
            reference = value.get("$ref")
            if isinstance(reference, str):
                aim = self._definitions.get(reference.rpartition("/")[2])
                rest = {name: inner for name, inner in value.items() if name != "$ref"}
                value = {**(aim if isinstance(aim, dict) else {"type": "object"}), **rest}
                continue
            name = next((name for name in ("anyOf", "oneOf") if isinstance(value.get(name), list)), None)
            if name is None:
                return value
            options = value[name]
            choices = [one for one in options if one != {"type": "null"}] if isinstance(options, list) else []
            rest = {key: inner for key, inner in value.items() if key != name}
            value = {**(choices[0] if choices and isinstance(choices[0], dict) else {}), **rest}
        return {"type": "object"}


def bag(arguments: str) -> dict[str, object]:
    """A call's arguments as an object, for formats that hold no JSON text; what is none stands in `input`."""
    try:
        value = _ANY.decode(arguments or "{}")
    except (json.DecodeError, RecursionError):
        return {"input": arguments}
    return value if isinstance(value, dict) else {"input": value}
