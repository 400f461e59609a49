"""
The translate lane: decode to canon, encode again; always right. The relay lane is the dialect's own
(`ports.codec.RelayCodec`): where caller and upstream speak the same, the bytes pass.
"""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import structs

from foz.canon.estimate import at_least
from foz.canon.event import (
    CallGrew,
    CallOpened,
    Event,
    Finished,
    Measured,
    ReasoningGrew,
    RefusalGrew,
    Started,
    TextGrew,
    VendorSaid,
)
from foz.canon.request import Ask
from foz.canon.response import EmbedResponse, Response
from foz.canon.usage import Timing
from foz.gateway.capture import LONGEST
from foz.ports.codec import Answer, EventDecoder, EventEncoder, Passage, Speech, Tally, WordsDecoder, WordsEncoder
from foz.ports.turn import Turn


def _count(tally: Tally, event: Event) -> None:
    match event:
        case TextGrew(text=text) | RefusalGrew(text=text) | ReasoningGrew(text=text):
            tally.content += len(text)
            tally.fewest += at_least(text)
            tally.pieces += 1
        case CallOpened(name=name):
            tally.content += len(name)
            tally.pieces += 1
        case CallGrew(arguments=arguments):
            tally.content += len(arguments)
            tally.fewest += at_least(arguments)
            tally.pieces += 1
        case VendorSaid():
            tally.pieces += 1
        case Measured(usage=usage):
            tally.usage = usage
        case Finished():
            tally.finished = True
        case _:
            pass


class Name(NamedTuple):
    """What an answer is called whose target gave it no name: callers' dialects want one."""

    id: str
    created: int

    def given(self, event: Event) -> Event:
        """The event with what it lacks of it."""
        if not isinstance(event, Started) or (event.id and event.created):
            return event
        return structs.replace(event, id=event.id or self.id, created=event.created or self.created)

    def given_whole(self, answer: Response) -> Response:
        """A whole answer with what it lacks of it."""
        return structs.replace(answer, id=answer.id or self.id, created=answer.created or self.created)


def passage(turn: Turn, ask: Ask, speech: Speech) -> Passage | None:
    """How the bytes pass between this caller and this target; None where only our words lead from one to the other."""
    relay, shortcut = speech.relay, turn.shortcut
    if relay is None or ask.files or ask.translated:
        return None
    if speech.dialect == turn.skin.relays:
        return relay
    return shortcut.along(relay) if shortcut is not None and shortcut.dialect == speech.dialect else None


class TranslateStream:
    """Upstream bytes to events to caller's bytes. Implements `ports.codec.RelayStream`."""

    def __init__(self, decoder: EventDecoder, encoder: EventEncoder, name: Name) -> None:
        self.tally = Tally()
        self.said: list[str] | None = None
        """The answer's words, where somebody gathers them."""
        self.told: Callable[[Event], None] | None = None
        """Who is told each event, where somebody is."""
        self.took: Callable[[], Timing] | None = None
        """How long it took, as soon as it is finished."""
        self._decoder = decoder
        self._encoder = encoder
        self._words = decoder.words if isinstance(decoder, WordsDecoder) else None
        self._word = encoder.say if isinstance(encoder, WordsEncoder) else None
        self._name: Name | None = name

    def _say(self, events: list[Event]) -> bytes:
        said = []
        if self._name is not None and events:
            events, self._name = [self._name.given(events[0]), *events[1:]], None
        for event in events:
            _count(self.tally, event)
            if self.said is not None and isinstance(event, TextGrew) and self.tally.content <= LONGEST:
                self.said.append(event.text)
            if self.told is not None:
                self.told(event)
            if event.__class__ is Finished and self.took is not None:
                event = Finished(self.took())
            said.append(self._encoder.feed(event))
        return b"".join(said)

    def feed(self, chunk: bytes) -> bytes:
        """What the caller gets of this chunk."""
        if self._words is not None and self._word is not None and self.said is None and self.told is None:
            words = self._words(chunk)
            passed = None if words is None else self._pass(words, self._word)
            if passed is not None:
                return passed
        return self._say(self._decoder.feed(chunk))

    def _pass(self, words: bytes, say: Callable[[bytes, str], bytes | None]) -> bytes | None:
        """What a stream mostly is: words that are written the same on both sides."""
        try:
            text = words.decode()
        except UnicodeDecodeError:
            return None
        passed = say(words, text)
        if passed is not None:
            tally = self.tally
            tally.content += len(text)
            tally.fewest += at_least(text)
            tally.pieces += 1
        return passed

    def close(self) -> bytes:
        """The end of input: what is left to say, and the terminal frame."""
        return self._say(self._decoder.close()) + self._encoder.close()


def words(answer: Answer) -> list[str]:
    """The texts of a whole answer."""
    return (
        [] if isinstance(answer, EmbedResponse) else [choice.text[:LONGEST] for choice in answer.choices if choice.text]
    )


def tallied(answer: Answer) -> Tally:
    """What a whole answer tells the ledger."""
    tally = Tally()
    tally.finished = True
    tally.usage = answer.usage
    if isinstance(answer, EmbedResponse):
        return tally
    for choice in answer.choices:
        tally.content += len(choice.text or "") + len(choice.refusal or "")
        for block in choice.reasoning:
            tally.content += len(block.text)
        for call in choice.calls:
            tally.content += len(call.name) + len(call.arguments)
    tally.pieces = 1
    return tally
