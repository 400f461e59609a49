"""
A model of a server that speaks OpenAI's dialect: vLLM, SGLang, LM Studio, llama.cpp's own, whatever somebody runs. It
can be neither fetched, loaded nor unloaded from here: it is there or it is not, and it works or it does not.
"""

import msgspec

from foz.canon.deployment import Form, Weights
from foz.canon.fault import Bug, Fault, Garbled, NotFound
from foz.ports.engine import OPENAI
from foz.ports.weights import Told
from foz.runtime.served.server import JSON, Server, Servers, ask, shown
from foz.wire import json
from foz.wire.http import Call

SHOWN = 20


class OpenAiManner:
    """Implements `Manner`."""

    form = Form.OPENAI
    dialect = OPENAI

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._embeds: set[tuple[str, str]] = set()
        """Models that refused to talk, and made a vector."""

    async def find(self, server: Server, model: str) -> bool:
        """By the server's list, where it has one; a server without is believed."""
        if not server.listing:
            return True
        body = await ask(self._servers.reach(server.name), server, Call("GET", server.listing))
        try:
            names = self._servers.names(server, body)
        except msgspec.DecodeError as wrong:
            raise Garbled(f"the list of models of '{server.name}' cannot be read: {wrong}") from wrong
        if model not in names:
            there = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
            raise NotFound(f"The server '{server.name}' has no model '{model}'. It has: {there or 'none'}.")
        return True

    async def fetch(self, server: Server, model: str, told: Told) -> None:  # noqa: ARG002 - the port's
        """There is nothing that it could be told."""
        raise Bug("a server of OpenAI's dialect fetches no models")

    async def weights(self, server: Server, model: str, source: str) -> Weights:  # noqa: ARG002 - the port's
        """Nothing is known of it but its name."""
        return Weights(source, 0, "", "", title=model, form=self.form)

    async def load(self, server: Server, model: str, patience: float) -> None:
        """It is the server's affair."""

    async def probe(self, server: Server, model: str, patience: float) -> int | None:
        """One token of a chat; of what does not talk, a vector."""
        if (server.name, model) not in self._embeds:
            said = {"model": model, "messages": [{"role": "user", "content": "a"}], "max_tokens": 1}
            try:
                await self._make(server, "/chat/completions", said, b'"choices"', patience)
            except (Garbled, NotFound) as refusal:
                try:
                    await self._embed(server, model, patience)
                except Fault:
                    raise refusal from None
                self._embeds.add((server.name, model))
        else:
            await self._embed(server, model, patience)
        return None

    async def _embed(self, server: Server, model: str, patience: float) -> None:
        await self._make(server, "/embeddings", {"model": model, "input": "a"}, b'"embedding"', patience)

    async def _make(self, server: Server, path: str, said: dict[str, object], expected: bytes, patience: float) -> None:
        call = Call("POST", path, headers=JSON, body=json.encode(said))
        body = await ask(self._servers.reach(server.name), server, call, patience)
        if expected not in body:
            raise Garbled(f"the server '{server.name}' answers a probe with: {shown(body)}")

    async def unload(self, server: Server, model: str) -> None:
        """It is only forgotten."""
