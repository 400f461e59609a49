"""A response as an object, and its events as frames."""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from foz.canon.event import Reason
from foz.canon.fault import Fault, Limited, RateLimited
from foz.canon.usage import Usage
from foz.dialects.openai.faults import describe
from foz.wire import json, sse

Wire = dict[str, object]
_NOTHING = b"{}"
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


class Manner(Struct, frozen=True):
    """How one response is told."""

    id: str = ""
    """Else it is made of the target's own."""
    created: int = 0
    """Seconds; else the target's own."""
    summarizes: bool = False
    """Thoughts are told as a summary."""
    seals: bool = False
    """The caller is given what vendors want back of thoughts."""
    queued: bool = False
    """It is made in the background: its first two events are told when it is accepted."""
    echo: Raw = Raw(b"{}")
    """What of the request is said again: a JSON object."""


class CachedCount(Struct, frozen=True):
    """Of the tokens that came in."""

    cached_tokens: int = 0


class ThoughtCount(Struct, frozen=True):
    """Of the tokens that went out."""

    reasoning_tokens: int = 0


class Counts(Struct, frozen=True):
    """Tokens, as a response tells them."""

    input_tokens: int | UnsetType
    input_tokens_details: CachedCount
    output_tokens: int | UnsetType
    output_tokens_details: ThoughtCount
    total_tokens: int | UnsetType


_NOT_CACHED, _NOT_THOUGHT = CachedCount(), ThoughtCount()


def event(kind: str, fields: Wire, number: int) -> bytes:
    """One event as a frame."""
    return sse.encode(json.encode({"type": kind, **fields, "sequence_number": number}), kind.encode())


def object_of(
    manner: Manner,
    model: str,
    status: str,
    output: list[Wire],
    *,
    error: Fault | None = None,
    usage: Usage | None = None,
    details: Wire | None = None,
) -> Raw:
    """A response; what of the request is said again stands last, as it was written."""
    said: Wire = {
        "id": manner.id,
        "object": "response",
        "created_at": manner.created,
        "status": status,
        "model": model,
        "error": None if error is None else error_of(error),
        "incomplete_details": details,
        "output": output,
        "usage": None if usage is None else say_usage(usage),
    }
    told, echo = json.encode(said), bytes(manner.echo)
    return Raw(told if echo == _NOTHING else b"%b,%b" % (told[:-1], echo[1:]))


def error_of(fault: Fault) -> Wire:
    """What a response failed of: OpenAI has two words for it."""
    limited = isinstance(fault, Limited | RateLimited)
    return {"code": "rate_limit_exceeded" if limited else "server_error", "message": fault.message}


def told_first(fault: Fault) -> bytes:
    """A fault in a stream in which no response has begun: as OpenAI's event, and so that its SDKs raise on it."""
    said = _MEMBERS.decode(describe(fault))
    return event("error", {**_MEMBERS.decode(said["error"]), "type": "error", **said}, 0)


def incomplete(reason: Reason | None) -> Wire | None:
    """Why an answer is not complete; None where it is."""
    match reason:
        case "length":
            return {"reason": "max_output_tokens"}
        case "content_filter":
            return {"reason": "content_filter"}
        case _:
            return None


def say_usage(usage: Usage) -> Counts:
    """Tokens. The details have no word for what is unknown, and clients add them up: it is 0 there."""
    heard, said = usage.input, usage.output
    return Counts(
        UNSET if heard is None else heard,
        CachedCount(usage.cached) if usage.cached else _NOT_CACHED,
        UNSET if said is None else said,
        ThoughtCount(usage.reasoning) if usage.reasoning else _NOT_THOUGHT,
        UNSET if heard is None or said is None else heard + said,
    )


def item_id(kind: str, response: str, place: int) -> str:
    """The name of an item: it says of which response it is."""
    return f"{kind}_{response.removeprefix('resp_')}{place:04x}"


def response_of(item: str) -> str | None:
    """The response that an item of ours is of; None where it is none of ours."""
    kind, _, rest = item.partition("_")
    return f"resp_{rest[:-4]}" if kind in {"msg", "rs", "fc"} and len(rest) > 4 else None  # noqa: PLR2004 - its place
