"""`/api/chat`, `/api/generate` and `/api/embed` as we speak them to an Ollama server."""

from foz.canon.fault import Fault
from foz.canon.request import ChatRequest, CompleteRequest, EmbedRequest, Request
from foz.canon.response import EmbedResponse, Response
from foz.canon.usage import Usage
from foz.dialects.ollama import asking, schema
from foz.dialects.ollama.answer import Reader, durations_of, hear
from foz.dialects.ollama.faults import NO_ERROR, decode_fault, fault_in_stream
from foz.dialects.ollama.frames import BROKEN, DIALECT, StreamDecoder, call, garbled
from foz.ports.codec import EventDecoder
from foz.wire.http import Call, Reply

CHAT = "/api/chat"
GENERATE = "/api/generate"
EMBED = "/api/embed"


class WordsClient:
    """Implements `ports.codec.ClientCodec` for conversations and for texts to continue, which are answered alike."""

    def encode_request(self, request: Request, model: str) -> Call:
        """`model` is the upstream's name. Usage always comes."""
        if isinstance(request, ChatRequest):
            return call(CHAT, asking.say_chat(request, model), stream=request.stream)
        if isinstance(request, CompleteRequest):
            return call(GENERATE, asking.say_generate(request, model), stream=request.stream)
        raise TypeError("words are asked for by a ChatRequest or a CompleteRequest")

    def decode_response(self, reply: Reply) -> Response:
        """A whole 2xx answer."""
        return hear(reply.body)

    def decoder(self) -> StreamDecoder:
        """For a streamed 2xx answer."""
        return StreamDecoder(Reader())

    def decode_fault(self, reply: Reply) -> Fault:
        """What a non-2xx answer means."""
        return decode_fault(reply)


class EmbedClient:
    """Implements `ports.codec.ClientCodec` for texts to place in a space; `wanted` is how many vectors must come."""

    def __init__(self, wanted: int | None = None) -> None:
        self._wanted = wanted

    def encode_request(self, request: Request, model: str) -> Call:
        """`model` is the upstream's name."""
        if not isinstance(request, EmbedRequest):
            raise TypeError("the embed operation takes an EmbedRequest")
        return call(EMBED, asking.say_embed(request, model))

    def decode_response(self, reply: Reply) -> EmbedResponse:
        """A whole 2xx answer."""
        try:
            answer = schema.EMBEDDED.decode(reply.body)
            if bytes(answer.error) not in NO_ERROR:
                raise fault_in_stream(answer.error)
        except BROKEN as error:
            raise garbled("answer", error) from None
        if not answer.embeddings:
            raise garbled("answer", "there is no vector in it")
        if self._wanted not in {None, len(answer.embeddings)}:
            raise garbled("answer", f"it holds {len(answer.embeddings)} vectors for {self._wanted} texts")
        counted = answer.prompt_eval_count
        took = durations_of(answer)
        return EmbedResponse(
            model=answer.model or "",
            vectors=tuple(map(tuple, answer.embeddings)),
            usage=None if counted is None else Usage(input=counted, output=0),
            vendor={DIALECT: took} if took else {},
        )

    def decoder(self) -> EventDecoder:
        """There is none."""
        raise TypeError("embeddings do not stream")

    def decode_fault(self, reply: Reply) -> Fault:
        """What a non-2xx answer means."""
        return decode_fault(reply)
