"""The operations of this dialect, each in all its roles."""

from collections.abc import Callable, Mapping

from foz.canon.request import Operation
from foz.dialects.anthropic.asking import Manner
from foz.dialects.anthropic.client import MessagesClient
from foz.dialects.anthropic.frames import DIALECT
from foz.dialects.anthropic.relay import MessagesRelay
from foz.dialects.anthropic.server import MessagesServer
from foz.ports.codec import Speech


def speech(manner: Callable[[str], Manner] | None = None) -> Mapping[Operation, Speech]:
    """How a provider of this dialect is spoken to; `manner` says what the family of each of its models takes."""
    server, relay = MessagesServer(), MessagesRelay()
    plain = Speech(DIALECT, server, MessagesClient(), relay)
    if manner is None:
        return {Operation.CHAT: plain}
    told = manner

    def about(model: str) -> Speech:
        return Speech(DIALECT, server, MessagesClient(told(model)), relay)

    return {Operation.CHAT: Speech(DIALECT, server, plain.client, relay, by_model=about)}


SPEECH = speech()
