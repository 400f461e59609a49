"""A fresh gateway with nothing configured: the model that comes with Foz answers by a real engine, on each face."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.assembly.shelf import built_in
from foz.canon.deployment import TINY
from foz.testing.process import Served, start_gateway
from foz.wire.http import Headers

JSON: Headers = ((b"content-type", b"application/json"),)
HELLO = [{"role": "user", "content": "Hello!"}]


def _call(gateway: Served, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    with gateway.connect(30) as connection:
        reply = connection.call(method, path, b"" if body is None else msgspec.json.encode(body), JSON)
    return reply.status, reply.body


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway without any configuration, once its first model runs."""
    assert TINY in built_in()
    with start_gateway(tmp_path_factory.mktemp("fresh"), environment={"FOZ_LOCAL_TINY": "true"}) as one:
        one.wait_for(lambda: TINY in _names(one), "foz-tiny to run", 20)
        yield one


def _names(gateway: Served) -> list[str]:
    found: Any = msgspec.json.decode(_call(gateway, "GET", "/v1/models")[1])
    return [one["id"] for one in found["data"]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": TINY, "messages": HELLO, "temperature": 0}),
        ("/api/v1/ai/ask_sync", {"agent": TINY, "content": "Hello!"}),
        (f"/models/{TINY}/chat/completions", {"messages": HELLO, "temperature": 0}),
    ],
)
def test_it_answers_on_each_face(gateway: Served, path: str, body: dict[str, Any]) -> None:
    """A greeting is answered by foz-tiny on the face that is asked."""
    status, said = _call(gateway, "POST", path, body)
    assert status == 200, said
    assert len(said) > 5


def test_a_job_on_the_gpu_lane_is_answered(gateway: Served) -> None:
    """`POST /chat?mode=gpu`, which names no model, is a job that foz-tiny completes."""
    status, said = _call(gateway, "POST", "/chat?mode=gpu", {"message": "Olá!"})
    assert status == 202, said
    job = msgspec.json.decode(said)["job_id"]
    _, answer = _call(gateway, "GET", f"/chat/status/{job}?wait=20&until=end")
    found: Any = msgspec.json.decode(answer)
    assert found["status"] == "completed", found
    page: Any = msgspec.json.decode(_call(gateway, "GET", "/api/v1/admin/dashboard")[1])
    assert page


def test_the_greeting_names_it(gateway: Served) -> None:
    """What `foz serve` says at its start lists foz-tiny and gives a line to try it."""
    gateway.wait_for(lambda: "Models: foz-tiny" in gateway.stdout, "the greeting")
    assert '{"model":"foz-tiny"' in gateway.stdout


def test_it_is_the_only_one_that_is_listed(gateway: Served) -> None:
    """With nothing configured the list has foz-tiny, and the simulated model no more."""
    assert _names(gateway) == [TINY]


def test_who_unloads_it_has_unloaded_it(gateway: Served) -> None:
    """Unloaded, it is gone, and the next start does not bring it back."""
    assert _call(gateway, "DELETE", f"/models/local/{TINY}")[0] == 200
    gateway.wait_for(lambda: TINY not in _names(gateway), "foz-tiny to be gone")
    gateway.stop()
    with start_gateway(gateway.folder, environment={"FOZ_LOCAL_TINY": "true"}) as again:
        again.wait_for(lambda: _call(again, "GET", "/models/local/deployments")[0] == 200, "the gateway")
        listed: Any = msgspec.json.decode(_call(again, "GET", "/models/local/deployments")[1])
        assert len(listed["data"]["deployments"]) == 1
        assert _names(again) == ["simulated"]


def _greeted(folder: Path, number: int) -> Served:
    """A gateway that has said so many greetings in this folder, the last of them true, once foz-tiny runs."""
    one = start_gateway(folder, environment={"FOZ_LOCAL_TINY": "true"})
    try:
        one.wait_for(lambda: one.stdout.count("Models: ") == number, "the greeting")
        assert re.search(r"Models: foz-tiny( \(starting\))?$", one.stdout.rpartition("\nTry:")[0])
        one.wait_for(lambda: TINY in _names(one), "foz-tiny to run")
    except BaseException:
        one.stop()
        raise
    return one


def test_each_greeting_is_true(tmp_path: Path) -> None:
    """After a kill and after a stop too the greeting says that foz-tiny is there or starting, never that it failed."""
    _greeted(tmp_path, 1).kill()
    _greeted(tmp_path, 2).stop()
    _greeted(tmp_path, 3).stop()
