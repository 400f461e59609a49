"""
A breaker for each target, as a table of transitions.

closed --failure x N in a row--> open --cool-down passes--> half_open --success--> closed
                                  ^------------- failure -----------------'

While open a target is not asked; half open lets one request through to see. Each failed look doubles the cool-down.
"""

from typing import Literal

from msgspec import Struct

Phase = Literal["closed", "open", "half_open"]


class BreakerPolicy(Struct, frozen=True):
    """After how many failures in a row within the window, and how long to stay away; times in seconds."""

    failures: int = 5
    window: float = 30.0
    cool_down: float = 5.0
    longest: float = 300.0


class Breaker(Struct, frozen=True):
    """A target's standing. `until` is in monotonic seconds."""

    phase: Phase = "closed"
    failures: int = 0
    since: float = 0.0
    """When the first of these failures was."""
    until: float = 0.0
    cool_down: float = 0.0


CLOSED = Breaker()
MOST = 10_000


def failed(breaker: Breaker, policy: BreakerPolicy, now: float, *, looking: bool) -> Breaker:
    """The target failed us; `looking` is the request that was let through to see."""
    if breaker.phase == "half_open" and looking:
        cool_down = min(breaker.cool_down * 2, policy.longest)
        return Breaker("open", breaker.failures + 1, breaker.since, now + cool_down, cool_down)
    if breaker.phase == "closed":
        in_a_row = breaker.failures and now - breaker.since <= policy.window
        failures, since = (breaker.failures + 1, breaker.since) if in_a_row else (1, now)
        if failures < policy.failures:
            return Breaker("closed", failures, since)
        return Breaker("open", failures, since, now + policy.cool_down, policy.cool_down)
    return breaker  # a late failure of a request that was under way when the breaker opened, or opened again


def looked(breaker: Breaker, now: float) -> Breaker:
    """A request is let through to an open breaker whose time has come; others stay away for one cool-down more."""
    return Breaker("half_open", breaker.failures, breaker.since, now + breaker.cool_down, breaker.cool_down)


def passes(breaker: Breaker, now: float) -> bool:
    """Whether a request may be sent."""
    return breaker.phase == "closed" or now >= breaker.until


class Health:
    """The breakers of all targets. A target that does well costs a dict lookup that finds nothing."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._breakers: dict[str, Breaker] = {}

    def allows(self, target: str, now: float) -> bool:
        """Whether the target may be asked."""
        breaker = self._breakers.get(target)
        return breaker is None or passes(breaker, now)

    def looks(self, target: str, now: float) -> bool:
        """The target is about to be asked: whether this is the request that is let through to see."""
        breaker = self._breakers.get(target)
        if breaker is None or breaker.phase == "closed" or now < breaker.until:
            return False
        self._breakers[target] = looked(breaker, now)
        return True

    def opens_in(self, target: str, now: float) -> float:
        """Seconds until the target may be asked again."""
        breaker = self._breakers.get(target)
        return 0.0 if breaker is None or breaker.phase == "closed" else max(breaker.until - now, 0.0)

    def did_well(self, target: str) -> Phase | None:
        """The target answered; the phase it is in now, where that changes."""
        breaker = self._breakers.pop(target, None)
        return None if breaker is None or breaker.phase == "closed" else "closed"

    def did_fail(self, target: str, now: float, *, looking: bool = False) -> Phase | None:
        """The target failed; the phase it is in now, where that changes."""
        before = self._breakers.get(target, CLOSED)
        if before is CLOSED and len(self._breakers) >= MOST:
            del self._breakers[next(iter(self._breakers))]  # callers may name any model of a provider
        after = self._breakers[target] = failed(before, self._policy, now, looking=looking)
        return None if after.phase == before.phase else after.phase
