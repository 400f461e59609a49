"""Jobs as callers see them, over real sockets, on both topologies; and what they see while a server is away."""

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing.process import Served, Upstream, start_upstream, wait_until
from tests.e2e.works import ACCEPTED, House, ask, ended, events, submit

WORDS = "Where do rivers end?"
HEALTHY = 0.1
"""Seconds that `/health` may take, whatever is away."""
DEADLINE = 2.0
"""`[scale] deadline`, as it is by default."""
BOTH = pytest.mark.parametrize("house", ["embedded", "scale"], indirect=True, ids=lambda name: name)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as served:
        yield served


@pytest.fixture(scope="module")
def house(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[House]:
    """One topology, for all tests of this file."""
    with ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("house"), upstream.port, stack, scale=request.param == "scale")


@BOTH
def test_one_key_over_two_gateways_and_a_restart(house: House, upstream: Upstream) -> None:
    """Fifty submissions with one key at once over two gateways are one job, also after both were started again."""
    said = {"message": WORDS, "idempotency_key": f"key-{time.time_ns()}"}
    second = house.another()
    with ThreadPoolExecutor(50) as pool:
        told = list(pool.map(lambda number: submit((house.gateway, second)[number % 2], said), range(50)))
    second.stop()
    house.kill("gateway")
    house.revive("gateway")
    again = submit(house.gateway, said)
    refused, _ = ask(house.gateway, "POST", "/chat", {**said, "message": "Something else"})

    assert {one["job_id"] for one in (*told, again)} == {again["job_id"]}
    assert again["idempotency_key"] == said["idempotency_key"]
    assert refused.status == 422
    assert ended(house.gateway, again["job_id"])["status"] == "completed"


@BOTH
def test_a_stream_resumed_a_hundred_times_is_the_stream(house: House) -> None:
    """What a hundred connections bring, each leaving after a few events and coming back, is what one brings."""
    headers = ((b"x-simulate-pace", b"0.01"), (b"x-simulate-words", b"200"))
    job = submit(house.gateway, {"message": WORDS}, headers)
    path = f"/chat/stream/{job['job_id']}"
    parts: list[tuple[str, str]] = []
    resumed = 0
    while resumed < 100:
        parts += events(house.gateway, path, parts[-1][0] if parts else "", 2)
        resumed += 1
    parts += events(house.gateway, path, parts[-1][0], None)
    whole = events(house.gateway, path, "", None)
    words = "".join(msgspec.json.decode(data).get("text", "") for _, data in parts)

    assert parts == whole
    assert words == ended(house.gateway, job["job_id"])["result"]["response"]
    assert len(whole) > 150


@BOTH
def test_a_response_in_the_background_is_a_job(house: House) -> None:
    """One that goes on from another is made by whoever works at jobs, with all that was said, and is gone on from."""
    path, said = "/v1/responses", {"model": "public", "input": WORDS}

    def made(**more: object) -> dict[str, Any]:
        reply, told = ask(house.gateway, "POST", path, {**said, **more})
        assert reply.status == 200, told
        return dict(told)

    def looked() -> dict[str, Any]:
        reply, told = ask(house.gateway, "GET", f"{path}/{accepted['id']}")
        assert reply.status == 200, told
        return dict(told)

    first = made()
    accepted = made(background=True, previous_response_id=first["id"])
    wait_until(lambda: looked()["status"] not in {"queued", "in_progress"}, "the response's end", 20)
    queued = looked()
    then = made(previous_response_id=queued["id"])
    tokens = [one["usage"]["input_tokens"] for one in (first, queued, then)]

    assert (accepted["status"], queued["status"]) == ("queued", "completed")
    assert tokens == sorted(set(tokens))


@BOTH
def test_an_engine_that_dies_in_the_middle_hands_over_to_api(house: House, tmp_path: Path) -> None:
    """A gpu target that is killed in the middle of an auto job costs nothing: api does it, and the status says so."""
    with ExitStack() as stack:
        engine = stack.enter_context(start_upstream(tmp_path / "engine"))
        bought = stack.enter_context(start_upstream(tmp_path / "bought"))
        place = house.beside(stack, tmp_path, engine.port, bought.port)
        job = submit(place, {"message": WORDS}, ((b"x-simulate-pace", b"0.2"),))
        first = events(place, f"/chat/stream/{job['job_id']}", "", 2)
        engine.kill()
        told = ended(place, job["job_id"])
        forced, why = ask(place, "POST", "/chat?mode=gpu", {"message": "Is anybody there?"})

        assert [id.partition(".")[0] for id, _ in first] == ["1", "1"]
        assert (told["status"], told["result"]["mode"]) == ("completed", "api")
        assert WORDS in told["result"]["response"]
        assert forced.status in {202, 503}, why


@pytest.mark.parametrize("house", ["scale"], indirect=True)
@pytest.mark.parametrize("trouble", ["frozen", "blocked", "killed", "redis frozen", "redis killed"])
def test_submissions_are_refused_in_time_and_health_goes_on(
    house: House, trouble: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """While a server is away submissions get 503 within the deadline and /health answers; then all works by itself."""
    redis, rabbit = house.redis, house.rabbit
    begin, end = {
        "frozen": (rabbit.freeze, rabbit.thaw),
        "blocked": (rabbit.alarm, rabbit.calm),
        "killed": (rabbit.kill, rabbit.start),
        "redis frozen": (redis.freeze, redis.thaw),
        "redis killed": (redis.kill, redis.start),
    }[trouble]
    submit(house.gateway, {"message": WORDS})
    waits, stop = list[float](), threading.Event()
    watch = threading.Thread(target=watch_health, args=(house.gateway, waits, stop))
    begin()
    try:
        watch.start()
        took = [refused(house.gateway) for _ in range(3)]
        modes = ask(house.gateway, "GET", "/chat/info")[1]["modes"]
    finally:
        stop.set()
        watch.join()
        end()
    wait_until(lambda: status(house.gateway) == ACCEPTED, "it to accept jobs again", 60.0)
    job = submit(house.gateway, {"message": WORDS})
    assert ended(house.gateway, job["job_id"])["status"] == "completed"
    usual, slowest = sorted(waits)[len(waits) * 95 // 100], max(waits)
    health = f"/health p95 {usual * 1000:.1f} ms, slowest {slowest * 1000:.0f} ms"
    with capsys.disabled():
        sys.stdout.write(f"\n  {trouble}: refused within {max(took):.2f} s, {health}")
    assert [(modes[mode]["available"], bool(modes[mode]["reason"])) for mode in modes] == [(False, True)] * 2
    assert max(took) < DEADLINE + 1.0
    assert usual < HEALTHY
    assert slowest < 1.0  # the machine that tests may be busy for a moment


def status(gateway: Served) -> int:
    """What a submission comes to."""
    return ask(gateway, "POST", "/chat", {"message": WORDS})[0].status


def refused(gateway: Served) -> float:
    """A submission that is refused for now; the seconds that it took."""
    since = time.monotonic()
    reply, told = ask(gateway, "POST", "/chat", {"message": WORDS})
    assert (reply.status, set(told)) == (503, {"detail"}), told
    return time.monotonic() - since


def watch_health(gateway: Served, waits: list[float], stop: threading.Event) -> None:
    """Asks again and again, and notes how long each answer takes."""
    with gateway.connect() as connection:
        while not stop.is_set():
            since = time.monotonic()
            assert connection.call("GET", "/health").status == 200
            waits.append(time.monotonic() - since)
            stop.wait(0.01)
