"""
What to do after an attempt has failed, before anything was committed to the caller. Pure.

* another target is left: go there, if the fault may be different there
* none is left: here again, if it may pass, within the retry budget, after a pause
* else give up

What was sent and timed out is not sent again, here or elsewhere, unless the target's row allows it.
"""

from typing import Literal

from msgspec import Struct

from foz.canon.fault import Cut, Down, Fault, Garbled, Limited, Refused, Timeout
from foz.canon.model import Target

OUR_CREDENTIALS = 502
NOT_THERE = 404


class RetryPolicy(Struct, frozen=True):
    """`again` counts repeats at one target; `budget` is their share of all requests."""

    again: int = 1
    budget: float = 0.1
    reserve: float = 10.0
    pause: float = 0.2
    longest_pause: float = 5.0
    retry_after_cap: float = 10.0


class Next(Struct, frozen=True):
    """What comes next; `pause` in seconds, before `again`."""

    step: Literal["again", "on", "give_up"]
    pause: float = 0.0


GIVE_UP = Next("give_up")
ON = Next("on")


def after(fault: Fault, target: Target, policy: RetryPolicy, repeats: int, *, more_targets: bool, dice: float) -> Next:
    """`repeats` counts the repeats at this target so far; `dice` in [0, 1) spreads the pauses."""
    if isinstance(fault, Timeout) and fault.sent and not target.resend:
        return GIVE_UP
    if isinstance(fault, Refused):
        # Our key or the model is wrong there: another target may be right. All else would be refused anywhere.
        return ON if more_targets and fault.status in {OUR_CREDENTIALS, NOT_THERE} else GIVE_UP
    if not isinstance(fault, Limited | Down | Timeout | Garbled | Cut):
        return GIVE_UP
    if more_targets:
        return ON
    if repeats >= policy.again:
        return GIVE_UP
    if fault.retry_after is not None:
        return Next("again", fault.retry_after) if fault.retry_after <= policy.retry_after_cap else GIVE_UP
    return Next("again", min(policy.pause * 2**repeats, policy.longest_pause) * (0.5 + dice))


class RetryBudget:
    """Repeats may be a share of the requests, so that a failing upstream is not buried under our insistence."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._left = policy.reserve

    def earn(self) -> None:
        """A request came in."""
        if self._left < self._policy.reserve:
            self._left += self._policy.budget

    def spend(self) -> bool:
        """Whether one repeat is affordable."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
