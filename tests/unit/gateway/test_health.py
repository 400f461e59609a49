"""The breaker's table of transitions."""

from foz.gateway.health import CLOSED, Breaker, BreakerPolicy, Health, failed, looked, passes

POLICY = BreakerPolicy(failures=3, window=30.0, cool_down=5.0, longest=15.0)


def after_failures(*times: float) -> Breaker:
    breaker = CLOSED
    for time in times:
        breaker = failed(breaker, POLICY, time, looking=False)
    return breaker


def test_enough_failures_in_a_row_open_it() -> None:
    """The third failure of three within the window keeps requests away, the second does not."""
    assert passes(after_failures(1, 2), 2.0)
    assert not passes(after_failures(1, 2, 3), 3.0)


def test_old_failures_are_forgotten() -> None:
    """Failures further apart than the window never add up."""
    assert after_failures(0, 10, 31, 41).phase == "closed"


def test_one_request_looks_after_the_cool_down() -> None:
    """After the cool-down one request passes; the next has to wait for one cool-down more."""
    opened = after_failures(1, 2, 3)
    half = looked(opened, 8.0)

    assert not passes(opened, 7.9)
    assert passes(opened, 8.0)
    assert half.phase == "half_open"
    assert not passes(half, 8.1)


def test_each_failed_look_doubles_the_cool_down_up_to_the_longest() -> None:
    """A target that stays down is looked at after 5, 10, 15 and 15 seconds."""
    breaker, now, pauses = after_failures(1, 2, 3), 3.0, []
    for _ in range(4):
        pauses.append(breaker.until - now)
        now = breaker.until
        breaker = failed(looked(breaker, now), POLICY, now, looking=True)

    assert pauses == [5.0, 10.0, 15.0, 15.0]


def test_a_late_failure_changes_nothing_while_open() -> None:
    """A request that was under way when the breaker opened does not prolong it."""
    opened = after_failures(1, 2, 3)

    assert failed(opened, POLICY, 4.0, looking=False) == opened


def test_only_the_look_reopens_it() -> None:
    """While one request looks, late failures of others neither reopen the breaker nor double its cool-down."""
    half = looked(after_failures(1, 2, 3), 8.0)

    assert failed(half, POLICY, 8.1, looking=False) == half
    assert failed(half, POLICY, 8.1, looking=True).cool_down == 10.0


def test_many_failures_at_once_do_not_prolong_the_cool_down() -> None:
    """Thirty requests that fail together leave the target alone for one cool-down, not for the longest."""
    health = Health(POLICY)
    for _ in range(30):
        health.looks("t", 1.0)
        health.did_fail("t", 1.0)

    assert health.allows("t", 6.0)
    assert health.opens_in("t", 2.0) == 4.0


def test_success_closes_it_and_is_told_once() -> None:
    """Health tells a change of phase when it happens and not again."""
    health = Health(POLICY)
    told = [health.did_fail("t", time) for time in (1.0, 2.0, 3.0)]

    assert told == [None, None, "open"]
    assert not health.allows("t", 4.0)
    assert health.looks("t", 9.0)
    assert not health.looks("t", 9.0)
    assert health.did_well("t") == "closed"
    assert health.did_well("t") is None
    assert health.allows("t", 9.0)
