"""What goes wrong: the SDK's class for each fault, its retries, broken streams, time."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import openai

from tests.e2e.sdk.site import HELLO, Site, raised, simulate

TRANSPORT: Any = sys.modules.get("httpx2") or sys.modules["httpx"]
LATE = (openai.APITimeoutError, TRANSPORT.ReadTimeout)
"""In a stream some versions let the transport's own error through."""


def _ask(site: Site, client: Any = None, **options: Any) -> Callable[[], Any]:
    asked: dict[str, Any] = {"model": site.model, "messages": HELLO, **options}
    return lambda: (client or site.client()).chat.completions.create(**asked)


def check_silent_upstream(site: Site) -> None:
    """An upstream that falls silent ends by the gateway's patience: a 504 before the answer, an error in its stream."""
    client, asked = site.counting()
    error = raised(openai.InternalServerError, _ask(site, client, extra_headers=simulate(hang=0)))
    stream = _ask(site, stream=True, extra_headers=simulate(hang=4))()
    came: list[Any] = []
    broken = raised(openai.APIError, lambda: came.extend(stream))

    assert (error.status_code, error.code) == (504, "upstream_timeout")
    assert len(asked) == 1
    assert came
    assert broken.code == "upstream_timeout"


def check_bad_request(site: Site) -> None:
    """A value out of range is BadRequest and names the field; so are wrong types, deep inside too."""
    error = raised(openai.BadRequestError, _ask(site, temperature=9))
    assert error.status_code == 400
    assert error.param == "temperature"
    assert error.type == "invalid_request_error"
    assert error.request_id
    assert "temperature" in error.message
    for field, options in (
        ("messages", {"messages": []}),
        ("messages[0].role", {"messages": [{"role": "king", "content": "Hi"}]}),
        ("n", {"n": 0}),
        ("max_tokens", {"max_tokens": "many"}),
        ("stop", {"stop": 5}),
    ):
        assert raised(openai.BadRequestError, _ask(site, **options)).param.startswith(field.partition("[")[0])


def check_bad_request_elsewhere(site: Site) -> None:
    """Completions and embeddings name the field too."""
    client = site.client()

    error = raised(openai.BadRequestError, lambda: client.completions.create(model=site.model, prompt="x", n=-1))
    assert error.param == "n"
    error = raised(openai.BadRequestError, lambda: client.embeddings.create(model=site.model, input=[]))
    assert error.param == "input"
    error = raised(openai.BadRequestError, lambda: client.embeddings.create(model=site.model, input="x", dimensions=0))
    assert error.param == "dimensions"


def check_authentication(site: Site) -> None:
    """A wrong key is Authentication, on every path; the SDK does not try again."""
    client, asked = site.counting(api_key="wrong")

    for act in (
        _ask(site, client),
        _ask(site, client, stream=True),
        lambda: client.embeddings.create(model=site.model, input="x"),
        lambda: client.completions.create(model=site.model, prompt="x"),
        client.models.list,
    ):
        error = raised(openai.AuthenticationError, act)
        assert (error.status_code, error.code, error.type) == (401, "invalid_api_key", "invalid_request_error")
        assert "wrong" not in error.message
    assert len(asked) == 5


def check_permission_denied(site: Site) -> None:
    """A key may call its own models only: PermissionDenied for others, and they are not listed."""
    client = site.client(api_key=site.fenced_key)
    error = raised(openai.PermissionDeniedError, _ask(site, client))

    assert error.status_code == 403
    assert error.param == "model"
    assert site.model in error.message
    assert [model.id for model in client.models.list()] == [site.odd_model]
    assert _ask(site, client, model=site.odd_model)().model == site.odd_model


def check_another_site(site: Site) -> None:
    """A page of another site may not use a gateway without keys: PermissionDenied."""
    client = site.client(base_url=f"{site.open_url}/v1", default_headers={"Origin": "https://elsewhere.example"})
    error = raised(openai.PermissionDeniedError, _ask(site, client))

    assert error.status_code == 403
    assert "[cors]" in error.message


def check_own_limit(site: Site) -> None:
    """A key that is used up for this minute is RateLimit with the seconds to wait, which the SDK may retry after."""
    client = site.client(api_key=site.slow_key)
    error = raised(openai.RateLimitError, lambda: [_ask(site, client)() for _ in range(4)])

    assert (error.code, error.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert 0 < int(error.response.headers["retry-after"]) <= 60
    assert "x-should-retry" not in error.response.headers


def check_upstream_refusals(site: Site) -> None:
    """What the upstream refuses keeps its status and code; the SDK does not ask again."""
    for status, kind in (
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
    ):
        client, asked = site.counting()
        error = raised(kind, _ask(site, client, extra_headers=simulate(status=status, code="odd_thing")))
        assert error.status_code == status
        assert error.code == "odd_thing"
        assert "status" in error.message
        assert len(asked) == 1


def check_our_own_key(site: Site) -> None:
    """An upstream that refuses the gateway's own key is not the caller's fault: 502, without the upstream's words."""
    for status in (401, 403):
        error = raised(openai.InternalServerError, _ask(site, extra_headers=simulate(status=status)))
        assert error.status_code == 502
        assert "was asked for" not in error.message


def check_rate_limit(site: Site) -> None:
    """An upstream's limit that outlasts our patience is RateLimit with its `retry-after`, asked once by the SDK."""
    client, asked = site.counting()
    error = raised(openai.RateLimitError, _ask(site, client, extra_headers=simulate(status=429, retry_after=7)))

    assert error.status_code == 429
    assert error.type == "rate_limit_error"
    assert error.code == "rate_limit_exceeded"
    assert error.response.headers["retry-after"] == "7"
    assert error.response.headers["x-should-retry"] == "false"
    assert len(asked) == 1


def check_quota(site: Site) -> None:
    """A spent quota is RateLimit with its own code."""
    error = raised(
        openai.RateLimitError, _ask(site, extra_headers=simulate(status=429, code="insufficient_quota", retry_after=9))
    )

    assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota")


def check_waited_out(site: Site) -> None:
    """A short `retry-after` of the upstream is waited out by the gateway: the SDK sees one answer."""
    client, asked = site.counting()
    mischief = simulate(status=429, retry_after=0.3, times=1, id=uuid4().hex)
    began = time.monotonic()
    got = _ask(site, client, extra_headers=mischief)()

    assert got.choices[0].finish_reason == "stop"
    assert time.monotonic() - began >= 0.3
    assert len(asked) == 1


def check_sdk_waits(site: Site) -> None:
    """A gateway that is full says so with `retry-after`, and the SDK comes back after that and is answered."""
    busy = site.client(base_url=f"{site.open_url}/v1")
    endless = _ask(site, busy, stream=True, extra_headers=simulate(endless=1, pace=0.01))()
    next(endless)
    error = raised(openai.InternalServerError, _ask(site, busy))
    client, asked = site.counting(lambda _: endless.close(), base_url=f"{site.open_url}/v1")
    began = time.monotonic()
    got = _ask(site, client)()

    assert (error.status_code, error.code) == (503, "no_capacity")
    assert error.response.headers["retry-after"] == "1"
    assert "x-should-retry" not in error.response.headers
    assert got.choices[0].finish_reason == "stop"
    assert time.monotonic() - began >= 1
    assert len(asked) == 2


def check_internal_server(site: Site) -> None:
    """A failing upstream is InternalServer after the gateway's own two attempts; the SDK makes exactly one request."""
    for status, code in ((500, "upstream_down"), (503, "upstream_down"), (504, "upstream_timeout")):
        client, asked = site.counting()
        error = raised(openai.InternalServerError, _ask(site, client, extra_headers=simulate(status=status)))
        assert error.status_code in {502, 503, 504}
        assert error.code == code
        assert error.type == "server_error"
        assert error.response.headers["x-should-retry"] == "false"
        assert len(asked) == 1
        if site.upstream_url:
            attempts = site.seen()["request_ids"].count(error.request_id)
            assert attempts == (1 if status == 504 else 2)


def check_garbled(site: Site) -> None:
    """An upstream that answers broken JSON is InternalServer, not an empty answer."""
    error = raised(openai.InternalServerError, _ask(site, extra_headers=simulate(garble=1)))

    assert error.code == "upstream_garbled"


def check_error_in_stream(site: Site) -> None:
    """An error in the middle of a stream is raised as APIError, after what had come."""
    stream = _ask(site, stream=True, extra_headers=simulate(error=5, code="overloaded"))()
    came: list[Any] = []
    error = raised(openai.APIError, lambda: came.extend(iter(stream.__next__, None)))

    assert came
    assert error.code == "overloaded"
    assert error.type == "server_error"
    assert error.message


def check_error_before_stream(site: Site) -> None:
    """An error before the first word of a stream has a status of its own."""
    for mischief in (simulate(status=500), simulate(error=0), simulate(cut=0)):
        assert raised(openai.InternalServerError, _ask(site, stream=True, extra_headers=mischief)).status_code >= 500


def check_cut_stream(site: Site) -> None:
    """A stream that the upstream cuts raises; it never looks finished, in chat, in completions, in the helper."""
    client = site.client()

    def chat() -> None:
        for chunk in _ask(site, client, stream=True, extra_headers=simulate(cut=5))():
            reasons.extend(choice.finish_reason for choice in chunk.choices if choice.finish_reason)

    def complete() -> None:
        for chunk in client.completions.create(
            model=site.model, prompt="x", stream=True, extra_headers=simulate(cut=5)
        ):
            reasons.extend(choice.finish_reason for choice in chunk.choices if choice.finish_reason)

    def helper() -> None:
        with client.chat.completions.stream(model=site.model, messages=HELLO, extra_headers=simulate(cut=5)) as stream:
            stream.get_final_completion()

    reasons: list[str] = []
    for act in (chat, complete, helper):
        assert raised(openai.APIError, act).code == "upstream_cut"
    assert reasons == []


def check_cut_answer(site: Site) -> None:
    """A whole answer that the upstream cuts short is InternalServer."""
    assert raised(openai.InternalServerError, _ask(site, extra_headers=simulate(cut=0))).code == "upstream_cut"


def check_too_large(site: Site) -> None:
    """A body beyond the limit is 413 with words, not a broken connection."""
    messages = [{"role": "user", "content": "x" * 5_000_000}]
    error = raised(openai.APIStatusError, _ask(site, messages=messages))

    assert error.status_code == 413
    assert error.type == "invalid_request_error"


def check_timeout(site: Site) -> None:
    """The SDK's own timeout is raised as such, before the answer and within a stream; the gateway stays up."""
    client = site.client(timeout=0.3)

    raised(openai.APITimeoutError, _ask(site, client, extra_headers=simulate(delay=30)))
    stream = _ask(site, client, stream=True, extra_headers=simulate(hang=4))()
    came: list[Any] = []
    with suppress(*LATE):
        came.extend(stream)
        raise AssertionError("a stream that hangs came to an end")
    assert came
    assert _ask(site)().choices


def check_garbled_stream(site: Site) -> None:
    """Broken JSON in the middle of a stream is raised as APIError, after what had come."""
    stream = _ask(site, stream=True, extra_headers=simulate(garble=5))()
    came: list[Any] = []

    assert raised(openai.APIError, lambda: came.extend(stream)).code == "upstream_garbled"
    assert came


def check_no_such_path(site: Site) -> None:
    """A path that Foz does not have is NotFound in the SDK's own words, not a page."""
    error = raised(openai.NotFoundError, lambda: site.client().post("/nothing", body={}, cast_to=object))

    assert error.status_code == 404
    assert error.message
    assert isinstance(error.body, dict)
