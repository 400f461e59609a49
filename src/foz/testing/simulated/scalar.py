"""Numbers, words and yes or no: from the prompt where they fit, else from the schema, else made up."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import msgspec

from foz.testing.simulated.check import satisfies
from foz.testing.simulated.facts import SHAPES, Facts, is_real, mentions, told
from foz.testing.simulated.pattern import LARGEST, make, matches
from foz.testing.simulated.schema import Schema, exact, is_number, list_of

_ASKING = frozenset(
    {"query", "q", "text", "message", "prompt", "question", "input", "content", "search", "search_query"}
)
"""Fields that want the user's own words."""
_SAMPLES = {
    "date-time": "2026-01-{:02}T12:00:00Z",
    "date": "2026-01-{:02}",
    "time": "12:{:02}:00Z",
    "duration": "PT{}M",
    "email": "simulated{}@example.com",
    "idn-email": "simulated{}@example.com",
    "hostname": "simulated{}.example.com",
    "idn-hostname": "simulated{}.example.com",
    "ipv4": "192.0.2.{}",
    "ipv6": "2001:db8::{}",
    "uri": "https://example.com/simulated/{}",
    "uri-reference": "/simulated/{}",
    "iri": "https://example.com/simulated/{}",
    "iri-reference": "/simulated/{}",
    "uri-template": "https://example.com/{{id}}/{}",
    "uuid": "00000000-0000-4000-8000-0000000000{:02}",
    "json-pointer": "/simulated/{}",
    "relative-json-pointer": "0/simulated{}",
    "regex": "^simulated{}$",
}
_LEAST, _MOST = -(1 << 53), 1 << 53
_STEPS = 200


class Supply:
    """What of the prompt's facts has not been used yet."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.quoted = list(facts.quoted)
        self.names = list(facts.names)
        self.numbers = list(facts.numbers)
        self.shaped = {shape: list(found) for shape, found in facts.shaped.items()}
        self.heard: list[str] = []
        """Fields that were filled from words of the prompt that stay where they are."""

    def left(self) -> list[Any]:
        """How it stands, to come back to."""
        shaped = {shape: list(found) for shape, found in self.shaped.items() if found}
        return [list(self.quoted), list(self.names), list(self.numbers), shaped, list(self.heard)]

    def restore(self, left: list[Any]) -> None:
        """Back to how it stood."""
        quoted, names, numbers, shaped, heard = left
        self.quoted, self.names, self.numbers, self.heard = list(quoted), list(names), list(numbers), list(heard)
        self.shaped = {shape: list(found) for shape, found in shaped.items()}


def _own(base: Schema) -> Iterator[Any]:
    """What the schema itself proposes."""
    if "default" in base:
        yield base["default"]
    yield from list_of(base.get("examples"))


def listed(values: list[Any], base: Schema, name: str, supply: Supply, variant: int) -> Any:
    """One of the values: the one that the prompt mentions, else the default, else the first."""
    if not values:
        return None
    if variant == 0:
        said = told(supply.facts, name)
        for each in values:
            if (said is not None and str(each).lower() == said.lower()) or mentions(supply.facts, str(each)):
                supply.heard.append(name)
                return each
        for each in _own(base):
            if each in values:
                return each
    return values[variant % len(values)]


def boolean(base: Schema, name: str, supply: Supply, variant: int) -> bool:
    """True where the prompt speaks of it, unless it says no."""
    if variant:
        return bool(variant % 2)
    said = (told(supply.facts, name) or "").lower()
    if said in {"true", "yes", "on", "false", "no", "off"}:
        supply.heard.append(name)
        return said in {"true", "yes", "on"}
    if name and mentions(supply.facts, name):
        supply.heard.append(name)
        return not any(mentions(supply.facts, f"{no}_{name}") for no in ("no", "not", "without", "don't", "never"))
    return next((each for each in _own(base) if isinstance(each, bool)), False)


# Numbers.


def number(base: Schema, name: str, supply: Supply, variant: int, *, whole: bool) -> float:
    """The next number of the prompt that fits, else one within the bounds."""
    wanted = {**base, "type": "integer" if whole else "number"}
    if variant == 0:
        said = told(supply.facts, name)
        for each in [said] if said else []:
            value = _parse(each)
            if value is not None and satisfies(value, wanted, {}):
                supply.heard.append(name)
                if each in supply.numbers:
                    supply.numbers.remove(each)
                return _as_written(value, whole=whole)
        for each in supply.numbers:
            value = _parse(each)
            if value is not None and satisfies(value, wanted, {}):
                supply.numbers.remove(each)
                return _as_written(value, whole=whole)
        for own in _own(base):
            if is_number(own) and satisfies(own, wanted, {}):
                return _as_written(own, whole=whole)
    return _as_written(_within(wanted, variant, whole=whole), whole=whole)


def _parse(text: str) -> float | None:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return value if is_number(value) else None


def _as_written(value: float, *, whole: bool) -> float:
    """Integers as integers; a float that is whole stays what it was unless an integer is asked for."""
    return int(value) if whole and value == int(value) else value


def _bounds(base: Schema) -> tuple[Fraction, Fraction, bool, bool]:
    """Least and most, and whether they are excluded."""
    low, high = base.get("minimum"), base.get("maximum")
    above, below = base.get("exclusiveMinimum"), base.get("exclusiveMaximum")
    least = exact(low) if is_number(low) else None
    most = exact(high) if is_number(high) else None
    open_low = above is True or (is_number(above) and (least is None or exact(above) >= least))
    open_high = below is True or (is_number(below) and (most is None or exact(below) <= most))
    if is_number(above) and open_low:
        least = exact(above)
    if is_number(below) and open_high:
        most = exact(below)
    if least is None:
        least = min(Fraction(_LEAST), most - 1 if most is not None else Fraction(0))
    if most is None:
        most = max(Fraction(_MOST), least + 1)
    return least, most, open_low, open_high


def _within(base: Schema, variant: int, *, whole: bool) -> float:
    """The number nearest to zero that fits, and for each variant the next one."""
    least, most, open_low, open_high = _bounds(base)
    step = base.get("multipleOf")
    grid = exact(step) if is_number(step) and step > 0 else None
    if whole:
        grid = Fraction((grid or Fraction(1)).numerator)
    if grid is None:
        return _between(least, most, variant, open_low=open_low)
    start = math.ceil(least / grid)
    start += 1 if open_low and start * grid == least else 0
    end = math.floor(most / grid)
    end -= 1 if open_high and end * grid == most else 0
    middle = min(max(0, start), end)
    found: list[float] = []
    for distance in range(_STEPS + variant):
        for at in (middle + distance, middle - distance) if distance else (middle,):
            if start <= at <= end:
                value = _number(at * grid)
                if satisfies(value, base, {}):
                    found.append(value)
        if len(found) > variant:
            return found[variant]
    return found[-1] if found else _number(middle * grid)


def _between(least: Fraction, most: Fraction, variant: int, *, open_low: bool) -> float:
    """Whole numbers where there are any, else fractions of the way."""
    start = math.floor(least) + 1 if open_low or least.denominator > 1 else math.ceil(least)
    first = max(start, 0) if most > 0 else start
    if first + variant < most:
        return first + variant
    return float(least + (most - least) * Fraction(variant + 1, variant + 2))


def _number(value: Fraction) -> float:
    return int(value) if value.denominator == 1 else float(value)


# Words.


def string(base: Schema, name: str, supply: Supply, variant: int) -> str:
    """Words of the prompt that fit, else what the schema proposes, else made up."""
    if variant:
        return _made(base, name, variant)
    said = told(supply.facts, name)
    if said is not None and _shaped(said, base) and _fits(said, base):
        supply.heard.append(name)
        for known in (supply.quoted, supply.names):
            if said in known:
                known.remove(said)
        return said
    for known in _fitting(base, supply):
        found = next((each for each in known if _fits(each, base)), None)
        if found is not None:
            known.remove(found)
            return found
    own = next((each for each in _own(base) if isinstance(each, str) and _fits(each, base)), None)
    text = supply.facts.text
    if own is None and name.lower() in _ASKING and text and _shaped(text, base) and _fits(text, base):
        own = text
    return _made(base, name, 0) if own is None else own


def _fitting(base: Schema, supply: Supply) -> Iterator[list[str]]:
    """The facts that may stand here; a field with a shape takes only that shape, or what the user put in quotes."""
    format = base.get("format")
    if format in SHAPES:
        yield supply.shaped.get(format, [])
    elif format in _SAMPLES:
        return
    else:
        yield supply.quoted
        yield supply.names
        if "pattern" in base:
            yield supply.numbers
            yield from supply.shaped.values()


def _shaped(text: str, base: Schema) -> bool:
    """Whether a text has the shape that the format wants; what we have no eye for, no text has."""
    format = base.get("format")
    if format in SHAPES:
        return SHAPES[format].fullmatch(text) is not None and is_real(format, text)
    return format not in _SAMPLES


def _fits(text: str, base: Schema) -> bool:
    pattern = base.get("pattern")
    if isinstance(pattern, str) and not matches(pattern, text):
        return False
    return satisfies(text, {**base, "type": "string"}, {})


def _made(base: Schema, name: str, variant: int) -> str:
    low, high = base.get("minLength"), base.get("maxLength")
    least = min(max(int(low), 0), LARGEST) if is_number(low) else 0
    most = min(max(int(high), 0), LARGEST) if is_number(high) else LARGEST
    pattern = base.get("pattern")
    if isinstance(pattern, str):
        text = make(pattern, variant, least)
        if text is not None:
            return text if len(text) >= least else text + "x" * (least - len(text))
    sample = _SAMPLES.get(base.get("format", ""))
    if sample is not None:
        return sample.format(variant % 28 + 1)
    text = f"simulated {name or 'text'}"
    if variant or len(text) > most:
        text = f"{_letters(variant)} {text}"
    text += " and more" * (max(least - len(text), 0) // 9 + 1) if len(text) < least else ""
    return text[: max(most, 0)].strip().ljust(min(least, most), "x") if len(text) > most else text


def _letters(number: int) -> str:
    """A, b, ..., z, aa, ab: short, and another for each number."""
    letters = ""
    number += 1
    while number:
        number, place = divmod(number - 1, 26)
        letters = chr(ord("a") + place) + letters
    return letters
