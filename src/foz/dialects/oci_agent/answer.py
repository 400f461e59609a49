"""
An agent's answer as events, whole or streamed.

No public sample of a stream is known: a piece may bring more of the text or all of it so far, and the last may say the
whole text again beside its citations. The first piece that goes on from what was said decides which of the two it is.
Tokens are counted in traces only, where the agent shows them. An agent never says that it is finished: a stream is
complete where its connection ends well.
"""

from contextlib import suppress
from datetime import datetime

import msgspec
from msgspec import Raw, Struct

from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    Started,
    TextGrew,
    VendorSaid,
)
from foz.canon.fault import Cut, Fault, Garbled
from foz.canon.usage import Usage
from foz.dialects.oci_agent.faults import fault_in_stream
from foz.dialects.oci_agent.frames import BROKEN, DIALECT, NULL, garbled
from foz.dialects.oci_agent.session import Used
from foz.wire import json, sse


class Content(Struct):
    """What an agent says, and what it says it from."""

    text: str | None = None
    citations: Raw = Raw(NULL)
    paragraphCitations: Raw = Raw(NULL)  # noqa: N815 - Oracle's name


class Message(Struct):
    """A message, or more of it."""

    content: Content | None = None
    timeCreated: str | None = None  # noqa: N815 - Oracle's name


class Details(Struct):
    """Tokens of one step."""

    inputTokenCount: int | None = None  # noqa: N815 - Oracle's name
    outputTokenCount: int | None = None  # noqa: N815 - Oracle's name


class Counted(Struct):
    """One step's model and its tokens."""

    usageDetails: Details | None = None  # noqa: N815 - Oracle's name


class Trace(Struct):
    """One step."""

    usage: list[Counted] | None = None


class FunctionCall(Struct):
    """What the agent wants done."""

    name: str
    arguments: str | None = None


class Action(Struct):
    """Something that the caller is to do."""

    actionId: str | None = None  # noqa: N815 - Oracle's name
    functionCall: FunctionCall | None = None  # noqa: N815 - Oracle's name


class Piece(Struct):
    """A whole answer or a piece of one. `message` is a string where it is an error's."""

    message: Message | str | None = None
    traces: list[Trace] | None = None
    requiredActions: list[Action] | None = None  # noqa: N815 - Oracle's name
    toolOutputs: Raw = Raw(NULL)  # noqa: N815 - Oracle's name
    guardrailResult: Raw = Raw(NULL)  # noqa: N815 - Oracle's name
    fozSession: Used | None = None  # noqa: N815 - as all names of this API
    code: str | int | None = None
    error: Raw = Raw(NULL)


_PIECE = msgspec.json.Decoder(Piece)


def _seconds(written: str | None) -> int:
    try:
        return max(int(datetime.fromisoformat(written or "").timestamp()), 0)
    except (ValueError, OverflowError):
        return 0


class Reader:
    """One answer while it comes in."""

    def __init__(self, used: Used | None = None) -> None:
        self.began = False
        self._used = used
        self._started = False
        self._said: list[str] = []
        self._length = 0
        self._whole: bool | None = None
        """Whether each piece brings all of the text so far, once that is known."""
        self._calls = 0
        self._input: int | None = None
        self._output: int | None = None

    def take(self, data: bytes) -> list[Event]:
        """The events of a body or a frame. Raises Garbled, or the fault that the upstream reports."""
        try:
            piece = _PIECE.decode(data)
        except BROKEN as error:
            raise garbled("answer", error) from None
        if piece.fozSession is not None:
            self._used = piece.fozSession
            return []
        if isinstance(piece.message, str) or piece.code is not None or bytes(piece.error) != NULL:
            raise fault_in_stream(data)
        message = piece.message or Message()
        self.began = True
        events = [] if self._started else [self._start(message)]
        content = message.content or Content()
        last = bytes(content.citations) != NULL or piece.traces is not None or piece.requiredActions is not None
        new = self._new(content.text or "", last=last)
        if new:
            events.append(TextGrew(new))
        for action in piece.requiredActions or ():
            events += self._call(action)
        self._count(piece.traces or [])
        return events + _vendor(content, piece)

    def finish(self) -> list[Event]:
        """The last events."""
        if not self.began:
            raise Cut("the agent's answer ended before it began")
        reason: Event = ChoiceFinished("tool_calls" if self._calls else "stop")
        if self._input is None and self._output is None:
            return [reason, Finished()]
        return [reason, Measured(Usage(input=self._input, output=self._output)), Finished()]

    def _start(self, message: Message) -> Event:
        self._started = True
        used = self._used
        vendor = {} if used is None else {DIALECT: {"session": Raw(json.encode(used))}}
        return Started("", "", _seconds(message.timeCreated), vendor)

    def _new(self, text: str, *, last: bool) -> str:
        """What of a piece's text had not been said."""
        if not text:
            return ""
        restates = self._whole is not False or len(text) == self._length
        said = "".join(self._said) if restates else ""
        if said and text == said and (last or self._whole or len(self._said) > 1):
            return ""
        if said and self._whole is not False:
            goes_on = text.startswith(said) and text != said
            if self._whole and not goes_on and said.startswith(text):
                return ""
            self._whole = goes_on if self._whole is None else self._whole
            text = text[len(said) :] if goes_on else text
        self._said.append(text)
        self._length += len(text)
        return text

    def _call(self, action: Action) -> list[Event]:
        called = action.functionCall
        if called is None:
            return []
        index = self._calls
        self._calls += 1
        opened = CallOpened(index, action.actionId or f"call_0_{index}", called.name)
        return [opened, CallGrew(index, called.arguments)] if called.arguments else [opened]

    def _count(self, traces: list[Trace]) -> None:
        for trace in traces:
            for counted in trace.usage or ():
                details = counted.usageDetails or Details()
                if details.inputTokenCount is not None:
                    self._input = (self._input or 0) + details.inputTokenCount
                if details.outputTokenCount is not None:
                    self._output = (self._output or 0) + details.outputTokenCount


def _vendor(content: Content, piece: Piece) -> list[Event]:
    fields = {
        "citations": content.citations,
        "paragraphCitations": content.paragraphCitations,
        "toolOutputs": piece.toolOutputs,
        "guardrailResult": piece.guardrailResult,
    }
    said = {name: raw for name, raw in fields.items() if bytes(raw) not in {NULL, b"[]"}}
    return [VendorSaid(DIALECT, said)] if said else []


class StreamDecoder:
    """The bytes of a stream to events. Implements `ports.codec.EventDecoder`."""

    def __init__(self) -> None:
        self._frames = sse.Decoder()
        self._reader = Reader()
        self._fault: Fault | None = None
        self._done = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes. A fault behind good frames of one chunk is raised by the next call."""
        if self._fault is not None:
            raise self._fault
        try:
            frames = self._frames.feed(chunk)
        except sse.TooLong as error:
            raise garbled("stream", error) from None
        events: list[Event] = []
        for frame in frames:
            try:
                events.extend(self._take(frame))
            except Fault as fault:
                self._fault = fault
                if not events:
                    raise
                break
        return events

    def close(self) -> list[Event]:
        """The end of input, which is the end of the answer."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        for frame in self._frames.close():
            with suppress(Garbled):
                events.extend(self._take(frame))
        return events if self._done else events + self._reader.finish()

    def _take(self, frame: sse.Frame) -> list[Event]:
        data = frame.data.replace(b"\n", b" ").strip()
        if not data or self._done:
            return []
        if data.startswith(b"[DONE]"):
            self._done = True
            return self._reader.finish()
        return self._reader.take(data)
