"""
Plays that know how many tokens each of their pieces is, for fakes of vendors: what a ledger is held against.

A piece of text, of a thought or of arguments is a token; what the answer took in all is what its `Measured` says.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from foz.canon.event import CallGrew, Event, Measured, ReasoningGrew, TextGrew
from foz.canon.request import ChatRequest, CompleteRequest
from foz.canon.response import fold
from foz.canon.usage import Usage
from foz.ports.codec import ServerCodec
from foz.testing.simulated.mischief import Mischief
from foz.testing.simulated.play import Play, Produced, marred, whole
from foz.wire.http import Headers

Told = tuple[bytes, int]
"""A piece, and how many tokens it is."""
JSON: Headers = ((b"content-type", b"application/json"),)
SSE: Headers = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))


def tokens_of(event: Event) -> int:
    """How many tokens an event is."""
    return int(isinstance(event, TextGrew | ReasoningGrew) and bool(event.text)) or int(isinstance(event, CallGrew))


def usage_of(events: Iterable[Event]) -> Usage:
    """What the answer took."""
    return next((event.usage for event in events if isinstance(event, Measured)), Usage(input=0, output=0))


def produced(told: Sequence[Told], usage: Usage, mischief: Mischief) -> Produced:
    """The tokens after each piece; after the last of them all that the answer took."""
    total = usage.output or 0
    made = [min(count, total) for count in accumulate(tokens for _, tokens in told)]
    made[-1:] = [total]
    if mischief.error is not None:  # one more piece, which says that there are no more
        made = made[: mischief.error] + (made[mischief.error - 1 : mischief.error] if mischief.error else [0])
    return Produced(usage.input or 0, tuple(made))


def streamed(told: Sequence[Told], usage: Usage, mischief: Mischief, spoiled: tuple[bytes, bytes]) -> Play:
    """A stream of these pieces, or what mischief leaves of it; `spoiled` are an error and a broken piece."""
    steps = marred(_pieces(told, mischief), mischief, *spoiled)
    return Play(200, SSE, steps, stream=True, produced=produced(told, usage, mischief))


def _pieces(told: Sequence[Told], mischief: Mischief) -> Iterator[bytes]:
    """The last one may never come, or others before it for ever."""
    yield from (piece for piece, _ in told[:-1])
    while mischief.endless and len(told) > 1:
        yield told[-2][0]
    if told and not mischief.no_done:
        yield told[-1][0]


def complete(body: bytes, usage: Usage, mischief: Mischief, headers: Headers = JSON) -> Play:
    """A whole answer, or what mischief leaves of it."""
    play = whole(body, mischief)
    return Play(play.status, headers, play.steps, produced=Produced(usage.input or 0, (usage.output or 0,)))


def chat(
    codec: ServerCodec,
    request: ChatRequest | CompleteRequest,
    events: Sequence[Event],
    mischief: Mischief,
    spoiled: tuple[bytes, bytes],
) -> Play:
    """The play of a chat, or a text, whose dialect has this server role."""
    usage = usage_of(events)
    shown = [event for event in events if not (mischief.no_usage and isinstance(event, Measured))]
    if not request.stream:
        return complete(codec.encode_response(fold(shown), request, request.model), usage, mischief)
    encoder = codec.encoder(request, request.model)
    told: list[Told] = []
    for event in shown:
        frames = _each(encoder.feed(event))
        told += [(frame, tokens_of(event) if at == len(frames) - 1 else 0) for at, frame in enumerate(frames)]
    told += [(frame, 0) for frame in _each(encoder.close())]
    return streamed(told, usage, mischief, spoiled)


def _each(data: bytes) -> list[bytes]:
    """Frame by frame."""
    return [frame + b"\n\n" for frame in data.split(b"\n\n") if frame]
