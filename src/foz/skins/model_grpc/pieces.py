"""
Streams of the ModelService: events as messages, each in a frame of its own.

Every message has a choice with a delta, so that programs that look at the first choice of each always find one; the
role comes with a choice's first piece, the usage in a last message. A stream's end is gRPC's own status.

Most pieces are a few words of the first choice: their bytes are written by hand behind a head that all messages share.
"""

from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    ReasoningGrew,
    RefusalGrew,
    Started,
    TextGrew,
    VendorSaid,
)
from foz.dialects.openai.completions.answer import counted
from foz.dialects.openai.completions.stream import say_id
from foz.dialects.openai.frames import DIALECT
from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc.telling import FUNCTION, completion_reason, counts, extras, logprobs, reason
from foz.wire.protobuf import blob, frame, whole

_CHOICES = pb.ChatCompletionChunk.CHOICES_FIELD_NUMBER
_DELTA, _INDEX = pb.ChunkChoice.DELTA_FIELD_NUMBER, pb.ChunkChoice.INDEX_FIELD_NUMBER
_CONTENT = pb.Delta.CONTENT_FIELD_NUMBER


class ChatPieces:
    """Implements `ports.codec.EventEncoder`."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._head = b""
        self._begun: set[int] = set()
        self._measured: Measured | None = None

    def feed(self, event: Event) -> bytes:
        """The frames that say this event; may be none."""
        match event:
            case TextGrew(text=text, choice=choice, logprobs=()) if choice in self._begun:
                delta = blob(_DELTA, blob(_CONTENT, text.encode()))
                return self._framed(delta + whole(_INDEX, choice) if choice else delta)
            case Started():
                head = pb.ChatCompletionChunk(
                    id=event.id, object="chat.completion.chunk", created=event.created, model=self._model
                )
                extras(head.extra, event.vendor.get(DIALECT))
                self._head = head.SerializeToString()
            case Measured():
                self._measured = event
            case Finished():
                pass
            case _:
                return self._said(event)
        return b""

    def close(self) -> bytes:
        """The usage, where it is known."""
        if self._measured is None:
            return b""
        last = pb.ChatCompletionChunk()
        counts(last.usage, self._measured.usage, self._measured.vendor.get(DIALECT))
        last.choices.add().delta.SetInParent()
        return frame(self._head + last.SerializeToString())

    def _framed(self, choice: bytes) -> bytes:
        return frame(self._head + blob(_CHOICES, choice))

    def _said(self, event: Event) -> bytes:
        said = pb.ChunkChoice(index=getattr(event, "choice", 0))
        said.delta.SetInParent()
        if said.index not in self._begun:
            self._begun.add(said.index)
            said.delta.role = "assistant"
        _grow(said, event)
        return self._framed(said.SerializeToString())


def _grow(said: pb.ChunkChoice, event: Event) -> None:
    delta = said.delta
    match event:
        case TextGrew():
            delta.content = event.text
            logprobs(said, event.logprobs, ())
        case RefusalGrew():
            delta.refusal = event.text
            logprobs(said, (), event.logprobs)
        case ReasoningGrew():
            delta.reasoning_content = event.text
        case CallOpened():
            delta.tool_calls.add(
                index=event.index, id=event.id, type=FUNCTION, function=pb.FunctionCall(name=event.name)
            )
        case CallGrew():
            delta.tool_calls.add(index=event.index, function=pb.FunctionCall(arguments=event.arguments))
        case VendorSaid():
            extras(delta.extra, event.fields if event.dialect == DIALECT else None)
        case ChoiceFinished():
            reason(said, event)
        case _:
            pass


class CompletionPieces:
    """Implements `ports.codec.EventEncoder`."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._head = b""
        self._said: dict[int, int] = {}
        """Characters of each choice so far."""
        self._measured: Measured | None = None

    def feed(self, event: Event) -> bytes:
        """The frames that say this event; may be none."""
        match event:
            case (
                TextGrew(text=text, choice=choice, logprobs=tokens)
                | RefusalGrew(text=text, choice=choice, logprobs=tokens)
            ):
                behind = self._said.get(choice, 0)
                self._said[choice] = behind + len(text)
                said = pb.CompletionChoice(text=text, index=choice)
                logprobs(said, counted(tokens, behind), ())
                return self._framed(said)
            case ChoiceFinished(choice=choice):
                said = pb.CompletionChoice(index=choice)
                completion_reason(said, event)
                return self._framed(said)
            case VendorSaid(dialect=dialect, fields=fields, choice=choice) if dialect == DIALECT:
                said = pb.CompletionChoice(index=choice)
                extras(said.extra, fields)
                return self._framed(said)
            case Started():
                head = pb.CompletionChunk(
                    id=say_id(event.id), object="text_completion", created=event.created, model=self._model
                )
                extras(head.extra, event.vendor.get(DIALECT))
                self._head = head.SerializeToString()
            case Measured():
                self._measured = event
            case _:
                pass
        return b""

    def close(self) -> bytes:
        """The usage, where it is known."""
        if self._measured is None:
            return b""
        last = pb.CompletionChunk()
        counts(last.usage, self._measured.usage, self._measured.vendor.get(DIALECT))
        last.choices.add()
        return frame(self._head + last.SerializeToString())

    def _framed(self, choice: pb.CompletionChoice) -> bytes:
        return frame(self._head + blob(_CHOICES, choice.SerializeToString()))
