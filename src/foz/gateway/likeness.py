"""
Names like a name: by the pairs of letters they share, in time that a hostile name cannot stretch.

Likeness is Dice's: twice the shared pairs over all pairs. An index from pair to names is made once;
a question then costs no more than its own pairs times the names that have them.
"""

from collections import Counter
from collections.abc import Sequence
from heapq import nsmallest

LEAST = 0.4
MOST = 3


def _pairs(name: str) -> set[str]:
    padded = f" {name.lower()} "
    return {padded[at : at + 2] for at in range(len(padded) - 1)}


class Likeness:
    """An index of names."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._sizes: list[int] = []
        self._having: dict[str, list[int]] = {}
        for index, name in enumerate(self._names):
            pairs = _pairs(name)
            self._sizes.append(len(pairs))
            for pair in pairs:
                self._having.setdefault(pair, []).append(index)

    def closest(self, name: str) -> tuple[str, ...]:
        """Up to three names, the likest first; what only lacks its provider comes before all."""
        pairs = _pairs(name)
        shared: Counter[int] = Counter()
        for pair in pairs:
            shared.update(self._having.get(pair, ()))
        tail = f"/{name.lower()}"
        scored = []
        for index, count in shared.items():
            found = self._names[index]
            score = 2.0 if found.lower().endswith(tail) else 2 * count / (len(pairs) + self._sizes[index])
            if score >= LEAST:
                scored.append((-score, found))
        return tuple(found for _, found in nsmallest(MOST, scored))
