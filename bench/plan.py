"""How long and how often: the same for every contestant of a run."""

from msgspec import Struct


class Plan(Struct, frozen=True):
    """What the command line asked for."""

    rounds: int = 5
    seconds: float = 8.0
    quick: bool = False
    without: frozenset[str] = frozenset()
    """Contestants to leave out: `litellm`, `foz`, `nginx`, `celery`, `llama-cpp-python`."""
    seed: int = 1

    def has(self, name: str) -> bool:
        return name not in self.without
