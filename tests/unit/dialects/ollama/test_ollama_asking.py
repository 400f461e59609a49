"""What an Ollama server cannot be asked is refused in plain words, never left out."""

import msgspec
import pytest
from msgspec import Raw

from foz.canon.content import Media, Message, Opaque, Part, Reasoning, Text, ToolCall
from foz.canon.fault import Unsupported
from foz.canon.request import ChatRequest, CompleteRequest, EmbedRequest, ReasoningWish, Request, Sampling
from foz.dialects.ollama.asking import say_think
from foz.dialects.ollama.client import EmbedClient, WordsClient

HELLO = Message("user", (Text("hi"),))


def _chat(*parts: Part, role: str = "user") -> ChatRequest:
    return ChatRequest("m", (msgspec.convert({"role": role}, Message), Message("user", parts)))


def _assistant(arguments: str) -> ChatRequest:
    return ChatRequest("m", (Message("assistant", (ToolCall("c1", "f", arguments),)),))


@pytest.mark.parametrize(
    ("request_", "field", "words"),
    [
        (ChatRequest("m", ()), "messages", "only loads the model"),
        (ChatRequest("m", (HELLO,), choices=2), "n", "one answer"),
        (ChatRequest("m", (HELLO,), sampling=Sampling(logit_bias={"1": 5})), "logit_bias", "bias tokens"),
        (_chat(Media("image", url="https://example.com/a.png")), "messages", "not by a link"),
        (_chat(Media("image", file_id="file-1")), "messages", "not by the id of an uploaded file"),
        (_chat(Media("audio", data="QQ==")), "messages", "no audio"),
        (_chat(Media("file", data="QQ==")), "messages", "no file"),
        (_chat(Opaque("anthropic", Raw(b"{}"))), "messages", "only anthropic knows"),
        (_chat(Reasoning("hm")), "messages", "role 'user' cannot hold reasoning"),
        (_assistant("{"), "messages", "'c1' of 'f'"),
        (_assistant("[1]"), "messages", "JSON object"),
        (_assistant("{" + '"a":{' * 200 + "}" * 201), "messages", "JSON object"),
        (CompleteRequest("m", ("a", "b")), "prompt", "several prompts"),
        (CompleteRequest("m", ((1, 2),)), "prompt", "token ids"),
        (CompleteRequest("m", ("",)), "prompt", "only loads the model"),
        (CompleteRequest("m", ("a",), echo=True), "echo", "never repeats"),
        (CompleteRequest("m", ("a",), best_of=2), "best_of", "one answer"),
        (CompleteRequest("m", ("a",), choices=3), "n", "one answer"),
        (EmbedRequest("m", ("a", (1, 2))), "input", "not token ids"),
    ],
)
def test_what_cannot_be_asked_is_said(request_: Request, field: str, words: str) -> None:
    """Each thing that Ollama would silently not do is Unsupported, names its field and says why."""
    client = EmbedClient() if isinstance(request_, EmbedRequest) else WordsClient()

    with pytest.raises(Unsupported, match=words) as caught:
        client.encode_request(request_, "m")
    assert caught.value.field == field
    assert "Ollama" in caught.value.message


@pytest.mark.parametrize(
    ("wish", "think"),
    [
        (None, None),
        (ReasoningWish(), None),
        (ReasoningWish(enabled=True), True),
        (ReasoningWish(enabled=False), False),
        (ReasoningWish("none"), False),
        (ReasoningWish("minimal"), "low"),
        (ReasoningWish("medium"), "medium"),
        (ReasoningWish("ultra"), "max"),
        (ReasoningWish("very much"), True),
        (ReasoningWish("default", enabled=True), True),
        (ReasoningWish(budget=0), False),
        (ReasoningWish(budget=8192), "medium"),
        (ReasoningWish(budget=8193), "high"),
    ],
)
def test_a_wish_to_think_is_the_nearest_that_ollama_has(wish: ReasoningWish | None, think: bool | str | None) -> None:
    """On, off, a level in its own words, or nothing at all: what the caller did not say is left to the model."""
    assert say_think(wish) == think


def test_embeddings_are_asked_in_one_list() -> None:
    """Texts go as a list with the dimensions, and what only Ollama knows goes along."""
    vendor = {"ollama": {"truncate": Raw(b"false"), "model": Raw(b'"evil"')}}
    request = EmbedRequest("m", ("a", "🌊"), dimensions=8, encoding="base64", user="ada", vendor=vendor)
    call = EmbedClient().encode_request(request, "up:1")

    assert call.path == "/api/embed"
    assert msgspec.json.decode(call.body) == {
        "model": "up:1",
        "input": ["a", "🌊"],
        "dimensions": 8,
        "truncate": False,
    }


def test_an_operation_takes_its_own_requests() -> None:
    """A request of another operation is our own mistake, not the caller's."""
    with pytest.raises(TypeError):
        WordsClient().encode_request(EmbedRequest("m", ("a",)), "m")
    with pytest.raises(TypeError):
        EmbedClient().encode_request(ChatRequest("m", (HELLO,)), "m")
    with pytest.raises(TypeError):
        EmbedClient().decoder()
