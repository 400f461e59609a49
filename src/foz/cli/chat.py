"""
`foz chat`: a conversation with any model of a running gateway, in the terminal; what comes from a pipe is one question.

Each question bears the whole conversation. An answer that was stopped is kept as far as it came; a question that got no
answer is not, so that it can be asked again.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import click

from foz.canon.content import Message, Text
from foz.canon.fault import Fault
from foz.canon.request import ChatRequest, ReasoningWish
from foz.cli.calling import Place, ask, models, place
from foz.cli.screen import Screen
from foz.cli.settings import config_option, read_settings, today
from foz.cli.words import plain
from foz.config.directory import snapshot
from foz.config.greeting import to_try
from foz.config.load import process_environment
from foz.config.settings import Settings
from foz.config.variables import KEY
from foz.net.clock import SystemClock
from foz.providers.catalog import SIMULATED

if find_spec("readline") is not None:
    import readline  # noqa: F401 - being there, it lets a line be edited and earlier ones be found

LEVELS = ("none", "low", "medium", "high")
PROMPT, MORE = ">>> ", "... "
MOST = 16 * 2**20
SHOWN = 40
HELP = """\
  /model [NAME]   talk to another model, or list them
  /system [TEXT]  say what the model should keep to, or nothing any more
  /think [LEVEL]  ask it to think: none, low, medium, high; or as it likes
  /clear          forget what was said
  /verbose        tell tokens and their speed after each answer, or no longer
  /help           this
  /quit           leave, as Ctrl-D does
Ctrl-C stops an answer. A line that ends in a backslash goes on in the next. //word says /word."""


class Talk:
    """A conversation so far, and with whom."""

    def __init__(self, at: Place, model: str, *, system: str = "", think: str = "", verbose: bool = False) -> None:
        self.at = at
        self.model = model
        self.system = system
        self.think = think
        self.verbose = verbose
        self._turns: list[Message] = []

    def clear(self) -> None:
        """Nothing was said."""
        self._turns.clear()

    def _request(self, question: Message) -> ChatRequest:
        rules = (Message("system", (Text(self.system),)),) if self.system else ()
        wish = ReasoningWish(effort=self.think) if self.think else None
        return ChatRequest(self.model, (*rules, *self._turns, question), reasoning=wish, stream=True)

    async def say(self, words: str, *, terminal: bool) -> None:
        """Asks, and shows the answer as it comes. Raises Fault; a cancelled one keeps what was said."""
        question = Message("user", (Text(words),))
        screen = Screen(SystemClock().monotonic, terminal=terminal)
        try:
            await ask(self.at, self._request(question), screen.tell)
        except Fault:
            screen.close()
            raise
        except asyncio.CancelledError:
            screen.close()
            self._keep(question, screen)
            raise
        screen.close()
        self._keep(question, screen)
        if screen.short:
            click.echo("(it ended at the limit of its length)", err=True)
        if self.verbose:
            click.echo(screen.figures(), err=True)

    def _keep(self, question: Message, screen: Screen) -> None:
        if screen.said:
            self._turns += [question, Message("assistant", (Text(screen.said),))]


@click.command("chat")
@click.argument("model", default="")
@click.option("--system", default="", help="What the model should keep to.")
@click.option("--think", type=click.Choice(LEVELS), help="Ask it to think so much, where it can.")
@click.option("--verbose", is_flag=True, help="Tell tokens and their speed after each answer.")
@click.option("--url", help="The gateway's address. Default: where the settings have it listen.")
@click.option("--key", help=f"The key to show it. Default: {KEY}, then the settings' where the gateway is theirs.")
@config_option
def command(
    model: str, *, system: str, think: str | None, verbose: bool, url: str | None, key: str | None, config: Path | None
) -> None:
    """
    Talk to MODEL, or to the first one that can be asked; /help tells what else can be said.

    What comes from a pipe is one question: echo 'Where do rivers end?' | foz chat MODEL
    """
    settings = read_settings(config)
    at = place(settings, url, key or process_environment().get(KEY) or None)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with asyncio.Runner() as runner:
        try:
            names = [] if model and not terminal else runner.run(models(at))
            chosen = model or _first(names, settings if url is None else None)
            talk = Talk(at, chosen, system=system, think=think or "", verbose=verbose)
            if terminal:
                _converse(runner, talk)
            else:
                runner.run(talk.say(_piped(), terminal=sys.stdout.isatty()))
        except Fault as fault:
            raise click.ClickException(plain(fault.message)) from fault


def _first(names: Sequence[str], settings: Settings | None) -> str:
    """The model to talk to where nobody says: as the greeting of `foz serve` proposes, else the first of the list."""
    known = None if settings is None else to_try(settings, snapshot(settings, {}, today(SystemClock().now())))
    if known is not None and known != SIMULATED and (known in names or "/" in known):
        return known
    found = next((name for name in names if name != SIMULATED), next(iter(names), ""))
    if not found:
        raise click.ClickException("The gateway has no model for you. `foz models` says what it could have, and why.")
    return found


def _piped() -> str:
    data = sys.stdin.buffer.read(MOST + 1)
    if len(data) > MOST:
        raise click.ClickException(f"The question is longer than {MOST // 2**20} MiB.")
    words = data.decode("utf-8", "replace").strip()
    if not words:
        raise click.ClickException("There is no question: say it on standard input, or call `foz chat` in a terminal.")
    return words


# In the terminal.


def _converse(runner: asyncio.Runner, talk: Talk) -> None:
    click.echo(f"{plain(talk.model)} at {talk.at.url}. /help tells what can be said, Ctrl-D leaves.")
    while True:
        try:
            words = _line()
        except KeyboardInterrupt:
            click.echo("\n(Ctrl-D or /quit leaves)")
            continue
        except EOFError:
            click.echo("")
            return
        if words in {"/quit", "/exit", "/bye"}:
            return
        if words:
            _attended(runner, talk, words)


def _line() -> str:
    """What is said: a line, or several where each but the last ends in a backslash."""
    lines = [input(PROMPT)]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input(MORE))
    return "\n".join(lines).strip()


def _attended(runner: asyncio.Runner, talk: Talk, words: str) -> None:
    """Does what was said; what goes wrong is told in a line, and the conversation goes on."""
    try:
        if words.startswith("/") and not words.startswith("//"):
            _obey(runner, talk, words)
        else:
            runner.run(talk.say(words.removeprefix("/") if words.startswith("//") else words, terminal=True))
    except KeyboardInterrupt:
        click.echo("(stopped)")
    except Fault as fault:
        click.echo(f"Error: {plain(fault.message)}", err=True)


def _obey(runner: asyncio.Runner, talk: Talk, words: str) -> None:
    name, *more = words.split(maxsplit=1)
    rest = more[0] if more else ""
    orders: dict[str, Callable[[], str]] = {
        "/model": lambda: _turn_to(runner, talk, rest),
        "/system": lambda: _keep_to(talk, rest),
        "/think": lambda: _wish(talk, rest),
        "/clear": lambda: _forget(talk),
        "/verbose": lambda: _figures(talk),
        "/help": lambda: HELP,
        "/?": lambda: HELP,
    }
    order = orders.get(name)
    click.echo(order() if order is not None else f"There is no {plain(name)}: /help tells what there is.")


def _turn_to(runner: asyncio.Runner, talk: Talk, name: str) -> str:
    if name:
        talk.model = name
        return f"Now {plain(name)}. It is told all that was said; /clear forgets it."
    found = runner.run(models(talk.at))
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "\n".join([*(plain(one) for one in found[:SHOWN]), *more])


def _keep_to(talk: Talk, rules: str) -> str:
    talk.system = rules
    return "It keeps to that." if rules else "It keeps to nothing in particular."


def _wish(talk: Talk, level: str) -> str:
    if level not in {"", *LEVELS}:
        return f"/think takes one of {', '.join(LEVELS)}, or nothing."
    talk.think = level
    return f"It is asked to think: {level}." if level else "It thinks as it likes."


def _forget(talk: Talk) -> str:
    talk.clear()
    return "Forgotten."


def _figures(talk: Talk) -> str:
    talk.verbose = not talk.verbose
    return "Tokens are told." if talk.verbose else "Tokens are no longer told."
