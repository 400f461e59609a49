"""
Messages whose answer is not waited for (`Prefer: respond-async`, RFC 7240), in the manner of Anthropic's objects.
Anthropic has no such thing but for batches: the answer, once it is there, is the message itself.
"""

from datetime import UTC, datetime

from msgspec import Struct

from foz.canon.identity import text
from foz.canon.job import Job
from foz.dialects.anthropic.frames import PATH
from foz.ports.skin import WHOLE
from foz.wire import json
from foz.wire.http import Headers, Reply

ACCEPTED = 202
AGAIN = 1
"""Seconds after which to look again."""
PREFERENCE = ("Prefer", "`respond-async`: the request becomes a job, whose answer will be at `Location`.")
KEY = ("Idempotency-Key", "Of a request that becomes a job: the same, sent again within 24 hours, is the same job.")


class DeferredMessage(Struct, frozen=True, tag_field="type", tag="message_job"):
    """A message that is a job."""

    id: str
    status: str
    created_at: str
    model: str


def describe(job: Job) -> DeferredMessage:
    """How it stands."""
    moment = datetime.fromtimestamp(job.at // 1000, UTC)
    return DeferredMessage(text(job.id), job.state.value, f"{moment:%Y-%m-%dT%H:%M:%SZ}", job.model)


def say_accepted(job: Job) -> Reply:
    """That a request has become a job."""
    place = (b"location", f"{PATH}/{text(job.id)}".encode())
    return _said(ACCEPTED, job, place, (b"preference-applied", b"respond-async"))


def say_waiting(job: Job) -> Reply:
    """That it has no answer yet."""
    return _said(ACCEPTED, job, (b"retry-after", b"%d" % AGAIN))


def say_cancelled(job: Job) -> Reply:
    """How it stands after its caller wanted its end."""
    return _said(200, job)


def _said(status: int, job: Job, *headers: tuple[bytes, bytes]) -> Reply:
    also: Headers = ((b"cache-control", b"no-store"), *headers)
    return Reply(status, (*WHOLE, *also), json.encode(describe(job)))
