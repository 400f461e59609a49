"""
Servers of others, on this machine or near it, that have models: a provider of placement `gpu`, as the settings name it.
Only what an operator has named is asked; the address, the key and the way there are the provider's.

What can be done with a model there is said in the server's dialect (`openai.py`, `ollama.py`).
"""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from foz.canon.deployment import Form, Weights
from foz.canon.fault import Down, Garbled, NotFound, Refused
from foz.canon.model import Patience
from foz.ports.upstream import Upstream, UpstreamAnswer
from foz.ports.weights import Told
from foz.wire.complaint import clean
from foz.wire.http import Call

JSON = ((b"content-type", b"application/json"),)
CALM = 30.0
MOST = 8 * 1024 * 1024
_OK = 200
_SHOWN = 300


class Server(Struct, frozen=True):
    """A provider that models can be deployed from."""

    name: str
    dialect: str
    listing: str = ""
    """The path of its list of models, where it has one."""
    why_not: str | None = None
    """Why nothing can be deployed from it."""


class Servers(Protocol):
    """The providers, as they are now."""

    @property
    def known(self) -> Mapping[str, Server]:
        """By their names."""
        ...

    def reach(self, name: str) -> Upstream:
        """The way to one. Raises Down where it is gone."""
        ...

    def names(self, server: Server, listing: bytes) -> list[str]:
        """The models that its list names. Raises DecodeError."""
        ...


class Manner(Protocol):
    """What is done with a model of a server, in one dialect."""

    form: Form
    dialect: str

    async def find(self, server: Server, model: str) -> bool:
        """Whether it is there, or else has to be fetched. Raises NotFound where it can be neither."""
        ...

    async def fetch(self, server: Server, model: str, told: Told) -> None:
        """Has the server fetch it."""
        ...

    async def weights(self, server: Server, model: str, source: str) -> Weights:
        """What the server says of it."""
        ...

    async def load(self, server: Server, model: str, patience: float) -> None:
        """Has the server load it, where it can be told to."""
        ...

    async def probe(self, server: Server, model: str, patience: float) -> int | None:
        """Has it make one token; bytes that it holds, where the server says that. Raises Down, Timeout or Garbled."""
        ...

    async def unload(self, server: Server, model: str) -> None:
        """Has the server let go of it, where it can be told to."""
        ...


async def ask(upstream: Upstream, server: Server, call: Call, patience: float = CALM) -> bytes:
    """The body of a good answer. Raises NotFound, Refused, Down, Timeout or Garbled, in the server's words."""
    answer = await upstream.send(call, Patience(min(patience, 10.0), patience, patience, patience))
    try:
        await check(answer, server)
        return (await answer.whole(MOST)).body
    finally:
        answer.close()


def shown(body: bytes) -> str:
    """How what a server says begins, fit to be shown."""
    return clean("".join(filter(str.isprintable, body[:_SHOWN].decode("utf-8", "replace"))))


async def check(answer: UpstreamAnswer, server: Server) -> None:
    """Raises what is wrong with an answer, by its status."""
    if answer.status == _OK:
        return
    said = shown((await answer.whole(MOST)).body)
    words = f"the server '{server.name}' answered {answer.status}" + (f": {said}" if said else "")
    if answer.status in {401, 403}:
        raise Refused(f"{words}. Is its key right?", status=answer.status)
    if answer.status == 404:  # noqa: PLR2004 - there is no such thing
        raise NotFound(f"{words}.")
    if answer.status >= 500:  # noqa: PLR2004 - its own doing
        raise Down(words)
    raise Garbled(words)
