"""
What a prompt gives to fill in forms with: quoted strings, names, numbers, and what has a shape of its own
(addresses, dates). A caller can also say a field outright: `unit: celsius`, `limit=5`, `count is 3`.

Names are runs of capitalised words; where there are none, what follows `in`, `at`, `for` and their like,
and last a capitalised word that opens a sentence.
"""

import re
from collections.abc import Iterator
from datetime import datetime, time
from ipaddress import IPv4Address
from itertools import takewhile

from msgspec import Struct

LONGEST = 8000
"""Characters of a prompt that are read, from its end."""
MOST = 200
"""Facts of one kind that are kept."""

_QUOTED = re.compile(
    r"\"([^\"\n]{1,500})\"|“([^”\n]{1,500})”|«([^»\n]{1,500})»|`([^`\n]{1,500})`|(?<!\w)'([^'\n]{1,500})'(?!\w)"
)
_NUMBER = re.compile(r"(?<![\w.,:/-])-?\d{1,18}(?:\.\d{1,12})?(?![\w/:]|[.-]\d)")
_WORD = re.compile(r"[^\W\d_][\w\u2019'-]*")
_BETWEEN = re.compile(r"\s*(?:,\s*(?:and|or)?|and|or|und|y|e|et|&)\s*")
_BEFORE = re.compile(
    r"(?<!\w)(?:in|at|for|from|to|of|near|about|named|called)\s+([^\W\d_][\w-]{0,40}(?: [^\W\d_][\w-]{0,40}){0,2})"
)
_PLAIN = frozenset(
    re.findall(
        r"\w+",
        """
        a about add an and answer any are as at be both by call can check compare compute could create current do does
        explain fetch find for from generate get give go hello here hey hi how i if in is it its json let list look
        make may me multiply my no not now of on one or our please reply return run say search see send set show
        should so some subtract tell thanks that the then there these they think this those to today tomorrow
        book buy classify close convert describe draw email extract greet increase invite meet open order paint parse
        pay play read remind reserve schedule sell start stop summarise summarize transfer turn visit write
        translate two use using was we weather what when where which who whose why will with would yes you your
        """,
    )
)
"""Words that are no names, even with a capital."""
SHAPES = {
    "email": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}(?![\w-])"),
    "uri": re.compile(r"https?://[^\s\"'<>()]{1,500}(?<![.,;!?])"),
    "date-time": re.compile(r"(?<!\d)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)"),
    "date": re.compile(r"(?<!\d)\d{4}-\d\d-\d\d(?![\dT])"),
    "time": re.compile(r"(?<![\dT:])\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)"),
    "uuid": re.compile(r"(?<!\w)[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?!\w)"),
    "ipv4": re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"),
}
"""By the name of the JSON schema `format` they satisfy."""


class Facts(Struct, frozen=True):
    """What was found, each in the order of the text. `groups` are names, quotes or numbers told in one list."""

    text: str = ""
    quoted: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    shaped: dict[str, tuple[str, ...]] = {}
    groups: tuple[tuple[str, ...], ...] = ()


def read(text: str) -> Facts:
    """The facts of a text."""
    text = text[-LONGEST:]
    rest = text
    shaped = {}
    for shape, regex in SHAPES.items():
        shaped[shape] = tuple(each for each in regex.findall(rest)[:MOST] if is_real(shape, each))
        rest = regex.sub(_blank, rest)
    quotes = list(_QUOTED.finditer(rest))[:MOST]
    rest = _QUOTED.sub(_blank, rest)
    numbers = list(_NUMBER.finditer(rest))[:MOST]
    runs, weak = _names(rest)
    found: list[tuple[int, int, str, str]] = [
        *((each.start(), each.end(), "quoted", next(filter(None, each.groups()))) for each in quotes),
        *((each.start(), each.end(), "number", each.group()) for each in numbers),
        *((start, end, "name", name) for start, end, name in runs),
    ]
    names = [name for _, _, name in runs] or _after_prepositions(rest) or weak
    return Facts(
        text=text,
        quoted=tuple(next(filter(None, each.groups())) for each in quotes),
        names=tuple(names[:MOST]),
        numbers=tuple(each.group() for each in numbers),
        shaped=shaped,
        groups=tuple(_groups(sorted(found), text)),
    )


def is_real(shape: str, text: str) -> bool:
    """Whether what looks like a date or an address is one."""
    try:
        if shape in {"date", "date-time"}:
            datetime.fromisoformat(text)
        elif shape == "time":
            time.fromisoformat(text)
        elif shape == "ipv4":
            IPv4Address(text)
    except ValueError:
        return False
    return True


def told(facts: Facts, field: str) -> str | None:
    """The value that the prompt gives this field by its name: `field: value`, `field=value`, `field is value`."""
    if not field or len(field) > 64:  # noqa: PLR2004 - no field that people speak of is longer
        return None
    name = re.escape(field).replace("_", "[ _-]")
    value = r"\"([^\"\n]+)\"|'([^'\n]+)'|([^\s,;\"']+)"
    found = re.search(rf"(?<!\w){name}[\"'`]?\s*(?:=|:|\bis\b)\s*(?:{value})", facts.text, re.IGNORECASE)
    if found is None:
        found = re.search(rf"(?<!\w){name}\s+(?:of\s+|to\s+)?(-?\d+(?:\.\d+)?)(?![\w.])", facts.text, re.IGNORECASE)
    if found is None:
        return None
    said: str = next(filter(None, found.groups()))
    return said.rstrip(".!?)") or said


def mentions(facts: Facts, word: str) -> bool:
    """Whether the prompt has this word; an underscore may be a space or a dash there."""
    if not word or len(word) > 200:  # noqa: PLR2004 - nobody mentions a page
        return False
    spelled = re.escape(word).replace("_", "[ _-]")
    return re.search(rf"(?<!\w){spelled}(?!\w)", facts.text, re.IGNORECASE) is not None


def _blank(match: re.Match[str]) -> str:
    return "\0" * len(match.group())


def _names(text: str) -> tuple[list[tuple[int, int, str]], list[str]]:
    """Runs of capitalised words with their places; and the words that only open a sentence."""
    runs = _capitalised(text)
    strong, weak = [], []
    for at, (start, end, name) in enumerate(runs):
        opens = text[max(start - 9, 0) : start].rstrip(" \n\t*#-")[-1:] in {"", ".", "!", "?"}
        listed = at + 1 < len(runs) and _BETWEEN.fullmatch(text, end, runs[at + 1][0]) is not None
        if opens and " " not in name and not listed:
            weak.append(name)
        else:
            strong.append((start, end, name))
    return strong, weak


def _capitalised(text: str) -> list[tuple[int, int, str]]:
    runs: list[tuple[int, int, str]] = []
    for word in _WORD.finditer(text):
        spelled = re.sub(r"[\u2019']s?$", "", word.group())
        if not spelled[0].isupper():
            continue
        if runs and runs[-1][1] == word.start() - 1 and text[word.start() - 1] in " -":
            start, _, before = runs[-1]
            runs[-1] = (start, word.start() + len(spelled), f"{before}{text[word.start() - 1]}{spelled}")
        elif spelled.lower() not in _PLAIN and "'" not in spelled:
            runs.append((word.start(), word.start() + len(spelled), spelled))
        if len(runs) > MOST:
            break
    return runs


def _after_prepositions(text: str) -> list[str]:
    """Up to three words after each, as far as they are no plain words."""
    found = []
    for run in _BEFORE.findall(text):
        words = list(takewhile(lambda word: word.lower() not in _PLAIN, run.split(" ")))
        found += [" ".join(words)] if words else []
    return found


def _groups(found: list[tuple[int, int, str, str]], text: str) -> Iterator[tuple[str, ...]]:
    """Neighbours of one kind with nothing but a comma or an `and` between them."""
    group: list[str] = []
    before: tuple[int, int, str, str] | None = None
    for each in found:
        if before is not None and before[2] == each[2] and _BETWEEN.fullmatch(text, before[1], each[0]):
            group = group or [before[3]]
            group.append(each[3])
        else:
            if group:
                yield tuple(group)
            group = []
        before = each
    if group:
        yield tuple(group)
