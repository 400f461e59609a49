"""The operations of this dialect, each in all its roles."""

from foz.canon.request import Operation
from foz.dialects.openai.chat.asking import MANNER, Manner
from foz.dialects.openai.chat.client import ChatClient
from foz.dialects.openai.chat.relay import ChatRelay
from foz.dialects.openai.chat.server import ChatServer
from foz.ports.codec import Speech

DIALECT = "openai"


def speech(manner: Manner = MANNER) -> dict[Operation, Speech]:
    """How a provider of this dialect is spoken to."""
    return {
        Operation.CHAT: Speech(DIALECT, ChatServer(), ChatClient(manner), ChatRelay(manner)),
    }


SPEECH = speech()
