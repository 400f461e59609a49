"""Counts of tokens, models, both ways to authenticate, and answers that are not waited for."""

import json
import time
from typing import Any
from urllib.request import Request, urlopen

import anthropic

from tests.e2e.sdk_anthropic.site import HELLO, SAYS, Site, raised

TOOL = {"name": "f", "description": "does it", "input_schema": {"type": "object", "properties": {}}}


def check_count_tokens(site: Site) -> None:
    """A request's tokens are counted without an answer; more words, tools and pictures are more tokens."""
    count = site.client().messages.count_tokens
    small = count(model=site.model, messages=HELLO).input_tokens
    large = count(model=site.model, messages=HELLO * 3, system="Answer as a pilot.", tools=[TOOL]).input_tokens

    assert 0 < small < large
    assert raised(anthropic.BadRequestError, lambda: count(model=site.model, messages=[])).request_id


def check_models(site: Site) -> None:
    """The list comes in pages as the SDK turns them; each model can be retrieved, slashes and colons and all."""
    client = site.client()
    names = [model.id for model in client.models.list(limit=1)]

    assert names == [model.id for model in client.models.list()]
    assert len(names) == len(set(names))
    for name in (site.model, site.odd_model):
        if site.setup != "simulated":
            assert name in names
        card = client.models.retrieve(name)
        assert (card.id, card.type) == (name, "model")
        assert card.display_name
        assert card.created_at.year >= 1970
    assert site.ask(model=site.odd_model).model == site.odd_model


def check_unknown_model(site: Site) -> None:
    """A name that nobody has is NotFoundError in Anthropic's shape; in test mode every name is answered."""
    unknown = f"{site.model}s"
    if site.setup == "simulated":
        assert site.ask(model=unknown).model == unknown
        return
    for act in (lambda: site.ask(model=unknown), lambda: site.client().models.retrieve(unknown)):
        error = raised(anthropic.NotFoundError, act)
        assert error.body["error"]["type"] == "not_found_error"
        assert f"Did you mean {site.model}" in error.body["error"]["message"]
        assert error.request_id


def _ask(site: Site, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], Any]:
    """One call without the SDK."""
    asked = Request(f"{site.url}{path}", method=method)  # noqa: S310 - a test's own server
    asked.data = None if body is None else json.dumps(body).encode()
    for name, value in {"content-type": "application/json", **headers}.items():
        asked.add_header(name.replace("_", "-"), value)
    with urlopen(asked, timeout=10) as answer:  # noqa: S310 - as above
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, json.load(answer)


def check_both_ways_to_authenticate(site: Site) -> None:
    """A key is taken as `x-api-key` and as a bearer, with any version and with none."""
    body = {"model": site.model, "max_tokens": 9, "messages": HELLO}
    for headers in (
        {"x_api_key": site.key, "anthropic_version": "2023-06-01"},
        {"authorization": f"Bearer {site.key}", "anthropic_version": "2026-10-21"},
        {"authorization": f"Bearer {site.key}"},
    ):
        status, answered, said = _ask(site, "POST", "/v1/messages", body, **headers)
        assert (status, said["type"]) == (200, "message")
        assert answered["request-id"] == answered["x-request-id"]


def check_models_by_version(site: Site) -> None:
    """`/v1/models` is Anthropic's list with `anthropic-version`, OpenAI's without."""
    _, _, plain = _ask(site, "GET", "/v1/models", x_api_key=site.key)
    _, answered, theirs = _ask(site, "GET", "/v1/models", x_api_key=site.key, anthropic_version="2023-06-01")

    assert plain["object"] == "list"
    assert theirs["has_more"] is False
    assert "request-id" in answered
    assert theirs["first_id"] == theirs["data"][0]["id"]


def check_an_answer_that_is_not_waited_for(site: Site) -> None:
    """`Prefer: respond-async` makes it a job at `Location`: 202 until it is there, then the message; or cancelled."""
    body = {"model": site.model, "max_tokens": 100, "messages": HELLO}
    key = {"x_api_key": site.key}
    status, answered, job = _ask(site, "POST", "/v1/messages", body, prefer="respond-async", **key)
    assert (status, job["type"]) == (202, "message_job")
    end = time.monotonic() + 10
    while True:
        status, told, said = _ask(site, "GET", answered["location"], **key)
        assert told["request-id"]
        if status == 200:
            break
        assert said["id"] == job["id"]
        assert time.monotonic() < end, said
        time.sleep(0.05)

    assert (said["type"], said["model"]) == ("message", site.model)
    assert said["content"][0]["text"].startswith(SAYS)
    _, _, after = _ask(site, "DELETE", answered["location"], **key)
    assert after["status"] == "completed"
