"""
What a check of an SDK gets: where the gateways are, and clients for them.

A check is a function `check_...` of one `Site`, with a docstring that says its fact. It runs in a process of its own
SDK version (`tests.e2e.sdk.speak`), where neither Foz nor pytest is imported.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.request import urlopen

import openai
from pydantic import BaseModel
from pydantic_core import from_json

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Where do rivers end?"}]


@cache
def _shared(base_url: str, key: str) -> Any:
    return openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=20.0)


class Site(BaseModel):
    """One set-up of the gateway, as the test says it on the command line."""

    setup: str
    url: str
    """The gateway under test; it wants `key`."""
    open_url: str
    """A gateway without keys that takes one request at a time."""
    upstream_url: str
    """The simulated upstream behind it; empty where it answers in process."""
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
        shared = _shared(f"{self.url}/v1", self.key)
        return shared.with_options(**options) if options else shared

    def async_client(self) -> Any:
        """An asynchronous one, of the loop that asks."""
        transport = openai.DefaultAsyncHttpxClient(verify=False)
        return openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, timeout=20.0, http_client=transport
        )

    def counting(self, then: Callable[[Any], None] | None = None, **options: Any) -> tuple[Any, list[str]]:
        """A client with the SDK's own two retries, and the URLs that it has asked so far; `then` gets each response."""
        asked: list[str] = []

        def count(request: Any) -> None:
            asked.append(str(request.url))

        transport = openai.DefaultHttpxClient(
            event_hooks={"request": [count], "response": [then] if then else []}, verify=False
        )
        return self.client(http_client=transport, max_retries=2, **options), asked

    def seen(self) -> Any:
        """What the upstream has seen."""
        with urlopen(f"{self.upstream_url}/_seen", timeout=10) as answer:  # noqa: S310 - a test's own server
            return from_json(answer.read())


def simulate(**mischief: object) -> dict[str, str]:
    """Headers that make the simulated model misbehave."""
    return {f"x-simulate-{name.replace('_', '-')}": str(value) for name, value in mischief.items()}


def raised(kind: type[Exception], act: Callable[[], object]) -> Any:
    """The exception of exactly this class that acting raises."""
    try:
        given = act()
    except kind as error:  # another class is that check's failure as it is
        if type(error) is kind:
            return error
        raise
    raise AssertionError(f"expected {kind.__name__}, got {given!r}")


def wait_until(is_so: Callable[[], bool], what: str, within: float = 10.0) -> None:
    """Looks until it is so."""
    end = time.monotonic() + within
    while not is_so():
        assert time.monotonic() < end, f"waited {within:g} s for {what}"
        time.sleep(0.01)
