"""`/v1/embeddings` as we speak it to callers."""

import msgspec

from foz.canon.fault import Fault
from foz.canon.model import Capability
from foz.canon.request import Ask, EmbedRequest, Operation, Prompt, Request
from foz.canon.response import EmbedResponse
from foz.dialects.openai import prompts
from foz.dialects.openai.embeddings import vectors
from foz.dialects.openai.embeddings.schema import KNOWN, EmbeddingRequest
from foz.dialects.openai.faults import encode_fault_event
from foz.dialects.openai.fields import Words, decode, extras, refusal
from foz.dialects.openai.frames import DIALECT
from foz.ports.codec import Answer, EventEncoder
from foz.wire import json

NOTHING: frozenset[str] = frozenset()
SHORTER = frozenset({Capability.DIMENSIONS.value})
_BODY = msgspec.json.Decoder(EmbeddingRequest)
WORDS: Words = {"encoding_format": ("float", "base64")}


def _inputs(asked: EmbeddingRequest) -> tuple[Prompt, ...]:
    inputs = prompts.hear(asked.input, "input")
    if "" in inputs:
        raise refusal("Invalid 'input': a text to embed cannot be empty.", "input", "empty_string")
    return inputs


class EmbeddingServer:
    """Implements `ports.codec.ServerCodec`."""

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        asked = decode(_BODY, body, WORDS)
        _inputs(asked)
        return Ask(Operation.EMBED, asked.model, needs=SHORTER if asked.dimensions is not None else NOTHING)

    def decode_request(self, body: bytes) -> EmbedRequest:
        """The whole request in our words."""
        asked = decode(_BODY, body, WORDS)
        vendor = {name: raw for name, raw in extras(body, KNOWN).items() if bytes(raw) != b"null"}
        return EmbedRequest(
            model=asked.model,
            inputs=_inputs(asked),
            dimensions=asked.dimensions,
            encoding=asked.encoding_format or "float",
            user=asked.user,
            vendor={DIALECT: vendor} if vendor else {},
        )

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body."""
        if not isinstance(answer, EmbedResponse) or not isinstance(request, EmbedRequest):
            raise TypeError("embeddings are answered by an EmbedResponse")
        said: dict[str, object] = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": vectors.say(vector, request.encoding)}
                for index, vector in enumerate(answer.vectors)
            ],
            "model": model,
        }
        if answer.usage is not None and answer.usage.input is not None:
            said["usage"] = {"prompt_tokens": answer.usage.input, "total_tokens": answer.usage.input}
        return json.encode({**said, **answer.vendor.get(DIALECT, {})})

    def encoder(self, request: Request, model: str) -> EventEncoder:
        """There is none."""
        raise TypeError(f"embeddings do not stream: {type(request).__name__} to {model}")

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream."""
        return encode_fault_event(fault)
