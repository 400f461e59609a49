"""What the SDK raises."""

from collections.abc import Callable
from typing import Any

import httpx
import ollama

from tests.e2e.sdk_ollama.site import HELLO, Site


def _refused(ask: Callable[[], Any]) -> tuple[int, str]:
    try:
        ask()
    except ollama.ResponseError as error:
        return error.status_code, error.error
    return 200, ""


def check_unknown_model(site: Site) -> None:
    """A model that nobody knows is 404 and told as not found, wherever it is asked for; in test mode all are known."""
    client, name = site.with_key(site.fenced_key), "nobody/knows/it"
    expected = (200, "") if site.setup == "simulated" else (404, "model not found: ")
    for ask in (
        lambda: site.client().chat(name, HELLO),
        lambda: site.client().generate(name, "x"),
        lambda: site.client().embed(name, "x"),
        lambda: site.client().show(name),
        lambda: client.chat("org/other", HELLO),
    ):
        status, words = _refused(ask)
        assert (status, words[:17]) == expected


def check_keys(site: Site) -> None:
    """A key that is none is 401, one that may not ask for this model 403, and its own models are all that it sees."""
    fenced = site.with_key(site.fenced_key)

    assert _refused(lambda: site.with_key("sk-nobodys").list())[0] == 401
    assert _refused(lambda: fenced.chat(site.model, HELLO))[0] == 403
    assert fenced.chat(site.odd_model, HELLO).done
    assert [model.model for model in fenced.list().models] == [site.odd_model]


def check_wrong_bodies(site: Site) -> None:
    """What cannot be is 400, with the place where it is."""
    client = site.client()
    for ask, words in (
        (lambda: client.chat(site.model, HELLO, think="much"), "think"),
        (lambda: client.chat(site.model, [{"role": "pilot", "content": "x"}]), "messages[0].role"),
        (lambda: client.generate(site.model, "x", raw=True, system="y"), "raw mode"),
        (lambda: client.chat(site.model, HELLO, options={"temperature": "hot"}), "options.temperature"),
        (lambda: client.generate(site.model, "x", images=["AAA"]), ""),
    ):
        try:
            status, told = _refused(ask)
        except ValueError:
            continue  # the SDK itself sees it
        assert (status, words in told) == (400, True), told


def check_upstream_faults(site: Site) -> None:
    """What a target refuses is told by its status, but for the gateway's own key; streamed and whole alike."""
    for status, told in ((400, 400), (401, 502), (404, 404), (429, 429), (500, 502)):
        for stream in (False, True):
            client = site.client(status=status)
            assert _refused(lambda: list(client.chat(site.model, HELLO, stream=stream)))[0] == told  # noqa: B023 - asked at once


def check_broken_streams(site: Site) -> None:
    """A stream that breaks off raises in its middle, and so does one that is cut; neither is ever done."""
    for mischief, raised in (({"error": 3}, {-1}), ({"cut": 3}, {-1, 0})):
        parts: list[Any] = []
        status = 200
        try:
            parts.extend(site.client(**mischief).chat(site.model, HELLO, stream=True))
        except ollama.ResponseError as error:
            status = error.status_code
        except httpx.TransportError:
            status = 0
        assert status in raised
        assert parts
        assert not any(part.done for part in parts)


def check_lives(site: Site) -> None:
    """What is there is pulled; a provider's model is not pushed, copied, changed or deleted, and the words say why."""
    client = site.client()
    assert client.pull(site.model).status == "success"
    assert [part.status for part in client.pull(site.model, stream=True)] == ["pulling manifest", "success"]
    for ask, why in (
        (lambda: client.push(site.model), "Foz pushes no models"),
        (lambda: client.create("mine", from_=site.model, system="Be brief."), "system cannot be made part"),
        (lambda: client.copy(site.model, "mine"), "cannot be copied here"),
        (lambda: client.delete(site.model), "cannot be deleted here"),
    ):
        status, words = _refused(ask)
        assert (status, why in words) == (400, True), words
