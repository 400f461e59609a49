"""
Messages whose answer is not waited for (`Prefer: respond-async`, RFC 7240), in the manner of Anthropic's objects.
Anthropic has no such thing but for batches: the answer, once it is there, is the message itself.
"""

from datetime import UTC, datetime

from msgspec import Struct

from foz.canon.identity import text
from foz.canon.job import Job
from foz.dialects.anthropic.frames import PATH
from foz.ports.deferral import accepted, cancelled, waiting
from foz.wire.http import Reply


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
    return accepted(describe(job), f"{PATH}/{text(job.id)}")


def say_waiting(job: Job) -> Reply:
    """That it has no answer yet."""
    return waiting(describe(job))


def say_cancelled(job: Job) -> Reply:
    """How it stands after its caller wanted its end."""
    return cancelled(describe(job))
