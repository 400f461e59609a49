"""
What a check of Ollama's SDK gets: where the gateway is, and clients for it.

A check is a function `check_...` of one `Site`, with a docstring that says its fact. It runs in a process of its own
(`tests.e2e.sdk_ollama.speak`), where neither Foz nor pytest is imported. The key is in `OLLAMA_API_KEY`.
"""

from typing import Any

import ollama
from pydantic import BaseModel

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Where do rivers end?"}]


class Site(BaseModel):
    """One set-up of the gateway, as the test says it on the command line."""

    setup: str
    url: str
    model: str
    odd_model: str
    """A public name with slashes and a tag."""
    fenced_key: str
    """A key that may call nothing but names under `org/`."""

    @property
    def through(self) -> bool:
        """Whether prompts reach a fake Ollama server as they are: it continues them, where the real one answers."""
        return self.setup == "relay"

    def client(self, **mischief: object) -> Any:
        """A client; what is simulated goes wrong with it."""
        return ollama.Client(host=self.url, timeout=20, headers=simulate(**mischief))

    def async_client(self) -> Any:
        """An asynchronous one."""
        return ollama.AsyncClient(host=self.url, timeout=20)

    def with_key(self, key: str) -> Any:
        """A client with another key."""
        return ollama.Client(host=self.url, timeout=20, headers={"Authorization": f"Bearer {key}"})


def simulate(**mischief: object) -> dict[str, str]:
    """Headers that make the simulated model misbehave."""
    return {f"x-simulate-{name.replace('_', '-')}": str(value) for name, value in mischief.items()}


def text_of(parts: Any) -> str:
    """The words of a stream."""
    return "".join(part.message.content or "" for part in parts)
