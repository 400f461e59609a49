"""A model of a hundred megabytes from its download to its end, and what is left when somebody is killed on the way."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing import gguf
from foz.testing.process import Served, Upstream, start_gateway, start_upstream, wait_until
from foz.testing.raw import request
from tests.e2e.deploying import (
    JSON,
    batched,
    call,
    chat,
    data,
    deployed,
    engines,
    kept,
    memory,
    no_orphan,
    programs,
    serves,
    spent,
    unloaded,
)
from tests.e2e.ground import children

SIZE = 100_000_000
"""The large model has a little more."""
SLOTS = 8
OPTIONS = {"max_batch_size": SLOTS, "context": 512}
FETCHED = {"model_type": "large", "source": "hf:rivers/large", "deployment_config": OPTIONS}
HERE = {"model_type": "large", "source": "large.gguf", "deployment_config": OPTIONS}
SIXTEEN = gguf.Shape(layers=8)
MADE = {**HERE, "source": "sixteen.gguf", "quantization": "int8"}
"""A hundred megabytes of sixteen bits, of which eight are made."""
STREAMS = 3
SMALL = {"model_type": "small", "source": "small.gguf"}
CONFIG = "[local]\nstall = 2\n"
TOKENS = 60
ROUNDS = 3
WISHES = {"downloading_weights": FETCHED, "model_initialization": MADE, "model_loading": HERE}
HALF = {"downloading_weights": 20_000_000, "model_initialization": 2_000_000}
"""Bytes."""
FIRST_PAUSE = 10.0
"""Seconds before what failed is tried again for the first time."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's folder with a model of 108 MB."""
    folder = tmp_path_factory.mktemp("hub")
    repo = folder / "hf" / "rivers" / "large"
    repo.mkdir(parents=True)
    assert gguf.write(repo / "large-Q8_0.gguf") > SIZE
    return folder


@pytest.fixture
def hub(shelf: Path, tmp_path: Path) -> Iterator[Upstream]:
    """A slow hub: 100 MB take some seconds."""
    arguments = ("--folder", str(shelf), "--pace", "0.002")
    with start_upstream(tmp_path / "hub", *arguments, program="foz.testing.hub") as one:
        yield one


def _start(folder: Path, hub: Upstream | None = None, shelf: Path | None = None) -> Served:
    """A gateway that fetches from a hub, or that has the large model and a small one in its folder."""
    models = folder / "data" / "models"
    if shelf is not None and not models.exists():
        models.mkdir(parents=True)
        (folder / "data").chmod(0o700)
        os.link(shelf / "hf/rivers/large/large-Q8_0.gguf", models / "large.gguf")
        gguf.write(models / "small.gguf", gguf.SMALL)
        gguf.write(models / "sixteen.gguf", SIXTEEN, weights="f16")
    return start_gateway(folder, config=CONFIG, environment={"HF_ENDPOINT": hub.url} if hub else {})


def _mischief(hub: Upstream, *each: dict[str, object]) -> None:
    assert call(hub, "POST", "/_mischief", each)[0] == 204


def _tell(what: str, figure: float) -> None:
    """For whoever reads along: `pytest -rP` shows it."""
    sys.stdout.write(f"{what}: {figure:.3g}\n")


def _ranges(hub: Upstream) -> list[str]:
    """Of which bytes the hub was asked, each time that it was asked for the file."""
    asked = call(hub, "GET", "/_asked")[1]
    return [one["headers"].get("range", "") for one in asked if "/cdn/" in one["path"] and one["method"] == "GET"]


def _together(gateway: Served, callers: int) -> float:
    """Seconds that so many chats at once take."""
    made: list[int] = []
    threads = [threading.Thread(target=lambda: made.append(chat(gateway, "large", TOKENS))) for _ in range(callers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [TOKENS] * callers
    return time.perf_counter() - began


def _batches(gateway: Served, engine: int) -> None:
    """Eight at once: more tokens per second than one alone, in rounds that alternate, and in fact one batch."""
    chat(gateway, "large", 2)
    wall, work = {1: 0.0, SLOTS: 0.0}, {1: 0.0, SLOTS: 0.0}
    before = after = batched(gateway, "large")
    busy = decodes = 0.0
    for _ in range(ROUNDS):
        for callers in (1, SLOTS):
            used = spent(engine)
            before = batched(gateway, "large")
            wall[callers] += _together(gateway, callers)
            after = batched(gateway, "large")
            work[callers] += spent(engine) - used
        busy, decodes = busy + after.busy - before.busy, decodes + after.decodes - before.decodes
    assert busy / decodes > SLOTS / 2, "the engine did not work at eight together"
    gain = SLOTS * work[1] / work[SLOTS]
    assert gain > 1, "tokens for each second of the engine's processor"
    _tell("slots busy in a step, of eight chats", busy / decodes)
    _tell("tokens per processor second, eight chats / one", gain)
    _tell("tokens per second of wall time, eight chats / one", SLOTS * wall[1] / wall[SLOTS])


def _unloads(gateway: Served, engine: int, before: int) -> None:
    """Unloaded in the middle of a stream: that ends well, then the memory is free and the file is gone."""
    body = {"model": "large", "messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 100}
    with gateway.connect(60) as connection:
        connection.send(request("POST", "/v1/chat/completions", msgspec.json.encode(body), JSON))
        connection.until(b"\n\n")
        data(gateway, "DELETE", "/models/local/large?purge=true")
        connection.until(b"data: [DONE]\n\n")
    gateway.wait_for(lambda: not data(gateway, "GET", "/models/local")["models"], "the model to be gone")
    wait_until(lambda: not Path(f"/proc/{engine}").exists(), "the engine's memory to be free", 1)
    assert memory(gateway.pid, *children(gateway.pid)) - before < SIZE // 2, "more than what a first download leaves"
    assert kept(gateway) == []


def test_the_whole_life_of_a_large_model(hub: Upstream, tmp_path: Path) -> None:
    """A download that stalls and is cut goes on, progress rises, eight chats are a batch, unloading frees all."""
    _mischief(hub, {"kind": "stall", "at": 20_000_000}, {"kind": "cut", "at": 30_000_000})
    with _start(tmp_path, hub) as gateway:
        before = memory(gateway.pid, *children(gateway.pid))
        over, seen = deployed(gateway, FETCHED)
        assert over["status"] == "completed", over
        assert all(one < other for one, other in pairwise(seen)), seen
        assert seen[-1] == 100
        assert len(seen) > 8
        assert _ranges(hub) == ["", "bytes=20000000-", "bytes=50000000-"]
        (engine,) = engines(gateway)
        assert memory(engine) > SIZE
        _batches(gateway, engine)
        shown = data(gateway, "GET", "/models/local/large")
        assert shown["deployment"]["memory_usage"].endswith("MB")
        assert shown["performance"]["tokens_per_second"] > 0
        _unloads(gateway, engine, before)


def test_what_comes_has_not_failed(hub: Upstream, tmp_path: Path) -> None:
    """A model that is still being fetched is not among the models yet; asked for by its name it is not failed."""
    with _start(tmp_path, hub) as gateway:
        told = data(gateway, "POST", "/models/local/deploy", FETCHED)
        gateway.wait_for(lambda: data(gateway, "GET", told["progress_url"])["progress"] > 0, "its first bytes")
        assert data(gateway, "GET", "/models/local")["models"] == []
        assert data(gateway, "GET", "/models/local/large")["status"] == "unhealthy"
        unloaded(gateway, "large")
        assert kept(gateway) == []


def _begun(folder: Path) -> int:
    """Bytes of what is half fetched or half made."""
    return sum(part.stat().st_size for part in folder.rglob("*.partial"))


def _killed_at(gateway: Served, url: str, stage: str) -> float:
    """Kills a gateway, and all that is its own, in the middle of this stage; the second at which that was."""

    def there() -> bool:
        has = stage == "model_loading" or _begun(gateway.folder) > HALF[stage]
        return bool(has and data(gateway, "GET", url)["current_stage"] == stage)

    gateway.wait_for(there, stage, 60)
    gateway.kill()
    return time.monotonic()


@pytest.mark.parametrize("stage", ["downloading_weights", "model_initialization", "model_loading"])
def test_a_gateway_that_is_killed_on_the_way_goes_on(hub: Upstream, shelf: Path, tmp_path: Path, stage: str) -> None:
    """Killed while it downloads, converts or loads, a gateway leaves no process; its successor ends what it began."""
    fetches = stage == "downloading_weights"
    first = _start(tmp_path, *((hub,) if fetches else (None, shelf)))
    try:
        told = data(first, "POST", "/models/local/deploy", WISHES[stage])
        killed = _killed_at(first, told["progress_url"], stage)
    finally:
        first.kill()
    _tell("seconds until nothing was left of it", no_orphan(first))
    had = _begun(tmp_path)
    with _start(tmp_path, hub if fetches else None) as second:
        _tell("seconds until a gateway was ready again", time.monotonic() - killed)
        second.wait_for(lambda: serves(second, "large"), "the model", 60)
        _tell("seconds until the model answered", time.monotonic() - killed)
        assert len(engines(second)) == 1
    assert no_orphan(second) < 2
    if fetches:
        assert _ranges(hub) == ["", f"bytes={had}-"]


def _streams(gateway: Served, model: str, engine: int) -> list[bytes]:
    """The rests of some streams, each of which has begun when their engine is killed."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 2_000}
    with ExitStack() as stack:
        connections = [stack.enter_context(gateway.connect(20)) for _ in range(STREAMS)]
        for connection in connections:
            connection.send(request("POST", "/v1/chat/completions", msgspec.json.encode(body), JSON))
        for connection in connections:
            connection.until(b"\n\n")
        os.kill(engine, signal.SIGKILL)
        return [connection.rest() for connection in connections]


def _failed_at(gateway: Served, url: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def failed() -> bool:
        found.update(data(gateway, "GET", url))
        return bool(found["status"] == "failed")

    gateway.wait_for(failed, "the failure", 5)
    return found


def _killed(gateway: Served, url: str, module: bytes, but: int = 0) -> dict[str, Any]:
    """Kills a program of a deployment as soon as it is there; how the deployment has failed of it."""
    found: list[int] = []

    def there() -> bool:
        found[:] = [pid for pid, command in programs(gateway).items() if module in command and pid != but]
        return bool(found)

    gateway.wait_for(there, module.decode(), 20)
    os.kill(found[0], signal.SIGKILL)
    return _failed_at(gateway, url)


def test_what_is_killed_comes_back_by_itself(shelf: Path, tmp_path: Path) -> None:
    """An engine in the middle of streams, one that loads and a conversion, killed, run again some ten seconds later."""
    with _start(tmp_path, shelf=shelf) as gateway:
        deployed(gateway, SMALL)
        (small,) = engines(gateway)
        wishes = {"model_loading": HERE, "model_initialization": {**MADE, "model_type": "made"}}
        for (stage, wish), module in zip(wishes.items(), (b"llamacpp.child", b"eight_program"), strict=True):
            told = data(gateway, "POST", "/models/local/deploy", wish)
            one = _killed(gateway, told["progress_url"], module, but=small)
            assert (one["current_stage"], "signal 9" in one["error"], bool(one["next_try"])) == (stage, True, True), one
            assert data(gateway, "GET", f"/models/local/{wish['model_type']}")["status"] == "failed"
        rests = _streams(gateway, "small", small)
        killed = time.monotonic()
        assert [(b"[DONE]" in rest, b"upstream_cut" in rest) for rest in rests] == [(False, True)] * STREAMS
        gateway.wait_for(lambda: serves(gateway, "small"), "the small model", FIRST_PAUSE + 10)
        back = time.monotonic() - killed
        assert back >= FIRST_PAUSE - 1
        _tell("seconds until an engine killed in a stream answered again", back)
        gateway.wait_for(lambda: serves(gateway, "large") and serves(gateway, "made"), "the others", 20)
        assert len(engines(gateway)) == len(programs(gateway)) == 3
        assert _begun(tmp_path) == 0
    assert no_orphan(gateway) < 2
