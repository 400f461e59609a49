"""
What a check of an SDK gets: where the gateway is, and clients for it.

A check is a function `check_...` of one `Site`, with a docstring that says its fact. It runs in a process of its own
SDK version (`tests.e2e.sdk_anthropic.speak`), where neither Foz nor pytest is imported.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import anthropic
from pydantic import BaseModel

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Where do rivers end?"}]
SAYS = "This is Foz's simulated model."


@cache
def _shared(base_url: str, key: str) -> Any:
    return anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0, timeout=20.0)


class Site(BaseModel):
    """One set-up of the gateway, as the test says it on the command line."""

    setup: str
    url: str
    """The gateway under test; it wants `key`."""
    key: str
    model: str
    fenced_key: str
    """A key that may call nothing but names under `org/`."""
    slow_key: str
    """A key with one request a minute."""
    odd_model: str
    """A public name with slashes and colons."""

    def client(self, **options: Any) -> Any:
        """The client that all checks share: it does not retry. With options, one like it over the same connections."""
        shared = _shared(self.url, self.key)
        return shared.with_options(**options) if options else shared

    def async_client(self) -> Any:
        """An asynchronous one, of the loop that asks."""
        return anthropic.AsyncAnthropic(base_url=self.url, api_key=self.key, max_retries=0, timeout=20.0)

    def ask(self, **options: Any) -> Any:
        """One message, whole."""
        asked = {"model": self.model, "max_tokens": 200, "messages": HELLO, **options}
        return self.client().messages.create(**asked)

    def stream(self, **options: Any) -> Any:
        """The same, streamed: to be entered."""
        asked = {"model": self.model, "max_tokens": 200, "messages": HELLO, **options}
        return self.client().messages.stream(**asked)


def simulate(**mischief: object) -> dict[str, str]:
    """Headers that make the simulated model misbehave."""
    return {f"x-simulate-{name.replace('_', '-')}": str(value) for name, value in mischief.items()}


def raised(kind: type[Exception], act: Callable[[], object]) -> Any:
    """The exception of exactly this class that acting raises."""
    caught: Exception | None = None
    given: object = None
    try:
        given = act()
    except kind as error:
        caught = error
    assert type(caught) is kind, f"expected {kind.__name__}, got {caught or given!r}"
    return caught
