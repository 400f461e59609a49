"""
One question: `agent` is the model, `template` the system prompt, `content` what is asked. The answer is its bare text,
whole (`ask_sync`) or in pieces as they come (`ask_async`).

Plain text has no words for a fault: a stream that breaks ends without its last chunk. What a body says wrongly is 422,
as FastAPI said it to the callers of the older system.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from foz.canon.content import Message, Text
from foz.canon.event import Event, RefusalGrew, TextGrew
from foz.canon.fault import BadRequest, Fault
from foz.canon.request import Ask, Attribution, ChatRequest, Operation, Request
from foz.canon.response import Response
from foz.dialects.openai.fields import decode
from foz.ports.codec import Answer, EventEncoder
from foz.ports.headers import MAX_WORD

UNPROCESSABLE = 422


class Question(Struct, frozen=True):
    """A question to one model. The last four are kept in the ledger: at most 128 printable characters each."""

    agent: Annotated[str, Meta(min_length=1, description="The model.")]
    content: Annotated[str, Meta(description="What is asked.")]
    template: Annotated[str | None, Meta(description="The system prompt.")] = None
    user_key: Annotated[str | None, Meta(description="Which of your users asks.")] = None
    project: Annotated[str | None, Meta(description="The project. A key that has one of its own decides it.")] = None
    process_id: Annotated[str | None, Meta(description="What the question is part of.")] = None
    subprocess_id: Annotated[str | None, Meta(description="Which part of that.")] = None


_QUESTION = msgspec.json.Decoder(Question)


def _read(body: bytes) -> Question:
    try:
        return decode(_QUESTION, body)
    except BadRequest as fault:
        raise BadRequest(fault.message, field=fault.field, status=UNPROCESSABLE) from None


def _word(field: str, said: str | None) -> str | None:
    """What is said, for the ledger; None where it is nothing."""
    word = (said or "").strip()
    if len(word) > MAX_WORD or not word.isprintable():
        message = f"Invalid '{field}': expected at most {MAX_WORD} printable characters."
        raise BadRequest(message, field=field, status=UNPROCESSABLE)
    return word or None


def _attribution(asked: Question) -> Attribution:
    return Attribution(
        project=_word("project", asked.project),
        process_id=_word("process_id", asked.process_id),
        subprocess_id=_word("subprocess_id", asked.subprocess_id),
        user_key=_word("user_key", asked.user_key),
    )


class PlainEncoder:
    """The words of an answer, bare. Implements `ports.codec.EventEncoder`."""

    def feed(self, event: Event) -> bytes:
        """The bytes that say this event: none for all that is not text."""
        match event:
            case TextGrew(text=text, choice=0) | RefusalGrew(text=text, choice=0):
                return text.encode()
            case _:
                return b""

    def close(self) -> bytes:
        """Nothing: the last chunk says it."""
        return b""


class QuestionCodec:
    """One way of asking. Implements `ports.codec.ServerCodec`."""

    def __init__(self, *, stream: bool) -> None:
        self._stream = stream

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        asked = _read(body)
        return Ask(Operation.CHAT, asked.agent, self._stream, attribution=_attribution(asked))

    def decode_request(self, body: bytes) -> Request:
        """The question in our words."""
        asked = _read(body)
        said = [Message("user", (Text(asked.content),))]
        if asked.template and not asked.template.isspace():
            said.insert(0, Message("system", (Text(asked.template),)))
        return ChatRequest(asked.agent, tuple(said), stream=self._stream)

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """The answer's text; a refusal is one too."""
        if not isinstance(answer, Response) or not answer.choices:
            return b""
        first = answer.choices[0]
        return f"{first.text or ''}{first.refusal or ''}".encode()

    def encoder(self, request: Request, model: str) -> EventEncoder:
        """For a stream."""
        return PlainEncoder()

    def encode_fault_event(self, fault: Fault) -> bytes:
        """Nothing can be said in the middle of a text: the connection is closed without the last chunk."""
        return b""
