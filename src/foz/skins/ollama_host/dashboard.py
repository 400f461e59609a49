"""
The dashboard's list: what was used, in the fields and units of the older system's document. `total_seconds` is
nanoseconds, as its example has it; `date` is UTC, in seconds, without a zone.

What was said is there only where it was captured. Captured text is cut at a length: what is left of a list of messages
is closed again, and an ellipsis says that there was more.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from foz.canon.fault import BadRequest
from foz.ports.content import Kept
from foz.skins.ollama_host.question import UNPROCESSABLE
from foz.wire import json
from foz.wire.http import Headers, Reply

PATH = "/api/v1/admin/dashboard"
NANOSECONDS = 1_000_000
MORE = "…"
KEPT = frozenset({"project", "process_id", "subprocess_id", "user_key", "model", "from", "to", "limit"})
"""What of a query the next page has too."""
_HEADERS: Headers = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
_OFFSET = re.compile(r" (\d\d:?\d\d)$")
_HALF_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:u[0-9A-Fa-f]{0,3})?$")
_CLOSINGS = ('"}]', '""}]', "}]", "]")


class Use(Struct, frozen=True):
    """One entry of the ledger, as far as it is shown. Times are milliseconds."""

    at: int
    duration: int | None
    input: int | None
    output: int | None
    model: str
    project: str | None
    process_id: str | None
    subprocess_id: str | None


class Said(Struct, frozen=True):
    """One message of an input."""

    role: str
    content: str


class Row(Struct, frozen=True):
    """One line of the dashboard."""

    date: str
    total_seconds: int | None
    total_tokens: int | None
    input_tokens: int | None
    output_tokens: int | None
    model_name: str
    input: list[Said] | None
    output: str | None
    project: str | None
    process_id: str | None
    subprocess_id: str | None


_MESSAGES = msgspec.json.Decoder(list[Said])


def moment(said: str, field: str) -> int:
    """UTC milliseconds of a date or a time; without a zone it is UTC. Raises BadRequest, naming the field."""
    try:
        when = datetime.fromisoformat(_OFFSET.sub(r"+\1", said.strip()))  # a + in a query is a space
    except ValueError:
        message = f"Invalid '{field}': expected a date or a time such as 2025-08-04 or 2025-08-04T11:05:00."
        raise BadRequest(message, field=field, status=UNPROCESSABLE) from None
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.fromtimestamp(0, UTC)
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def messages(kept: str, *, cut: bool) -> list[Said]:
    """The messages of a captured input."""
    if not cut:
        return _decoded(kept) or []
    whole = _HALF_ESCAPE.sub(r"\1", kept)
    before = whole[: whole.rfind('},{"role":') + 1]
    for candidate in (*(whole + end for end in _CLOSINGS), before + "]"):
        found = _decoded(candidate)
        if found:
            last = found[-1]
            return [*found[:-1], Said(last.role, last.content + MORE)]
    return []


def _decoded(candidate: str) -> list[Said] | None:
    try:
        return _MESSAGES.decode(candidate)
    except msgspec.DecodeError:
        return None


def row(use: Use, kept: Kept | None) -> Row:
    """One line; `kept` is what was said, where it was captured and may be read."""
    known = use.input is not None and use.output is not None
    return Row(
        date=datetime.fromtimestamp(use.at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        total_seconds=None if use.duration is None else use.duration * NANOSECONDS,
        total_tokens=(use.input or 0) + (use.output or 0) if known else None,
        input_tokens=use.input,
        output_tokens=use.output,
        model_name=use.model,
        input=None if kept is None else messages(kept.input, cut=kept.input_cut),
        output=None if kept is None else kept.output + (MORE if kept.output_cut else ""),
        project=use.project or None,
        process_id=use.process_id,
        subprocess_id=use.subprocess_id,
    )


def say_dashboard(rows: Sequence[Row], asked: Iterable[tuple[str, str]], cursor: str | None) -> Reply:
    """A page; where there are more, its `Link` header says where. `asked` is the caller's query."""
    body = json.encode(rows)
    if cursor is None:
        return Reply(200, _HEADERS, body)
    query = urlencode([*((name, value) for name, value in asked if name in KEPT), ("cursor", cursor)])
    link = f'<{PATH}?{query}>; rel="next"'.encode()
    return Reply(200, (*_HEADERS, (b"link", link)), body)
