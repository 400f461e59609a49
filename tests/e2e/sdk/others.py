"""Embeddings, legacy completions, and the list of models."""

import base64
import math
import struct
from typing import Any

import openai

from tests.e2e.sdk.site import Site, raised


def check_embeddings(site: Site) -> None:
    """The default (base64 on the wire) and `float` give the same numbers, of length one."""
    client = site.client()
    default = client.embeddings.create(model=site.model, input="river")
    floats = client.embeddings.create(model=site.model, input="river", encoding_format="float")

    assert default.model == site.model
    assert default.object == "list"
    (row,) = default.data
    assert (row.object, row.index, len(row.embedding)) == ("embedding", 0, 384)
    assert math.isclose(math.hypot(*row.embedding), 1, rel_tol=1e-5)
    assert all(map(math.isclose, row.embedding, floats.data[0].embedding))
    assert default.usage.prompt_tokens == default.usage.total_tokens == 1


def check_embeddings_base64(site: Site) -> None:
    """Asked for by name, base64 stays base64: little-endian float32."""
    client = site.client()
    floats = client.embeddings.create(model=site.model, input="river", encoding_format="float")
    (row,) = client.embeddings.create(model=site.model, input="river", encoding_format="base64").data

    given: Any = row.embedding
    assert isinstance(given, str)
    assert all(map(math.isclose, struct.unpack("<384f", base64.b64decode(given)), floats.data[0].embedding))


def check_embeddings_inputs(site: Site) -> None:
    """Lists keep their order; tokens and lists of tokens are inputs too; `dimensions` is obeyed."""
    client = site.client()

    def embed(given: object, **options: object) -> list[list[float]]:
        rows = client.embeddings.create(model=site.model, input=given, **options).data
        assert [row.index for row in rows] == list(range(len(rows)))
        return [row.embedding for row in rows]

    river, mouth = embed(["river", "mouth"])
    assert [river] == embed("river")
    assert river != mouth
    assert len(embed([1, 2, 3])) == 1
    assert embed([[1, 2, 3], [4]])[0] == embed([1, 2, 3])[0]
    assert len(embed("river", dimensions=64)[0]) == 64
    assert len(embed("river", dimensions=64, user="ana", encoding_format="float")[0]) == 64


def check_completion(site: Site) -> None:
    """A prompt is continued, under the public name with usage; at most sixteen tokens unless told."""
    got = site.client().completions.create(model=site.model, prompt="The river")

    assert got.object == "text_completion"
    assert got.id.startswith("cmpl-")
    assert got.model == site.model
    (choice,) = got.choices
    assert (choice.index, choice.logprobs) == (0, None)
    assert choice.finish_reason in {"stop", "length"}
    assert 'after "The river"' in choice.text
    assert got.usage.prompt_tokens == 2
    assert 1 <= got.usage.completion_tokens <= 16
    assert got.usage.total_tokens == 2 + got.usage.completion_tokens


def check_completion_prompts(site: Site) -> None:
    """Lists, tokens and lists of tokens: a choice's index is the prompt's times `n` plus its own number."""
    client = site.client()

    def complete(prompt: object, **options: object) -> list[Any]:
        choices = client.completions.create(model=site.model, prompt=prompt, max_tokens=40, **options).choices
        return sorted(choices, key=lambda choice: choice.index)

    four = complete(["one", "two"], n=2, best_of=2)
    assert [choice.index for choice in four] == [0, 1, 2, 3]
    assert ['"one"' in choice.text for choice in four] == [True, True, False, False]
    assert "1 2 3" in complete([1, 2, 3])[0].text
    assert ["1 2" in complete([[1, 2], [3]])[0].text, "3" in complete([[1, 2], [3]])[1].text] == [True, True]


def check_completion_echo(site: Site) -> None:
    """`echo` puts the prompt before; its first token has no logprob; tokens, offsets and text agree."""
    got = site.client().completions.create(model=site.model, prompt="The river", echo=True, logprobs=2, max_tokens=4)
    (choice,) = got.choices
    sure = choice.logprobs

    assert choice.text.startswith("The river This is")
    assert "".join(sure.tokens) == choice.text
    assert sure.token_logprobs[0] is None
    assert all(logprob <= 0 for logprob in sure.token_logprobs[1:])
    assert all(len(top) == 2 for top in sure.top_logprobs[1:])
    assert [choice.text[at:].startswith(token) for at, token in zip(sure.text_offset, sure.tokens, strict=True)] == [
        True
    ] * len(sure.tokens)


def check_completion_shape(site: Site) -> None:
    """`suffix`, `stop`, `seed` and `max_tokens` shape the text."""
    client = site.client()

    def complete(**options: object) -> Any:
        return client.completions.create(model=site.model, prompt="The river", **options).choices[0]

    assert 'leads to "the sea"' in complete(suffix=" the sea", max_tokens=60).text
    assert complete(stop=["simulated"]).text == " This is Foz's "
    assert complete(stop="simulated").finish_reason == "stop"
    assert complete(max_tokens=3).text == " This is Foz's"
    assert complete(seed=3, max_tokens=60).text == complete(seed=3, max_tokens=60).text


def check_completion_stream(site: Site) -> None:
    """Streamed completions join to the whole ones, for each choice; usage comes last where asked for."""
    client = site.client()
    asked: dict[str, Any] = {"model": site.model, "prompt": ["one", "two"], "n": 2, "logprobs": 1, "max_tokens": 30}
    whole = client.completions.create(**asked)
    chunks = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))

    assert {(chunk.object, chunk.model) for chunk in chunks} == {("text_completion", site.model)}
    for choice in whole.choices:
        pieces = [each for chunk in chunks for each in chunk.choices if each.index == choice.index]
        assert "".join(piece.text for piece in pieces) == choice.text
        assert [piece.finish_reason for piece in pieces if piece.finish_reason] == [choice.finish_reason]
        tokens = [token for piece in pieces if piece.logprobs for token in piece.logprobs.tokens]
        assert tokens == choice.logprobs.tokens
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens


def check_models(site: Site) -> None:
    """The list has the public names, and each can be retrieved, slashes and colons and all."""
    client = site.client()
    names = [model.id for model in client.models.list()]

    assert site.model in names
    assert site.odd_model in names
    for name in (site.model, site.odd_model):
        card = client.models.retrieve(name)
        assert (card.id, card.object) == (name, "model")
        assert card.owned_by
    got = client.chat.completions.create(model=site.odd_model, messages=[{"role": "user", "content": "Hi"}])
    assert got.model == site.odd_model


def check_unknown_model(site: Site) -> None:
    """A name that nobody has is NotFound and tells the closest; in test mode every name is answered."""
    client = site.client()
    asked: dict[str, Any] = {"model": f"{site.model}s", "messages": [{"role": "user", "content": "Hi"}]}
    if site.setup == "simulated":
        assert client.chat.completions.create(**asked).model == f"{site.model}s"
        return

    for act in (lambda: client.chat.completions.create(**asked), lambda: client.models.retrieve(f"{site.model}s")):
        error = raised(openai.NotFoundError, act)
        assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")
        assert f"Did you mean {site.model}" in error.message
