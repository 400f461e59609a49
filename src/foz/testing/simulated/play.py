"""
One call to the simulated model as a play: status, headers, and the pieces of its body in order, without their time.

Pure: a dialect's server codecs decode the call and encode the events; mischief changes the pieces.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from itertools import chain, islice
from typing import Protocol
from urllib.parse import unquote

from msgspec import Struct

from foz.canon.event import CallGrew, Event, Measured, ReasoningGrew, TextGrew
from foz.canon.fault import (
    BadRequest,
    Conflict,
    Down,
    Fault,
    Forbidden,
    Limited,
    NotFound,
    RateLimited,
    Refused,
    Timeout,
    Unauthenticated,
    UpstreamFault,
)
from foz.canon.request import ChatRequest, CompleteRequest, EmbedRequest, Operation
from foz.canon.response import fold
from foz.dialects.openai.faults import encode_fault
from foz.ports.codec import ServerCodec, Speech
from foz.testing.simulated.answer import CREATED, answer
from foz.testing.simulated.embed import embed
from foz.testing.simulated.mischief import Mischief
from foz.wire import json, sse
from foz.wire.http import Call, Headers, Reply

PATHS = {
    "/chat/completions": Operation.CHAT,
    "/completions": Operation.COMPLETE,
    "/embeddings": Operation.EMBED,
}
MODELS = ("simulated",)
_JSON: Headers = ((b"content-type", b"application/json"),)
_SSE: Headers = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))
GARBAGE = sse.encode(b'{"id": "garbled", "choices": [{"delta"')
_CONTENT = (TextGrew, CallGrew, ReasoningGrew)
_FAULTS: dict[int, type[Fault]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    408: Timeout,
    409: Conflict,
    429: RateLimited,
    504: Timeout,
}


class Silence(Enum):
    """What may come in place of a piece."""

    HANG = "nothing more, and no end"
    CUT = "the connection ends"


Step = bytes | Silence


class Produced(Struct, frozen=True):
    """The tokens of an answer: those of the prompt, and how many had been made after each of its pieces."""

    input: int
    output: tuple[int, ...] = ()

    def after(self, pieces: int) -> int:
        """How many tokens had been made when so many pieces were out; beyond the last it is one for each."""
        if not pieces or not self.output:
            return 0
        return self.output[min(pieces, len(self.output)) - 1] + max(pieces - len(self.output), 0)


class Play(Struct, frozen=True):
    """What is answered. `stream` says whether the steps are pieces of one."""

    status: int
    headers: Headers
    steps: Iterable[Step]
    stream: bool = False
    produced: Produced | None = None
    """Where the fake counts what it makes."""
    once: bool = False
    """Whether the same call may be answered otherwise the next time."""


class Face(Protocol):
    """How one vendor's server answers."""

    def perform(self, call: Call, mischief: Mischief) -> Play:
        """The play of a call. Raises what a caller did wrong as a fault."""
        ...

    def refuse(self, fault: Fault) -> Play:
        """A fault as this vendor tells it."""
        ...


class SpeechFace:
    """The face of a server that speaks by a dialect's own server codecs. Implements `Face`."""

    def __init__(self, speech: Mapping[Operation, Speech], models: tuple[str, ...]) -> None:
        self._speech = speech
        self._models = models

    def perform(self, call: Call, mischief: Mischief) -> Play:
        """The play of a call."""
        return perform(call, self._speech, mischief, self._models)

    def refuse(self, fault: Fault) -> Play:
        """A fault as a vendor tells it."""
        return refuse(fault, "")


def perform(
    call: Call, speech: Mapping[Operation, Speech], mischief: Mischief, models: tuple[str, ...] = MODELS
) -> Play:
    """The play of a call. Raises what a caller did wrong as a fault."""
    path = "/" + call.path.partition("?")[0].strip("/").removeprefix("v1/")
    if mischief.status is not None:
        raise failure(mischief.status, mischief)
    if path == "/models" or path.startswith("/models/"):
        _demand("GET", call)
        return whole(_models(unquote(path.removeprefix("/models").lstrip("/")), models), mischief)
    if path not in PATHS:
        raise NotFound(f"the simulated upstream has no {call.path}; it has /models, {', '.join(PATHS)}")
    _demand("POST", call)
    operation = PATHS[path]
    codec = speech[operation].server if operation in speech else None
    if codec is None:
        raise NotFound(f"the simulated upstream's dialect cannot say {operation}")
    request = codec.decode_request(call.body)
    if isinstance(request, EmbedRequest):
        response = embed(request)
        return whole(codec.encode_response(response, request, request.model), mischief)
    events = events_of(request, mischief)
    if not request.stream:
        return whole(codec.encode_response(fold(events), request, request.model), mischief)
    return Play(200, _SSE, _stream(codec, request, events, mischief), stream=True)


def whole(body: bytes, mischief: Mischief) -> Play:
    """A body in one piece, or what mischief leaves of it."""
    if mischief.error is not None:
        raise failure(500, mischief)
    half = body[: len(body) // 2]
    steps: tuple[Step, ...] = (body,)
    if mischief.cut is not None:
        steps = (half, Silence.CUT)
    elif mischief.hang is not None or mischief.endless:
        steps = (half, Silence.HANG)
    elif mischief.garble is not None:
        steps = (half,)
    return Play(200, _JSON, steps)


def refuse(fault: Fault, request_id: str) -> Play:
    """A fault as a vendor tells it: without our own hint whether to try again."""
    reply: Reply = encode_fault(fault, request_id)
    headers = tuple(each for each in reply.headers if each[0] not in {b"x-should-retry", b"x-request-id"})
    return Play(reply.status, headers, (reply.body,))


def failure(status: int, mischief: Mischief) -> Fault:
    """The fault of a status that was asked for."""
    told = _FAULTS.get(status, Down if status >= 500 else BadRequest)  # noqa: PLR2004 - the servers' own doing
    if mischief.code is not None and not issubclass(told, UpstreamFault):
        told = Limited if told is RateLimited else Refused  # those that carry a vendor's own code
    return told(
        f"simulated: status {status} was asked for",
        status=status,
        retry_after=mischief.retry_after,
        vendor_code=mischief.code,
    )


def _demand(method: str, call: Call) -> None:
    if call.method != method:
        raise BadRequest(f"{call.path} is asked with {method}, not {call.method}", status=405)


def _models(id: str, models: tuple[str, ...]) -> bytes:
    rows = [{"id": name, "object": "model", "created": CREATED, "owned_by": "foz"} for name in models]
    if not id:
        return json.encode({"object": "list", "data": rows})
    return json.encode({"id": id, "object": "model", "created": CREATED, "owned_by": "foz"})


def events_of(request: ChatRequest | CompleteRequest, mischief: Mischief) -> Iterator[Event]:
    """The model's events, changed as asked."""
    events = answer(request, length=mischief.words)
    if mischief.no_usage:
        events = (event for event in events if not isinstance(event, Measured))
    if mischief.giant is not None:
        first = list(islice(events, 1))
        events = chain(first, (TextGrew("x" * mischief.giant),), events)
    return events if mischief.batch is None else batched(events, mischief.batch)


def batched(events: Iterable[Event], most: int) -> Iterator[Event]:
    """The same, with so many pieces of text or of thoughts in one."""
    held: list[TextGrew | ReasoningGrew] = []
    for event in events:
        if held and (len(held) == most or not _alike(held[0], event)):
            yield _joined(held)
            held = []
        if isinstance(event, TextGrew | ReasoningGrew):
            held.append(event)
        else:
            yield event


def _alike(one: TextGrew | ReasoningGrew, other: Event) -> bool:
    return isinstance(other, TextGrew | ReasoningGrew) and (type(one), one.choice) == (type(other), other.choice)


def _joined(held: list[TextGrew | ReasoningGrew]) -> Event:
    first, text = held[0], "".join(event.text for event in held)
    if isinstance(first, ReasoningGrew):
        return ReasoningGrew(text, first.choice)
    sure = tuple(one for event in held if isinstance(event, TextGrew) for one in event.logprobs)
    return TextGrew(text, first.choice, sure)


def _stream(
    codec: ServerCodec, request: ChatRequest | CompleteRequest, events: Iterator[Event], mischief: Mischief
) -> Iterator[Step]:
    """The frames of a stream; ends where mischief ends it."""
    frames = _frames(codec, request, events, mischief)
    return marred(frames, mischief, codec.encode_fault_event(failure(500, mischief)), GARBAGE)


def marred(frames: Iterator[bytes], mischief: Mischief, error: bytes, garbage: bytes) -> Iterator[Step]:
    """Frames as mischief leaves them; `error` is how the dialect says in a stream that it breaks off."""
    if mischief.garble is not None:
        frames = (garbage if at == mischief.garble else frame for at, frame in enumerate(frames, 1))
    if mischief.cut is not None:
        yield from islice(frames, mischief.cut)
        yield Silence.CUT
    elif mischief.hang is not None:
        yield from islice(frames, mischief.hang)
        yield Silence.HANG
    elif mischief.error is not None:
        yield from islice(frames, mischief.error)
        yield error
    else:
        yield from frames


def _frames(
    codec: ServerCodec, request: ChatRequest | CompleteRequest, events: Iterator[Event], mischief: Mischief
) -> Iterator[bytes]:
    encoder = codec.encoder(request, request.model)
    for event in events:
        yield from _each(encoder.feed(event))
        while mischief.endless and isinstance(event, _CONTENT):
            yield from _each(encoder.feed(TextGrew(" and on")))
    if not mischief.no_done:
        yield from _each(encoder.close())


def _each(data: bytes) -> Iterator[bytes]:
    """Frame by frame, where one event of the model's is said in several."""
    if data.count(b"\n\n") < 2:  # noqa: PLR2004 - one frame, or none
        return iter((data,)) if data else iter(())
    return (frame + b"\n\n" for frame in data.split(b"\n\n") if frame)
