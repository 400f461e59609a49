r"""
A vocabulary of bytes and of merges learned from the text, as GPT-2's: what llama.cpp calls the tokenizer `gpt2`.

A text is cut into pieces first (letters with the space before them, figures, marks), and a merge never crosses a cut.
The pattern is GPT-2's with what Python's `re` has: \p{L} is every word character but figures and the underscore.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

CUTS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")
USER, MODEL, END = "<|user|>", "<|model|>", "<|end|>"
MARKS = (USER, MODEL, END)
REMEMBERED = 200_000

Pair = tuple[str, str]


def letters() -> dict[int, str]:
    """The 256 bytes as the letters by which a tokenizer of bytes knows them."""
    plain = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return {byte: chr(byte) if byte in plain else chr(next(others)) for byte in range(256)}


LETTERS = letters()


def learn(texts: Iterable[str], count: int) -> list[Pair]:
    """The `count` merges of the commonest pairs, one after the other; of equally common ones the first in order."""
    pieces = Counter(piece for text in texts for piece in CUTS.findall(text))
    words = [[LETTERS[byte] for byte in piece.encode()] for piece in sorted(pieces)]
    times = [pieces[piece] for piece in sorted(pieces)]
    common: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)
    for at, word in enumerate(words):
        for pair in pairwise(word):
            common[pair] += times[at]
            where[pair].add(at)
    merges = []
    for _ in range(count):
        best = max(common, key=lambda pair: (common[pair], pair))
        merges.append(best)
        for at in where.pop(best):
            for pair in pairwise(words[at]):
                common[pair] -= times[at]
                where[pair].discard(at)
            words[at] = merged(words[at], best)
            for pair in pairwise(words[at]):
                common[pair] += times[at]
                where[pair].add(at)
        del common[best]
    return merges


def merged(word: list[str], pair: Pair) -> list[str]:
    """A word in which each such pair is one."""
    made = []
    at = 0
    while at < len(word):
        if tuple(word[at : at + 2]) == pair:
            made.append(word[at] + word[at + 1])
            at += 2
        else:
            made.append(word[at])
            at += 1
    return made


class Vocabulary:
    """The tokens: bytes, marks, then what each merge makes."""

    def __init__(self, merges: list[Pair]) -> None:
        self.merges = merges
        self.tokens = [*LETTERS.values(), *MARKS, *(left + right for left, right in merges)]
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._ids = {token: id for id, token in enumerate(self.tokens)}
        self._known: dict[str, list[int]] = {}
        self.user, self.model, self.end = (self._ids[mark] for mark in MARKS)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text; marks are never read in it."""
        return [id for piece in CUTS.findall(text) for id in self._piece(piece)]

    def _piece(self, piece: str) -> list[int]:
        if piece in self._known:
            return self._known[piece]
        word = [LETTERS[byte] for byte in piece.encode()]
        while len(word) > 1:
            best = min(pairwise(word), key=lambda pair: self._ranks.get(pair, len(self.merges)))
            if best not in self._ranks:
                break
            word = merged(word, best)
        ids = [self._ids[token] for token in word]
        if len(self._known) < REMEMBERED:
            self._known[piece] = ids
        return ids
