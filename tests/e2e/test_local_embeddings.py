"""Models that make vectors of texts, run on this machine by a real engine, on each face that has a word for it."""

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from foz.testing import gguf, gguf_bert
from foz.testing.process import Served, start_gateway
from foz.wire.http import Headers

JSON: Headers = ((b"content-type", b"application/json"),)
CONTEXT = gguf_bert.SMALL.context


def _call(gateway: Served, method: str, path: str, body: object = None) -> tuple[int, Any]:
    with gateway.connect(30) as connection:
        reply = connection.call(method, path, b"" if body is None else msgspec.json.encode(body), JSON)
    return reply.status, msgspec.json.decode(reply.body)


def _deployed(gateway: Served, name: str, **more: object) -> dict[str, Any]:
    """How the deployment of a file ended."""
    status, told = _call(
        gateway, "POST", "/models/local/deploy", {"model_type": name, "source": f"{name}.gguf", **more}
    )
    assert status == 200, told
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(_call(gateway, "GET", told["data"]["progress_url"])[1]["data"])
        return str(found["status"]) != "in_progress"

    gateway.wait_for(over, f"the deployment of {name} to be over", 60)
    return found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway that runs an encoder and a decoder whose last token is the text's vector."""
    folder = tmp_path_factory.mktemp("embeds")
    models = folder / "data/models"
    models.mkdir(parents=True)
    (folder / "data").chmod(0o700)
    gguf_bert.write(models / "encoder.gguf", pooling=None)
    gguf.write(models / "decoder.gguf", gguf.SMALL, pooling=gguf_bert.LAST)
    gguf_bert.write(models / "ranker.gguf", pooling=gguf_bert.RANK)
    gguf_bert.write(models / "odd.gguf", pooling=9)
    with start_gateway(folder) as one:
        for name in ("encoder", "decoder"):
            over = _deployed(one, name)
            assert over["status"] == "completed", over["error"]
        one.wait_for(lambda: len(_call(one, "GET", "/v1/models")[1]["data"]) > 1, "both to be listed")
        yield one


def _length(vector: list[float]) -> float:
    return math.sqrt(sum(number * number for number in vector))


@pytest.mark.parametrize(("model", "width"), [("encoder", gguf_bert.SMALL.width), ("decoder", gguf.SMALL.width)])
def test_vectors_of_a_local_model(gateway: Served, model: str, width: int) -> None:
    """Texts become vectors of length 1, the same for the same text, one or many, on OpenAI's face and on Ollama's."""
    status, many = _call(gateway, "POST", "/v1/embeddings", {"model": model, "input": ["river", "a sea"]})
    assert status == 200, many
    one = _call(gateway, "POST", "/v1/embeddings", {"model": model, "input": "river"})[1]
    vectors = [item["embedding"] for item in many["data"]]
    assert [len(vector) for vector in vectors] == [width, width]
    assert all(abs(_length(vector) - 1) < 1e-3 for vector in vectors)
    assert many["usage"]["prompt_tokens"] > one["usage"]["prompt_tokens"] > 0
    assert one["data"][0]["embedding"] == pytest.approx(vectors[0], abs=1e-5)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-3)
    _, told = _call(gateway, "POST", "/api/embed", {"model": model, "input": ["river", "a sea"]})
    assert told["embeddings"][1] == pytest.approx(vectors[1], abs=1e-4)
    _, older = _call(gateway, "POST", "/api/embeddings", {"model": model, "prompt": "river"})
    assert older["embedding"] == pytest.approx(vectors[0], abs=1e-4)


def test_what_it_cannot_do_is_said(gateway: Served) -> None:
    """Words of it, and vectors shorter than its own, are refused by name, and lists say what it can."""
    talk = {"model": "encoder", "messages": [{"role": "user", "content": "hi"}]}
    status, said = _call(gateway, "POST", "/v1/chat/completions", talk)
    assert (status, "local/encoder cannot do chat" in said["error"]["message"]) == (400, True), said
    shorter = {"model": "encoder", "input": "a", "dimensions": 8}
    status, said = _call(gateway, "POST", "/v1/embeddings", shorter)
    assert (status, "local/encoder cannot do dimensions" in said["error"]["message"]) == (400, True), said
    assert _call(gateway, "POST", "/api/embed", shorter)[0] == 400
    _, shown = _call(gateway, "POST", "/api/show", {"model": "encoder"})
    assert shown["capabilities"] == ["embedding"]


def test_a_text_that_is_too_long_is_its_callers_doing(gateway: Served) -> None:
    """Longer than the model takes is 400 with its tokens, however often, and the model is not left alone for it."""
    long = {"model": "encoder", "input": "sea " * 2 * CONTEXT}
    for _ in range(12):
        status, said = _call(gateway, "POST", "/v1/embeddings", long)
        assert status == 400, said
    assert f"{6 * CONTEXT + 2} tokens" in said["error"]["message"]
    assert _call(gateway, "POST", "/v1/embeddings", {"model": "encoder", "input": "sea"})[0] == 200


def test_a_model_that_talks_makes_no_vectors(gateway: Served) -> None:
    """A model whose file says nothing of vectors refuses to make any."""
    gguf.write(gateway.folder / "data/models/talker.gguf", gguf.SMALL)
    assert _deployed(gateway, "talker")["status"] == "completed"
    status, said = _call(gateway, "POST", "/v1/embeddings", {"model": "talker", "input": "river"})
    assert (status, "local/talker cannot do embed" in said["error"]["message"]) == (400, True), said


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("ranker", {}, "ranks texts and makes neither words nor vectors"),
        ("odd", {}, "bert.pooling_type is 9"),
        ("encoder", {"model_id": "longer", "deployment_config": {"context": 4096}}, "texts of up to 128 tokens"),
    ],
)
def test_what_cannot_be_run_fails_with_its_reason(
    gateway: Served, name: str, more: dict[str, object], words: str
) -> None:
    """A model that only ranks, one of an unknown kind and a context beyond the model's are refused before any load."""
    over = _deployed(gateway, name, **more)
    assert (over["status"], words in over["error"]) == ("failed", True), over
