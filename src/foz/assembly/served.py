"""The providers as servers that models can be deployed from: which of them, how they are reached, what they list."""

from collections.abc import Callable, Mapping

from foz.assembly.tongues import TONGUES
from foz.canon.fault import Down
from foz.canon.model import Placement
from foz.config.bind import Provider
from foz.config.settings import Settings
from foz.ports.engine import OLLAMA, OPENAI
from foz.ports.line import Line
from foz.ports.upstream import Upstream
from foz.providers.catalog import SIMULATED
from foz.runtime.served.ollama import OllamaManner
from foz.runtime.served.openai import OpenAiManner
from foz.runtime.served.server import Manner, Server

Lines = Callable[[], Mapping[str, Line]]


def nowhere() -> Mapping[str, Line]:
    """Where nobody is asked."""
    return {}


class Providers:
    """Implements `runtime.served.server.Servers`, over the settings and the lines of the moment."""

    def __init__(self, settings: Callable[[], Settings], lines: Lines) -> None:
        self._settings = settings
        self._lines = lines

    @property
    def known(self) -> Mapping[str, Server]:
        """All of them, also those that nothing can be deployed from: they say why."""
        return {one.name: _server(one) for one in self._settings().providers if one.name != SIMULATED}

    def reach(self, name: str) -> Upstream:
        """The way to one."""
        line = self._lines().get(name)
        if line is None:
            raise Down(f"the provider '{name}' is not in the settings any more, or off")
        return line.upstream

    def names(self, server: Server, listing: bytes) -> list[str]:
        """The models that its list names."""
        row = next(one.row for one in self._settings().providers if one.name == server.name)
        return TONGUES[row.dialect].read_list(listing)

    def manners(self) -> tuple[Manner, ...]:
        """How models of servers are dealt with, by dialect."""
        return OllamaManner(self), OpenAiManner(self)


def _server(one: Provider) -> Server:
    return Server(one.name, one.row.dialect, one.row.models, _why_not(one))


def _why_not(one: Provider) -> str | None:
    if one.row.dialect not in {OPENAI, OLLAMA}:
        return f"its dialect is {one.row.dialect}, and only servers of {OPENAI} and {OLLAMA} can be deployed from"
    if one.row.placement is not Placement.GPU:
        return 'it is a vendor\'s: a server that you run yourself has placement = "gpu" in its row'
    return one.why or None if one.state == "off" else None
