"""What comes after a failed attempt."""

import pytest

from foz.canon.fault import LEAVES, BadRequest, Cut, Down, Fault, Garbled, Limited, Refused, Timeout
from foz.canon.model import Target
from foz.gateway.retry import GIVE_UP, ON, Next, RetryBudget, RetryPolicy, after

TARGET = Target("p", "m")
POLICY = RetryPolicy(again=1, pause=0.2, retry_after_cap=10.0)


def step(fault: Fault, *, more: bool = False, repeats: int = 0, target: Target = TARGET) -> Next:
    return after(fault, target, POLICY, repeats, more_targets=more, dice=0.5)


@pytest.mark.parametrize("fault", [Down("x"), Limited("x"), Garbled("x"), Cut("x"), Timeout("x", sent=False)])
def test_what_may_pass_elsewhere_falls_over(fault: Fault) -> None:
    """While another target is left, a passing fault moves on to it at once."""
    assert step(fault, more=True) == ON


def test_the_last_target_is_asked_again_once() -> None:
    """Without another target the same one is asked again after a pause, and then no more."""
    assert step(Down("x")) == Next("again", 0.2)
    assert step(Down("x"), repeats=1) == GIVE_UP


def test_what_was_sent_and_timed_out_is_not_sent_again() -> None:
    """A sent request that timed out goes nowhere else, unless the row allows it."""
    assert step(Timeout("x"), more=True) == GIVE_UP
    assert step(Timeout("x"), more=True, target=Target("p", "m", resend=True)) == ON


def test_retry_after_is_honoured_up_to_its_cap() -> None:
    """A pause that the target asks for is kept; a longer one than the cap ends the plan."""
    assert step(Limited("x", retry_after=3.0)) == Next("again", 3.0)
    assert step(Limited("x", retry_after=11.0)) == GIVE_UP


@pytest.mark.parametrize("status", [401, 404, 502])
def test_a_refusal_falls_over_only_where_another_target_may_be_right(status: int) -> None:
    """Our credentials (502) and a missing model (404) are one target's matter; other refusals are final."""
    expected = ON if status in {404, 502} else GIVE_UP

    assert step(Refused("x", status=status), more=True) == expected


@pytest.mark.parametrize("leaf", [leaf for leaf in LEAVES if not leaf.retriable], ids=lambda leaf: leaf.code)
def test_what_cannot_pass_is_never_tried_again_at_the_same_target(leaf: type[Fault]) -> None:
    """No fault that is not retriable is ever sent to the same target again."""
    assert step(leaf("x")).step == "give_up"
    assert step(BadRequest("x"), more=True) == GIVE_UP


def test_repeats_are_a_share_of_the_requests() -> None:
    """Beyond the reserve, a hundred requests earn ten repeats."""
    budget = RetryBudget(RetryPolicy(budget=0.1, reserve=2.0))
    spent = 0
    while budget.spend():
        spent += 1
    for _ in range(100):
        budget.earn()
        spent += budget.spend()

    assert 11 <= spent <= 12
