"""
What foz-tiny answers to probes.toml and surprises.toml, in a real engine at temperature 0.

The text was bettered where probes were missed, so they flatter it; the surprises were written when it was finished.
An answer is right when it is the one that text/*.toml gives to what was meant, letter by letter, and ends by itself.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from foz.testing.engine import Engine
from scripts.tiny.corpus import LANGUAGES, Corpus, let_through, load
from scripts.tiny.train import PAIRS, POOL, SEED, STEPS

FOLDER = Path(__file__).parent
PROBES, SURPRISES = "probes", "surprises"
LEARNED = (STEPS + POOL) * PAIRS
"""As many pairs as are learned, and a few more: what is not among them was surely not seen."""

Message = dict[str, Any]


class Probe(NamedTuple):
    """What is asked, in which language, what is meant by it, and the answer to that."""

    language: str
    meant: str
    asked: str
    answer: str


class Tried(NamedTuple):
    """A probe and what was said to it."""

    probe: Probe
    said: str
    right: bool


def probes(name: str = PROBES) -> list[Probe]:
    """All of one file."""
    found = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return [
        Probe(language, meant, asked, reply(language, meant))
        for language in LANGUAGES
        for meant, asks in found[language].items()
        for asked in asks
    ]


def reply(language: str, meant: str) -> str:
    """What is to be said."""
    text = load(language)
    if meant == "fallback":
        return str(text["fallback"])
    return next(str(each["answer"]) for each in text["intent"] if each["name"] == meant)


def user(text: str) -> Message:
    """What a user says."""
    return {"role": "user", "content": text}


def tried(engine: Engine, probe: Probe, before: Sequence[Message] = ()) -> Tried:
    """One probe, after what was said before it."""
    said = engine.say([*before, user(probe.asked)])
    return Tried(probe, said.text, (said.text, said.end) == (probe.answer, "stop"))


def report(path: Path) -> Iterator[str]:
    """The trial in lines: of each file the misses, then counts."""
    engine = Engine(path)
    seen = {pair.asked for pair in islice(Corpus(SEED + 1).pairs(), LEARNED)}
    for name in (PROBES, SURPRISES):
        right: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for probe in probes(name):
            found = tried(engine, probe)
            row = f"{name} {probe.language} {_kind(probe, seen)}"
            total[row] += 1
            right[row] += found.right
            if not found.right:
                yield f"miss ({row}): {probe.asked!r} is {probe.meant}, said: {found.said[:60]!r}"
        yield from (f"{row}: {right[row]} of {total[row]}" for row in sorted(total))
        yield f"{name}: {right.total()} of {total.total()}"


def _kind(probe: Probe, seen: set[str]) -> str:
    known = "unknown" if probe.meant == "fallback" else "known"
    return f"{known} {'seen' if let_through(probe.asked) in seen else 'unseen'}"
