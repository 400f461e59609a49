"""The operations of this dialect, in the roles that they have."""

from collections.abc import Mapping

from foz.canon.request import EmbedRequest, Operation, Request
from foz.dialects.ollama.client import EmbedClient, WordsClient
from foz.dialects.ollama.frames import DIALECT
from foz.dialects.ollama.relay import EmbedRelay, WordsRelay
from foz.dialects.ollama.server import ChatServer, EmbedServer, GenerateServer
from foz.ports.codec import Speech


def _embedding(request: Request, _: str) -> EmbedClient:
    return EmbedClient(len(request.inputs) if isinstance(request, EmbedRequest) else None)


SPEECH: Mapping[Operation, Speech] = {
    Operation.CHAT: Speech(DIALECT, ChatServer(), WordsClient(), WordsRelay()),
    Operation.COMPLETE: Speech(DIALECT, GenerateServer(), WordsClient(), WordsRelay()),
    Operation.EMBED: Speech(DIALECT, EmbedServer(), EmbedClient(), EmbedRelay(), by_request=_embedding),
}
