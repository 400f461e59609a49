"""What the core needs of the world, handed to it by assembly."""

from collections.abc import Callable

from msgspec import Struct

from foz.gateway.health import BreakerPolicy, Health
from foz.gateway.retry import RetryBudget, RetryPolicy
from foz.ports.cache import Cache
from foz.ports.clock import Clock
from foz.ports.content import Content
from foz.ports.files import Files
from foz.ports.keys import Book
from foz.ports.ledger import Ledger
from foz.ports.line import Directory
from foz.ports.metrics import Meters


class Policy(Struct, frozen=True):
    """How the core behaves, from the settings."""

    retries: RetryPolicy = RetryPolicy()
    breaker: BreakerPolicy = BreakerPolicy()
    relay: bool = True
    """False sends all through the translate lane."""
    captured: frozenset[str] = frozenset()
    """Skins whose inputs and outputs are kept."""
    max_answer: int = 64 * 1024 * 1024
    max_in_flight: int = 10_000


class Services:
    """Ports, the directory of the moment, and the core's own state."""

    def __init__(
        self,
        *,
        directory: Directory,
        ledger: Ledger,
        book: Book,
        meters: Meters,
        clock: Clock,
        dice: Callable[[], float],
        policy: Policy,
        content: Content | None = None,
        files: Files | None = None,
        cache: Cache | None = None,
    ) -> None:
        self.directory = directory
        """Swapped whole on reload."""
        self.ledger = ledger
        self.book = book
        self.meters = meters
        self.clock = clock
        self.dice = dice
        self.policy = policy
        self.content = content
        self.files = files
        self.cache = cache
        self.health = Health(policy.breaker)
        self.repeats = RetryBudget(policy.retries)
        self.draining = False
        """No new requests are taken."""
        self.stopping = False
        """What still runs is being stopped: a cancelled run is our doing, not its caller's."""
        self.in_flight = 0
