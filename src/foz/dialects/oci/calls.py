"""Which piece of a tool call belongs to which call: the API has no index for them."""

from hashlib import blake2b
from typing import Any

from foz.canon.event import CallGrew, CallOpened, Event
from foz.dialects.oci.schema import Function, ToolCall
from foz.wire import json


def _written(call: ToolCall) -> str:
    """The arguments as JSON text."""
    said: str | dict[str, Any] | None = call.arguments
    if said is None:
        said = call.function.arguments if call.function else call.parameters
    if said is None:
        return ""
    return said if isinstance(said, str) else json.encode(said).decode()


def _name(call: ToolCall) -> str | None:
    return call.name or (call.function or Function()).name


class Calls:
    """
    The calls of one choice. Id and name come only with a call's first piece, always at position 0: a new id, or a
    name without an id, opens the next call; a piece with neither belongs to the last.
    """

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._ids: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._ids)

    def take(self, call: ToolCall) -> list[Event]:
        """The events of one piece."""
        events: list[Event] = []
        name = _name(call)
        if name and (not call.id or not self._ids or call.id != self._ids[-1]):
            id = call.id or self._made_up(name, call)
            events.append(CallOpened(len(self._ids), id, name, self._choice))
            self._ids.append(id)
        written = _written(call)
        if written and self._ids:
            events.append(CallGrew(len(self._ids) - 1, written, self._choice))
        return events

    def _made_up(self, name: str, call: ToolCall) -> str:
        """An id where the vendor gives none: the same call at the same place gets the same one."""
        digest = blake2b(f"{name} {_written(call)}".encode("utf-8", "replace"), digest_size=6).hexdigest()
        return f"call_{self._choice}_{len(self._ids)}_{digest}"
