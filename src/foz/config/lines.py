"""
On which line of a TOML text a key stands. The parser does not say, so the text is read once more, by line.

It knows headers, dotted and quoted keys, and strings over several lines. What stands inside a value
(an inline table, an element of a list) is found at the key that holds it.
"""

import re

Path = tuple[str | int, ...]

_PART = r"""(?:"[^"\n]*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_KEYS = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEYS})\s*\]\]?\s*(?:#.*)?$")
_ASSIGN = re.compile(rf"\s*({_KEYS})\s*=")
_LONG = ('"""', "'''")


def _parts(keys: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_PART, keys)]


def _closes(line: str, mark: str | None) -> str | None:
    """Which long string is open after this line, where `mark` was open before it."""
    for piece in re.findall(r'"""|\'\'\'', line):
        if mark is None:
            mark = piece
        elif piece == mark:
            mark = None
    return mark


class _Place:
    """The table that the lines are in."""

    def __init__(self) -> None:
        self.rows: dict[Path, int] = {}
        self.at: Path = ()

    def enter(self, parts: list[str], *, row: bool) -> None:
        path: Path = ()
        for position, part in enumerate(parts):
            path = (*path, part)
            if row and position == len(parts) - 1:
                self.rows[path] = self.rows.get(path, -1) + 1
            if path in self.rows:
                path = (*path, self.rows[path])
        self.at = path


def places(text: str) -> dict[Path, int]:
    """The first line of each key and each table, by its path; lines count from 1."""
    found: dict[Path, int] = {}
    place = _Place()
    mark: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if mark is None:
            header, assign = _HEADER.match(line), _ASSIGN.match(line)
            if header:
                place.enter(_parts(header[2]), row=header[1] == "[[")
                found.setdefault(place.at, number)
                if header[1] == "[[":
                    found.setdefault(place.at[:-1], number)
            elif assign:
                path = place.at
                for part in _parts(assign[1]):
                    path = (*path, part)
                    found.setdefault(path, number)
        if mark is not None or any(long in line for long in _LONG):
            mark = _closes(line, mark)
    return found


def nearest(found: dict[Path, int], path: Path) -> int | None:
    """The line of this path, or of what holds it."""
    for length in range(len(path), 0, -1):
        if path[:length] in found:
            return found[path[:length]]
    return None
