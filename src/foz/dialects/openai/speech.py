"""The operations of this dialect, each in all its roles."""

from collections.abc import Callable

import msgspec

from foz.canon.request import Operation
from foz.dialects.openai.chat.asking import MANNER, Manner
from foz.dialects.openai.chat.client import ChatClient
from foz.dialects.openai.chat.relay import ChatRelay
from foz.dialects.openai.chat.server import ChatServer
from foz.dialects.openai.chat.thinking import Habits
from foz.dialects.openai.completions.client import CompletionClient
from foz.dialects.openai.completions.relay import CompletionRelay
from foz.dialects.openai.completions.server import CompletionServer
from foz.dialects.openai.embeddings.client import EmbeddingClient
from foz.dialects.openai.embeddings.relay import EmbeddingRelay
from foz.dialects.openai.embeddings.server import EmbeddingServer
from foz.dialects.openai.frames import DIALECT
from foz.ports.codec import Speech


def speech(manner: Manner = MANNER, habits: Callable[[str], Habits] | None = None) -> dict[Operation, Speech]:
    """
    How a provider of this dialect is spoken to. `habits` says what the family of each of its models wants; a family
    that wants something is never relayed to, since what is said to it must be changed.
    """
    chat = Speech(DIALECT, ChatServer(), ChatClient(manner), ChatRelay(manner))
    embed = Speech(DIALECT, EmbeddingServer(), EmbeddingClient(), EmbeddingRelay())
    if habits is not None:
        chat = Speech(
            DIALECT, chat.server, chat.client, chat.relay, by_model=lambda model: _chat(chat, manner, habits(model))
        )
        embed = Speech(
            DIALECT, embed.server, embed.client, embed.relay, by_model=lambda model: _embed(embed, habits(model))
        )
    return {
        Operation.CHAT: chat,
        Operation.COMPLETE: Speech(DIALECT, CompletionServer(), CompletionClient(), CompletionRelay()),
        Operation.EMBED: embed,
    }


def _chat(plain: Speech, manner: Manner, habits: Habits) -> Speech:
    if habits.thinking is None:
        return plain
    client = ChatClient(msgspec.structs.replace(manner, thinking=habits.thinking))
    return Speech(DIALECT, plain.server, client, by_request=lambda request, _: client.asking(request))


def _embed(plain: Speech, habits: Habits) -> Speech:
    return Speech(DIALECT, plain.server, EmbeddingClient(habits.embedding)) if habits.embedding else plain


SPEECH = speech()
