"""Messages: words, pictures, documents, thinking, structured output, whole and streamed."""

import json
from typing import Any

from pydantic import BaseModel

from tests.e2e.sdk_anthropic.site import HELLO, SAYS, Site, simulate

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
PDF = "JVBERi0xLjcKMSAwIG9iago8PD4+CmVuZG9iagolJUVPRg=="
THINK: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 3000}
PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}


def check_message(site: Site) -> None:
    """A message comes back under the public name, with its end, its counts and the request's id."""
    got = site.ask()

    assert (got.type, got.role, got.model) == ("message", "assistant", site.model)
    assert [block.type for block in got.content] == ["text"]
    assert got.content[0].text.startswith(SAYS)
    assert (got.stop_reason, got.stop_sequence) == ("end_turn", None)
    assert got.usage.input_tokens > 0
    assert got.usage.output_tokens > 10
    assert got.id
    assert got._request_id


def check_system_and_turns(site: Site) -> None:
    """A system's text as a string or as blocks, and several turns as strings or blocks, are taken alike."""
    turns = [
        {"role": "user", "content": "Which is longest?"},
        {"role": "assistant", "content": [{"type": "text", "text": "The Nile."}]},
        {"role": "user", "content": [{"type": "text", "text": "And then?", "cache_control": {"type": "ephemeral"}}]},
    ]
    plain = site.ask(messages=turns, system="Answer as a pilot.")
    blocks = site.ask(messages=turns, system=[{"type": "text", "text": "Answer as a pilot."}])

    assert "And then?" in plain.content[0].text
    assert plain.content == blocks.content
    assert plain.usage.input_tokens == blocks.usage.input_tokens


def check_stream(site: Site) -> None:
    """A stream's pieces are the whole answer, many of them; its last message equals the whole one."""
    whole = site.ask()
    with site.stream() as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()

    assert len(pieces) > 5
    assert "".join(pieces) == whole.content[0].text == final.content[0].text
    assert (final.model, final.stop_reason) == (site.model, "end_turn")
    assert (final.usage.input_tokens, final.usage.output_tokens) == (
        whole.usage.input_tokens,
        whole.usage.output_tokens,
    )


def check_events(site: Site) -> None:
    """The raw events come in Anthropic's order, each block closed before the next, and the last is `message_stop`."""
    asked: dict[str, Any] = {"model": site.model, "max_tokens": 100, "messages": HELLO, "stream": True}
    events = [event.type for event in site.client().messages.create(**asked)]

    assert events[:2] == ["message_start", "content_block_start"]
    assert set(events[2:-3]) == {"content_block_delta"}
    assert events[-3:] == ["content_block_stop", "message_delta", "message_stop"]


async def check_async(site: Site) -> None:
    """The asynchronous client gets the same, whole and streamed."""
    async with site.async_client() as client:
        asked: dict[str, Any] = {"model": site.model, "max_tokens": 200, "messages": HELLO}
        whole = await client.messages.create(**asked)
        async with client.messages.stream(**asked) as stream:
            text = "".join([piece async for piece in stream.text_stream])

    assert whole.content[0].text == text


def check_limits(site: Site) -> None:
    """`max_tokens` and `stop_sequences` end an answer, and are named as what ended it."""
    short = site.ask(max_tokens=3)
    stopped = site.ask(stop_sequences=["simulated", "never"])

    assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 3)
    assert stopped.content[0].text.strip() == "This is Foz's"
    assert stopped.stop_reason in {"stop_sequence", "end_turn"}


def check_sampling(site: Site) -> None:
    """`temperature`, `top_p`, `top_k`, `metadata` and fields that only Anthropic knows are taken."""
    drawn = {"temperature": 0.5, "top_p": 0.9, "top_k": 5}  # newer versions have no names for these
    got = site.ask(extra_body=drawn, metadata={"user_id": "ana"}, service_tier="auto")

    assert got.content[0].text.startswith(SAYS)


def check_pictures_and_documents(site: Site) -> None:
    """Pictures, PDFs and texts stand among words; each makes the request longer."""
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    document = {
        "type": "document",
        "title": "contract",
        "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
    }
    text = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Rivers end at sea."}}
    words = {"type": "text", "text": "What is it?"}
    plain = site.ask(messages=[{"role": "user", "content": [words]}])
    for block in (picture, document, text):
        got = site.ask(messages=[{"role": "user", "content": [block, words]}])
        assert "What is it?" in got.content[0].text, block
        assert got.usage.input_tokens > plain.usage.input_tokens, block


def check_thinking(site: Site) -> None:
    """Thoughts come before words as a block of their own, the same whole and streamed, and may be given back."""
    whole = site.ask(messages=[{"role": "user", "content": "Why?"}], **THINK)
    with site.stream(messages=[{"role": "user", "content": "Why?"}], **THINK) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()

    assert [block.type for block in whole.content] == ["thinking", "text"]
    assert whole.content[0].thinking
    assert whole.content[0].thinking not in whole.content[1].text
    assert [(block.type, getattr(block, "thinking", "")) for block in final.content] == [
        (block.type, getattr(block, "thinking", "")) for block in whole.content
    ]
    assert kinds.count("thinking") > 1
    turns = [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in whole.content]},
        {"role": "user", "content": "And then?"},
    ]
    assert "And then?" in site.ask(messages=turns).content[0].text


def check_structured_output(site: Site) -> None:
    """An answer keeps to the schema that is asked for, integers as integers."""
    got = site.ask(
        messages=[{"role": "user", "content": "Lisbon has 18 degrees"}],
        extra_body={"output_config": {"format": {"type": "json_schema", "schema": PLACE}}},
    )
    said = json.loads(got.content[0].text)

    assert set(said) == {"city", "degrees"}
    assert type(said["degrees"]) is int


class Place(BaseModel):
    """What is asked of the model in a form."""

    city: str
    degrees: int


def check_parsed_output(site: Site) -> None:
    """A form that is asked for as a type comes back as one."""
    got = site.client().messages.parse(
        model=site.model,
        max_tokens=200,
        messages=[{"role": "user", "content": "Lisbon has 18 degrees"}],
        output_format=Place,
    )

    assert isinstance(got.parsed_output, Place)


def check_beta(site: Site) -> None:
    """The beta's methods, which ask with a query and a header of their own, are answered alike."""
    got = site.client().beta.messages.create(
        model=site.model, max_tokens=200, messages=HELLO, betas=["interleaved-thinking-2025-05-14"]
    )

    assert got.content[0].text == site.ask().content[0].text


def check_raw_response(site: Site) -> None:
    """The headers of an answer name the request, as Anthropic's do."""
    raw = site.client().messages.with_raw_response.create(model=site.model, max_tokens=9, messages=HELLO)

    assert raw.headers["request-id"] == raw.parse()._request_id


def check_beyond_ascii(site: Site) -> None:
    """What is beyond ASCII comes back as it was sent, however the stream is cut."""
    asked: list[dict[str, Any]] = [{"role": "user", "content": "água 🌊👩\u200d🚀 海"}]
    with site.stream(messages=asked, extra_headers=simulate(pace=0.001)) as stream:
        assert asked[0]["content"] in "".join(stream.text_stream)
