"""The operations of this dialect, in the roles that they have."""

from collections.abc import Mapping

from foz.canon.request import EmbedRequest, Operation, Request
from foz.dialects.ollama.client import EmbedClient, WordsClient
from foz.dialects.ollama.frames import DIALECT
from foz.ports.codec import Speech


def _embedding(request: Request, _: str) -> EmbedClient:
    return EmbedClient(len(request.inputs) if isinstance(request, EmbedRequest) else None)


SPEECH: Mapping[Operation, Speech] = {
    Operation.CHAT: Speech(DIALECT, client=WordsClient()),
    Operation.COMPLETE: Speech(DIALECT, client=WordsClient()),
    Operation.EMBED: Speech(DIALECT, client=EmbedClient(), by_request=_embedding),
}
