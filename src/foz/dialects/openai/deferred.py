"""
A chat whose answer is not waited for (`Prefer: respond-async`, RFC 7240), in the manner of OpenAI's objects. OpenAI has
no such thing: its answer, once it is there, is the chat's own.
"""

from msgspec import Struct

from foz.canon.identity import text
from foz.canon.job import Job
from foz.ports.deferral import accepted, cancelled, waiting
from foz.wire.http import Reply

CHATS = "/v1/chat/completions"


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
    return accepted(describe(job), f"{CHATS}/{text(job.id)}")


def say_waiting(job: Job) -> Reply:
    """That it has no answer yet."""
    return waiting(describe(job))


def say_cancelled(job: Job) -> Reply:
    """How it stands after its caller wanted its end."""
    return cancelled(describe(job))
