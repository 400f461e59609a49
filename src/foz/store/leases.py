"""
Rates and budgets over all processes: the effects of `foz.ledger.book`, in SQLite.

A slice is lent in one transaction of the writer, so two processes are never lent the same.
Money that is lent and not spent has a row of its own, under its owner: it goes back when the process has had
no call for a while, and when it is dead (see `owner.py`). A principal without limits costs one comparison.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import apsw

from foz.canon.fault import Fault, OverBudget, RateLimited
from foz.canon.principal import Allowance, Principal
from foz.canon.usage import Usage
from foz.ledger.book import BUDGET, DAY, MINUTE, TOKENS, Account, Need, Purse, lend, reserved, spent_tokens
from foz.store.queries import load
from foz.store.writer import Writer

RETURN_SECONDS = 10.0
_SQL = load("leases")
_SECOND = 1000
_UNWRITTEN = "What a call used up could not be written: %s"
_Lent = list[tuple[int, int]]

logger = logging.getLogger(__name__)


class SqliteBook:
    """Implements `ports.keys.Book` for one process. `return_idle` should be called every RETURN_SECONDS."""

    def __init__(self, writer: Writer, owner: bytes, now: Callable[[], int]) -> None:
        self._writer = writer
        self._owner = owner
        self._now = now
        self._accounts: dict[str, _Open] = {}

    def reserve(self, principal: Principal, tokens: int) -> Awaitable[None] | None:
        """None where it is open at once. Raises RateLimited (with retry_after) or OverBudget, now or when awaited."""
        allowance = principal.allowance
        if _unlimited(allowance):
            return None
        account = self._accounts.get(principal.id)
        if account is None:
            account = self._accounts[principal.id] = _Open()
        now = self._now()
        needs = account.take(allowance, tokens, now)
        if not needs:
            return None
        _refuse_closed(account, needs, now)
        return self._reserve_lent(principal, account, tokens)

    def settle(
        self, principal: Principal, reserved: int, usage: Usage, price: int | None, since: int | None = None
    ) -> None:
        """What it really took. A price that nobody knows is not charged. `since` is when it was reserved."""
        allowance = principal.allowance
        account = None if _unlimited(allowance) else self._accounts.get(principal.id)
        if account is None:
            return
        now = self._now()
        if allowance.tokens_per_minute is not None:
            account.tokens.roll(now // MINUTE)
            self._settle_tokens(principal, account, reserved, usage, now if since is None else since)
        if allowance.budget is not None:
            account.budget.settle(price or 0)
            if price:
                window = now // (allowance.budget_days * DAY)
                self._write(_spend(self._owner, principal.id, window, price))

    async def return_idle(self) -> None:
        """Gives back what no call has asked for since the last time."""
        returning = []
        for id, account in self._accounts.items():
            purse = account.budget
            if purse.idle and purse.running == 0 and purse.held:
                returning.append(self._give_back(id, purse))
            purse.idle = True
        await asyncio.gather(*returning)

    def _give_back(self, principal: str, purse: Purse) -> "asyncio.Future[None]":
        window, amount = purse.window, purse.held
        future = self._writer.call(_let_go(self._owner, principal, window, amount))
        purse.held = 0

        def keep_if_lost(future: "asyncio.Future[None]") -> None:
            if not future.cancelled() and future.exception() is not None and purse.window == window:
                purse.held += amount

        future.add_done_callback(keep_if_lost)
        return future

    async def _reserve_lent(self, principal: Principal, account: "_Open", tokens: int) -> None:
        async with account.lending:
            while needs := account.take(principal.allowance, tokens, now := self._now()):
                _refuse_closed(account, needs, now)
                lending = self._writer.call(_lend(self._owner, principal.id, needs))
                lending.add_done_callback(partial(_grant, account, needs))  # also where the caller has gone meanwhile
                lent = await asyncio.shield(lending)
                refused = None
                for need, (_, amount) in zip(needs, lent, strict=True):
                    if not amount:
                        account.refuse(need, now)
                        refused = refused or need
                if refused is not None:
                    raise _refusal(refused, self._now())

    def _settle_tokens(self, principal: Principal, account: Account, asked: int, usage: Usage, since: int) -> None:
        held = reserved(principal.allowance, asked)
        slice = account.tokens
        beyond = slice.settle(held, spent_tokens(usage, held), since // MINUTE)
        if beyond:
            self._write(_charge(principal.id, slice.window, beyond))

    def _write(self, work: Callable[[apsw.Connection], None]) -> None:
        try:
            future = self._writer.call(work)
        except Fault as fault:
            logger.error(_UNWRITTEN, fault.message)  # noqa: TRY400 - it says all; a call's end must not fail by it
            return
        future.add_done_callback(_tell)


class _Open(Account):
    """An account, and the turn of whoever is lent something for it."""

    __slots__ = ("lending",)

    def __init__(self) -> None:
        super().__init__()
        self.lending = asyncio.Lock()


def _grant(account: Account, needs: list[Need], lending: "asyncio.Future[_Lent]") -> None:
    if not lending.cancelled() and lending.exception() is None:
        for need, (window, amount) in zip(needs, lending.result(), strict=True):
            account.grant(need, window, amount)


def _unlimited(allowance: Allowance) -> bool:
    return allowance.requests_per_minute is None and allowance.tokens_per_minute is None and allowance.budget is None


def _refuse_closed(account: Account, needs: list[Need], now: int) -> None:
    for need in needs:
        if account.closed(need, now):
            raise _refusal(need, now)


def _refusal(need: Need, now: int) -> Fault:
    wait = max(need.reopens - now, 1) / _SECOND
    if need.quantity == BUDGET:
        return OverBudget(
            f"The budget of this key is used up; its next period begins in {_span(wait)}.", retry_after=wait
        )
    return RateLimited(
        f"This key's {need.limit:,} {need.quantity} a minute are used up; ask again in {_span(wait)}.", retry_after=wait
    )


def _span(seconds: float) -> str:
    for length, word in ((DAY / _SECOND, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {word}"
    return f"{seconds:.0f} s"


def _lend(owner: bytes, principal: str, needs: list[Need]) -> Callable[[apsw.Connection], _Lent]:
    """Work that lends: window and amount for each need."""
    return lambda connection: [_lend_one(connection, owner, principal, need) for need in needs]


def _lend_one(connection: apsw.Connection, owner: bytes, principal: str, need: Need) -> tuple[int, int]:
    key = {"principal": principal, "quantity": need.quantity}
    row = connection.execute(_SQL["used"], key).fetchone()
    window, used = (int(row[0]), int(row[1])) if row is not None and row[0] >= need.window else (need.window, 0)
    if need.quantity == BUDGET:
        held = int(connection.execute(_SQL["held"], {"principal": principal, "window": window}).get)
        amount = lend(need.limit, used + held, need.amount, need.least)
        if amount:
            connection.execute(
                _SQL["hold"], {"owner": owner, "principal": principal, "window": window, "amount": amount}
            )
        return window, amount
    amount = lend(need.limit, used, need.amount, need.least)
    if amount:
        connection.execute(_SQL["set_used"], {**key, "window": window, "used": used + amount})
    return window, amount


def _charge(principal: str, window: int, amount: int) -> Callable[[apsw.Connection], None]:
    values = {"principal": principal, "quantity": TOKENS, "window": window, "amount": amount}

    def work(connection: apsw.Connection) -> None:
        connection.execute(_SQL["charge"], values)

    return work


def _spend(owner: bytes, principal: str, window: int, amount: int) -> Callable[[apsw.Connection], None]:
    values = {"owner": owner, "principal": principal, "quantity": BUDGET, "window": window, "amount": amount}

    def work(connection: apsw.Connection) -> None:
        connection.execute(_SQL["charge"], values)
        connection.execute(_SQL["let_go"], values)

    return work


def _let_go(owner: bytes, principal: str, window: int, amount: int) -> Callable[[apsw.Connection], None]:
    values = {"owner": owner, "principal": principal, "window": window, "amount": amount}

    def work(connection: apsw.Connection) -> None:
        connection.execute(_SQL["let_go"], values)

    return work


def _tell(future: "asyncio.Future[None]") -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        logger.error(_UNWRITTEN, error)
