"""
The feature-extraction endpoint as we ask it, for embeddings. Parameters stand beside `inputs`, not in `parameters`.

Models that pool answer a vector for each input; others a vector for each token, whose mean is the input's. One input
alone may be answered without its list.
"""

import math
from typing import Any

import msgspec

from foz.canon.fault import Fault, Unsupported
from foz.canon.request import EmbedRequest, Request
from foz.canon.response import EmbedResponse
from foz.canon.usage import Usage
from foz.dialects.huggingface.faults import complaint, decode_fault, fault_in_answer
from foz.dialects.huggingface.frames import BROKEN, DIALECT, call, garbled, place
from foz.ports.codec import EventDecoder
from foz.wire.http import Call, Reply

TASK = "/pipeline/feature-extraction"
_COUNTS = (b"x-prompt-tokens", b"x-compute-tokens")
_ANSWER = msgspec.json.Decoder(list[Any])
Vector = tuple[float, ...]


def _vector(value: list[Any]) -> Vector:
    try:
        vector = msgspec.convert(value, Vector)
    except msgspec.ValidationError:
        raise garbled("answer", "a vector holds something else than numbers") from None
    if not vector:
        raise garbled("answer", "a vector is empty")
    return vector


def _mean(tokens: list[Any]) -> Vector:
    """The mean of the vectors of tokens."""
    vectors = [_vector(token) for token in tokens if isinstance(token, list)]
    if not vectors or len(vectors) != len(tokens) or len({len(vector) for vector in vectors}) != 1:
        raise garbled("answer", "the vectors of its tokens have no common length")
    return tuple(math.fsum(numbers) / len(vectors) for numbers in zip(*vectors, strict=True))


def _pooled(value: object) -> Vector:
    """One input's vector, of whatever depth."""
    if not isinstance(value, list) or not value:
        raise garbled("answer", "there is no vector in it")
    return _mean(value) if isinstance(value[0], list) else _vector(value)


def _vectors(value: list[Any], inputs: int) -> tuple[Vector, ...]:
    if value and not isinstance(value[0], list):
        value = [value]
    if inputs == 1 and len(value) > 1:
        value = [value]  # a vector for each token of the only input, without a list around them
    if len(value) != inputs:
        raise garbled("answer", f"it has {len(value)} vectors for {inputs} inputs")
    return tuple(map(_pooled, value))


class FeatureClient:
    """Implements `ports.codec.ClientCodec`. `inputs` is how many were asked for: see `asking`."""

    def __init__(self, inputs: int = 1, *, model: str = "", dedicated: bool = False) -> None:
        self._inputs = inputs
        self._model = model
        self._dedicated = dedicated

    def asking(self, request: Request, model: str) -> "FeatureClient":
        """The client for one request: the answer does not say how many inputs it is for."""
        if not isinstance(request, EmbedRequest):
            raise TypeError("feature extraction takes an EmbedRequest")
        return FeatureClient(len(request.inputs), model=model, dedicated=self._dedicated)

    def encode_request(self, request: Request, model: str) -> Call:
        """`model` is the upstream's name. Raises Unsupported, or NotFound where it is no id of the Hub's."""
        if not isinstance(request, EmbedRequest):
            raise TypeError("feature extraction takes an EmbedRequest")
        if not all(isinstance(one, str) for one in request.inputs):
            raise Unsupported(
                "This model is asked at Hugging Face's feature extraction, which takes texts, not tokens given as "
                "numbers.",
                field="input",
            )
        said: dict[str, object] = {"inputs": request.inputs}
        if request.dimensions is not None:
            said["dimensions"] = request.dimensions
        for name, raw in request.vendor.get(DIALECT, {}).items():
            said.setdefault(name, raw)
        return call("" if self._dedicated else place(model, TASK), said)

    def decode_response(self, reply: Reply) -> EmbedResponse:
        """A whole 2xx answer."""
        said = complaint(reply.body)
        if said is not None:
            raise fault_in_answer(said)
        try:
            value = _ANSWER.decode(reply.body)
        except BROKEN as error:
            raise garbled("answer", error) from None
        counts = [reply.header(name) or b"" for name in _COUNTS]
        known = next((int(count) for count in counts if count.isdigit() and len(count) <= 12), None)  # noqa: PLR2004 - no input is longer
        usage = None if known is None else Usage(input=known, output=0)
        return EmbedResponse(self._model, _vectors(value, self._inputs), usage)

    def decoder(self) -> EventDecoder:
        """There is none."""
        raise TypeError("embeddings do not stream")

    def decode_fault(self, reply: Reply) -> Fault:
        """What a non-2xx answer means."""
        return decode_fault(reply)
