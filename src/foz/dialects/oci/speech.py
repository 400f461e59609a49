"""The operations of this dialect: we only call in it."""

from foz.canon.request import Operation
from foz.dialects.oci.client import ChatClient
from foz.dialects.oci.embeddings import EmbeddingClient
from foz.dialects.oci.frames import DIALECT
from foz.dialects.oci.telling import Memory, Place
from foz.ports.codec import Speech


def speech(place: Place, memory: Memory) -> dict[Operation, Speech]:
    """How a provider of this dialect is spoken to."""
    return {
        Operation.CHAT: Speech(DIALECT, client=ChatClient(place, memory)),
        Operation.EMBED: Speech(DIALECT, client=EmbeddingClient(place)),
    }
