"""OpenAI's Files: how a file, a list of them and a deleted one are said, and which purposes there are."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from foz.canon.fault import BadRequest
from foz.dialects.openai.fields import invalid
from foz.ports.files import Kept
from foz.wire import json

PURPOSES = ("user_data", "assistants", "vision", "batch", "fine-tune", "evals")
MOST_LISTED = 10_000
SHORTEST, LONGEST = 3600, 2_592_000
"""Seconds that OpenAI takes as `expires_after`."""


class FileObject(Struct, frozen=True):
    """One file. Times are seconds."""

    id: str
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    object: Literal["file"] = "file"
    status: Literal["processed"] = "processed"


class FileList(Struct, frozen=True):
    """A page of them."""

    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class FileDeleted(Struct, frozen=True):
    """One that is no more."""

    id: str
    object: Literal["file"] = "file"
    deleted: bool = True


class Page(Struct, frozen=True):
    """Which of them are asked for."""

    limit: int = MOST_LISTED
    after: str = ""
    ascending: bool = False
    purpose: str = ""


def said(kept: Kept) -> FileObject:
    """A file as OpenAI has it."""
    return FileObject(kept.id, kept.size, kept.created // 1000, kept.expires // 1000, kept.name, kept.purpose)


def say(kept: Kept) -> bytes:
    """Its bytes."""
    return json.encode(said(kept))


def say_page(every: Sequence[Kept], page: Page) -> bytes:
    """A page of all of them, which come the oldest first. Raises BadRequest."""
    order = list(every) if page.ascending else list(every)[::-1]
    if page.after:
        place = next((at for at, one in enumerate(order) if one.id == page.after), None)
        if place is None:
            raise invalid("after", f"there is no file '{page.after[:128]}'.")
        order = order[place + 1 :]
    shown = [said(one) for one in order[: page.limit]]
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    return json.encode(FileList(shown, first, last, len(order) > page.limit))


def page_of(query: dict[str, str]) -> Page:
    """What a query asks for. Raises BadRequest."""
    limit = query.get("limit", str(MOST_LISTED))
    if not limit.isascii() or not limit.isdigit() or len(limit) > len(str(MOST_LISTED)):
        raise _range()
    if not 1 <= int(limit) <= MOST_LISTED:
        raise _range()
    order = query.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise invalid("order", "expected 'asc' or 'desc'.")
    return Page(int(limit), query.get("after", ""), order == "asc", query.get("purpose", ""))


def _range() -> BadRequest:
    return invalid("limit", f"expected a number from 1 to {MOST_LISTED}.")


def purpose_of(said: str) -> str:
    """What a file is for; by default it is for a conversation. Raises BadRequest."""
    if said and said not in PURPOSES:
        raise invalid("purpose", f"expected one of {', '.join(map(repr, PURPOSES))}.")
    return said or PURPOSES[0]


def seconds_of(anchor: str, seconds: str) -> int | None:
    """How long it is to be kept, from now on. Raises BadRequest."""
    if not anchor and not seconds:
        return None
    if anchor != "created_at":
        raise invalid("expires_after.anchor", "expected 'created_at'.")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) < len(str(10**9))):
        raise _when()
    if not SHORTEST <= int(seconds) <= LONGEST:
        raise _when()
    return int(seconds)


def _when() -> BadRequest:
    return invalid("expires_after.seconds", f"expected a number from {SHORTEST} to {LONGEST}.")
