"""
The one place where a provider's row meets code: by its dialect the codecs and the reader of its list of models, by its
`auth` and its quirks what stands around its upstream. A dialect is one line of TONGUES, a wrapper one of WRAPPERS.
"""

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from foz.assembly import oracle
from foz.assembly.oracle import Means
from foz.canon.request import Operation
from foz.config.bind import Provider
from foz.dialects.anthropic import speech as anthropic
from foz.dialects.anthropic.frames import VERSION
from foz.dialects.anthropic.listing import read_list as anthropic_list
from foz.dialects.huggingface import speech as huggingface
from foz.dialects.huggingface.faults import LOADING, loading
from foz.dialects.ollama import speech as ollama
from foz.dialects.ollama.models import read_tags
from foz.dialects.openai.chat.asking import manner_of
from foz.dialects.openai.listing import read_list
from foz.dialects.openai.speech import speech
from foz.net.waking import Waking
from foz.ports.clock import Clock
from foz.ports.codec import Speech
from foz.ports.upstream import Upstream
from foz.providers.profile import habits, kind, manner
from foz.providers.row import Dialect, ProviderRow
from foz.wire.http import Headers


class Tongue(Struct, frozen=True):
    """How providers of one dialect are spoken to."""

    speech: Callable[[ProviderRow], Mapping[Operation, Speech]]
    read_list: Callable[[bytes], list[str]]
    """The models that a list names, from the answer to GET of the row's `models`. Raises DecodeError."""
    listing: Headers = ()
    """What is sent along where that list is asked for."""
    around: Callable[[Upstream, Provider, Means], Upstream] | None = None
    """What the dialect itself needs around its upstream, such as another try in another format."""


def _openai(row: ProviderRow) -> Mapping[Operation, Speech]:
    return speech(manner_of(row.quirks), habits if "families" in row.quirks else None)


def _huggingface(row: ProviderRow) -> Mapping[Operation, Speech]:
    """The router's chat, and the chat of an endpoint that has one, speak OpenAI's dialect."""
    chat = speech(msgspec.structs.replace(manner_of(row.quirks), root="/v1"))[Operation.CHAT]
    return huggingface.speech(kind, chat, dedicated="dedicated" in row.quirks)


TONGUES: Mapping[Dialect, Tongue] = {
    "openai": Tongue(_openai, read_list),
    "anthropic": Tongue(lambda _: anthropic.speech(manner), anthropic_list, (VERSION,)),
    "huggingface": Tongue(_huggingface, read_list),
    "ollama": Tongue(lambda _: ollama.SPEECH, read_tags),
    "oci": Tongue(oracle.speech, read_list, around=oracle.around),
    "oci_agent": Tongue(oracle.agent_speech, read_list, around=oracle.agents),
}

Wrap = Callable[[Upstream, Provider, Clock], Upstream]
WRAPPERS: Mapping[str, Wrap] = {
    "loads": lambda upstream, _, clock: Waking(upstream, clock, loading, LOADING),
    "oci": oracle.signed,
}
"""By a row's `auth` or one of its quirks: what its upstream is put into, such as a signer of each call."""


def wrapped(upstream: Upstream, provider: Provider, clock: Clock) -> Upstream:
    """The upstream in all that its row asks for, the quirks' in their order around that of `auth`."""
    for word in (provider.row.auth, *provider.row.quirks):
        if word in WRAPPERS:
            upstream = WRAPPERS[word](upstream, provider, clock)
    return upstream


def surrounded(upstream: Upstream, provider: Provider, means: Means) -> Upstream:
    """The upstream in what its dialect needs around it."""
    around = TONGUES[provider.row.dialect].around
    return upstream if around is None else around(upstream, provider, means)
