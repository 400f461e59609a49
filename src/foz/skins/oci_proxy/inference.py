"""`/genai/{model}/inference`: a prompt in, a text out, as `{"response": {"text", "finish_reason"}}`."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from foz.canon.content import Message, Text
from foz.canon.event import ChoiceFinished, Event, RefusalGrew, TextGrew
from foz.canon.fault import Fault
from foz.canon.request import Ask, ChatRequest, Operation, Request, Sampling
from foz.canon.response import Response
from foz.dialects.openai.fields import MOST, decode
from foz.ports.codec import Answer
from foz.skins.oci_proxy.faults import encode_fault_event
from foz.skins.oci_proxy.names import Names, known
from foz.wire import json, sse

DONE = b"data: [DONE]\n\n"


class InferenceRequest(Struct, frozen=True):
    """What the model is to go on from, and how."""

    prompt: Annotated[str, Meta(min_length=1)]
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=MOST)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=MOST)] | None = None
    stop: Annotated[list[str], Meta(max_length=16)] | str | None = None
    stream: bool = False


class InferenceText(Struct, frozen=True):
    """What it said."""

    text: str
    finish_reason: str | None


class InferenceAnswer(Struct, frozen=True):
    """The answer, or a piece of it."""

    response: InferenceText


_BODY = msgspec.json.Decoder(InferenceRequest)


def _said(text: str, reason: str | None) -> bytes:
    return json.encode(InferenceAnswer(InferenceText(text, reason.upper() if reason else None)))


class InferenceEncoder:
    """A stream of pieces; the last has the reason. Implements `ports.codec.EventEncoder`."""

    def feed(self, event: Event) -> bytes:
        """The bytes that say this event."""
        match event:
            case TextGrew(text=text) | RefusalGrew(text=text) if text:
                return sse.encode(_said(text, None))
            case ChoiceFinished(reason=reason):
                return sse.encode(_said("", reason))
            case _:
                return b""

    def close(self) -> bytes:
        """The end of the stream."""
        return DONE


class InferenceCodec:
    """One request. Implements `ports.codec.ServerCodec`."""

    def __init__(self, names: Names, model: str) -> None:
        self._names = names
        self._model = model

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        name = known(self._names, self._model, "model").name
        asked = decode(_BODY, body)
        return Ask(Operation.CHAT, name, asked.stream, max_output=asked.max_tokens)

    def decode_request(self, body: bytes) -> ChatRequest:
        """The prompt as one user's turn."""
        asked = decode(_BODY, body)
        return ChatRequest(
            model=self._model,
            messages=(Message("user", (Text(asked.prompt),)),),
            sampling=Sampling(temperature=asked.temperature, top_p=asked.top_p, top_k=asked.top_k),
            max_output=asked.max_tokens,
            stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
            stream=asked.stream,
        )

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body."""
        del request, model
        if not isinstance(answer, Response):
            raise TypeError("a prompt is answered by a Response")
        first = answer.choices[0]
        return _said((first.text or "") + (first.refusal or ""), first.reason or "stop")

    def encoder(self, request: Request, model: str) -> InferenceEncoder:
        """For a stream."""
        del request, model
        return InferenceEncoder()

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream."""
        return encode_fault_event(fault)
