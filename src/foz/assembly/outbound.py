"""Whom we call: one upstream for each provider that this process may use, and what they say they have."""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from foz.assembly.oracle import Means, simulated_agents
from foz.assembly.tongues import TONGUES, surrounded, wrapped
from foz.canon.fault import Fault
from foz.canon.model import Patience
from foz.config.bind import Provider
from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.dialects.openai.speech import speech
from foz.net.agents import Agents
from foz.net.origin import Endpoint, Origin
from foz.net.polling import Polling
from foz.net.proxy import way_out
from foz.ports.clock import Clock
from foz.ports.line import Line
from foz.ports.upstream import Upstream
from foz.ports.watch import Watch
from foz.providers.catalog import SIMULATED
from foz.sessions.keeper import Keeper
from foz.telemetry.redact import Redactor, hideable
from foz.testing.simulated.upstream import SimulatedUpstream
from foz.wire.http import Call

log = logging.getLogger("foz.outbound")

LOOK = Patience(connect=1.0, first_byte=5.0, idle=5.0, total=10.0)
MAX_LIST = 16 * 1024 * 1024
OK = 200


class Outbound:
    """The providers of one settings file, ready to be asked."""

    def __init__(self, settings: Settings, watch: Watch, clock: Clock, keeper: Keeper | None = None) -> None:
        self._keeper = keeper
        self._providers = {one.name: one for one in settings.providers if one.state != "off"}
        self._tls: ssl.SSLContext | None = None
        self._upstreams = {name: self._upstream(one, settings, watch, clock) for name, one in self._providers.items()}
        self.lines: Mapping[str, Line] = {
            **{name: self._line(one) for name, one in self._providers.items()},
            **(simulated_agents(keeper, clock) if settings.test_mode else {}),
        }

    def _line(self, one: Provider) -> Line:
        upstream = self._upstreams[one.name]
        agency = upstream if isinstance(upstream, Agents) else None
        hide = Redactor(hideable(one.secrets())).known
        return Line(upstream, TONGUES[one.row.dialect].speech(one.row), _prefixes(one), agency, hide)

    def _upstream(self, one: Provider, settings: Settings, watch: Watch, clock: Clock) -> Upstream:
        if one.name == SIMULATED:
            return SimulatedUpstream(speech(), clock, misbehaves=settings.test_mode)
        upstream = wrapped(self._origin(one, one.row.base_url, settings, watch), one, clock)
        if one.row.polls:
            upstream = Polling(upstream, self._origin(one, one.row.polls, settings, watch), clock)

        def reach(url: str) -> Upstream:
            there = msgspec.structs.replace(one, row=msgspec.structs.replace(one.row, base_url=url))
            return wrapped(self._origin(one, url, settings, watch), there, clock)

        return surrounded(upstream, one, Means(clock, reach, self._keeper))

    def _origin(self, one: Provider, base_url: str, settings: Settings, watch: Watch) -> Origin:
        url = urlsplit(base_url)
        tls = self._context(settings) if url.scheme == "https" else None
        outbound = settings.outbound
        proxy = outbound.https_proxy if url.scheme == "https" else outbound.http_proxy
        way = way_out(url.hostname or "", proxy.get_secret_value() if proxy else None, outbound.no_proxy)
        return Origin(Endpoint(base_url, one.headers(), way, sought=one.state == "probe"), watch, tls)

    def _context(self, settings: Settings) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = trusting(settings.outbound.ca_file)
        return self._tls

    async def look(self) -> dict[str, list[str]]:
        """What each provider says it has; one that does not answer is left out."""
        asked = [one for one in self._providers.values() if one.row.models and one.name != SIMULATED]
        found = await asyncio.gather(*(self._names(one) for one in asked))
        return {one.name: names for one, names in zip(asked, found, strict=True) if names is not None}

    async def _names(self, one: Provider) -> list[str] | None:
        try:
            answer = await self._upstreams[one.name].send(
                Call("GET", one.row.models, TONGUES[one.row.dialect].listing), LOOK
            )
            try:
                reply = await answer.whole(MAX_LIST)
            finally:
                answer.close()
            if reply.status != OK:
                log.log(_level(one), "%s does not list its models: status %d", one.name, reply.status)
                return None
            return TONGUES[one.row.dialect].read_list(reply.body)
        except (Fault, msgspec.DecodeError) as error:
            log.log(_level(one), "%s does not list its models: %s", one.name, error)
            return None

    async def close(self) -> None:
        """Closes idle connections."""
        await asyncio.gather(*(upstream.close() for upstream in self._upstreams.values()))


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """The usual authorities, and those of this file. Raises ConfigError."""
    tls = ssl.create_default_context()
    if ca_file is not None:
        _trust(tls, ca_file)
    return tls


def _trust(tls: ssl.SSLContext, ca_file: Path) -> None:
    try:
        tls.load_verify_locations(ca_file)
    except OSError as error:
        why = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(
            f"{ca_file}: the authorities to trust cannot be read: {why}. Correct [outbound] ca_file or SSL_CERT_FILE."
        ) from error


def _level(one: Provider) -> int:
    """Nobody misses a local server that they did not ask for."""
    return logging.DEBUG if one.state == "probe" else logging.WARNING


def _prefixes(one: Provider) -> tuple[bytes, ...]:
    return tuple(prefix.lower().encode("ascii") for prefix in one.row.forwards)
