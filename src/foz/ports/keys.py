"""Who is behind a key, and what is left of their allowance."""

from collections.abc import Awaitable
from typing import Protocol

from foz.canon.principal import Principal
from foz.canon.usage import Usage


class Keyring(Protocol):
    """Looks keys up; a revoked key is dead within a second everywhere."""

    @property
    def open(self) -> bool:
        """True while no key is configured at all: then loopback callers are administrator."""
        ...

    def find(self, key: str) -> Principal | None:
        """The principal of a key, from memory; None is unknown or revoked."""
        ...


class Book(Protocol):
    """Rates and budgets: reserve before, settle after. Never blocks on the way of a principal without limits."""

    def reserve(self, principal: Principal, tokens: int) -> Awaitable[None] | None:
        """None where it is open at once. Raises RateLimited (with retry_after) or OverBudget, now or when awaited."""
        ...

    def settle(
        self, principal: Principal, reserved: int, usage: Usage, price: int | None, since: int | None = None
    ) -> None:
        """What it really took. `since` is when it was reserved, in UTC milliseconds; None is just now."""
        ...
