"""
The Nemotron Chat API over a real socket: seed 000's examples as they are written, a GPU before NVIDIA, events that are
followed, broken off and followed again.

Both upstreams are fakes of NVIDIA's: `own` is served by ourselves and misbehaves as it is told, `nvidia` is the vendor.
"""

import random
import re
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.skins.nemotron import examples
from foz.testing.process import Served, Upstream, start_gateway, start_upstream
from foz.testing.raw import RawConnection
from foz.testing.raw import request as sent
from foz.testing.servers import shared_rabbit, shared_redis
from foz.wire.http import Headers, Reply
from foz.wire.sse import Decoder, Frame

USER, ADMIN = "sk-nemotron-user-01", "sk-nemotron-admin-01"
NEMOTRON = "nvidia/llama-3.3-nemotron-super-49b-v1.5"
NVIDIA = """
[[provider]]
name = "nvidia"
base_url = "http://127.0.0.1:{nvidia}/v1"
models = ""

[retries]
attempts = 1

[breaker]
failures = 1000

[jobs]
attempts = 1
"""
OWN = (
    """
[[provider]]
name = "own"
base_url = "http://127.0.0.1:{own}/v1"
secret = "OWN_KEY"
placement = "gpu"
quirks = ["max_tokens", "families"]
forwards = ["x-simulate-"]

[[model]]
name = "simple"
targets = [{{ provider = "own", model = "meta/llama-3.1-8b-instruct" }}, "nvidia/meta/llama-3.1-8b-instruct"]
"""
    + NVIDIA
)
ENVIRONMENT = {"NVIDIA_API_KEY": "nvapi-vendor", "OWN_KEY": "nvapi-own", "API_KEY": USER, "FOZ_ADMIN_KEY": ADMIN}
JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def bearer(key: str = USER) -> Headers:
    return ((b"authorization", f"Bearer {key}".encode()),)


def simulating(**how: object) -> Headers:
    named = ((f"x-simulate-{name.replace('_', '-')}".encode(), str(value).encode()) for name, value in how.items())
    return (*bearer(), *named)


MINE = bearer()


class House:
    """A gateway with a GPU of its own, and NVIDIA behind it."""

    def __init__(self, gateway: Served, own: Upstream, nvidia: Upstream) -> None:
        self.gateway = gateway
        self.own = own
        self.nvidia = nvidia

    def call(self, method: str, path: str, body: bytes = b"", headers: Headers = MINE) -> Reply:
        """One request over a connection of its own."""
        with self.gateway.connect(30) as connection:
            return connection.call(method, path, body, headers)

    def submit(self, body: bytes, query: str = "", headers: Headers = MINE) -> str:
        """Asserts that it is accepted, and gives the job's id."""
        reply = self.call("POST", f"/chat{query}", body, headers)
        assert reply.status == 202, reply.body
        told = msgspec.json.decode(reply.body)
        assert list(told) == ["job_id", "status", "idempotency_key"]
        assert JOB_ID.fullmatch(told["job_id"])
        assert reply.header(b"location") == f"/chat/status/{told['job_id']}".encode()
        return str(told["job_id"])

    def status(self, id: str, query: str = "", headers: Headers = MINE) -> dict[str, Any]:
        """How it stands."""
        reply = self.call("GET", f"/chat/status/{id}{query}", headers=headers)
        assert reply.status == 200, reply.body
        told: dict[str, Any] = msgspec.json.decode(reply.body)
        assert told["job_id"] == id
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["created_at"])
        return told

    def end(self, id: str, headers: Headers = MINE) -> dict[str, Any]:
        """How it stands once it is over."""
        while (told := self.status(id, "?wait=20", headers))["status"] in {"pending", "processing"}:
            assert told["result"] is None
        return told

    def events(self, id: str, after: str = "", headers: Headers = MINE) -> list[Frame]:
        """All of a job's events after one, to the end."""
        last: Headers = ((b"last-event-id", after.encode()),) if after else ()
        reply = self.call("GET", f"/chat/stream/{id}", headers=(*headers, *last))
        assert (reply.status, reply.header(b"content-type")) == (200, b"text/event-stream; charset=utf-8")
        return Decoder().feed(reply.body)

    def targets(self, id: str) -> list[str]:
        """Who was asked for a job, in order, by the ledger."""
        with closing(sqlite3.connect(f"file:{self.gateway.folder}/data/foz.db?mode=ro", uri=True)) as books:
            query = (
                "SELECT attempts.target FROM attempts JOIN entries ON entry_id = entries.id WHERE job_id = ?"
                " ORDER BY attempts.at, number"
            )
            return [str(row[0]) for row in books.execute(query, (id.replace("-", ""),))]


@pytest.fixture(scope="module")
def upstreams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Upstream, Upstream]]:
    with (
        start_upstream(tmp_path_factory.mktemp("own"), program="foz.testing.nvidia") as own,
        start_upstream(tmp_path_factory.mktemp("nvidia"), program="foz.testing.nvidia") as nvidia,
    ):
        yield own, nvidia


@pytest.fixture(scope="module", params=["embedded", "scale"])
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstreams: tuple[Upstream, Upstream]
) -> Iterator[House]:
    """On both topologies."""
    own, nvidia = upstreams
    folder = tmp_path_factory.mktemp("gateway")
    config, where = OWN.format(own=own.port, nvidia=nvidia.port), dict(ENVIRONMENT)
    if request.param == "scale":
        config += "gpu_workers = 4\napi_workers = 32\n"
        where |= {"RABBITMQ_URL": shared_rabbit(), "REDIS_URL": shared_redis().rpartition("/")[0] + "/6"}
    with start_gateway(folder, config=config, environment=where) as gateway:
        found = House(gateway, own, nvidia)
        gateway.wait_for(lambda: info(found)["gpu"]["models"] != ["simple"], "what the GPU has")
        yield found
        assert "Traceback" not in gateway.stderr, gateway.said()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, upstreams: tuple[Upstream, Upstream]) -> Iterator[House]:
    """A gateway with nothing but a key of NVIDIA's."""
    own, nvidia = upstreams
    folder = tmp_path_factory.mktemp("alone")
    with start_gateway(folder, config=NVIDIA.format(nvidia=nvidia.port), environment=ENVIRONMENT) as gateway:
        yield House(gateway, own, nvidia)


def said(text: str = "Onde os rios terminam? 🌊", **more: object) -> bytes:
    return msgspec.json.encode({"message": text, **more})


def info(house: House) -> dict[str, Any]:
    """The modes of `GET /chat/info`."""
    told = msgspec.json.decode(house.call("GET", "/chat/info").body)
    assert told["default_mode"] == "auto"
    modes: dict[str, Any] = told["modes"]
    return modes


def refused(reply: Reply, status: int) -> Any:
    """Asserts FastAPI's form of a fault, and gives its detail."""
    assert reply.status == status, reply.body
    assert reply.header(b"content-type") == b"application/json"
    told = msgspec.json.decode(reply.body)
    assert list(told) == ["detail"]
    return told["detail"]


def text_of(frames: list[Frame], member: str = "text") -> str:
    """What the pieces say together."""
    return "".join(msgspec.json.decode(one.data).get(member, "") for one in frames if one.event == b"piece")


# The seed's examples, as they are written.


def test_seed_000_the_least_request(house: House) -> None:
    """Seed 000, Formato das requisições: the least request becomes a job, pending, with a key of its own."""
    reply = house.call("POST", "/chat", examples.MINIMAL)
    told = msgspec.json.decode(reply.body)

    assert (reply.status, told["status"]) == (202, "pending")
    assert told["idempotency_key"]
    assert house.end(told["job_id"])["status"] == "completed"


def test_seed_000_the_whole_request(house: House) -> None:
    """Seed 000, Formato das requisições: with every field, the model thinks, and the thoughts are not its answer."""
    reply = house.call("POST", "/chat", examples.CHAT)
    told = msgspec.json.decode(reply.body)
    result = house.end(told["job_id"])["result"]
    thoughts = text_of(house.events(told["job_id"]), "reasoning")

    assert told["idempotency_key"] == "uuid-gerado-pelo-cliente"
    assert "Olá, como você está?" in result["response"]
    assert thoughts
    assert thoughts not in result["response"]
    assert "<think>" not in result["response"]


@pytest.mark.parametrize(
    ("query", "mode"), [("", "gpu"), ("?mode=auto", "gpu"), ("?mode=gpu", "gpu"), ("?mode=api", "api")]
)
def test_seed_000_the_modes(house: House, query: str, mode: str) -> None:
    """Seed 000, Modo de Execução: auto prefers the GPU, gpu and api take only that; the result says who served."""
    id = house.submit(said(), query)
    told = house.end(id)

    assert list(told) == ["job_id", "status", "created_at", "result"]
    assert list(told["result"]) == ["response", "mode", "latency_ms"]
    assert told["result"]["mode"] == mode
    assert told["result"]["latency_ms"] > 0
    (target,) = house.targets(id)
    assert target.startswith("own/" if mode == "gpu" else f"nvidia/{NEMOTRON}")
    assert "nemotron" in target


def test_seed_000_without_a_gpu(alone: House) -> None:
    """Seed 000, Modo de Execução: without a GPU, gpu is 503 and says why, auto and api are NVIDIA's."""
    detail = refused(alone.call("POST", "/chat?mode=gpu", examples.MINIMAL), 503)

    assert f"nvidia/{NEMOTRON} is api, not gpu" in detail
    for query in ("", "?mode=auto", "?mode=api"):
        assert alone.end(alone.submit(said(), query))["result"]["mode"] == "api"


def test_seed_000_the_answer_comes_at_once(house: House) -> None:
    """Seed 000, Resposta Assíncrona: a job of an upstream that says nothing for long is accepted all the same."""
    id = house.submit(said(model="simple"), headers=simulating(hang=0))

    assert house.status(id)["status"] in {"pending", "processing"}
    house.call("DELETE", f"/chat/{id}")


def test_seed_000_processing_and_completed(house: House) -> None:
    """Seed 000, Consultar Status do Job: while it is worked at the result is null; then it is there, to the letter."""
    id = house.submit(said(model="simple"), headers=simulating(pace=0.05))
    house.gateway.wait_for(lambda: house.status(id)["status"] == "processing", "the job to be worked at")
    reply = house.call("GET", f"/chat/status/{id}")
    told = msgspec.json.decode(reply.body)

    assert msgspec.json.format(reply.body, indent=2) == examples.PROCESSING.replace(
        examples.JOB.encode(), id.encode()
    ).replace(b"2026-02-02T10:30:00Z", told["created_at"].encode())
    done = house.end(id)
    assert (done["status"], done["created_at"]) == ("completed", told["created_at"])
    assert done["result"]["response"].startswith("This is Foz's simulated model.")


def test_seed_000_failed(house: House) -> None:
    """Seed 000, Consultar Status do Job: a job whose model refuses has failed: an error, and no result."""
    id = house.submit(said(model="simple"), "?mode=gpu", simulating(status=400))
    told = house.end(id)

    assert list(told) == ["job_id", "status", "created_at", "error"]
    assert told["status"] == "failed"
    assert "400" in told["error"]


def test_seed_000_what_the_modes_have(house: House) -> None:
    """Seed 000, Endpoints disponíveis: `/chat/info` says of both modes who answers, and that they can be asked."""
    modes = info(house)

    assert list(modes) == ["gpu", "api"]
    for mode in modes.values():
        members = ["available", "reason", "models", "device", "queue_depth", "workers", "reasoning"]
        assert list(mode) == members
        assert (mode["available"], mode["reason"], mode["reasoning"]) == (True, None, True)
        assert mode["models"][0] == "nemotron"
        assert "simple" in mode["models"]
        assert not [name for name in mode["models"] if "embed" in name]
        assert mode["queue_depth"] >= 0


def test_seed_000_what_is_missing_is_said(alone: House) -> None:
    """Seed 000, Endpoints disponíveis: a mode that cannot be asked says why, and has no models."""
    modes = info(alone)

    assert (modes["gpu"]["available"], modes["gpu"]["models"]) == (False, [])
    assert f"nvidia/{NEMOTRON} is api, not gpu" in modes["gpu"]["reason"]
    assert (modes["api"]["available"], modes["api"]["models"]) == (True, ["nemotron"])
    assert modes["api"]["device"] is None


def test_seed_000_without_anything(tmp_path: Path) -> None:
    """Seed 000, Endpoints disponíveis: a fresh machine answers in both modes, and says that it is a simulation."""
    with start_gateway(tmp_path) as gateway, gateway.connect() as connection:
        for mode in ("auto", "gpu", "api"):
            reply = connection.call("POST", f"/chat?mode={mode}", examples.MINIMAL)
            place = (reply.header(b"location") or b"").decode()
            while b'"result":null' in (status := connection.call("GET", f"{place}?wait=5").body):
                pass
            result = msgspec.json.decode(status)["result"]
            assert "simulated model" in result["response"]
            assert result["mode"] == ("api" if mode == "api" else "gpu")


def test_seed_000_swagger(house: House) -> None:
    """Seed 000, Endpoints disponíveis: /docs knows each path, and the three modes of `POST /chat`."""
    paths = msgspec.json.decode(house.call("GET", "/openapi.json").body)["paths"]

    for path in ("/chat", "/chat/status/{job_id}", "/chat/info", "/chat/stream/{job_id}", "/chat/jobs"):
        assert path in paths
    (mode,) = (one for one in paths["/chat"]["post"]["parameters"] if one["name"] == "mode")
    assert (mode["in"], mode["schema"]["enum"], mode["schema"]["default"]) == ("query", ["auto", "gpu", "api"], "auto")
    assert paths["/chat"]["post"]["requestBody"]["content"]["application/json"]["example"] == msgspec.json.decode(
        examples.CHAT
    )


# What is refused.


def test_a_bad_mode_and_a_bad_body_are_422(house: House) -> None:
    """FastAPI's form names the place of what is wrong; a job that nobody knows is 404."""
    (mode,) = refused(house.call("POST", "/chat?mode=cpu", examples.MINIMAL), 422)
    (field,) = refused(house.call("POST", "/chat", b'{"max_tokens": 5}'), 422)
    (limit,) = refused(house.call("GET", "/chat/jobs?limit=none"), 422)

    assert (mode["loc"], field["loc"], limit["loc"]) == (["query", "mode"], ["body", "message"], ["query", "limit"])
    assert (field["type"], limit["type"]) == ("missing", "int_parsing")
    for method, path in (("GET", "status/"), ("GET", "stream/"), ("DELETE", "")):
        assert "no job" in refused(house.call(method, f"/chat/{path}{examples.JOB}"), 404)
    assert "does not exist" in refused(house.call("POST", "/chat", said(model="estuary")), 404)


def test_a_model_that_cannot_think_is_not_asked_to(house: House) -> None:
    """With `use_reasoning`, a GPU whose model cannot think is 422; auto takes a target that can."""
    config = (house.gateway.folder / "foz.toml").read_text()
    config += '\n[nemotron]\nmodel = "both"\n[[model]]\nname = "both"\n'
    config += f'targets = ["own/EleutherAI/gpt-neo-2.7B", "nvidia/{NEMOTRON}"]\n'
    folder = house.gateway.folder.with_name("cannot-think")
    with start_gateway(folder, config=config, environment=ENVIRONMENT) as gateway:
        other = House(gateway, house.own, house.nvidia)
        (problem,) = refused(other.call("POST", "/chat?mode=gpu", said(use_reasoning=True)), 422)
        assert problem["loc"] == ["body", "use_reasoning"]
        assert "cannot do reasoning" in problem["msg"]
        assert other.end(other.submit(said(use_reasoning=True)))["result"]["mode"] == "api"
        assert [one["reasoning"] for one in info(other).values()] == [False, True]


# Whose a job is.


def test_a_key_makes_the_same_submission_the_same_job(house: House) -> None:
    """The same key, body and mode is the same job, by field or header; another body or mode is 422, another caller's
    job is their own; a header that is no text is refused.
    """
    one = f"ação {secrets.token_hex(8)}"
    first = house.submit(said(idempotency_key=one))
    told = house.end(first)
    again = house.call("POST", "/chat", said(idempotency_key=one))
    by_header = house.call("POST", "/chat", said(), (*bearer(), (b"idempotency-key", one.encode())))

    assert {msgspec.json.decode(each.body)["job_id"] for each in (again, by_header)} == {first}
    assert msgspec.json.decode(again.body)["status"] == told["status"] == "completed"
    for body, query in ((said("Outra", idempotency_key=one), ""), (said(idempotency_key=one), "?mode=api")):
        (problem,) = refused(house.call("POST", f"/chat{query}", body), 422)
        assert problem["loc"] == ["body", "idempotency_key"]
    assert house.submit(said(idempotency_key=one), headers=bearer(ADMIN)) != first
    refused(house.call("POST", "/chat", said(), (*bearer(), (b"idempotency-key", b"a\xe7\xe3o"))), 422)


def test_somebody_elses_job_is_nobodys(house: House) -> None:
    """Status, events, cancellation and list know a caller's own jobs only, also where the other is administrator."""
    id = house.submit(said())
    house.end(id)

    for method, path in (("GET", f"status/{id}"), ("GET", f"stream/{id}"), ("DELETE", id)):
        assert "no job" in refused(house.call(method, f"/chat/{path}", headers=bearer(ADMIN)), 404)
    assert "no job" in msgspec.json.decode(house.call("GET", f"/v1/chat/completions/{id}").body)["error"]["message"]
    mine, theirs = (listed(house, headers=bearer(key)) for key in (USER, ADMIN))
    assert id in mine
    assert id not in theirs


def listed(house: House, limit: int = 100, headers: Headers = MINE) -> list[str]:
    """All of a caller's jobs, page by page."""
    found: list[str] = []
    query = f"?limit={limit}"
    while query:
        told = msgspec.json.decode(house.call("GET", f"/chat/jobs{query}", headers=headers).body)
        assert len(told["jobs"]) <= limit
        found += [one["job_id"] for one in told["jobs"]]
        query = f"?limit={limit}&before={told['next']}" if told["next"] else ""
    return found


def test_my_jobs_are_listed_newest_first(house: House) -> None:
    """Each page goes on where the last one ended, whatever other APIs' jobs lie between."""
    ids = []
    for number in range(5):
        ids.append(house.submit(said(str(number)), "?mode=api"))
        house.call("POST", CHATS, deferred(), (*bearer(), (b"prefer", b"respond-async")))
    told = msgspec.json.decode(house.call("GET", "/chat/jobs?limit=1&before=" + ids[1]).body)["jobs"]

    for limit in (1, 3, 100):
        assert [id for id in listed(house, limit) if id in ids] == ids[::-1]
    for one in told:
        assert (one["job_id"], one["model"], one["mode"]) == (ids[0], "nemotron", "api")
    (problem,) = refused(house.call("GET", "/chat/jobs?before=x"), 422)
    assert problem["loc"] == ["query", "before"]


# Events.


def test_a_stream_tells_the_answer_as_it_is_made(house: House) -> None:
    """Pieces reach a follower while the upstream still holds the rest back; thoughts and counts are told too."""
    id = house.submit(said(model="simple"), headers=simulating(hang=6))
    with house.gateway.connect() as connection:
        connection.send(sent("GET", f"/chat/stream/{id}", b"", bearer()))
        assert connection.head().status == 200
        frames: list[Frame] = []
        while "Foz" not in text_of(frames):
            frames += Decoder().feed(connection.chunk())
    house.call("DELETE", f"/chat/{id}")

    assert frames[0].event == b"status"
    assert text_of(frames).startswith("This")
    assert house.status(id)["status"] == "cancelled"


def test_events_have_places_and_an_end(house: House) -> None:
    """Each piece has its place; the last piece says why the answer ended and its tokens; the end is the last event."""
    id = house.submit(said(use_reasoning=True), "?mode=api")
    told = house.end(id)
    frames = house.events(id)
    pieces = [one for one in frames if one.event == b"piece"]
    last = msgspec.json.decode(pieces[-1].data)

    assert [one.id for one in pieces] == [b"1.%d" % (number + 1) for number in range(len(pieces))]
    assert text_of(frames) == told["result"]["response"]
    assert (last["finish_reason"], set(last["usage"])) == ("stop", {"prompt_tokens", "completion_tokens"})
    assert frames[-1].event == b"end"
    assert msgspec.json.decode(frames[-1].data) == {
        "job_id": id, "status": "completed", "mode": "api", "latency_ms": told["result"]["latency_ms"],
    }  # fmt: skip


def test_a_stream_that_is_resumed_anywhere_is_the_same_text(house: House) -> None:
    """Broken off 100 times at places drawn by chance, while it runs and after, it is the text of one read through."""
    dice = random.Random(20261121)
    id = house.submit(said("x " * 120, model="simple"), headers=simulating(pace=0.01, words=110))
    got: list[Frame] = []
    last = ""
    breaks = 0
    while not got or got[-1].event != b"end":
        after = ((b"last-event-id", last.encode()),) if last and dice.random() < 0.5 else ()
        query = f"?after={last}" if last and not after else ""
        with house.gateway.connect() as connection:
            connection.send(sent("GET", f"/chat/stream/{id}{query}", b"", (*bearer(), *after)))
            assert connection.head().status == 200
            decoder = Decoder()
            for _ in range(dice.randint(1, 3)):
                piece = connection.chunk()
                frames = decoder.feed(piece)
                got += frames
                last = next((one.id.decode() for one in reversed(frames) if one.id), last)
                if not piece or any(one.event == b"end" for one in frames):
                    break
        breaks += 1

    whole = house.events(id)
    assert breaks > 60
    assert text_of(got) == text_of(whole) == house.end(id)["result"]["response"]
    places = [one.id for one in whole if one.id]
    for _ in range(100 - min(breaks, 100)):
        at = dice.randrange(len(places))
        assert text_of(whole[: at + 2]) + text_of(house.events(id, places[at].decode())) == text_of(whole)


def test_a_gpu_that_dies_in_the_middle_is_followed_by_the_api(house: House) -> None:
    """In auto, what its follower had of the GPU is told to be void, and the whole answer comes from the API."""
    id = house.submit(said("x " * 30, model="simple"), headers=simulating(cut=8, pace=0.05))
    frames = house.events(id)
    kinds = [one.event for one in frames]
    told = house.end(id)

    assert told["result"]["mode"] == "api"
    assert [target.partition("/")[0] for target in house.targets(id)] == ["own", "nvidia"]
    assert kinds.count(b"restarted") == 1
    again = kinds.index(b"restarted")
    assert b"piece" in kinds[:again]
    assert text_of(frames[again:]) == told["result"]["response"]
    assert all(one.id.startswith(b"1.") for one in frames[:again] if one.id)
    assert all(one.id.startswith(b"2.") for one in frames[again:] if one.id)
    late = house.events(id, "1.3")
    assert [one.event for one in late][:2] == [b"restarted", b"status"]
    assert text_of(late) == told["result"]["response"]


def test_an_event_that_is_none_is_refused(house: House) -> None:
    """An id that no event has the form of is 422, before anything is followed."""
    id = house.submit(said())
    for after in ("x", "1", "1.-1", "9" * 40 + ".1"):
        (problem,) = refused(house.call("GET", f"/chat/stream/{id}?after={after}"), 422)
        assert problem["loc"] == ["query", "after"]


def test_a_follower_who_hangs_up_is_followed_by_nobody(house: House) -> None:
    """What follows a job for a caller ends with the caller, though the job goes on."""
    id = house.submit(said(model="simple"), headers=simulating(hang=4))
    before = tasks(house)
    callers = [house.gateway.connect() for _ in range(20)]
    for caller in callers:
        caller.send(sent("GET", f"/chat/stream/{id}", b"", MINE))
        assert caller.head().status == 200
    assert tasks(house) >= before + 20
    for caller in callers:
        caller.close()
    house.gateway.wait_for(lambda: tasks(house) <= before + 2, "the followers to be gone")
    house.call("DELETE", f"/chat/{id}")


def tasks(house: House) -> float:
    """How many the gateway's loop has."""
    figures = house.call("GET", "/metrics", headers=bearer(ADMIN)).body.decode()
    return float(re.findall(r"^foz_tasks(?:{.*})? (\S+)$", figures, re.MULTILINE)[0])


def test_the_head_of_a_stream_is_told_while_its_job_runs(house: House) -> None:
    """HEAD is answered at once, its connection goes on, and nobody follows the job for it."""
    id = house.submit(said(model="simple"), headers=simulating(hang=4))
    before = tasks(house)
    with house.gateway.connect() as connection:
        connection.send(sent("HEAD", f"/chat/stream/{id}", b"", MINE))
        told = connection.head()
        assert (told.status, told.header(b"content-type")) == (200, b"text/event-stream; charset=utf-8")
        assert connection.call("GET", f"/chat/status/{id}", b"", MINE).status == 200
        house.gateway.wait_for(lambda: tasks(house) <= before + 2, "nobody to follow the job")
    assert house.call("HEAD", f"/chat/status/{id}").status == 200
    house.call("DELETE", f"/chat/{id}")


# Its end before the end.


def test_a_cancelled_job_ends_up_to_the_upstream(house: House) -> None:
    """Its body is told, its followers hear the end, the upstream loses its caller, and it stays cancelled."""
    id = house.submit(said(model="simple"), headers=simulating(hang=4, id="gone"))
    with house.gateway.connect() as connection:
        connection.send(sent("GET", f"/chat/stream/{id}", b"", bearer()))
        connection.head()
        while b"event: piece" not in connection.chunk():
            pass
        reply = house.call("DELETE", f"/chat/{id}")
        rest = b"".join(iter(connection.chunk, b""))

    created = house.status(id)["created_at"]
    assert msgspec.json.decode(reply.body) == {"job_id": id, "status": "cancelled", "created_at": created}
    assert msgspec.json.decode(Decoder().feed(rest)[-1].data) == {"job_id": id, "status": "cancelled"}
    house.own.wait_for(lambda: house.own.seen()["answering"] == 0, "the upstream to be let go")
    assert house.own.seen()["cut"]
    assert house.call("DELETE", f"/chat/{id}").body == reply.body
    assert house.status(id, "?wait=30")["status"] == "cancelled"


def test_the_end_of_a_job_is_waited_for(house: House) -> None:
    """With `until=end` one look is enough: work that begins meanwhile ends no waiting."""
    id = house.submit(said(model="simple"), headers=simulating(pace=0.05))
    assert house.status(id, "?wait=30&until=end")["status"] == "completed"
    for query, at in (("until=then", "until"), ("wait=soon", "wait"), ("wait=-1", "wait"), ("wait=61", "wait")):
        reply = house.call("GET", f"/chat/status/{id}?{query}")
        assert (reply.status, msgspec.json.decode(reply.body)["detail"][0]["loc"]) == (422, ["query", at])


def test_an_unusual_question_is_answered_the_same(house: House) -> None:
    """How a job stands, and that there is none, is told alike whatever else the query says."""
    id = house.submit(said(), "?mode=api")
    assert house.status(id, "?until=end&wait=30")["status"] == "completed"
    for path in (f"/chat/status/{id}", "/chat/status/nobody"):
        usual, unusual = house.call("GET", path), house.call("GET", f"{path}?wait=0.0&more=1")
        assert (usual.status, usual.body) == (unusual.status, unusual.body)
        assert {name for name, _ in usual.headers} == {name for name, _ in unusual.headers}


def test_a_job_that_is_over_keeps_its_end(house: House) -> None:
    """To cancel what is completed changes nothing."""
    id = house.submit(said(), "?mode=api")
    told = house.end(id)

    assert msgspec.json.decode(house.call("DELETE", f"/chat/{id}").body) == told


# Others' dialects.

CHATS = "/v1/chat/completions"
PREFER: Headers = (*bearer(), (b"prefer", b"respond-async"))


def deferred(**more: object) -> bytes:
    messages = [{"role": "user", "content": "Onde os rios terminam?"}]
    return msgspec.json.encode({"model": "simple", "messages": messages} | more)


def answered(house: House, path: str) -> Reply:
    """The answer of a chat that was not waited for, once it is there."""
    while (reply := house.call("GET", path)).status == 202:
        assert reply.header(b"retry-after") == b"1"
        assert msgspec.json.decode(reply.body)["status"] in {"pending", "processing"}
    return reply


def put_off(house: House, body: bytes, headers: Headers = PREFER) -> str:
    """Asserts that it is accepted, and gives where its answer will be."""
    reply = house.call("POST", CHATS, body, headers)
    told = msgspec.json.decode(reply.body)
    assert (reply.status, reply.header(b"preference-applied")) == (202, b"respond-async"), reply.body
    assert (told["object"], told["status"], told["model"]) == ("chat.completion.job", "pending", "simple")
    assert reply.header(b"location") == f"{CHATS}/{told['id']}".encode()
    return f"{CHATS}/{told['id']}"


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_can_be_put_off(house: House, stream: bool) -> None:
    """`Prefer: respond-async` gives 202; at its place is, once it is there, the very answer of a chat."""
    reply = answered(house, put_off(house, deferred(stream=stream)))
    waited = house.call("POST", CHATS, deferred(stream=stream))

    assert (reply.status, reply.header(b"content-type")) == (200, waited.header(b"content-type"))
    if stream:
        *_, done = Decoder().feed(reply.body)
        assert done.data == b"[DONE]"
        assert len(Decoder().feed(reply.body)) == len(Decoder().feed(waited.body))
    else:
        both = [msgspec.json.decode(one.body)["choices"][0]["message"]["content"] for one in (reply, waited)]
        assert all(one.startswith("This is Foz's simulated model.") for one in both)


def test_a_chat_that_failed_fails_as_if_it_had_been_waited_for(house: House) -> None:
    """Where it was put off, status and words of the fault are those of a chat that was waited for."""
    headers = (*simulating(status=422), (b"prefer", b"respond-async"))
    body = deferred(model="own/meta/llama-3.1-8b-instruct")
    reply = house.call("POST", CHATS, body, headers)
    later = answered(house, (reply.header(b"location") or b"").decode())
    waited = house.call("POST", CHATS, body, simulating(status=422))

    assert later.status == waited.status == 422
    told, wanted = (msgspec.json.decode(one.body)["error"] for one in (later, waited))
    assert (told["type"], told["code"]) == (wanted["type"], wanted["code"])
    assert told["message"] in wanted["message"] or wanted["message"] in told["message"]


def test_a_chat_that_was_put_off_can_be_cancelled(house: House) -> None:
    """DELETE ends it; its answer is a conflict then; nobody else's is known, nor is the other API's."""
    place = put_off(house, deferred(), (*simulating(hang=2), (b"prefer", b"respond-async")))
    other = house.call("DELETE", place, headers=bearer(ADMIN))
    reply = house.call("DELETE", place)
    later = house.call("GET", place)

    assert other.status == 404
    assert (reply.status, msgspec.json.decode(reply.body)["status"]) == (200, "cancelled")
    assert (later.status, msgspec.json.decode(later.body)["error"]["code"]) == (409, "cancelled")
    assert house.call("GET", f"/chat/status/{place.rpartition('/')[2]}").status == 404


def test_a_key_means_another_request_in_another_dialect(house: House) -> None:
    """The same words under one key are no job of the other API's, whose status that one could not tell."""
    asked = {
        "messages": [{"role": "user", "content": "Once"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    house.submit(said("Once", model="simple", idempotency_key="one key"))
    reply = house.call("POST", CHATS, deferred(**asked), (*PREFER, (b"idempotency-key", b"one key")))
    assert (reply.status, msgspec.json.decode(reply.body)["error"]["param"]) == (422, "idempotency_key")


# Where auto goes.


@pytest.fixture
def small(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> Iterator[House]:
    """A gateway whose GPU takes one job at a time, is full with one that waits, and left alone after one failure."""
    config = OWN.replace("failures = 1000", "failures = 1") + "gpu_workers = 1\ngpu_full = 1\n"
    with start_upstream(tmp_path / "own", program="foz.testing.nvidia") as own:
        config = config.format(own=own.port, nvidia=upstreams[1].port)
        with start_gateway(tmp_path / "gateway", config=config, environment=ENVIRONMENT) as gateway:
            yield House(gateway, own, upstreams[1])


def test_auto_takes_the_api_while_the_gpu_is_full(small: House) -> None:
    """As many wait for the GPU as may: the next goes to the API, and the GPU's queue is told."""
    busy, waits = (small.submit(said(model="simple"), "?mode=gpu", simulating(hang=2)) for _ in range(2))
    small.gateway.wait_for(lambda: small.status(busy)["status"] == "processing", "the GPU to be busy")

    assert small.end(small.submit(said(model="simple")))["result"]["mode"] == "api"
    assert small.status(waits)["status"] == "pending"
    small.gateway.wait_for(lambda: info(small)["gpu"]["queue_depth"] == 1, "the queue to be told")
    for id in (busy, waits):
        assert msgspec.json.decode(small.call("DELETE", f"/chat/{id}").body)["status"] == "cancelled"


def test_a_key_stands_for_its_job_also_when_nobody_can_be_asked(small: House) -> None:
    """What was accepted is told again under 503's conditions; what is new is 503, and its key is as free as before."""
    done = said(model="simple", idempotency_key="done")
    id = small.submit(done, "?mode=gpu")
    told = small.end(id)
    small.own.kill()
    assert small.end(small.submit(said(model="simple"), "?mode=gpu"))["status"] == "failed"

    refused(small.call("POST", "/chat?mode=gpu", said(model="simple")), 503)
    assert small.submit(done, "?mode=gpu") == id
    assert small.status(id) == told
    new = said(model="simple", idempotency_key="new")
    for _ in range(2):
        refused(small.call("POST", "/chat?mode=gpu", new), 503)
    assert small.end(small.submit(new))["result"]["mode"] == "api"


def test_auto_takes_the_api_while_the_gpu_is_down(small: House) -> None:
    """A GPU that is not there costs the first job a try; then it is left alone: auto goes on, gpu is 503."""
    small.own.kill()
    first = small.submit(said(model="simple"))

    assert small.end(first)["result"]["mode"] == "api"
    reply = small.call("POST", "/chat?mode=gpu", said(model="simple"))
    assert "failed too often lately" in refused(reply, 503)
    assert int(reply.header(b"retry-after") or 0) > 0
    second = small.submit(said(model="simple"))
    assert small.end(second)["result"]["mode"] == "api"
    assert [target.partition("/")[0] for target in small.targets(second)] == ["nvidia"]


# A gateway's own end.


def test_jobs_outlive_a_gateway_and_followers_do_not(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    """A follower is sent away when the gateway stops, before the job's end; the next gateway knows all and goes on."""
    own, nvidia = upstreams
    config = OWN.format(own=own.port, nvidia=nvidia.port) + '\n[limits]\ndrain = "0.2s"\n'
    with start_gateway(tmp_path, config=config, environment=ENVIRONMENT) as gateway:
        house = House(gateway, own, nvidia)
        done = house.submit(said(model="simple", idempotency_key="kept"))
        told = house.end(done)
        open_job = house.submit(said(model="simple"), "?mode=gpu", simulating(hang=3))
        with gateway.connect() as connection:
            heard = _followed_until_stopped(connection, gateway, open_job)
        assert b"event: end" not in heard
    with start_gateway(tmp_path, config=config, environment=ENVIRONMENT) as gateway:
        house = House(gateway, own, nvidia)
        assert house.status(done) == told
        assert house.submit(said(model="simple", idempotency_key="kept")) == done
        assert house.status(open_job)["status"] in {"pending", "processing"}
        assert house.call("DELETE", f"/chat/{open_job}").status == 200


def _followed_until_stopped(connection: RawConnection, gateway: Served, id: str) -> bytes:
    connection.send(sent("GET", f"/chat/stream/{id}", b"", bearer()))
    connection.head()
    heard = b""
    while b"event: piece" not in heard:
        heard += connection.chunk()
    gateway.stop()
    return heard + connection.rest()
