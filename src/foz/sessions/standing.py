"""
How an agent's session stands for one of its callers, and what follows. Pure: the store does it in one transaction.

A seat is who talks to which agent about what: it has one session at a time. Who finds none makes one, and all others
wait for it; a claim whose holder has died lapses. A session is left when it has not been used for two hours.
"""

from typing import Literal

from msgspec import Struct

MINUTE = 60_000
TTL = 120 * MINUTE
"""Milliseconds from the last use."""
CLAIM = 20_000
"""Longest making of a session."""
OWNED = 7 * 24 * 60 * MINUTE
"""How long a session is known that was asked for by name; the agents' own longest."""


class Standing(Struct, frozen=True):
    """What is kept of a seat: its session, or whose claim to make one."""

    session: str | None = None
    used: int = 0
    claim: bytes | None = None
    claimed: int = 0


Step = Literal["use", "make", "wait"]


def decide(standing: Standing | None, now: int) -> Step:
    """What who asks for a seat does."""
    if standing is None:
        return "make"
    if standing.session is not None and now - standing.used <= TTL:
        return "use"
    if standing.claim is not None and now - standing.claimed <= CLAIM:
        return "wait"
    return "make"
