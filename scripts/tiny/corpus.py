"""
The text that foz-tiny learns from: pairs of what is asked and what is answered, as many as are wanted, from one seed.

What is known is told in text/en.toml, pt.toml and zh.toml: an intent, its one answer, and patterns of what people say
who mean it. What is not known is everything else, so text/other.toml holds patterns of questions, tasks, code, other
languages and noise, whose answer is the fallback of the language asked in; and sentences that look like something
known. A pattern is a sentence in which (a|b|) stands for one of its alternatives and {word} for one of a list.

What is asked is then spoiled as people do it: marks at the end, a letter wrong or twice, accents left out, a greeting
in front (before a task it is still a task), several sentences in a row. In the end it is what the chat template lets
through: small letters, not more than LONGEST bytes.
"""

import random
import tomllib
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

TEXT = Path(__file__).parent / "text"
LANGUAGES = ("en", "pt", "zh")
LONGEST = 64
KNOWN = 0.58
"""The share of what foz-tiny has an answer for."""
INVENTED = 0.2
"""How often a word is made up where a list of them could be asked; a name twice as often."""

OPENED, MORE, LONG, NEAR = 0.2, 0.08, 0.03, 0.4
"""How often there is a greeting in front, another sentence follows, it goes on and on, it looks known."""
MISTYPED, BARE, SWALLOWED, MARKED, SMILING, LOUD = 0.1, 0.3, 0.2, 0.6, 0.06, 0.1
"""How often a letter is wrong, accents or commas are missing, marks end it, a face, all is large."""
SHORT = 4

Part = str | list["Pattern"]
Pattern = list[Part]
"""A literal text, a {slot} with its braces, or alternatives."""


class Pair(NamedTuple):
    """What is asked and what is answered."""

    asked: str
    answer: str


@cache
def load(name: str) -> dict[str, Any]:
    """One file of the text."""
    return tomllib.loads((TEXT / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def parse(text: str) -> Pattern:
    """A pattern as a tree."""
    found, at = _sequence(text, 0)
    if at != len(text):
        raise ValueError(f"a bracket too many at {at} in the pattern {text!r}")
    return found


def _sequence(text: str, at: int) -> tuple[Pattern, int]:
    made: Pattern = []
    plain = ""
    while at < len(text) and text[at] not in "|)":
        if text[at] == "\\":
            plain += text[at + 1]
            at += 2
        elif text[at] in "({":
            made.append(plain)
            plain = ""
            part, at = _choice(text, at) if text[at] == "(" else _slot(text, at)
            made.append(part)
        else:
            plain += text[at]
            at += 1
    return [*made, plain], at


def _slot(text: str, at: int) -> tuple[str, int]:
    end = text.index("}", at) + 1
    return text[at:end], end


def _choice(text: str, at: int) -> tuple[list[Pattern], int]:
    made = []
    while text[at] != ")":
        one, at = _sequence(text, at + 1)
        if at == len(text):
            raise ValueError(f"a bracket is not closed in the pattern {text!r}")
        made.append(one)
    return made, at + 1


class Corpus:
    """An endless text; the same seed gives the same one."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def pairs(self) -> Iterator[Pair]:
        """Pairs without end."""
        while True:
            yield self.known() if self.dice.random() < KNOWN else self.unknown()

    def known(self) -> Pair:
        """Something that has an answer of its own."""
        language = self.dice.choices(LANGUAGES, (4, 3, 3))[0]
        text = load(language)
        (intent,) = self.dice.choices(text["intent"], [each.get("weight", 1) for each in text["intent"]])
        asked = self.fill(self.dice.choice(intent["asks"]), language)
        if self.dice.random() < OPENED and intent["name"] not in {"hello", "yes", "no"}:
            asked = self._opened(language, asked)
        return Pair(self.spoil(asked, language), intent["answer"])

    def unknown(self) -> Pair:
        """Something that has none."""
        language = self.dice.choices((*LANGUAGES, "else"), (5, 3, 3, 2))[0]
        asked = self._strange(language)
        while self.dice.random() < MORE:
            asked += self.dice.choice((" ", ". ", "? ", "\n", ", ")) + self._strange(language)
        if self.dice.random() < LONG:
            asked = (asked + self.dice.choice((" ", "", "\n"))) * LONGEST
        if language == "else":
            return Pair(self.spoil(asked, "en"), load("en")["fallback"])
        if self.dice.random() < OPENED:
            asked = self._opened(language, asked)
        return Pair(self.spoil(asked, language), load(language)["fallback"])

    def _strange(self, language: str) -> str:
        kind = "near" if self.dice.random() < NEAR else "asks"
        if language == "else":
            return self.fill(self.dice.choice(load("other")["else"][self.dice.choice(("asks", "more"))]), "en")
        return self.fill(self.dice.choice(load("other")[language][kind]), language)

    def _opened(self, language: str, asked: str) -> str:
        joint = "，" if language == "zh" else self.dice.choice((", ", "! ", " ", ". "))
        return self.fill(load(language)["opening"], language) + joint + asked

    def fill(self, pattern: str, language: str) -> str:
        """A sentence of a pattern."""
        return self._walk(parse(pattern), language)

    def _walk(self, pattern: Pattern, language: str) -> str:
        made = ""
        for part in pattern:
            if isinstance(part, list):
                made += self._walk(self.dice.choice(part), language)
            elif part.startswith("{") and part.endswith("}"):
                made += self.word(part[1:-1], language)
            else:
                made += part
        return made

    def word(self, kind: str, language: str) -> str:
        """A word for a slot."""
        if kind == "number":
            numbers: list[str] = load("other")["words"]["number"]
            return self.dice.choice([*numbers, str(self.dice.randrange(10 ** self.dice.randint(1, 5)))])
        if kind == "noise":
            return self.noise()
        if kind == "word" or self.dice.random() < INVENTED * (1 + (kind == "name")):
            return self.invented(language)
        words: list[str] = load("other")["words"][language][kind]
        return self.dice.choice(words)

    def invented(self, language: str) -> str:
        """A word that nobody knows."""
        if language == "zh":
            return "".join(chr(self.dice.randint(0x4E00, 0x9FA5)) for _ in range(self.dice.randint(1, 3)))
        heads = (
            "b",
            "c",
            "d",
            "f",
            "g",
            "h",
            "k",
            "l",
            "m",
            "n",
            "p",
            "r",
            "s",
            "t",
            "v",
            "w",
            "z",
            "st",
            "tr",
            "ch",
            "",
        )
        tails = ("", "", "n", "r", "s", "l", "t", "nd", "ck", "m")
        syllables = range(self.dice.choices((1, 2, 3), (3, 4, 2))[0])
        return "".join(
            self.dice.choice(heads) + self.dice.choice("aeiouy") + self.dice.choice(tails) for _ in syllables
        )

    def noise(self) -> str:
        """Letters of any script in any order."""
        start, end = self.dice.choice(
            ((0x21, 0x7E), (0x61, 0x7A), (0xA1, 0x17F), (0x391, 0x3C9), (0x410, 0x44F), (0x5D0, 0x5EA), (0x621, 0x64A),
             (0x905, 0x939), (0xE01, 0xE2E), (0x3041, 0x30FA), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x1F300, 0x1F64F))
        )  # fmt: skip
        return "".join(chr(self.dice.randint(start, end)) for _ in range(self.dice.randint(1, 8)))

    def spoil(self, text: str, language: str) -> str:
        """A sentence as somebody types it."""
        dice = self.dice
        if dice.random() < MISTYPED and language != "zh" and len(text) > SHORT:
            text = self._mistyped(text)
        if language == "pt" and dice.random() < BARE:
            text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
        if dice.random() < SWALLOWED:
            text = text.replace(",", "").replace("'", "").replace("，", "")
        if dice.random() < MARKED:
            text += dice.choice(load(language)["marks"])
        if dice.random() < SMILING:
            text += " " + dice.choice("🙂👋😀😊🎉❤🙏🤖")
        if dice.random() < LOUD:
            text = text.upper()
        return let_through(text)

    def _mistyped(self, text: str) -> str:
        at = self.dice.randrange(1, len(text) - 1)
        return self.dice.choice(
            (
                text[:at] + text[at + 1 :],
                text[:at] + text[at] + text[at:],
                text[:at] + text[at + 1] + text[at] + text[at + 2 :],
            )
        )


def let_through(text: str) -> str:
    """What the chat template makes of a text: its engine knows small and capital letters of ASCII only."""
    small = "".join(c.lower() if c.isascii() else c for c in text.strip(" \t\r\n"))
    return small.encode()[:LONGEST].decode(errors="ignore")


def answers() -> list[str]:
    """Everything that foz-tiny says."""
    texts = [load(language) for language in LANGUAGES]
    return [text["fallback"] for text in texts] + [each["answer"] for text in texts for each in text["intent"]]
