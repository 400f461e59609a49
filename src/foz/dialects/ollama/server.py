"""`/api/chat`, `/api/generate`, `/api/embed` and `/api/embeddings` as we speak them to callers."""

from foz.canon.fault import BadRequest, Fault
from foz.canon.model import Capability
from foz.canon.request import Ask, ChatRequest, CompleteRequest, EmbedRequest, Operation, Request
from foz.canon.response import EmbedResponse, Response
from foz.dialects.ollama import bodies
from foz.dialects.ollama.faults import encode_fault_event
from foz.dialects.ollama.hearing import (
    check_messages,
    hear_chat,
    hear_embed,
    hear_limit,
    hear_text,
    hear_turn,
    is_text,
    needs,
)
from foz.dialects.ollama.telling import Teller, say_vector, say_vectors, say_whole
from foz.ports.codec import Answer, EventEncoder

NOTHING: frozenset[str] = frozenset()
SHORTER = frozenset({Capability.DIMENSIONS.value})


class WordsServer:
    """What conversations and prompts have in common."""

    chat: bool

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body."""
        if not isinstance(answer, Response):
            raise TypeError("words are answered by a Response")
        return say_whole(answer, request, model, chat=self.chat)

    def encoder(self, request: Request, model: str) -> Teller:
        """For a stream."""
        if isinstance(request, EmbedRequest):
            raise TypeError("words are asked for by a ChatRequest or a CompleteRequest")
        return Teller(model, chat=self.chat)

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream."""
        return encode_fault_event(fault)


class ChatServer(WordsServer):
    """Implements `ports.codec.ServerCodec`."""

    chat = True

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        return facts(bodies.decode(bodies.CHAT, body, bodies.PLAIN))

    def decode_request(self, body: bytes) -> ChatRequest:
        """The whole request in our words."""
        return hear_chat(bodies.decode(bodies.CHAT, body, bodies.KNOWN), body)


def facts(asked: bodies.ChatBody) -> Ask:
    """What is to be known of a chat. Raises BadRequest."""
    messages = asked.messages or ()
    return Ask(
        Operation.CHAT,
        asked.model,
        asked.stream is not False,
        needs(asked, images=check_messages(messages), tools=bool(asked.tools)),
        max_output=hear_limit(asked.options),
        idle=not messages,
    )


class GenerateServer(WordsServer):
    """Implements `ports.codec.ServerCodec`. Whether it is a chat or a text to continue depends on what is asked."""

    chat = False

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        asked = _prompt(body)
        request = _heard(asked, body)
        text = isinstance(request, CompleteRequest)
        return Ask(
            Operation.COMPLETE if text else Operation.CHAT,
            asked.model,
            request.stream,
            needs(asked, images=bool(asked.images), tools=False),
            max_output=request.max_output,
            idle=not (asked.prompt or asked.images or asked.suffix),
        )

    def decode_request(self, body: bytes) -> ChatRequest | CompleteRequest:
        """The whole request in our words."""
        return _heard(_prompt(body), body)


def _prompt(body: bytes) -> bodies.GenerateBody:
    asked = bodies.decode(bodies.GENERATE, body)
    if asked.raw and (asked.template or asked.system or asked.context):
        raise BadRequest("raw mode does not support template, system, or context", field="raw")
    if "messages" in bodies.extras(body, frozenset()):
        raise bodies.wrong("messages", "they are of /api/chat; here it is 'prompt'")
    return asked


def _heard(asked: bodies.GenerateBody, body: bytes) -> ChatRequest | CompleteRequest:
    return hear_text(asked, body) if is_text(asked) else hear_turn(asked, body)


class EmbedServer:
    """Implements `ports.codec.ServerCodec`. `older`: for `/api/embeddings`, one text and its vector as it was made."""

    def __init__(self, *, older: bool = False) -> None:
        self._older = older

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        request = self.decode_request(body)
        shorter = NOTHING if request.dimensions is None else SHORTER
        return Ask(Operation.EMBED, request.model, needs=shorter, idle=not request.inputs)

    def decode_request(self, body: bytes) -> EmbedRequest:
        """The whole request in our words."""
        if not self._older:
            embed = bodies.decode(bodies.EMBED, body)
            return hear_embed(embed, body)
        asked = bodies.decode(bodies.EMBEDDINGS, body)
        if "input" in bodies.extras(body, frozenset()):
            raise bodies.wrong("input", "it is of /api/embed; here it is 'prompt'")
        return hear_embed(asked, body)

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body."""
        if not isinstance(answer, EmbedResponse) or not isinstance(request, EmbedRequest):
            raise TypeError("texts to embed are answered by an EmbedResponse")
        return say_vector(answer) if self._older else say_vectors(answer, model)

    def encoder(self, request: Request, model: str) -> EventEncoder:
        """There is none."""
        raise TypeError(f"embeddings do not stream: {type(request).__name__} to {model}")

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream."""
        return encode_fault_event(fault)
