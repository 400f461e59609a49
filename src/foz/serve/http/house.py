"""What all connections of a process share."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from foz.canon.identity import Identities
from foz.gateway.pipeline import Gateway
from foz.jobs.intake import Jobs
from foz.ports.skin import Skin, Visit
from foz.ports.turn import Turn
from foz.ports.watch import Watch
from foz.serve.http.exchange import Exchange
from foz.serve.http.guard import Guard
from foz.serve.http.routes import Router


class Limits(Struct, frozen=True):
    """What one connection may take up; sizes in bytes, times in seconds."""

    max_body: int = 32 * 1024 * 1024
    max_header: int = 64 * 1024
    max_connections: int = 10_000
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: float = 75.0
    write_timeout: float = 60.0
    keep_alive: float = 15.0
    """Between two words to a caller whose stream waits for its first token."""


class Attendant(Protocol):
    """Serves the requests of a route that the core alone cannot: what goes before them, or after."""

    async def serve(self, turn: Turn, visit: Visit, exchange: Exchange) -> None:
        """One request, to the caller's last byte. Raises the fault where nothing was sent yet."""
        ...


class House(Struct):
    """The core, the table and the rules behind all doors."""

    gateway: Gateway
    router: Router
    skins: dict[str, Skin]
    fallback: Skin
    """In whose words a fault is told where no skin is known yet."""
    guard: Guard
    watch: Watch
    identities: Identities
    limits: Limits
    jobs: Jobs | None = None
    """Where requests can become jobs."""
    attendants: Mapping[str, Attendant] = {}
    """By the path of the route."""

    def whose(self, path: bytes) -> Skin:
        """In whose words a fault is told at this path."""
        return self.skins.get(self.router.whose(path), self.fallback)
