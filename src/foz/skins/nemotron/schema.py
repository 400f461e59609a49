"""What callers may send, as msgspec checks it while it decodes, and what they are answered, for the reference."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

MOST_TOKENS = 2**31 - 1
LONGEST_KEY = 255

Words = Annotated[str, Meta(min_length=1)]


class Turn(Struct, frozen=True):
    """What one side said before."""

    role: Literal["system", "user", "assistant"]
    content: str


class Chat(Struct, frozen=True):
    """A message, alone or at the end of a conversation. What is not described here is left out."""

    message: Annotated[Words | None, Meta(description="What is said now.")] = None
    max_tokens: Annotated[
        Annotated[int, Meta(ge=1, le=MOST_TOKENS)] | None, Meta(description="Most tokens of the answer.")
    ] = None
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None, Meta(description="How freely the next word is drawn.")
    ] = None
    use_reasoning: Annotated[
        bool | None,
        Meta(description="Whether the model thinks before it answers; without it, it does as it usually does."),
    ] = None
    idempotency_key: Annotated[
        Annotated[str, Meta(max_length=LONGEST_KEY)] | None,
        Meta(description="Your own name of this job: the same, sent again within 24 hours, is the same job."),
    ] = None
    model: Annotated[Words | None, Meta(description="A model's public name; by default `[nemotron] model`.")] = None
    system: Annotated[str | None, Meta(description="What the model is told before all else.")] = None
    messages: Annotated[
        Annotated[list[Turn], Meta(min_length=1)] | None,
        Meta(description="What was said before; without `message`, the whole conversation."),
    ] = None


class Accepted(Struct, frozen=True):
    """A job that was accepted."""

    job_id: str
    status: str
    idempotency_key: str


class Result(Struct, frozen=True):
    """What came of it; `mode` is where it was made."""

    response: str
    mode: str
    latency_ms: float


class Waiting(Struct, frozen=True):
    """A job that waits or is worked at."""

    job_id: str
    status: Literal["pending", "processing"]
    created_at: str
    result: None = None


class Done(Struct, frozen=True):
    """A job that is completed."""

    job_id: str
    status: Literal["completed"]
    created_at: str
    result: Result


class Failed(Struct, frozen=True):
    """A job that failed."""

    job_id: str
    status: Literal["failed"]
    created_at: str
    error: str


class Cancelled(Struct, frozen=True):
    """A job that was cancelled."""

    job_id: str
    status: Literal["cancelled"]
    created_at: str


Status = Waiting | Done | Failed | Cancelled


class Line(Struct, frozen=True):
    """One line of the list of jobs."""

    job_id: str
    status: str
    created_at: str
    ended_at: str | None
    model: str
    mode: str


class Page(Struct, frozen=True):
    """Jobs, newest first; `next` is the `before` of the next page, where there is more."""

    jobs: list[Line]
    next: str | None


class Device(Struct, frozen=True):
    """The GPUs of this machine; memory in bytes, of all of them together."""

    name: str
    count: int
    memory_total: int
    memory_free: int


class Lane(Struct, frozen=True):
    """What one mode has to offer now."""

    available: bool
    reason: str | None
    """Why it is not available."""
    models: list[str]
    device: Device | None
    queue_depth: int | None
    workers: int | None
    reasoning: bool


class Info(Struct, frozen=True):
    """The modes."""

    modes: dict[str, Lane]
    default_mode: str


class Problem(Struct, frozen=True):
    """One thing that is wrong, and where."""

    type: str
    loc: list[str | int]
    msg: str


class Error(Struct, frozen=True):
    """What went wrong: a text, or (422) what is wrong with the request."""

    detail: str | list[Problem]
