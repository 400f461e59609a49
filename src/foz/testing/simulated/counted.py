"""
Plays that know how many tokens each of their pieces is, for fakes of vendors: what a ledger is held against.

A piece of text, of a thought or of arguments has the tokens of `simulated.words`: one, where nobody asks for more to an
event. What the answer took in all is what its `Measured` says.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from msgspec import structs
from typing_extensions import override

from foz.canon.event import CallGrew, Event, Measured, ReasoningGrew, TextGrew
from foz.canon.request import ChatRequest, CompleteRequest, Operation
from foz.canon.response import fold
from foz.canon.usage import Usage
from foz.ports.codec import ServerCodec, Speech
from foz.testing.simulated import words
from foz.testing.simulated.mischief import Mischief
from foz.testing.simulated.play import (
    GARBAGE,
    PATHS,
    Play,
    Produced,
    SpeechFace,
    events_of,
    failure,
    marred,
    whole,
)
from foz.wire.http import Call, Headers

Told = tuple[bytes, int]
"""A piece, and how many tokens it is."""
JSON: Headers = ((b"content-type", b"application/json"),)
SSE: Headers = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))


def tokens_of(event: Event) -> int:
    """How many tokens an event is."""
    match event:
        case TextGrew(text=text) | ReasoningGrew(text=text) | CallGrew(arguments=text):
            return words.count(text)
        case _:
            return 0


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


class CountedFace(SpeechFace):
    """A server that speaks by a dialect's own codecs, and counts what it makes of words. Implements `Face`."""

    def __init__(self, speech: Mapping[Operation, Speech], models: tuple[str, ...]) -> None:
        super().__init__(speech, models)
        self._codecs = {
            path: speech[operation].server
            for path, operation in PATHS.items()
            if operation in speech and operation is not Operation.EMBED
        }

    @override
    def perform(self, call: Call, mischief: Mischief) -> Play:
        """The play of a call."""
        codec = self._codecs.get("/" + call.path.strip("/").removeprefix("v1/"))
        if codec is None or call.method != "POST" or mischief.status is not None:
            return super().perform(call, mischief)
        request = codec.decode_request(call.body)
        assert isinstance(request, ChatRequest | CompleteRequest)  # noqa: S101 - embeddings are left out above
        events = list(events_of(request, structs.replace(mischief, no_usage=False)))
        error = codec.encode_fault_event(failure(500, mischief))
        return chat(codec, request, events, mischief, (error, GARBAGE))
