"""Allowances are never used beyond their limit, whoever asks in whatever order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from foz.canon.principal import Allowance
from foz.canon.usage import Usage
from foz.ledger.book import BUDGET, MINUTE, Account, Slice, lend, reserved, spent_tokens

START = 1_700_000_000_000 // MINUTE * MINUTE


class Store:
    """The shared truth, as `store/leases.py` keeps it: what is used or lent in the window of the moment."""

    def __init__(self) -> None:
        self.used: dict[tuple[str, int], int] = {}

    def reserve(self, account: Account, allowance: Allowance, tokens: int, now: int) -> bool:
        while needs := account.take(allowance, tokens, now):
            for need in needs:
                used = self.used.get((need.quantity, need.window), 0)
                amount = lend(need.limit, used, need.amount, need.least)
                self.used[need.quantity, need.window] = used + amount
                account.grant(need, need.window, amount)
                if not amount:
                    return False
        return True


class Processes(RuleBasedStateMachine):
    """Three processes serve one principal."""

    @initialize(limit=st.integers(1, 90), tokens=st.integers(1, 2_000))
    def begin(self, limit: int, tokens: int) -> None:
        self.allowance = Allowance(requests_per_minute=limit, tokens_per_minute=tokens)
        self.store = Store()
        self.accounts = [Account() for _ in range(3)]
        self.now = START
        self.running: list[tuple[int, int, int]] = []
        self.admitted: dict[int, int] = {}
        self.taken: dict[int, int] = {}

    @rule(process=st.integers(0, 2), tokens=st.integers(0, 600), times=st.integers(1, 30))
    def reserve(self, process: int, tokens: int, times: int) -> None:
        for _ in range(times):
            if self.store.reserve(self.accounts[process], self.allowance, tokens, self.now):
                minute = self.now // MINUTE
                held = reserved(self.allowance, tokens)
                self.admitted[minute] = self.admitted.get(minute, 0) + 1
                self.taken[minute] = self.taken.get(minute, 0) + held
                self.running.append((process, minute, held))

    @rule(pick=st.integers(0, 1000), share=st.floats(0, 1))
    def settle(self, pick: int, share: float) -> None:
        """A call takes at most what it reserved: what comes back may be taken again."""
        if not self.running:
            return
        process, minute, held = self.running.pop(pick % len(self.running))
        spent = int(held * share)
        slice = self.accounts[process].tokens
        slice.roll(self.now // MINUTE)
        assert slice.settle(held, spent, minute) == 0
        if minute in self.taken:
            self.taken[minute] -= held - spent

    @rule(minutes=st.integers(1, 2))
    def wait(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @invariant()
    def nothing_is_beyond_its_limit(self) -> None:
        if hasattr(self, "store"):
            assert all(count <= (self.allowance.requests_per_minute or 0) for count in self.admitted.values())
            assert all(taken <= (self.allowance.tokens_per_minute or 0) for taken in self.taken.values())


def test_no_order_of_calls_is_let_beyond_the_limit() -> None:
    """Over three processes, requests and unspent reservations of a minute never exceed the limits."""
    run_state_machine_as_test(Processes)


@given(limit=st.integers(1, 10_000))
def test_one_process_gets_all_of_its_limit(limit: int) -> None:
    """A process alone is admitted exactly as often as the limit says."""
    store, account, allowance = Store(), Account(), Allowance(requests_per_minute=limit)

    admitted = sum(store.reserve(account, allowance, 0, START) for _ in range(limit + 5))

    assert admitted == limit


@given(limit=st.integers(1, 500), processes=st.integers(1, 8))
def test_processes_that_all_ask_get_all_of_the_limit(limit: int, processes: int) -> None:
    """Where every process asks until it is refused, nothing is left over and nothing is given twice."""
    store, allowance = Store(), Allowance(requests_per_minute=limit)
    accounts = [Account() for _ in range(processes)]

    admitted = sum(store.reserve(account, allowance, 0, START) for _ in range(limit + 1) for account in accounts)

    assert admitted == limit


@given(limit=st.integers(0, 10**15), used=st.integers(0, 10**15), amount=st.integers(1, 10**13))
def test_what_is_lent_is_there(limit: int, used: int, amount: int) -> None:
    """A slice covers what is missing, or is nothing; it never exceeds what is left."""
    lent = lend(limit, used, amount, amount)

    assert lent == 0 or lent >= amount
    assert lent <= max(limit - used, 0)


def test_what_a_call_took_beyond_its_reservation_is_charged() -> None:
    """Excess is covered by what is free here first; the rest is for the store."""
    slice = Slice()
    slice.roll(1)
    slice.free = 30

    assert slice.settle(100, 150, 1) == 20
    assert slice.free == 0


def test_nothing_comes_back_into_a_later_window() -> None:
    """What a call of the last minute did not take is not free in this one."""
    slice = Slice()
    slice.roll(1)
    slice.roll(2)

    assert slice.settle(100, 10, 1) == 0
    assert slice.free == 0
    assert slice.settle(100, 130, 1) == 30


@pytest.mark.parametrize("quantity", ["requests", "tokens", "budget"])
def test_what_is_lent_too_late_is_not_carried_over(quantity: str) -> None:
    """What was lent of a window that has ended when it arrives is not there in the next."""
    allowance = Allowance(**{"budget" if quantity == "budget" else f"{quantity}_per_minute": 10})
    account = Account()
    (need,) = account.take(allowance, 1, START)
    later = START + 31 * 24 * 60 * MINUTE
    assert account.take(allowance, 1, later)

    account.grant(need, need.window, 5)

    assert account.take(allowance, 1, later)


def test_tokens_that_nobody_counted_are_those_reserved() -> None:
    """Unknown usage is charged as it was reserved; known usage as it was."""
    assert spent_tokens(Usage(), 77) == 77
    assert spent_tokens(Usage(input=3), 77) == 3
    assert spent_tokens(Usage(input=3, output=4), 77) == 7


def test_a_reservation_fits_into_a_minute() -> None:
    """A call may reserve all of a minute's tokens, never more, and never none."""
    assert reserved(Allowance(tokens_per_minute=100), 5_000) == 100
    assert reserved(Allowance(tokens_per_minute=100), 0) == 1


@given(budget=st.integers(1, 1_000), acts=st.lists(st.none() | st.integers(0, 60), min_size=1, max_size=300))
def test_a_budget_is_overdrawn_by_calls_in_flight_only(budget: int, acts: list[int | None]) -> None:
    """Beyond the budget are only calls that began while some of it was left; none begins when all is spent."""
    store, account, allowance = Store(), Account(), Allowance(budget=budget)
    spent, running, most = 0, 0, 0
    for act in acts:
        if act is None:
            if store.reserve(account, allowance, 0, START):
                assert spent < budget
                running += 1
                most = max(most, running)
            elif not running:
                assert spent >= budget
        elif running:
            account.budget.settle(act)
            spent += act
            running -= 1

    assert spent < budget + 60 * max(most, 1)
    assert all(quantity == BUDGET for quantity, _ in store.used)
