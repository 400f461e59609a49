"""
What a principal may still use up: pure decisions; `store/leases.py` does what they say.

Allowances are counted in windows of time: requests and tokens in UTC minutes, a budget in periods of so many days
(counted from 1970-01-01). The truth is in the store, which all processes share; each process is lent slices of it,
so that most calls are decided here, in memory. What is lent counts as used up for everybody else:

- requests: never more than the limit in a window, over all processes together;
- tokens: what is reserved never exceeds the limit. A call that takes more than it reserved (its input is known
  only afterwards) is charged the rest, so a window can be overdrawn by what was in flight, and then it is closed;
- a budget: nobody knows a price beforehand. Each call in flight holds what such calls have cost on average;
  it is overdrawn by at most what the calls in flight cost beyond that.

Never late, sometimes early: a slice that another process holds and does not use is not there. A slice is at most
a twentieth of the limit and a quarter of what is left, so the last ones are single.
"""

from msgspec import Struct

from foz.canon.principal import Allowance
from foz.canon.usage import Usage

MINUTE = 60_000
DAY = 86_400_000
CLOSED_FOR = 1_000
"""Milliseconds for which a refusal is remembered, so that who hammers does not reach the store each time."""
_LARGEST_SHARE = 20
_SHARE_OF_REST = 4
_SLUGGISH = 8
"""How many calls the average price looks back on."""

REQUESTS, TOKENS, BUDGET = "requests", "tokens", "budget"


class Need(Struct, frozen=True):
    """What is missing here and must be lent by the store."""

    quantity: str
    window: int
    limit: int
    amount: int
    least: int
    """What will do where less than `amount` is left."""
    reopens: int
    """UTC milliseconds at which the next window begins."""


def lend(limit: int, used: int, amount: int, least: int) -> int:
    """How much to lend where this much is used or lent already; 0 is a refusal."""
    left = limit - used
    if left < max(least, 1):
        return 0
    return min(left, max(amount, min(limit // _LARGEST_SHARE, left // _SHARE_OF_REST)))


def spent_tokens(usage: Usage, reserved: int) -> int:
    """Tokens in and out; what is unknown is taken to be what was reserved."""
    if usage.input is None and usage.output is None:
        return reserved
    return (usage.input or 0) + (usage.output or 0)


class Slice:
    """What this process was lent of one quantity, in one window."""

    __slots__ = ("closed_from", "closed_until", "free", "window")

    def __init__(self) -> None:
        self.window = -1
        self.free = 0
        self.closed_until = 0
        self.closed_from = 0
        """Until then, this amount and more was refused by the store."""

    def roll(self, window: int) -> None:
        """Begins a window; the last one's slice is gone."""
        if window > self.window:
            self.window = window
            self.free = self.closed_until = 0

    def is_closed(self, now: int, amount: int) -> bool:
        """Whether the store has just refused this much."""
        return now < self.closed_until and amount >= self.closed_from

    def close(self, now: int, amount: int) -> None:
        """Remembers a refusal for a moment."""
        self.closed_until, self.closed_from = now + CLOSED_FOR, amount

    def settle(self, reserved: int, spent: int, window: int) -> int:
        """
        Gives back what was reserved and not spent; what was spent beyond that and must be charged.
        Nothing that was reserved in an earlier window comes back into this one.
        """
        beyond = spent - reserved
        if window != self.window:
            return max(beyond, 0)
        covered = min(self.free, beyond)  # negative where it gives back
        self.free -= covered
        return beyond - covered


class Purse:
    """What this process was lent of a budget, in one period."""

    __slots__ = ("average", "closed_until", "held", "idle", "running", "window")

    def __init__(self) -> None:
        self.window = -1
        self.held = 0
        """Below zero where calls have cost more than was held."""
        self.running = 0
        self.average = 0
        self.idle = True
        """Nothing was asked of it since it was last looked at."""
        self.closed_until = 0

    def roll(self, window: int) -> None:
        """Begins a period; what was held of the last one is gone."""
        if window > self.window:
            self.window = window
            self.held = self.closed_until = 0

    @property
    def missing(self) -> int:
        """What another call needs to be lent; 0 where it may start."""
        return max((self.running + 1) * max(self.average, 1) - self.held, 0)

    @property
    def least(self) -> int:
        """What will do: anything for the only call, so that the last money can be spent."""
        return 1 if self.running == 0 else self.missing

    @property
    def is_open(self) -> bool:
        """Whether another call may start."""
        return self.missing == 0 or (self.running == 0 and self.held > 0)

    def settle(self, price: int) -> None:
        """A call has ended and cost this much."""
        self.running = max(self.running - 1, 0)
        self.held -= price
        self.average = price if self.average == 0 else (self.average * (_SLUGGISH - 1) + price) // _SLUGGISH


class Account:
    """One principal's slices in this process."""

    __slots__ = ("budget", "requests", "tokens")

    def __init__(self) -> None:
        self.requests = Slice()
        self.tokens = Slice()
        self.budget = Purse()

    def take(self, allowance: Allowance, tokens: int, now: int) -> list[Need]:
        """Takes one call's worth of everything, or nothing: then what is missing."""
        needs = self._missing(allowance, tokens, now)
        if not needs:
            self.requests.free -= allowance.requests_per_minute is not None
            if allowance.tokens_per_minute is not None:
                self.tokens.free -= reserved(allowance, tokens)
            if allowance.budget is not None:
                self.budget.running += 1
                self.budget.idle = False
        return needs

    def grant(self, need: Need, window: int, amount: int) -> None:
        """What the store lent, in the window that it is in. Where that is over here, it went with it."""
        if need.quantity == BUDGET:
            self.budget.roll(window)
            self.budget.held += amount if window == self.budget.window else 0
            return
        slice = self.requests if need.quantity == REQUESTS else self.tokens
        slice.roll(window)
        slice.free += amount if window == slice.window else 0

    def refuse(self, need: Need, now: int) -> None:
        """The store lent nothing."""
        if need.quantity == BUDGET:
            self.budget.closed_until = now + CLOSED_FOR
        else:
            (self.requests if need.quantity == REQUESTS else self.tokens).close(now, need.amount)

    def closed(self, need: Need, now: int) -> bool:
        """Whether the store has just refused this."""
        if need.quantity == BUDGET:
            return now < self.budget.closed_until
        return (self.requests if need.quantity == REQUESTS else self.tokens).is_closed(now, need.amount)

    def _missing(self, allowance: Allowance, tokens: int, now: int) -> list[Need]:
        needs = []
        minute = now // MINUTE
        for quantity, slice, limit, amount in (
            (REQUESTS, self.requests, allowance.requests_per_minute, 1),
            (TOKENS, self.tokens, allowance.tokens_per_minute, reserved(allowance, tokens)),
        ):
            if limit is not None:
                slice.roll(minute)
                if slice.free < amount:
                    more = amount - slice.free
                    needs.append(Need(quantity, slice.window, limit, more, more, (slice.window + 1) * MINUTE))
        if allowance.budget is not None:
            period = allowance.budget_days * DAY
            purse = self.budget
            purse.roll(now // period)
            if not purse.is_open:
                ends = (purse.window + 1) * period
                needs.append(Need(BUDGET, purse.window, allowance.budget, purse.missing, purse.least, ends))
        return needs


def reserved(allowance: Allowance, tokens: int) -> int:
    """Tokens to reserve: at least one, so that an overdrawn minute is closed; at most all of a minute's."""
    limit = allowance.tokens_per_minute
    return max(min(tokens, limit or tokens), 1)
