"""Oracle's providers: what is spoken to them, how each call is signed, and what else stands around their upstreams."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from foz.canon.request import Operation
from foz.config.bind import Provider
from foz.config.refusal import ConfigError
from foz.dialects.oci import speech as inference
from foz.dialects.oci.telling import Memory, Place
from foz.dialects.oci_agent.speech import SPEECH as AGENT
from foz.net.agents import Agents
from foz.net.retold import Retold
from foz.net.signed import Signed
from foz.ports.clock import Clock
from foz.ports.codec import Speech
from foz.ports.line import Line
from foz.ports.upstream import Upstream
from foz.providers.catalog import SIMULATED_AGENT
from foz.providers.oracle import INFERENCE, MANAGEMENT, OciSigner, beside
from foz.providers.row import ProviderRow
from foz.sessions.keeper import Keeper
from foz.testing.oracle.upstream import OracleUpstream


class Means(Struct, frozen=True):
    """What a dialect may need beside its upstream."""

    clock: Clock
    reach: Callable[[str], Upstream]
    """Another URL of the same provider, with the same credentials."""
    keeper: Keeper | None = None
    """Whose agents' sessions are."""


def speech(row: ProviderRow) -> Mapping[Operation, Speech]:
    """How a row's models are spoken to."""
    place = Place(row.compartment, row.facts)
    return inference.speech(place, Memory(place))


def signed(upstream: Upstream, provider: Provider, clock: Clock) -> Upstream:
    """Each call is signed with the provider's credentials."""
    credentials = provider.credentials
    if credentials is None:
        raise ConfigError(f"provider {provider.name}: there are no credentials to sign with")
    return Signed(upstream, OciSigner(credentials.key), provider.row.base_url, clock)


def around(upstream: Upstream, provider: Provider, means: Means) -> Upstream:
    """Chats are told as each model takes them."""
    return Retold(upstream, means.reach(beside(provider.row.base_url, INFERENCE, MANAGEMENT)))


def agent_speech(row: ProviderRow) -> Mapping[Operation, Speech]:
    """How a row's agents are spoken to."""
    del row
    return AGENT


def agents(upstream: Upstream, provider: Provider, means: Means) -> Upstream:
    """Each chat has its session; without a keeper (where nothing is asked but what is there) none."""
    return upstream if means.keeper is None else Agents(upstream, means.keeper, means.clock, provider.name)


def simulated_agents(keeper: Keeper | None, clock: Clock) -> Mapping[str, Line]:
    """Test mode's agents: in this process, with sessions like any other's."""
    if keeper is None:
        return {}
    upstream = Agents(OracleUpstream(clock), keeper, clock, SIMULATED_AGENT)
    return {SIMULATED_AGENT: Line(upstream, AGENT, (b"x-simulate-",), upstream)}
