"""Prompts, vectors, models, and the asynchronous client."""

import asyncio
import math

from tests.e2e.sdk_ollama.site import HELLO, Site, text_of


def check_generate(site: Site) -> None:
    """A prompt is answered alike whole and in pieces, as a turn of a conversation is."""
    client = site.client()
    whole = client.generate(site.model, "Where do rivers end?")
    parts = list(client.generate(site.model, "Where do rivers end?", stream=True))

    assert whole.response == "".join(part.response for part in parts)
    assert site.through or whole.response == client.chat(site.model, HELLO).message.content
    assert [whole.done, parts[0].done, parts[-1].done] == [True, False, True]
    assert parts[-1].eval_count == whole.eval_count > 5
    assert whole.total_duration > 0


def check_generate_more(site: Site) -> None:
    """A system message, JSON of a schema and thoughts are a prompt's as well."""
    client = site.client()
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    got = client.generate(site.model, "Ada is 36", system="Be brief.", format=schema)
    thought = client.generate(site.model, "Why?", think=True)

    assert "36" in got.response
    assert thought.response
    assert site.through or thought.thinking


def check_generate_raw(site: Site) -> None:
    """A raw prompt, and one with a suffix, is continued as it stands."""
    client = site.client()

    assert client.generate(site.model, "The river", raw=True, options={"num_predict": 8}).response
    assert client.generate(site.model, "def f(", suffix="return x", options={"num_predict": 8}).done


def check_embed(site: Site) -> None:
    """Vectors have the length 1 and the dimensions asked for, one and many alike; their tokens are counted."""
    client = site.client()
    many = client.embed(site.model, ["a river", "a tax"], dimensions=8)
    one = client.embed(site.model, "a river", dimensions=8)

    assert [len(vector) for vector in many.embeddings] == [8, 8]
    assert list(many.embeddings[0]) == list(one.embeddings[0])
    assert all(abs(math.hypot(*vector) - 1) < 1e-3 for vector in many.embeddings)
    assert many.prompt_eval_count == 4
    assert many.model == site.model


def check_models(site: Site) -> None:
    """Models are listed by names with their tags, found by these and without `:latest`, and shown."""
    client = site.client()
    listed = {model.model: model for model in client.list().models}

    assert f"{site.model}:latest" in listed
    assert site.odd_model in listed
    assert listed[site.odd_model].digest
    assert client.chat(f"{site.model}:latest", HELLO).model == f"{site.model}:latest"
    assert client.chat(site.odd_model, HELLO).message.content
    for name in (site.model, f"{site.model}:latest", site.odd_model):
        shown = client.show(name)
        assert {"completion", "tools"} <= set(shown.capabilities)
        assert shown.modelinfo["general.architecture"]
    assert client.ps().models == []


async def check_async(site: Site) -> None:
    """The asynchronous client gets what the other gets: whole, streamed, vectors, models."""
    plain = site.client().chat(site.model, HELLO).message.content
    client = site.async_client()
    whole = await client.chat(site.model, HELLO)
    parts = [part async for part in await client.chat(site.model, HELLO, stream=True)]
    prompted = [part async for part in await client.generate(site.model, "Where do rivers end?", stream=True)]

    assert plain == whole.message.content == text_of(parts)
    assert site.through or plain == "".join(part.response for part in prompted)
    assert len((await client.embed(site.model, "a river")).embeddings) == 1
    assert (await client.list()).models


async def check_many_at_once(site: Site) -> None:
    """Forty streams at once each get their own words."""
    client = site.async_client()

    async def ask(number: int) -> str:
        turn = [{"role": "user", "content": f"number {number}."}]
        return text_of([part async for part in await client.chat(site.model, turn, stream=True)])

    texts = await asyncio.gather(*(ask(number) for number in range(40)))
    assert all(f'"number {number}."' in text for number, text in enumerate(texts))
