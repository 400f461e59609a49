"""
Responses that are kept: what is shown of them, what later turns take from them, and what those look like that are not
made yet. Times are UTC milliseconds.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Raw, Struct

from foz.canon.fault import Fault, NotFound
from foz.canon.job import JobState
from foz.dialects.openai.fields import invalid
from foz.dialects.openai.responses import schema
from foz.dialects.openai.responses.saying import error_of, event, item_id, response_of
from foz.ports.responses import KeptResponse
from foz.wire import json, sse

MOST_LISTED = 100
USUAL = 20
INPUT = 0x8000
"""From where the places of input items are counted in their ids: those of the output are below."""
SEALED = "reasoning.encrypted_content"
_SEAL = "encrypted_content"
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class _Made(Struct):
    """What of a kept response counts for what follows."""

    status: str
    output: list[Raw] = []


class _Told(Struct):
    """An event of a stream."""

    type: str
    sequence_number: int
    response: Raw = schema.NULL


_MADE = msgspec.json.Decoder(_Made)
_NAMED = msgspec.json.Decoder(schema.Kind)
_TOLD = msgspec.json.Decoder(_Told)


def missing(id: str) -> NotFound:
    """There is no such response for who asks."""
    return NotFound(f"Response with id '{id[:128]}' not found.", field="response_id")


def status_of(body: bytes) -> str:
    """How a response stands."""
    return _MADE.decode(body).status


# What later turns take.


def packed_items(items: Sequence[Raw], id: str) -> bytes:
    """A turn's input as it is kept: each item has an id."""
    return json.encode([_with_id(raw, item_id(_kind(raw), id, INPUT + place)) for place, raw in enumerate(items)])


def _kind(raw: Raw) -> str:
    kinds = {"reasoning": "rs", "function_call": "fc", "function_call_output": "fc"}
    return kinds.get(_NAMED.decode(raw).type or "", "msg")


def _with_id(raw: Raw, id: str) -> dict[str, object]:
    said = _MEMBERS.decode(raw)
    return {**said, "id": _NAMED.decode(raw).id or id}


def turns(chain: Iterable[KeptResponse]) -> tuple[Raw, ...]:
    """All that was said, oldest first. Raises BadRequest where a response has no answer that can be gone on from."""
    said: list[Raw] = []
    for kept in chain:
        said += _ITEMS.decode(kept.input)
        made = None if kept.body is None else _MADE.decode(kept.body)
        if made is None or made.status not in {"completed", "incomplete"}:
            stands = "not complete yet" if made is None else made.status
            raise invalid("previous_response_id", f"the response '{kept.id}' is {stands}.")
        said += made.output
    return tuple(said)


def items_of(kept: KeptResponse | None) -> Mapping[str, Raw]:
    """The items of a response by their ids, the first of each."""
    if kept is None:
        return {}
    output = [] if kept.body is None else _MADE.decode(kept.body).output
    found: dict[str, Raw] = {}
    for raw in (*output, *_ITEMS.decode(kept.input)):
        found.setdefault(_NAMED.decode(raw).id or "", raw)
    return found


def whose(item: str) -> str | None:
    """The response that an item is of, by its id."""
    return response_of(item)


# What is shown.


def shown(body: bytes, include: Sequence[str]) -> bytes:
    """A kept response, for its caller: what vendors want back of thoughts only where it is asked for."""
    if SEALED in include or _SEAL.encode() not in body:
        return body
    said = _MEMBERS.decode(body)
    output = [_unsealed(raw) for raw in _ITEMS.decode(said["output"])]
    return json.encode({**said, "output": output})


def _unsealed(raw: Raw) -> Mapping[str, Raw]:
    return {name: value for name, value in _MEMBERS.decode(raw).items() if name != _SEAL}


def standing(body: bytes, status: str, error: Fault | None = None) -> bytes:
    """A response in the background, as its job stands."""
    said: dict[str, object] = {**_MEMBERS.decode(body), "status": status}
    if error is not None:
        said["error"] = error_of(error)
    return json.encode(said)


STATUSES = {
    JobState.PENDING: "queued",
    JobState.PROCESSING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


# Streams of what is made in the background.


def beginning(queued: bytes) -> bytes:
    """The first two events, which are told when it is accepted."""
    said: dict[str, object] = {"response": Raw(queued)}
    return event("response.created", said, 0) + event("response.queued", said, 1)


def ending(body: bytes, number: int) -> bytes:
    """The last event of a response that did not come to an end of its own."""
    return event("response.failed", {"response": Raw(body)}, number)


def broken(fault: Fault, number: int) -> bytes:
    """A stream that cannot go on, though its response may."""
    return event("error", {**error_of(fault), "param": None}, number)


def final(log: bytes) -> bytes | None:
    """The response that a stream ended with; None where it did not end."""
    frames = sse.Decoder().feed(log)
    told = _TOLD.decode(frames[-1].data) if frames else None
    return bytes(told.response) if told is not None and told.type in _ENDS else None


class Follower:
    """What of a stream's pieces one caller is told: what comes after a number."""

    def __init__(self, after: int) -> None:
        self.last = after
        """The number of the event that was told last."""
        self._frames = sse.Decoder()

    def feed(self, piece: bytes) -> bytes:
        """More of the stream."""
        told = b""
        for frame in self._frames.feed(piece):
            number = _TOLD.decode(frame.data).sequence_number
            if number > self.last:
                self.last = number
                told += sse.encode(frame.data, frame.event)
        return told


# Lists of input items.


class Page(Struct, frozen=True):
    """What of a list is asked for."""

    limit: int = USUAL
    ascending: bool = False
    after: str = ""


def say_items(kept: KeptResponse, page: Page) -> bytes:
    """A page of what the caller said in this turn. Raises BadRequest."""
    items = [_MEMBERS.decode(raw) for raw in _ITEMS.decode(kept.input)]
    order = items if page.ascending else items[::-1]
    ids = [msgspec.json.decode(item["id"], type=str) for item in order]
    if page.after:
        if page.after not in ids:
            raise invalid("after", f"there is no item '{page.after[:128]}'.")
        start = ids.index(page.after) + 1
        order, ids = order[start:], ids[start:]
    data = [_listed(item) for item in order[: page.limit]]
    ids = ids[: page.limit]
    ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return json.encode({"object": "list", "data": data, **ends, "has_more": len(order) > page.limit})


def _listed(item: dict[str, Raw]) -> dict[str, object]:
    """As OpenAI lists it: words alone are a part."""
    said: dict[str, object] = {name: value for name, value in item.items() if name != _SEAL}
    content = item.get("content")
    if "role" in item:
        said.setdefault("type", "message")
        said.setdefault("status", "completed")
        if content is not None and bytes(content)[:1] == b'"':
            model = bytes(item["role"]) == b'"assistant"'
            said["content"] = [{"type": "output_text" if model else "input_text", "text": content}]
    return said
