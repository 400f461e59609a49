"""
Models and the targets that stand behind them: facts only.

A model is a public name. Its targets are tried in order; where weights are given,
the first is drawn by weight among those of the same rank.
"""

from enum import StrEnum
from functools import cached_property

from msgspec import Struct

from foz.canon.money import Rates
from foz.canon.request import Operation


class Placement(StrEnum):
    """Who serves it: `gpu` is us, on this machine or a node; `api` is a vendor."""

    GPU = "gpu"
    API = "api"


class Capability(StrEnum):
    """What a request may need and a target may be unable to do."""

    TOOLS = "tools"
    IMAGES = "images"
    AUDIO = "audio"
    FILES = "files"
    JSON_SCHEMA = "json_schema"
    LOGPROBS = "logprobs"
    REASONING = "reasoning"
    LINKS = "links"
    """Pictures and their like that are only said by their address: whoever is asked would go there."""
    DIMENSIONS = "dimensions"
    """Vectors that are shorter than the model's own."""


class Profile(Struct, frozen=True):
    """What a model family can do. `lacks` are needs known to fail there; what is not listed is tried."""

    operations: frozenset[Operation] = frozenset(Operation)
    lacks: frozenset[str] = frozenset()
    context: int | None = None
    max_output: int | None = None

    @property
    def is_told(self) -> bool:
        """Whether anything is known of the family; what may be sent to a machine says nothing of it."""
        own = Profile(self.operations, self.lacks - {Capability.LINKS}, self.context, self.max_output)
        return own != Profile()


class Patience(Struct, frozen=True):
    """How long to wait for a target, in seconds."""

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 60.0
    total: float = 600.0

    def within(self, seconds: float) -> "Patience":
        """No more than so many seconds of any of it."""
        left = max(seconds, 0.0)
        return Patience(
            min(self.connect, left), min(self.first_byte, left), min(self.idle, left), min(self.total, left)
        )


class Target(Struct, frozen=True, dict=True):
    """One way to serve a model: a provider and what it calls the model."""

    provider: str
    model: str
    placement: Placement = Placement.API
    rank: int = 0
    weight: float = 1.0
    profile: Profile = Profile()
    rates: Rates | None = None
    patience: Patience = Patience()
    resend: bool = False
    """True where a request that timed out after it was sent may be sent again, here or elsewhere."""
    barred: str | None = None
    """Why it can never be asked as things are configured (no key, switched off), where it cannot."""

    @cached_property
    def name(self) -> str:
        """`provider/model`, as in the ledger and the metrics."""
        return f"{self.provider}/{self.model}"


class Model(Struct, frozen=True):
    """A public name and what serves it."""

    name: str
    targets: tuple[Target, ...]
    created: int = 0
    owner: str = "foz"
    description: str | None = None
    title: str | None = None
    """What people call it."""
    version: str | None = None
    capabilities: tuple[str, ...] = ()
    """What it is said to be good for, in its operator's words; without any, what its targets can do is told."""
    cache_ttl: float | None = None
    """Seconds for which the answer to a request answers the same request; None: each is asked anew."""


class Standing(Struct, frozen=True):
    """How a model did. None where no call says it."""

    latency: float | None
    """Milliseconds of a call that was answered, on average."""
    availability: float | None
    """
    The share of calls that were answered, of those that were answered or failed on our side: what a caller broke off or
    asked wrongly says nothing of the model, what its target had no capacity for does.
    """
