"""Conversations: words, pieces, options, JSON, thoughts, pictures."""

from typing import Any

from pydantic import BaseModel

from tests.e2e.sdk_ollama.site import HELLO, Site, text_of

PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d")
SAID = "água 🌊 👩\u200d👩\u200d👧 海"


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


def check_text(site: Site) -> None:
    """A whole answer has its words, its reason, its tokens, and nanoseconds that are integers."""
    got = site.client().chat(site.model, HELLO)

    assert "Where do rivers end?" in got.message.content
    assert (got.model, got.done, got.done_reason, got.message.role) == (site.model, True, "stop", "assistant")
    assert got.prompt_eval_count == 4
    assert got.eval_count > 5
    assert 0 < got.eval_duration <= got.total_duration
    assert isinstance(got.total_duration, int)


def check_stream(site: Site) -> None:
    """A stream comes in pieces that make the whole answer; only its last line is done, and has counts and durations."""
    client = site.client()
    whole = client.chat(site.model, HELLO)
    parts = list(client.chat(site.model, HELLO, stream=True))

    assert len(parts) > 5
    assert text_of(parts) == whole.message.content
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert {part.model for part in parts} == {site.model}
    assert (parts[-1].message.content, parts[-1].done_reason) == ("", "stop")
    assert (parts[-1].eval_count, parts[-1].prompt_eval_count) == (whole.eval_count, whole.prompt_eval_count)
    assert 0 < parts[-1].eval_duration <= parts[-1].total_duration
    assert all(part.eval_count is None for part in parts[:-1])


def check_other_scripts(site: Site) -> None:
    """Text beyond the basic plane comes back as it went, also a byte at a time."""
    turn = [{"role": "user", "content": SAID}]

    mischief = {} if site.setup == "simulated" else {"fragment": 1}  # within the gateway there are no bytes to cut
    assert SAID in site.client().chat(site.model, turn).message.content
    assert SAID in text_of(site.client(**mischief).chat(site.model, turn, stream=True))


def check_turns(site: Site) -> None:
    """A system message and earlier turns are heard; the last one is answered."""
    turns = [{"role": "system", "content": "Be brief."}, *HELLO, {"role": "assistant", "content": "In the sea."}]
    got = site.client().chat(site.model, [*turns, {"role": "user", "content": "And the sea?"}])

    assert "And the sea?" in got.message.content


def check_options(site: Site) -> None:
    """A limit, a stop and how tokens are drawn are kept to; what a target has no word for is no reason to fail."""
    client = site.client()
    options: dict[str, Any] = {"num_predict": 3, "temperature": 0.5, "seed": 7, "top_p": 0.9, "num_ctx": 2048}
    short = client.chat(site.model, HELLO, options=options, keep_alive="5m")
    stopped = client.chat(site.model, HELLO, options={"stop": ["simulated"]})

    assert (short.done_reason, short.eval_count) == ("length", 3)
    assert stopped.message.content.strip() == "This is Foz's"


def check_json(site: Site) -> None:
    """`json` is any object, a schema an object that keeps to it, whole and streamed."""
    client = site.client()
    turn = [{"role": "user", "content": "Meet Ada, 36 years old"}]
    loose = client.chat(site.model, turn, format="json").message.content
    strict = client.chat(site.model, turn, format=Person.model_json_schema()).message.content
    streamed = text_of(client.chat(site.model, turn, format=Person.model_json_schema(), stream=True))

    assert loose.startswith("{")
    assert Person.model_validate_json(strict) == Person.model_validate_json(streamed) == Person(name="Ada", age=36)


def check_thinking(site: Site) -> None:
    """It thinks when asked to, whole and streamed alike and apart from its words, and not when asked not to."""
    client = site.client()
    on, low, off = (client.chat(site.model, HELLO, think=think) for think in (True, "low", False))
    parts = list(client.chat(site.model, HELLO, think=True, stream=True))

    assert on.message.thinking
    assert low.message.thinking
    assert off.message.thinking is None
    assert "".join(part.message.thinking or "" for part in parts) == on.message.thinking
    assert text_of(parts) == on.message.content
    assert on.message.thinking not in on.message.content


def check_images(site: Site) -> None:
    """A picture's bytes reach the model, in a conversation and with a prompt."""
    client = site.client()
    turn = {"role": "user", "content": "What is this?", "images": [PIXEL]}

    assert "1 image" in client.chat(site.model, [turn]).message.content
    prompted = client.generate(site.model, "What is this?", images=[PIXEL])
    assert site.through or "1 image" in prompted.response


def check_logprobs(site: Site) -> None:
    """Each token comes with how likely it was, and with others in its place."""
    got = site.client().chat(site.model, HELLO, logprobs=True, top_logprobs=2)

    assert "".join(token.token for token in got.logprobs) == got.message.content
    assert {len(token.top_logprobs) for token in got.logprobs} == {2}


def check_load(site: Site) -> None:
    """Who asks nothing is told that the model is loaded, or unloaded, in either form and also as a stream."""
    client = site.client()

    assert client.chat(site.model).done_reason == "load"
    assert client.chat(site.model, keep_alive=0).done_reason == "unload"
    assert client.generate(site.model).done_reason == "load"
    assert [part.done_reason for part in client.generate(site.model, keep_alive="10m", stream=True)] == ["load"]


def check_long_prompt(site: Site) -> None:
    """A prompt of a million characters is counted, not refused."""
    got = site.client().chat(site.model, [{"role": "user", "content": "river " * 170_000}], options={"num_predict": 1})

    assert got.prompt_eval_count >= 170_000
