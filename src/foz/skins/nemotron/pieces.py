"""
A job's log: lines of JSON, each with more of the text, of the thoughts, or of what is known of the answer. What was
said is the fold of the lines; what followers are told of one piece of the log is the fold of its lines alone.
"""

import msgspec
from msgspec import Struct

from foz.canon.estimate import filled
from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    Reason,
    ReasoningGrew,
    RefusalGrew,
    TextGrew,
)
from foz.canon.request import Request
from foz.canon.response import Response
from foz.canon.usage import Usage
from foz.wire import json


class Counts(Struct, frozen=True, omit_defaults=True):
    """Tokens; `estimated` where the target did not count them all."""

    prompt_tokens: int
    completion_tokens: int
    estimated: bool = False


class Line(Struct, frozen=True, omit_defaults=True):
    """One line."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Counts | None = None


_LINES = msgspec.json.Decoder(Line)


def written(line: Line) -> bytes:
    """As it stands in the log."""
    return json.encode(line) + b"\n"


def folded(log: bytes) -> Line:
    """What the lines say together."""
    lines = _LINES.decode_lines(log)
    return Line(
        "".join(line.text for line in lines),
        "".join(line.reasoning for line in lines),
        next((line.finish_reason for line in reversed(lines) if line.finish_reason), None),
        next((line.usage for line in reversed(lines) if line.usage), None),
    )


class LogEncoder:
    """Events to lines. Implements `ports.codec.EventEncoder`."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._content = 0
        self._usage: Usage | None = None
        self._reason: Reason | None = None

    def feed(self, event: Event) -> bytes:
        """The line that says this event; none for what is only counted."""
        match event:
            case TextGrew(text=text, choice=0) | RefusalGrew(text=text, choice=0):
                self._content += len(text)
                return written(Line(text)) if text else b""
            case ReasoningGrew(text=text, choice=0):
                self._content += len(text)
                return written(Line(reasoning=text)) if text else b""
            case CallGrew(arguments=text) | CallOpened(name=text):
                self._content += len(text)
            case ChoiceFinished(reason=reason, choice=0):
                self._reason = reason
            case Measured(usage=usage):
                self._usage = usage
            case Finished():
                return written(Line(finish_reason=self._reason or "stop", usage=self._counts()))
            case _:
                pass
        return b""

    def close(self) -> bytes:
        """Nothing: the job's end says it."""
        return b""

    def _counts(self) -> Counts:
        known = filled(self._usage, self._request, self._content)
        return Counts(known.input or 0, known.output or 0, known.estimated)


def say_whole(answer: Response, request: Request) -> bytes:
    """A whole answer as a log."""
    choice = answer.choices[0] if answer.choices else None
    text = "" if choice is None else (choice.text or "") + (choice.refusal or "")
    thoughts = "" if choice is None else "".join(block.text for block in choice.reasoning)
    counted = filled(answer.usage, request, len(text) + len(thoughts))
    reason = (choice.reason if choice is not None else None) or "stop"
    counts = Counts(counted.input or 0, counted.output or 0, counted.estimated)
    return written(Line(text, thoughts, reason, counts))
