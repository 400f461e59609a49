"""
A chat whose answer is not waited for (`Prefer: respond-async`, RFC 7240), in the manner of OpenAI's objects. OpenAI has
no such thing: its answer, once it is there, is the chat's own.
"""

from msgspec import Struct

from foz.canon.identity import text
from foz.canon.job import Job
from foz.ports.skin import WHOLE
from foz.wire import json
from foz.wire.http import Headers, Reply

CHATS = "/v1/chat/completions"
ACCEPTED = 202
AGAIN = 1
"""Seconds after which to look again."""
PREFERENCE = ("Prefer", "`respond-async`: the request becomes a job, whose answer will be at `Location`.")
KEY = ("Idempotency-Key", "Of a request that becomes a job: the same, sent again within 24 hours, is the same job.")


class DeferredChat(Struct, frozen=True):
    """A chat that is a job."""

    id: str
    status: str
    created: int
    model: str
    object: str = "chat.completion.job"


def describe(job: Job) -> DeferredChat:
    """How it stands."""
    return DeferredChat(text(job.id), job.state.value, job.at // 1000, job.model)


def say_accepted(job: Job) -> Reply:
    """That a request has become a job."""
    place = (b"location", f"{CHATS}/{text(job.id)}".encode())
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
