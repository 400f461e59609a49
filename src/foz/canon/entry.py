"""
A line of the ledger, as values.

An entry is opened, durable, before anything is sent to a target, and settled once; the first settle wins.
It has one attempt or more. Times are UTC in integer milliseconds; ids are UUIDv7 (16 bytes, so that they sort by time).
"""

from enum import StrEnum

from msgspec import Struct

from foz.canon.request import Attribution
from foz.canon.usage import Usage


class State(StrEnum):
    """How an entry or an attempt stands. All but `open` are ends."""

    OPEN = "open"
    COMPLETE = "complete"
    """The upstream finished; what the caller's network did with it nobody can know."""
    CALLER_GONE = "caller_gone"
    UPSTREAM_CUT = "upstream_cut"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """Its owner died."""


class Attempt(Struct, frozen=True):
    """One request to one target, at its opening."""

    entry_id: bytes
    number: int
    target: str
    placement: str
    at: int


class Entry(Struct, frozen=True):
    """A call, at its opening. The first attempt is opened with it, in one write."""

    id: bytes
    at: int
    principal: str
    project: str
    attribution: Attribution
    skin: str
    operation: str
    model: str
    request_id: str
    stream: bool
    job_id: str | None = None


class AttemptEnd(Struct, frozen=True):
    """How an attempt ended."""

    entry_id: bytes
    number: int
    state: State
    usage: Usage
    fault: str | None = None
    """The fault's code and message, without secrets."""
    status: int | None = None
    """The target's HTTP status, where it gave one."""
    duration: int = 0


class EntryEnd(Struct, frozen=True):
    """How an entry ended."""

    id: bytes
    state: State
    status: int
    usage: Usage
    first_token: int | None
    """Milliseconds from opening to the first content; None where there was none."""
    duration: int
    price: int | None
    currency: str | None
    price_version: str | None
    fault: str | None = None
