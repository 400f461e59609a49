"""The operations of this dialect, each in all its roles."""

from foz.canon.request import Operation
from foz.dialects.openai.chat.asking import MANNER, Manner
from foz.dialects.openai.chat.client import ChatClient
from foz.dialects.openai.chat.relay import ChatRelay
from foz.dialects.openai.chat.server import ChatServer
from foz.dialects.openai.completions.client import CompletionClient
from foz.dialects.openai.completions.relay import CompletionRelay
from foz.dialects.openai.completions.server import CompletionServer
from foz.dialects.openai.embeddings.client import EmbeddingClient
from foz.dialects.openai.embeddings.relay import EmbeddingRelay
from foz.dialects.openai.embeddings.server import EmbeddingServer
from foz.dialects.openai.frames import DIALECT
from foz.ports.codec import Speech


def speech(manner: Manner = MANNER) -> dict[Operation, Speech]:
    """How a provider of this dialect is spoken to."""
    return {
        Operation.CHAT: Speech(DIALECT, ChatServer(), ChatClient(manner), ChatRelay(manner)),
        Operation.COMPLETE: Speech(DIALECT, CompletionServer(), CompletionClient(), CompletionRelay()),
        Operation.EMBED: Speech(DIALECT, EmbeddingServer(), EmbeddingClient(), EmbeddingRelay()),
    }


SPEECH = speech()
