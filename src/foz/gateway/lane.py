"""
The two lanes of an attempt, behind one face.

Relay: caller and upstream speak the same dialect, so the bytes pass. Translate: decode to canon, encode again;
always right. The lane is chosen per attempt, by who is asked.
"""

from msgspec import Struct

from foz.canon.event import CallGrew, CallOpened, Event, Finished, Measured, ReasoningGrew, RefusalGrew, TextGrew
from foz.canon.model import Target
from foz.canon.request import Ask
from foz.canon.response import EmbedResponse
from foz.ports.codec import Answer, EventDecoder, EventEncoder, Speech, Tally
from foz.ports.turn import Turn


def _count(tally: Tally, event: Event) -> None:
    match event:
        case TextGrew(text=text) | RefusalGrew(text=text) | ReasoningGrew(text=text):
            tally.content += len(text)
            tally.pieces += 1
        case CallOpened(name=name):
            tally.content += len(name)
            tally.pieces += 1
        case CallGrew(arguments=arguments):
            tally.content += len(arguments)
            tally.pieces += 1
        case Measured(usage=usage):
            tally.usage = usage
        case Finished():
            tally.finished = True
        case _:
            pass


class TranslateStream:
    """Upstream bytes to events to caller's bytes. Implements `ports.codec.RelayStream`."""

    def __init__(self, decoder: EventDecoder, encoder: EventEncoder) -> None:
        self.tally = Tally()
        self._decoder = decoder
        self._encoder = encoder

    def _say(self, events: list[Event]) -> bytes:
        said = []
        for event in events:
            _count(self.tally, event)
            said.append(self._encoder.feed(event))
        return b"".join(said)

    def feed(self, chunk: bytes) -> bytes:
        """What the caller gets of this chunk."""
        return self._say(self._decoder.feed(chunk))

    def close(self) -> bytes:
        """The end of input: what is left to say, and the terminal frame."""
        return self._say(self._decoder.close()) + self._encoder.close()


def _tallied(answer: Answer) -> Tally:
    tally = Tally()
    tally.finished = True
    tally.usage = answer.usage
    if isinstance(answer, EmbedResponse):
        return tally
    for choice in answer.choices:
        tally.content += len(choice.text or "") + len(choice.refusal or "")
        tally.content += sum(len(block.text) for block in choice.reasoning)
        tally.content += sum(len(call.name) + len(call.arguments) for call in choice.calls)
    tally.pieces = 1
    return tally


class Lane(Struct, frozen=True):
    """One attempt's lane: the request is known, the target is chosen."""

    turn: Turn
    ask: Ask
    target: Target
    speech: Speech
    relayed: bool
