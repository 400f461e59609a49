"""A model of a hundred megabytes from its download to its end, and what is left when somebody is killed on the way."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing import gguf
from foz.testing.process import Served, Upstream, start_gateway, start_upstream, wait_until
from foz.wire.http import Headers

JSON: Headers = ((b"content-type", b"application/json"),)
WISH = {
    "model_type": "large",
    "source": "hf:rivers/large",
    "deployment_config": {"max_batch_size": 8, "context": 512},
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's folder with a model of 108 MB."""
    folder = tmp_path_factory.mktemp("hub")
    repo = folder / "hf" / "rivers" / "large"
    repo.mkdir(parents=True)
    gguf.write(repo / "large-Q8_0.gguf")
    return folder


@pytest.fixture
def hub(shelf: Path, tmp_path: Path) -> Iterator[Upstream]:
    """A slow hub: 100 MB take some seconds."""
    arguments = ("--folder", str(shelf), "--pace", "0.002")
    with start_upstream(tmp_path / "hub", *arguments, program="foz.testing.hub") as one:
        yield one


def _start(folder: Path, hub: Upstream) -> Served:
    return start_gateway(folder, environment={"HF_ENDPOINT": hub.url})


def _call(gateway: Served, method: str, path: str, body: object = None) -> tuple[int, Any]:
    with gateway.connect(60) as connection:
        reply = connection.call(method, path, b"" if body is None else msgspec.json.encode(body), JSON)
    return reply.status, msgspec.json.decode(reply.body)


def _data(gateway: Served, method: str, path: str, body: object = None) -> Any:
    status, said = _call(gateway, method, path, body)
    assert status == 200, said
    return said["data"]


def _engines(gateway: Served) -> list[int]:
    """The engines of this gateway, and of those before it in its folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, seen = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"foz.runtime.llamacpp.child" in command and f"HOME={gateway.folder}".encode() in seen:
            found.append(int(folder.name))
    return found


def _memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _chat(gateway: Served, tokens: int) -> int:
    """Tokens of an answer."""
    body = {"model": "large", "messages": [{"role": "user", "content": "hi"}], "max_tokens": tokens}
    status, said = _call(gateway, "POST", "/v1/chat/completions", body)
    assert status == 200, said
    made: int = said["usage"]["completion_tokens"]
    return made


def _spent(pid: int) -> float:
    """Seconds of a processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _speed(gateway: Served, engine: int, callers: int) -> float:
    """Tokens per second of the engine's own time, of so many callers at once: others use this machine too."""
    made: list[int] = []
    threads = [threading.Thread(target=lambda: made.append(_chat(gateway, 100))) for _ in range(callers)]
    before = _spent(engine)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [100] * callers
    return sum(made) / (_spent(engine) - before)


def _mischief(hub: Upstream, *each: dict[str, object]) -> None:
    with hub.connect() as connection:
        assert connection.call("POST", "/_mischief", msgspec.json.encode(each), JSON).status == 204


def test_the_whole_life_of_a_large_model(hub: Upstream, tmp_path: Path) -> None:
    """A download that is cut goes on, progress rises to 100, eight chats are batched, unloading frees the memory."""
    _mischief(hub, {"kind": "cut", "at": 30_000_000})
    with _start(tmp_path, hub) as gateway:
        told = _data(gateway, "POST", "/models/local/deploy", WISH)
        seen: list[dict[str, Any]] = []

        def over() -> bool:
            seen.append(_data(gateway, "GET", told["progress_url"]))
            return str(seen[-1]["status"]) != "in_progress"

        gateway.wait_for(over, "the deployment", 60)
        assert seen[-1]["status"] == "completed", seen[-1]
        figures = [one["progress"] for one in seen]
        assert figures == sorted(figures)
        assert figures[-1] == 100
        assert len(set(figures)) > 10
        assert any(one["estimated_completion"] for one in seen)
        (engine,) = _engines(gateway)
        assert _memory(engine) > 100_000_000
        _chat(gateway, 5)
        assert _speed(gateway, engine, 8) > _speed(gateway, engine, 1)
        shown = _data(gateway, "GET", "/models/local/large")
        assert shown["deployment"]["memory_usage"].endswith("MB")
        assert shown["performance"]["tokens_per_second"] > 0
        _data(gateway, "DELETE", "/models/local/large?purge=true")
        gateway.wait_for(lambda: not _data(gateway, "GET", "/models/local")["models"], "the model to be gone")
        wait_until(lambda: not Path(f"/proc/{engine}").exists(), "the engine's memory to be free", 1)
        assert list((tmp_path / "data" / "models").rglob("*.gguf")) == []


@pytest.mark.parametrize("stage", ["downloading_weights", "model_loading"])
def test_a_gateway_that_is_killed_on_the_way_goes_on(hub: Upstream, tmp_path: Path, stage: str) -> None:
    """Killed while it downloads or loads, a gateway leaves no engine, and its successor ends what it began."""
    first = _start(tmp_path, hub)
    try:
        told = _data(first, "POST", "/models/local/deploy", WISH)

        def there() -> bool:
            one = _data(first, "GET", told["progress_url"])
            return bool(one["current_stage"] == stage and one["progress"] > 5)

        first.wait_for(there, stage, 60)
    finally:
        first.kill()
    wait_until(lambda: not _engines(first), "the engine to be gone", 2)
    with hub.connect() as connection:
        before = len(msgspec.json.decode(connection.call("GET", "/_asked").body))
    with _start(tmp_path, hub) as second:

        def active() -> bool:
            status, said = _call(second, "GET", "/models/local/large")
            return bool(status == 200 and said["data"]["status"] == "active")

        second.wait_for(active, "the model", 60)
        assert _chat(second, 3) == 3
    with hub.connect() as connection:
        asked = msgspec.json.decode(connection.call("GET", "/_asked").body)[before:]
    ranges = [one["headers"].get("range") for one in asked if "/cdn/" in one["path"]]
    if stage == "downloading_weights":
        assert ranges
        assert all(one and one.startswith("bytes=") and one != "bytes=0-" for one in ranges)
    else:
        assert ranges == []


def test_an_engine_killed_while_it_loads_is_tried_again(hub: Upstream, tmp_path: Path) -> None:
    """An engine that is killed while it loads fails its deployment at that stage, which says when it is tried again."""
    with _start(tmp_path, hub) as gateway:
        told = _data(gateway, "POST", "/models/local/deploy", WISH)
        found: list[int] = []

        def loads() -> bool:
            found[:] = _engines(gateway)
            return bool(found)

        gateway.wait_for(loads, "an engine", 60)
        os.kill(found[0], signal.SIGKILL)

        def failed() -> bool:
            return str(_data(gateway, "GET", told["progress_url"])["status"]) == "failed"

        gateway.wait_for(failed, "the failure", 5)
        one = _data(gateway, "GET", told["progress_url"])
        assert one["current_stage"] == "model_loading"
        assert "signal 9" in one["error"]
        assert one["next_try"]
        _data(gateway, "POST", f"{told['progress_url']}/retry")
        gateway.wait_for(
            lambda: _data(gateway, "GET", told["progress_url"])["status"] == "completed", "the second try", 20
        )
