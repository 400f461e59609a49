"""
Everything that can go wrong, and whose doing it is.

* Fault
  x CallerFault     the caller must change something; never retried
      BadRequest Unsupported Unauthenticated Forbidden NotFound Conflict RateLimited OverBudget
  x UpstreamFault   the target's doing
      Refused Limited Down Timeout Garbled Cut
  x GatewayFault    ours
      NoRoute NoCapacity Draining Bug

A fault is an exception so that it can be raised, and a value so that every dialect can encode it.
The class is decided by status and vendor code, never by words in a message.
`retriable` says whether another attempt, here or at another target, may help.
"""

from typing import ClassVar


class Fault(Exception):
    """What happened, where, what was expected and what to do next."""

    code: ClassVar[str] = "fault"
    retriable: ClassVar[bool] = False
    default_status: ClassVar[int] = 500

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        vendor_code: str | None = None,
        target: str | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.status = status or self.default_status
        self.retry_after = retry_after
        self.vendor_code = vendor_code
        self.target = target
        self.sent = sent
        """False where a target cannot have seen the request; only then is sending it again always safe."""
        self.answered: int | None = None
        """The status with which a target refused, as it was; `status` is what it means for the caller."""


class CallerFault(Fault):
    """The caller's doing: a retry of the same request cannot help."""


class BadRequest(CallerFault):
    """The request is not well-formed; `status` may be 400, 405, 408, 413, 415, 422 or 431."""

    code = "bad_request"
    default_status = 400


class Unsupported(CallerFault):
    """The request is well-formed, but no target of the model can do what it asks."""

    code = "unsupported"
    default_status = 400


class Unauthenticated(CallerFault):
    """No key, or one that nobody knows."""

    code = "unauthenticated"
    default_status = 401


class Forbidden(CallerFault):
    """A known key that may not do this."""

    code = "forbidden"
    default_status = 403


class NotFound(CallerFault):
    """Nothing by this name, or nothing that this principal may know of."""

    code = "not_found"
    default_status = 404


class Conflict(CallerFault):
    """It contradicts what is there already."""

    code = "conflict"
    default_status = 409


class RateLimited(CallerFault):
    """The principal's own rate is used up; `retry_after` says when it opens again."""

    code = "rate_limited"
    default_status = 429


class OverBudget(CallerFault):
    """The principal's budget is used up."""

    code = "over_budget"
    default_status = 429


class UpstreamFault(Fault):
    """The target's doing."""


class Refused(UpstreamFault):
    """The target understood and said no (its 4xx); `status` is the target's own where it helps."""

    code = "upstream_refused"
    default_status = 400


class Limited(UpstreamFault):
    """The target's rate or quota of ours is used up."""

    code = "upstream_limited"
    retriable = True
    default_status = 429


class Down(UpstreamFault):
    """The target cannot be reached, or answers 5xx."""

    code = "upstream_down"
    retriable = True
    default_status = 502


class Timeout(UpstreamFault):
    """The target did not answer in time."""

    code = "upstream_timeout"
    retriable = True
    default_status = 504


class Garbled(UpstreamFault):
    """The target's answer breaks its own dialect."""

    code = "upstream_garbled"
    retriable = True
    default_status = 502


class Cut(UpstreamFault):
    """The target's answer ended before it was finished."""

    code = "upstream_cut"
    retriable = True
    default_status = 502


class GatewayFault(Fault):
    """Our own doing."""


class NoRoute(GatewayFault):
    """A known model, but none of its targets may be used as asked (mode, health, credentials)."""

    code = "no_route"
    default_status = 503


class NoCapacity(GatewayFault):
    """Too much is in flight already."""

    code = "no_capacity"
    retriable = True
    default_status = 503


class Draining(GatewayFault):
    """We are going away: another process will serve."""

    code = "draining"
    retriable = True
    default_status = 503


class Bug(GatewayFault):
    """A defect of Foz."""

    code = "bug"
    default_status = 500


LEAVES: tuple[type[Fault], ...] = (
    BadRequest,
    Unsupported,
    Unauthenticated,
    Forbidden,
    NotFound,
    Conflict,
    RateLimited,
    OverBudget,
    Refused,
    Limited,
    Down,
    Timeout,
    Garbled,
    Cut,
    NoRoute,
    NoCapacity,
    Draining,
    Bug,
)
