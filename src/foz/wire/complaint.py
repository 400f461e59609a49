"""What refusals of upstreams have in common, whatever their dialect: how long to wait, and words fit to be shown."""

import math
import re
from datetime import UTC, datetime

from foz.wire.http import Reply

MAX_MESSAGE = 2000
"""Characters of an upstream's words that are shown."""
_HTTP_DATE = re.compile(rb"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_SECRET = re.compile(r"(?i)(bearer\s+|\b(?:sk|pk|rk|nvapi|gsk|xai|hf|key)[-_])[\w.*-]{8,}")


def clean(text: str) -> str:
    """Without anything that looks like a key, and not without end."""
    text = _SECRET.sub(r"\1***", text[: 2 * MAX_MESSAGE]).strip()
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + " ..."


def _seconds(value: bytes | None, scale: float = 1.0) -> float | None:
    try:
        number = float(value or b"x") / scale
    except ValueError:
        return None
    return max(number, 0.0) if math.isfinite(number) else None


def _date(value: bytes | None) -> float | None:
    """Seconds since the epoch of an HTTP date."""
    found = _HTTP_DATE.fullmatch(value or b"")
    if found is None or found[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = map(int, found.group(1, 3, 4, 5, 6))
    try:
        return datetime(year, _MONTHS.index(found[2]) + 1, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def retry_after(reply: Reply) -> float | None:
    """How many seconds to wait: milliseconds, seconds, or a date, which is measured against the reply's own `date`."""
    exact = _seconds(reply.header(b"retry-after-ms"), 1000)
    if exact is not None:
        return exact
    value = reply.header(b"retry-after")
    plain = _seconds(value)
    if plain is not None:
        return plain
    then, now = _date(value), _date(reply.header(b"date"))
    return None if then is None or now is None else max(then - now, 0.0)
