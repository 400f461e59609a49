"""
Figures and what they are held against. Pure: values in, values and text out.

A run is a list of values, one per round; its figure is the median, its spread the smallest and the largest.
A bar says which side of a limit the figure must be on, and by how much it is there.
"""

from collections.abc import Sequence
from math import ceil
from statistics import median
from typing import Literal

from msgspec import Struct


class Series(Struct, frozen=True):
    """One thing measured, once per round."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        return median(self.values)

    def told(self) -> tuple[str, str, str]:
        """Median, smallest, largest, as text."""
        return shown(self.middle), shown(min(self.values)), shown(max(self.values))


class Bar(Struct, frozen=True):
    """A figure and the limit it is held against. `value` is None where it could not be measured; `note` says why."""

    name: str
    unit: str
    value: float | None
    sense: Literal[">=", "<=", "<"]
    limit: float
    note: str = ""

    @property
    def verdict(self) -> Literal["pass", "miss", "not measured"]:
        if self.value is None:
            return "not measured"
        kept = {
            ">=": self.value >= self.limit,
            "<=": self.value <= self.limit,
            "<": self.value < self.limit,
        }[self.sense]
        return "pass" if kept else "miss"

    def margin(self) -> str:
        """By how much: of the limit where it is not 0."""
        if self.value is None:
            return self.note
        over = self.value - self.limit
        if over == 0:
            return "at the limit"
        if self.limit == 0:
            return f"{shown(abs(over))} {'more' if over > 0 else 'fewer'}"
        side = "above" if over > 0 else "below"
        return f"{abs(over) / self.limit:.0%} {side}"


class Part(Struct, frozen=True):
    """What one part of the bench found."""

    name: str
    series: tuple[Series, ...] = ()
    bars: tuple[Bar, ...] = ()
    notes: tuple[str, ...] = ()


def shown(value: float) -> str:
    """A number with the digits that mean something."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.3g}"


def ratio(name: str, over: Sequence[float], under: Sequence[float]) -> Series:
    """One ratio per round: what the machine did to one round it did to both."""
    return Series(name, "x", tuple(a / b for a, b in zip(over, under, strict=True)))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    if not values:
        raise ValueError("no values: nothing was measured")
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
