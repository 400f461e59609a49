"""How a skin that answers at once says that a request is not waited for (`Prefer: respond-async`, RFC 7240)."""

from foz.ports.skin import WHOLE
from foz.wire import json
from foz.wire.http import Headers, Reply

ACCEPTED = 202
AGAIN = 1
"""Seconds after which to look again."""
PREFERENCE = ("Prefer", "`respond-async`: the request becomes a job, whose answer will be at `Location`.")
KEY = ("Idempotency-Key", "Of a request that becomes a job: the same, sent again within 24 hours, is the same job.")


def accepted(said: object, place: str) -> Reply:
    """That a request has become a job, which is there."""
    return _told(ACCEPTED, said, (b"location", place.encode()), (b"preference-applied", b"respond-async"))


def waiting(said: object) -> Reply:
    """That the job has no answer yet."""
    return _told(ACCEPTED, said, (b"retry-after", b"%d" % AGAIN))


def cancelled(said: object) -> Reply:
    """How the job stands after its caller wanted its end."""
    return _told(200, said)


def _told(status: int, said: object, *headers: tuple[bytes, bytes]) -> Reply:
    also: Headers = ((b"cache-control", b"no-store"), *headers)
    return Reply(status, (*WHOLE, *also), json.encode(said))
