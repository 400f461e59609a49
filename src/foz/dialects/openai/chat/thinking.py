"""
Thoughts at servers that leave them to the request: how a family of models is told to think, and how what it thought is
told apart from its answer.

How to ask is data of the family (`Thinking`, in the profiles of providers): words in front of the system's, fields of
the body, places of a budget. How it comes back is one of three: in `reasoning_content`, in `reasoning`, or in the text
itself as `<think>...</think>`; the opening tag may stand in the model's own template, so that only the closing one
comes. `TagReader` reads the last form, piece by piece, and leaves the others as they are.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from foz.canon.content import Message, Text
from foz.canon.event import ChoiceFinished, Event, ReasoningGrew, TextGrew
from foz.canon.request import ChatRequest, ReasoningWish
from foz.canon.response import Response, fold
from foz.dialects.openai.chat.answer import Reader

OPENS = "<think>"
CLOSES = "</think>"
LITTLE = frozenset({"minimal", "low"})
Wire = dict[str, Any]


class Says(Struct, frozen=True, forbid_unknown_fields=True):
    """What a request says: words before all others, and fields of its body."""

    system: str | None = None
    fields: dict[str, Any] = {}


class Thinking(Struct, frozen=True, forbid_unknown_fields=True):
    """How a family is told to think."""

    on: Says = Says()
    off: Says = Says()
    little: Says = Says()
    """Said too where little thinking is wished for."""
    budget: tuple[str, ...] = ()
    """Where the most tokens of thoughts are said: fields of the body, with dots for fields within."""
    tags: bool = False
    """Whether its thoughts may come in the text."""
    opens: bool = False
    """Whether its template has the opening tag and it thinks unless told not to: a text that comes begins with
    thoughts."""


def _wanted(wish: ReasoningWish | None) -> bool | None:
    if wish is None or (wish.effort is None and wish.enabled is None and wish.budget is None):
        return None
    return wish.enabled is not False and wish.effort != "none"


def begins_inside(request: ChatRequest, thinking: Thinking) -> bool:
    """Whether the answer's text begins with thoughts whose opening tag does not come."""
    return thinking.opens and _wanted(request.reasoning) is not False


def _says(wish: ReasoningWish, thinking: Thinking) -> list[Says]:
    if not _wanted(wish):
        return [thinking.off]
    return [thinking.on, thinking.little] if wish.effort in LITTLE else [thinking.on]


def with_words(request: ChatRequest, thinking: Thinking) -> tuple[Message, ...]:
    """The messages with the family's words in front, in the system's message."""
    wish, messages = request.reasoning, request.messages
    if wish is None or _wanted(wish) is None:
        return messages
    words = "\n".join(says.system for says in _says(wish, thinking) if says.system)
    if not words:
        return messages
    if messages and messages[0].role in {"system", "developer"}:
        first, parts = messages[0], messages[0].parts
        whole = f"{words}\n{parts[0].text}" if parts and isinstance(parts[0], Text) else words
        rest = parts[1:] if parts and isinstance(parts[0], Text) else parts
        return (msgspec.structs.replace(first, parts=(Text(whole), *rest)), *messages[1:])
    return (Message("system", (Text(words),)), *messages)


def _merged(said: Mapping[str, Any], more: Mapping[str, Any]) -> Wire:
    """Both; what is said already stays."""
    whole = dict(said)
    for name, value in more.items():
        known = whole.get(name)
        if isinstance(known, Raw) and isinstance(value, dict):
            known = msgspec.json.decode(known)
        if isinstance(known, dict) and isinstance(value, dict):
            whole[name] = _merged(known, value)
        elif name not in whole:
            whole[name] = value
    return whole


def _placed(path: str, value: int) -> Wire:
    name, _, rest = path.partition(".")
    return {name: _placed(rest, value) if rest else value}


def with_fields(body: Wire, wish: ReasoningWish | None, thinking: Thinking) -> Wire:
    """The body with the family's fields in place of `reasoning_effort`; what the caller said itself stays."""
    if wish is None or _wanted(wish) is None:
        return body
    body = {name: value for name, value in body.items() if name != "reasoning_effort"}
    for says in _says(wish, thinking):
        body = _merged(body, says.fields)
    if wish.budget is not None and _wanted(wish):
        for path in thinking.budget:
            body = _merged(body, _placed(path, wish.budget))
    return body


class Habits(Struct, frozen=True):
    """What a family wants said to it that others do not."""

    thinking: Thinking | None = None
    embedding: Mapping[str, Any] = {}
    """Fields of requests for embeddings where the caller does not say them."""


class _Track:
    """The text of one choice while it comes in."""

    def __init__(self, choice: int, *, inside: bool) -> None:
        self._choice = choice
        self._inside = inside
        self._state = "start"
        self._held = ""
        self._opened = False
        """Just behind the opening tag: white space there is no thought."""

    def think(self) -> list[Event]:
        """The server tells thoughts apart itself."""
        if self._state != "start":
            return []
        self._state = "text"
        return self._text(self._take_held())

    def feed(self, event: TextGrew) -> list[Event]:
        """More text."""
        if self._state == "text":
            return [event]
        self._held += event.text
        events: list[Event] = []
        if self._state == "start":
            self._begin()
        if self._state == "inside":
            events += self._read_thoughts()
        if self._state == "after":
            self._held = self._held.lstrip()
            self._state = "text" if self._held else "after"
        if self._state == "text":
            events += self._text(self._take_held(), event)
        return events

    def close(self) -> list[Event]:
        """Its end: what was held back belongs where it stands."""
        held, state = self._take_held(), self._state
        if state == "start" and self._inside:
            state = "inside"
        self._state = "text"
        if state == "inside":
            return [ReasoningGrew(held, self._choice)] if held else []
        return [] if state == "after" else self._text(held)

    def _begin(self) -> None:
        bare = self._held.lstrip()
        if bare.startswith(OPENS):
            self._held, self._state, self._opened = bare[len(OPENS) :], "inside", True
        elif not OPENS.startswith(bare):
            self._state = "inside" if self._inside else "text"

    def _read_thoughts(self) -> list[Event]:
        if self._opened:
            self._held = self._held.lstrip()
            self._opened = not self._held
        at = self._held.find(CLOSES)
        if at >= 0:
            thought, self._held = self._held[:at].rstrip(), self._held[at + len(CLOSES) :]
            self._state = "after"
        else:
            sure = _sure(self._held)
            thought, self._held = self._held[:sure], self._held[sure:]
        return [ReasoningGrew(thought, self._choice)] if thought else []

    def _take_held(self) -> str:
        held, self._held = self._held, ""
        return held

    def _text(self, text: str, event: TextGrew | None = None) -> list[Event]:
        """Text as it is; how likely its tokens were is known only where the piece is whole."""
        if event is not None and text == event.text:
            return [event]
        return [TextGrew(text, self._choice)] if text else []


def _sure(held: str) -> int:
    """How much of held thoughts is neither the beginning of the closing tag nor white space before it."""
    size = min(len(CLOSES) - 1, len(held))
    while size and not held.endswith(CLOSES[:size]):
        size -= 1
    return len(held[: len(held) - size].rstrip())


class TagReader:
    """A `Reader` whose texts are read for thoughts. Implements `openai.frames.Reader`."""

    def __init__(self, reader: Reader, *, inside: bool) -> None:
        self._reader = reader
        self._inside = inside
        self._tracks: dict[int, _Track] = {}

    @property
    def done(self) -> bool:
        """Whether all was said."""
        return self._reader.done

    @property
    def complete(self) -> bool:
        """Whether every choice that was begun has its finish reason."""
        return self._reader.complete

    def take(self, data: bytes, *, whole: bool = False) -> list[Event]:
        """The events of a body or of a chunk."""
        events: list[Event] = []
        for event in self._reader.take(data, whole=whole):
            events += self._sorted(event)
        return events

    def whole(self, data: bytes) -> Response:
        """A whole answer."""
        return fold([*self.take(data, whole=True), *self.finish()])

    def finish(self) -> list[Event]:
        """The last events."""
        events = self._reader.finish()
        return [*(held for track in self._tracks.values() for held in track.close()), *events]

    def _sorted(self, event: Event) -> list[Event]:
        match event:
            case TextGrew(choice=choice):
                return self._track(choice).feed(event)
            case ReasoningGrew(choice=choice):
                return [*self._track(choice).think(), event]
            case ChoiceFinished(choice=choice):
                return [*self._track(choice).close(), event]
            case _:
                return [event]

    def _track(self, choice: int) -> _Track:
        track = self._tracks.get(choice)
        if track is None:
            track = self._tracks[choice] = _Track(choice, inside=self._inside)
        return track
