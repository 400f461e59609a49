"""The asynchronous client, many calls at once, cancelling."""

import asyncio
from typing import Any
from uuid import uuid4

import openai
from pydantic import BaseModel

from tests.e2e.sdk.site import HELLO, Site, simulate, wait_until


class River(BaseModel):
    """One."""

    name: str
    length: int


async def check_async_text(site: Site) -> None:
    """The asynchronous client gets the answer that the other gets, whole and streamed."""
    plain = site.client().chat.completions.create(model=site.model, messages=HELLO)
    async with site.async_client() as client:
        whole = await client.chat.completions.create(model=site.model, messages=HELLO)
        stream = await client.chat.completions.create(model=site.model, messages=HELLO, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert whole.choices[0].message.content == text == plain.choices[0].message.content
    assert whole._request_id


async def check_async_rest(site: Site) -> None:
    """Embeddings, completions, models, `.parse()` and the streaming helper work asynchronously."""
    async with site.async_client() as client:
        (row,) = (await client.embeddings.create(model=site.model, input="river")).data
        text = (await client.completions.create(model=site.model, prompt="The river")).choices[0].text
        names = [model.id async for model in client.models.list()]
        asked: dict[str, Any] = {"model": site.model, "messages": HELLO, "response_format": River}
        parsed = (await client.chat.completions.parse(**asked)).choices[0].message.parsed
        async with client.chat.completions.stream(**asked) as stream:
            final = await stream.get_final_completion()

    assert len(row.embedding) == 384
    assert "The river" in text
    assert site.odd_model in names
    assert isinstance(parsed, River)
    assert final.choices[0].message.parsed == parsed


async def check_async_faults(site: Site) -> None:
    """Faults are the same classes asynchronously."""

    async def fault(**options: Any) -> object:
        try:
            return await client.chat.completions.create(model=site.model, messages=HELLO, **options)
        except openai.APIStatusError as error:
            return type(error)

    async with site.async_client() as client:
        assert await fault(temperature=9) is openai.BadRequestError
        assert await fault(extra_headers=simulate(status=500)) is openai.InternalServerError


async def check_many_at_once(site: Site) -> None:
    """Forty streams at once each get their own words."""
    async with site.async_client() as client:

        async def ask(number: int) -> str:
            messages = [{"role": "user", "content": f"number {number}."}]
            stream = await client.chat.completions.create(model=site.model, messages=messages, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        texts = await asyncio.gather(*(ask(number) for number in range(40)))

    assert all(f'"number {number}."' in text for number, text in enumerate(texts))


async def check_cancelling(site: Site) -> None:
    """A call that is cancelled before its answer, or in its stream, is cancelled at the upstream as well."""
    silent = uuid4().hex
    headers = {**simulate(delay=30), "x-request-id": silent}
    async with site.async_client() as client:
        call = asyncio.ensure_future(
            client.chat.completions.create(model=site.model, messages=HELLO, extra_headers=headers)
        )
        if site.upstream_url:
            await asyncio.to_thread(wait_until, lambda: silent in site.seen()["request_ids"], "the call to be seen")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        stream = await client.chat.completions.create(
            model=site.model, messages=HELLO, stream=True, extra_headers=simulate(endless=1, pace=0.01)
        )
        id = stream.response.headers["x-request-id"]
        async for _ in stream:
            break
        await stream.close()

    assert call.cancelled()
    if site.upstream_url:
        wait_until(lambda: {silent, id} <= {cut["request_id"] for cut in site.seen()["cut"]}, "both to be cut")


async def check_async_streaming_response(site: Site) -> None:
    """`with_streaming_response` gives lines asynchronously."""
    async with (
        site.async_client() as client,
        client.chat.completions.with_streaming_response.create(
            model=site.model, messages=HELLO, stream=True
        ) as response,
    ):
        lines = [line async for line in response.iter_lines() if line]

    assert lines[-1] == "data: [DONE]"
