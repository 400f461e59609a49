"""
What a terminal shows of an answer while it comes: thoughts dimmed, then the words.

Models say what they were told to say, also what a terminal would obey: everything passes `words.spoken`. Where standard
output is no terminal only the answer's own words go there.
"""

import sys
from collections.abc import Callable, Sequence

import click

from foz.canon.event import ChoiceFinished, Event, Measured, ReasoningGrew, RefusalGrew, TextGrew
from foz.canon.usage import Usage
from foz.cli.words import spoken

AT_ONCE = 0.05
DIM, PLAIN = "\x1b[2m", "\x1b[0m"


class Screen:
    """One answer. `close` ends its line, however it ended."""

    def __init__(self, clock: Callable[[], float], *, terminal: bool) -> None:
        self._clock = clock
        self._terminal = terminal
        self._thinks = False
        self._began = clock()
        self._first: float | None = None
        self._last = self._began
        self._usage: Usage | None = None
        self._words: list[str] = []
        self._at_start = True
        self.short = False
        """Whether it ended at the limit of its length."""

    @property
    def said(self) -> str:
        """The answer so far, as the model said it."""
        return "".join(self._words)

    def tell(self, events: Sequence[Event]) -> None:
        """What came."""
        for event in events:
            if isinstance(event, TextGrew | RefusalGrew) and event.text:
                self._words.append(event.text)
                self._show(event.text, thought=False)
            elif isinstance(event, ReasoningGrew) and event.text:
                self._show(event.text, thought=True)
            elif isinstance(event, Measured):
                self._usage = event.usage
            elif isinstance(event, ChoiceFinished):
                self.short = event.reason == "length"
        sys.stdout.flush()

    def _show(self, text: str, *, thought: bool) -> None:
        self._last = self._clock()
        if self._first is None:
            self._first = self._last
        if thought and not self._terminal:
            return
        if thought is not self._thinks:
            self._turn(thought=thought)
        shown = spoken(text)
        if shown:
            click.echo(shown, nl=False, color=True)
            self._at_start = shown.endswith("\n")

    def _turn(self, *, thought: bool) -> None:
        """From thoughts to words, or back: each begins on a line of its own."""
        if not self._at_start:
            click.echo("")
        click.echo(DIM if thought else PLAIN, nl=False, color=True)
        self._at_start = True
        self._thinks = thought

    def close(self) -> None:
        """Nothing more comes."""
        if self._thinks:
            click.echo(PLAIN, nl=False, color=True)
            self._thinks = False
        if not self._at_start:
            click.echo("")
            self._at_start = True
        sys.stdout.flush()

    def figures(self) -> str:
        """How many tokens, and how fast, as far as it is known."""
        told = []
        usage = self._usage
        if usage is not None and usage.input is not None and usage.output is not None:
            told.append(f"{usage.input:,} tokens in, {usage.output:,} out")
        if self._first is not None:
            told.append(f"first after {self._first - self._began:.2f} s")
        spent = self._last - (self._began if self._first is None else self._first)
        if spent < AT_ONCE:  # it came in one piece: how long that took is how long it took to begin
            spent = self._last - self._began
        if usage is not None and usage.output and spent > 0:
            told.append(f"{usage.output / spent:,.1f} tokens/s")
        return "; ".join(told)
