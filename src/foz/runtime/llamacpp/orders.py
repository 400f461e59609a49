"""
What an engine's process is told on its standard input, what it says on its standard output, and what it says with the
wrong status: a text that is too long to be turned into a vector is its caller's doing, but this engine calls it its own
failure (500), of the type that every failure has. It is told by its words, which come from the one build that is
installed; a test asks that build.
"""

import re

import msgspec
from msgspec import Struct

from foz.wire.http import Reply

LOADING, READY = "loading", "ready"
LOOPBACK = "127.0.0.1"
GPUS = "gpus"
"""As an argument: how many GPUs its build finds, and nothing else."""


class Order(Struct, frozen=True):
    """What to load, and how."""

    parent: int
    """Process id of whoever started it."""
    path: str
    name: str
    key: str
    slots: int
    context: int
    """Of each slot."""
    threads: int
    flash: bool | None = None
    layers_on_gpu: int = 0
    split: tuple[float, ...] = ()
    """How the weights are shared among GPUs, where there are several."""
    pooling: str = ""
    """How vectors are made, where that is its work: `mean`, `cls` or `last`."""
    host: str = LOOPBACK
    """Where it listens."""


FAILED, WRONG = 500, 400
_TOO_LONG = re.compile(rb'"input \((\d{1,9}) tokens\) is too large to process\.')


def embedding_reply(reply: Reply) -> Reply:
    """A refusal of `/embeddings` as it is meant."""
    found = _TOO_LONG.search(reply.body) if reply.status == FAILED else None
    if found is None:
        return reply
    said = f"the text has {int(found[1])} tokens, more than this model takes at once"
    error = {"message": said, "type": "exceed_context_size_error", "code": "context_length_exceeded"}
    return Reply(WRONG, ((b"content-type", b"application/json"),), msgspec.json.encode({"error": error}))
