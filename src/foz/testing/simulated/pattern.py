"""
Regular expressions, backwards: a text that a simple pattern matches.

Known are literals, classes, escapes, groups, alternatives and repetitions, anchors at the ends; what looks around
or back is not (`make` gives None). Matching is guarded: a pattern that could run away on a text is not run.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

LONGEST = 1000
"""Characters of a pattern that is looked at."""
LARGEST = 20_000
"""Characters of a made text."""
STEPS = 300_000
"""What matching may cost at most, as a product of what its repetitions may try."""
_DEEPEST = 40
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ -_.@/:,;!?#$%&*+='\"()[]{}<>^|~`\\\n\té"
_UNBOUNDED = 1 << 30


class _Unknown(ValueError):
    """Nothing this module understands."""


class _Chars:
    """One character of these."""

    def __init__(self, options: str) -> None:
        self.options = options


class _Repeat:
    def __init__(self, body: "_Node", low: int, high: int) -> None:
        self.body = body
        self.low = low
        self.high = high


class _Either:
    def __init__(self, branches: "Sequence[_Node]") -> None:
        self.branches = branches


class _Row:
    def __init__(self, items: "Sequence[_Node]") -> None:
        self.items = items


_Node = _Chars | _Repeat | _Either | _Row


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.depth = 0

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def either(self) -> _Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _Unknown("too deep")
        branches: list[_Node] = [self.row()]
        while self.peek() == "|":
            self.at += 1
            branches.append(self.row())
        self.depth -= 1
        return branches[0] if len(branches) == 1 else _Either(branches)

    def row(self) -> _Node:
        items: list[_Node] = []
        while self.peek() not in {"", "|", ")"}:
            atom = self.atom()
            if atom is not None:
                items.append(self.repeated(atom))
        return _Row(items)

    def atom(self) -> _Node | None:
        char = self.peek()
        self.at += 1
        if char in {"^", "$"}:
            return None
        if char == "(":
            return self.group()
        if char == "[":
            return self.chars(self.until_bracket())
        if char == ".":
            return _Chars(_ALPHABET.replace("\n", ""))
        if char == "\\":
            return self.escape()
        if char in {"*", "+", "?"}:
            raise _Unknown("nothing to repeat")
        return _Chars(char)

    def group(self) -> _Node:
        if self.peek() == "?":
            opened = re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)").match(self.pattern, self.at)
            if opened is None:
                raise _Unknown("a group that looks around")
            self.at = opened.end()
        body = self.either()
        if self.peek() != ")":
            raise _Unknown("a group without its end")
        self.at += 1
        return body

    def until_bracket(self) -> str:
        start = self.at - 1
        self.at += 1 if self.peek() == "^" else 0
        self.at += 1 if self.peek() == "]" else 0
        while self.peek() != "]":
            if not self.peek():
                raise _Unknown("a class without its end")
            self.at += 2 if self.peek() == "\\" else 1
        self.at += 1
        return self.pattern[start : self.at]

    def escape(self) -> _Node | None:
        char = self.peek()
        self.at += 1
        if char in {"b", "A", "Z"}:
            return None
        if char in {"x", "u"}:
            width = 2 if char == "x" else 4
            digits = self.pattern[self.at : self.at + width]
            self.at += width
            if not re.fullmatch(rf"[0-9a-fA-F]{{{width}}}", digits):
                raise _Unknown("an escape without its digits")
            return _Chars(chr(int(digits, 16)))
        if char in {"d", "D", "w", "W", "s", "S", "n", "r", "t", "f", "v"}:
            return self.chars(f"[\\{char}]") if char not in "rfv" else _Chars({"r": "\r", "f": "\f", "v": "\v"}[char])
        if not char or char.isalnum():
            raise _Unknown("an escape that refers to something")
        return _Chars(char)

    def chars(self, text: str) -> _Node:
        try:
            one = re.compile(text)
        except (re.error, OverflowError) as wrong:
            raise _Unknown(text) from wrong
        options = "".join(char for char in _ALPHABET if one.fullmatch(char))
        inside = "".join(char for char in text[1:-1] if char not in _ALPHABET and one.fullmatch(char))
        if not options + inside:
            raise _Unknown("a class of characters that are not at hand")
        return _Chars(options + inside)

    def repeated(self, atom: _Node) -> _Node:
        char = self.peek()
        bounds = {"*": (0, _UNBOUNDED), "+": (1, _UNBOUNDED), "?": (0, 1)}.get(char)
        if bounds is not None:
            self.at += 1
        elif counted := re.compile(r"\{(\d{1,9})(,?)(\d{0,9})\}").match(self.pattern, self.at):
            self.at = counted.end()
            low = int(counted[1])
            bounds = (low, int(counted[3]) if counted[3] else _UNBOUNDED if counted[2] else low)
        else:
            return atom
        if self.peek() in {"?", "+"}:
            self.at += 1
        return _Repeat(atom, *bounds)


@lru_cache(maxsize=256)
def _parse(pattern: str) -> _Node | None:
    if len(pattern) > LONGEST:
        return None
    parser = _Parser(pattern)
    try:
        node = parser.either()
    except _Unknown:
        return None
    return node if parser.at == len(pattern) else None


class _Maker:
    """Writes one text; `more` characters beyond the shortest are still wanted."""

    def __init__(self, variant: int, more: int) -> None:
        self.variant = variant
        self.more = more
        self.size = 0

    def make(self, node: _Node) -> str:
        match node:
            case _Chars():
                self.size += 1
                if self.size > LARGEST:
                    raise _Unknown("too long")
                self.variant, place = divmod(self.variant, len(node.options))
                return node.options[place]
            case _Row():
                return "".join([self.make(item) for item in node.items])
            case _Either():
                self.variant, place = divmod(self.variant, len(node.branches))
                return self.make(node.branches[place])
            case _Repeat():
                return self.repeat(node)

    def repeat(self, node: _Repeat) -> str:
        if node.low > LARGEST:
            raise _Unknown("too long")
        pieces = [self.make(node.body) for _ in range(node.low)]
        while self.more > 0 and len(pieces) < node.high:
            piece = self.make(node.body)
            if not piece:
                break
            self.more -= len(piece)
            pieces.append(piece)
        return "".join(pieces)


def make(pattern: str, variant: int = 0, at_least: int = 0) -> str | None:
    """A text that the pattern matches, each variant another where there are any; None where it is not understood."""
    node = _parse(pattern)
    if node is None:
        return None
    try:
        text = _Maker(variant, 0).make(node)
        if len(text) < at_least:
            text = _Maker(variant, min(at_least, LARGEST) - len(text)).make(node)
    except _Unknown:
        return None
    return text


def _cost(node: _Node, size: int) -> int:
    """How many ways a matcher may try at most, roughly."""
    match node:
        case _Chars():
            return 1
        case _Either():
            return sum(_cost(branch, size) for branch in node.branches)
        case _Row():
            total = 1
            for item in node.items:
                total = min(total * _cost(item, size), STEPS + 1)
            return total
        case _Repeat():
            inner = _cost(node.body, size)
            times = min(node.high, size + 1)
            if inner > 1 and times > 1:
                return STEPS + 1
            own = 1 if node.low == node.high else times + 1
            return min(inner * own, STEPS + 1)


def matches(pattern: str, text: str) -> bool | None:
    """Whether the pattern is found in the text; None where that cannot be known safely."""
    node = _parse(pattern)
    if node is None or _cost(node, len(text)) * (len(text) + 1) > STEPS:
        return None
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return None
