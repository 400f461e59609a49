"""
Amounts as people write them: `30`, `"500ms"`, `"2m"`, `"32 MiB"`; lists also as one string with commas,
for that is all an environment variable can hold.

A refusal says what was expected; what was found is told by whoever knows whether it may be shown.
"""

import math
import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"": 1, "b": 1, "kb": 10**3, "kib": 2**10, "mb": 10**6, "mib": 2**20, "gb": 10**9, "gib": 2**30}
_AMOUNT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([a-zA-Z]{0,3})")


def expected(what: str, at: str = "") -> PydanticCustomError:
    """A refusal in the house's words; `at` names the key where the refusal is a section's."""
    return PydanticCustomError("expected", "{what}", {"what": what, "at": at})


def _amount(found: object, units: dict[str, float] | dict[str, int], what: str) -> float:
    if isinstance(found, bool):
        raise expected(what)
    if isinstance(found, int | float | Decimal):
        if not math.isfinite(found):
            raise expected(what)
        return float(found)
    match = _AMOUNT.fullmatch(found.strip()) if isinstance(found, str) else None
    if match is None or match[2].lower() not in units:
        raise expected(what)
    return float(match[1]) * units[match[2].lower()]


def seconds(found: object) -> float:
    """Seconds of a number or of a text with a unit."""
    return _amount(found, SECONDS, 'a time in seconds, or a text such as "500ms", "30s", "2m", "1h"')


def size(found: object) -> int:
    """Bytes of a number or of a text with a unit."""
    what = 'a size in bytes, or a text such as "64 KiB", "32 MiB"'
    value = _amount(found, BYTES, what)
    if value != int(value):
        raise expected(what)
    return int(value)


def whole(found: object) -> object:
    """Anything but true and false, which are no numbers here."""
    if isinstance(found, bool):
        raise expected("a whole number")
    return found


def split(found: object) -> object:
    """A text with commas as its pieces."""
    if isinstance(found, str):
        return tuple(piece.strip() for piece in found.split(",") if piece.strip())
    return found


Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0, le=30 * 86400)]
Size = Annotated[int, BeforeValidator(size), Field(ge=1, le=2**40)]
Whole = Annotated[int, BeforeValidator(whole)]
Names = Annotated[tuple[str, ...], BeforeValidator(split), Field(max_length=1000)]
