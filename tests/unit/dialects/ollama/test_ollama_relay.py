"""Bodies that pass to an Ollama server: which of its paths they are for."""

from typing import Any

import msgspec
import pytest

from foz.dialects.ollama.relay import EmbedRelay, WordsRelay
from foz.dialects.ollama.server import ChatServer, EmbedServer, GenerateServer


@pytest.mark.parametrize(
    ("server", "relay", "said", "path"),
    [
        (ChatServer(), WordsRelay(), {"messages": [{"role": "user"}], "prompt": "of nobody"}, "/api/chat"),
        (GenerateServer(), WordsRelay(), {"prompt": "hi"}, "/api/generate"),
        (GenerateServer(), WordsRelay(), {"prompt": "hi", "messages": None}, "/api/generate"),
        (EmbedServer(), EmbedRelay(), {"input": "hi", "prompt": "of nobody"}, "/api/embed"),
        (EmbedServer(older=True), EmbedRelay(), {"prompt": "hi"}, "/api/embeddings"),
        (EmbedServer(older=True), EmbedRelay(), {"prompt": "hi", "input": None}, "/api/embeddings"),
    ],
)
def test_a_body_goes_to_the_path_that_it_was_sent_to(server: Any, relay: Any, said: dict[str, Any], path: str) -> None:
    """Fields that are null, or of another path, do not change which path of the server is asked."""
    body = msgspec.json.encode({"model": "m", **said})

    assert relay.retarget(body, server.read(body), "up").path == path
