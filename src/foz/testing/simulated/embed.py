"""
Embeddings by hashing: each word and each three letters of a text push one direction, the same for everybody.

So a text always lies in the same place, texts that share words lie near each other, and all lie on the unit sphere.
Numbers are rounded to float32, so that written in decimals and in base64 they are the same.
"""

import math
import re
from array import array
from zlib import crc32

from foz.canon.fault import BadRequest
from foz.canon.request import EmbedRequest, Prompt
from foz.canon.response import EmbedResponse
from foz.canon.usage import Usage
from foz.testing.simulated.words import count_prompt

DIMENSIONS = 384
MOST_DIMENSIONS = 16_384
LONGEST = 8000
"""Characters, or tokens, of a text that count."""
_WORD = re.compile(r"\w+")
_LETTERS = 3
_OF_LETTERS = 0.4
"""How much three letters weigh against a word."""


def embed(request: EmbedRequest) -> EmbedResponse:
    """The vectors of the inputs."""
    dimensions = DIMENSIONS if request.dimensions is None else request.dimensions
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise BadRequest(
            f"the simulated model has 1 to {MOST_DIMENSIONS} dimensions, not {dimensions}", field="dimensions"
        )
    vectors = tuple(_place(each, dimensions) for each in request.inputs)
    return EmbedResponse(request.model, vectors, Usage(input=sum(map(count_prompt, request.inputs)), output=0))


def _features(prompt: Prompt) -> list[tuple[str, float]]:
    if not isinstance(prompt, str):
        return [(f"token {token}", 1.0) for token in prompt[:LONGEST]]
    found = []
    for word in _WORD.findall(prompt[:LONGEST].lower()):
        found.append((word, 1.0))
        padded = f"^{word}$"
        found += [(padded[at : at + _LETTERS], _OF_LETTERS) for at in range(len(padded) - _LETTERS + 1)]
    return found or [(f"text {prompt[:LONGEST]}", 1.0)]


def _place(prompt: Prompt, dimensions: int) -> tuple[float, ...]:
    vector = [0.0] * dimensions
    for feature, weight in _features(prompt):
        number = crc32(feature.encode("utf-8", "replace"))
        vector[(number >> 1) % dimensions] += weight if number & 1 else -weight
    length = math.sqrt(math.fsum(value * value for value in vector))
    if not length:
        vector[0] = length = 1.0
    return tuple(array("f", (value / length for value in vector)))
