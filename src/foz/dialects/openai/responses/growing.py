"""
The items of an answer while they grow. Each step gives the events that tell it: name, fields, output index.

An item is told bare when it opens and whole when it closes; between, each piece of it once.
"""

from typing import NamedTuple, Protocol

from foz.canon.event import TokenLogprob
from foz.dialects.openai.responses.seal import closed
from foz.wire import json

Wire = dict[str, object]


class Growing(NamedTuple):
    """One event of an item, without its number."""

    name: str
    fields: Wire
    place: int
    """Of its item in the output."""


class Item(Protocol):
    """One item."""

    index: int

    @property
    def closable(self) -> bool:
        """Whether it can be told to be complete once another follows."""
        ...

    def bare(self) -> Wire:
        """As it opens."""
        ...

    def close(self, *, complete: bool) -> list[Growing]:
        """The events that end what is still open in it."""
        ...

    def whole(self, *, seals: bool) -> Wire:
        """As it stands; with what vendors want back of thoughts, where that is wanted."""
        ...


class _Part:
    """A part of a message: words, or words for no."""

    __slots__ = ("kind", "logprobs", "pieces")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.pieces: list[str] = []
        self.logprobs: list[Wire] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def whole(self) -> Wire:
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": self.text}
        return {"type": "output_text", "text": self.text, "annotations": [], "logprobs": self.logprobs}


class Speech:
    """A message."""

    closable = True

    def __init__(self, id: str, index: int, *, quiet: bool = False) -> None:
        self.id = id
        self.index = index
        self._quiet = quiet
        """Nobody is told of its growing."""
        self._parts: list[_Part] = []
        self._status = "in_progress"

    def bare(self) -> Wire:
        """As it opens."""
        return {"id": self.id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}

    def begin(self, kind: str) -> list[Growing]:
        """The part that grows is of this kind (`output_text`, `refusal`): another is begun where it is not."""
        if self._parts and self._parts[-1].kind == kind:
            return []
        told = self._end()
        self._parts.append(_Part(kind))
        if self._quiet:
            return []
        return [*told, self._growing("content_part.added", {"part": self._parts[-1].whole()})]

    def grow(self, text: str, logprobs: tuple[TokenLogprob, ...]) -> list[Growing]:
        """More of the part that grows."""
        part = self._parts[-1]
        part.pieces.append(text)
        likely = [_likely(token) for token in logprobs]
        part.logprobs += likely
        if self._quiet:
            return []
        if part.kind == "refusal":
            return [self._growing("refusal.delta", {"delta": text})]
        return [self._growing("output_text.delta", {"delta": text, "logprobs": likely})]

    def add(self, text: str) -> None:
        """More of the words that grow, told by somebody else."""
        self._parts[-1].pieces.append(text)

    def head(self) -> bytes:
        """How each of their pieces is told, up to itself."""
        return (
            b"event: response.output_text.delta\ndata: "
            b'{"type":"response.output_text.delta","output_index":%d,"item_id":%b,"content_index":%d,"delta":'
            % (self.index, json.encode(self.id), len(self._parts) - 1)
        )

    def close(self, *, complete: bool) -> list[Growing]:
        """The events that end what is still open in it."""
        self._status = "completed" if complete else "incomplete"
        return self._end()

    def whole(self, *, seals: bool) -> Wire:  # noqa: ARG002 - every item is asked alike
        """As it stands."""
        content = [part.whole() for part in self._parts]
        return {**self.bare(), "status": _ended(self._status), "content": content}

    def _end(self) -> list[Growing]:
        if self._quiet or not self._parts:
            return []
        part = self._parts[-1]
        done: Wire = (
            {"refusal": part.text} if part.kind == "refusal" else {"text": part.text, "logprobs": part.logprobs}
        )
        return [
            self._growing(f"{part.kind}.done", done),
            self._growing("content_part.done", {"part": part.whole()}),
        ]

    def _growing(self, name: str, fields: Wire) -> Growing:
        return Growing(name, {"item_id": self.id, "content_index": len(self._parts) - 1, **fields}, self.index)


class Thoughts:
    """A block of thinking: its own words, or told as a summary."""

    closable = True

    def __init__(self, id: str, index: int, *, summarizes: bool) -> None:
        self.id = id
        self.index = index
        self._pieces: list[str] = []
        self._begun = False
        self._status = "in_progress"
        self._signature: str | None = None
        self._sealed: str | None = None
        self._prefix = "reasoning_summary" if summarizes else "reasoning"
        self._place: Wire = {"item_id": id, "summary_index" if summarizes else "content_index": 0}
        self._summarizes = summarizes
        self.ended = False
        """Its vendor has closed it: what comes is another."""

    def bare(self) -> Wire:
        """As it opens."""
        return {"id": self.id, "type": "reasoning", "status": "in_progress", "summary": []}

    def begin(self) -> list[Growing]:
        """Before its first words."""
        if self._begun:
            return []
        self._begun = True
        return [self._part_told("added")]

    def grow(self, text: str) -> list[Growing]:
        """More of it."""
        self._pieces.append(text)
        return [Growing(f"{self._prefix}_text.delta", {**self._place, "delta": text}, self.index)]

    def seal(self, signature: str | None, sealed: str | None) -> None:
        """What its vendor wants back; it is at its end."""
        self._signature, self._sealed, self.ended = signature, sealed, True

    def close(self, *, complete: bool) -> list[Growing]:
        """The events that end what is still open in it."""
        self._status = "completed" if complete else "incomplete"
        if not self._begun:
            return []
        done = Growing(f"{self._prefix}_text.done", {**self._place, "text": "".join(self._pieces)}, self.index)
        return [done, self._part_told("done")]

    def whole(self, *, seals: bool) -> Wire:
        """As it stands."""
        said = {**self.bare(), "status": _ended(self._status)}
        if self._begun:
            said["summary" if self._summarizes else "content"] = [self._part()]
        if seals:
            said["encrypted_content"] = closed("".join(self._pieces), self._signature, self._sealed)
        return said

    def _part(self) -> Wire:
        return {"type": "summary_text" if self._summarizes else "reasoning_text", "text": "".join(self._pieces)}

    def _part_told(self, how: str) -> Growing:
        name = "reasoning_summary_part" if self._summarizes else "content_part"
        return Growing(f"{name}.{how}", {**self._place, "part": self._part()}, self.index)


class Call:
    """A call of a function."""

    def __init__(self, id: str, index: int, call_id: str, name: str) -> None:
        self.id = id
        self.index = index
        self._call_id = call_id
        self._name = name
        self._pieces: list[str] = []
        self._status = "in_progress"

    @property
    def closable(self) -> bool:
        """Once its arguments are an object, nothing can follow in them but blanks."""
        arguments = "".join(self._pieces).strip()
        return arguments.startswith("{") and arguments.endswith("}") and json.valid(arguments.encode())

    def bare(self) -> Wire:
        """As it opens."""
        said: Wire = {"id": self.id, "type": "function_call", "status": "in_progress", "arguments": ""}
        return {**said, "call_id": self._call_id, "name": self._name}

    def grow(self, arguments: str) -> list[Growing]:
        """More of its arguments."""
        self._pieces.append(arguments)
        return [Growing("function_call_arguments.delta", {"item_id": self.id, "delta": arguments}, self.index)]

    def close(self, *, complete: bool) -> list[Growing]:
        """The events that end what is still open in it."""
        self._status = "completed" if complete else "incomplete"
        fields: Wire = {"item_id": self.id, "name": self._name, "arguments": "".join(self._pieces)}
        return [Growing("function_call_arguments.done", fields, self.index)]

    def whole(self, *, seals: bool) -> Wire:  # noqa: ARG002 - every item is asked alike
        """As it stands."""
        return {**self.bare(), "status": _ended(self._status), "arguments": "".join(self._pieces)}


def _ended(status: str) -> str:
    """What was not closed when all was over did not come to its end."""
    return "incomplete" if status == "in_progress" else status


def _likely(token: TokenLogprob) -> Wire:
    said: Wire = {"token": token.token, "logprob": token.logprob, "bytes": token.bytes or ()}
    return {
        **said,
        "top_logprobs": [{"token": one.token, "logprob": one.logprob, "bytes": one.bytes or ()} for one in token.top],
    }
