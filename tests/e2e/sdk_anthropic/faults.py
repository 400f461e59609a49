"""What goes wrong, as the SDKs raise it."""

import anthropic

from tests.e2e.sdk_anthropic.site import HELLO, Site, raised, simulate


def check_keys(site: Site) -> None:
    """A wrong key is AuthenticationError, a key that may not PermissionDenied; both name the request."""
    wrong = raised(
        anthropic.AuthenticationError,
        lambda: site.client(api_key="sk-wrong").messages.create(model=site.model, max_tokens=9, messages=HELLO),
    )
    fenced = raised(
        anthropic.PermissionDeniedError,
        lambda: site.client(api_key=site.fenced_key).messages.create(model=site.model, max_tokens=9, messages=HELLO),
    )

    assert wrong.body["error"]["type"] == "authentication_error"
    assert fenced.body["error"]["type"] == "permission_error"
    assert wrong.request_id == wrong.body["request_id"]
    assert fenced.request_id == fenced.body["request_id"]


def check_bad_requests(site: Site) -> None:
    """What is wrong with a body is told with its field, before anything is asked."""
    for options, words in (
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "pilot", "content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]}, "source.url"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"extra_body": {"temperature": -1}}, "temperature"),
        ({"thinking": {"type": "enabled"}}, "budget_tokens"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
    ):
        error = raised(anthropic.BadRequestError, lambda options=options: site.ask(**options))  # type: ignore[misc]  # a default binds it
        assert error.body["error"]["type"] == "invalid_request_error"
        assert words in error.body["error"]["message"], error


def check_rates(site: Site) -> None:
    """A rate that is used up is RateLimitError and says when it opens again; too long a wait is not slept through."""
    client = site.client(api_key=site.slow_key, max_retries=2)
    client.messages.create(model=site.model, max_tokens=9, messages=HELLO)
    error = raised(
        anthropic.RateLimitError,
        lambda: site.client(api_key=site.slow_key).messages.create(model=site.model, max_tokens=9, messages=HELLO),
    )

    assert error.body["error"]["type"] == "rate_limit_error"
    assert 0 < int(error.response.headers["retry-after"]) <= 60


def check_upstreams(site: Site) -> None:
    """A provider's failure keeps its meaning: too much is RateLimitError, a failure InternalServerError."""
    for status, kind, word in (
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
    ):
        headers = simulate(status=status)
        error = raised(kind, lambda headers=headers: site.ask(extra_headers=headers))  # type: ignore[misc]  # a default binds it
        assert error.body["error"]["type"] == word
        assert error.response.headers["x-should-retry"] == "false"


def check_broken_streams(site: Site) -> None:
    """A stream that fails or is cut raises, after what came; it never ends as a finished one."""
    for mischief in (simulate(error=6), simulate(cut=6)):
        said: list[str] = []
        error = raised(anthropic.APIStatusError, lambda heard=said, how=mischief: _listen(site, heard, how))  # type: ignore[misc]  # as above
        assert (error.body["type"], error.body["error"]["type"]) == ("error", "api_error")
        assert said


def _listen(site: Site, heard: list[str], mischief: dict[str, str]) -> None:
    with site.stream(extra_headers=mischief) as stream:
        heard.extend(stream.text_stream)
