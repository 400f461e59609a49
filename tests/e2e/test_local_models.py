"""Seed 004's second half over a real socket: a real engine is deployed, watched, killed and unloaded."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.skins.model_api import examples
from foz.testing import gguf
from foz.testing.process import Served, start_gateway, wait_until
from foz.testing.raw import RawConnection, request
from foz.wire.http import Headers

JSON: Headers = ((b"content-type", b"application/json"),)
CONFIG = """
[local]
node = "worker-03"

[local.sources]
deepseek-v3-7b = "small.gguf"
"""
SMALL = {"model_type": "small", "source": "small.gguf"}
MESSAGES = [{"role": "user", "content": "hi"}]


def _call(gateway: Served, method: str, path: str, body: object = None, headers: Headers = JSON) -> tuple[int, Any]:
    with gateway.connect(30) as connection:
        sent = b"" if body is None else msgspec.json.encode(body)
        reply = connection.call(method, path, sent, headers)
    kind = dict(reply.headers).get(b"content-type", b"")
    return reply.status, msgspec.json.decode(reply.body) if kind.startswith(b"application/json") else reply.body


def _data(gateway: Served, method: str, path: str, body: object = None) -> Any:
    """The data of a good answer, whose envelope is right."""
    status, said = _call(gateway, method, path, body)
    assert status == 200, said
    assert (said["code"], said["message"]) == (200, "success")
    assert said["request_id"]
    return said["data"]


def _deployed(gateway: Served, body: object) -> Any:
    """Deploys, and waits until that is over."""
    told = _data(gateway, "POST", "/models/local/deploy", body)
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(_data(gateway, "GET", told["progress_url"]))
        return str(found["status"]) != "in_progress"

    gateway.wait_for(over, "the deployment to be over")
    return found


def _engines(gateway: Served) -> list[int]:
    """The processes of llama.cpp that this gateway, or any before it in its folder, has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            ours = f"FOZ_DATA={gateway.folder / 'data'}".encode() in (folder / "environ").read_bytes()
            home = f"HOME={gateway.folder}".encode() in (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"foz.runtime.llamacpp.child" in command and (ours or home):
            found.append(int(folder.name))
    return found


def _start(folder: Path, *arguments: str, environment: dict[str, str] | None = None, **more: Any) -> Served:
    models = folder / "data" / "models"
    if not models.exists():
        models.mkdir(parents=True)
        (folder / "data").chmod(0o700)
        gguf.write(models / "small.gguf", gguf.SMALL)
    return start_gateway(folder, *arguments, config=CONFIG, environment=environment, **more)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway whose machine is called as the seed's example says, and has the model that it names."""
    with _start(tmp_path_factory.mktemp("gateway")) as one:
        _deployed(one, SMALL)
        yield one


def test_the_seeds_deployment_as_written(tmp_path: Path) -> None:
    """Seed 004, 本地模型管理: the examples, sent as written, are answered with every field of their answers."""
    with _start(tmp_path) as gateway:
        told = _data(gateway, "POST", "/models/local/deploy", examples.DEPLOY)
        assert told.keys() == examples.DEPLOYED["data"].keys()  # type: ignore[attr-defined]  # an object of the document
        assert (told["status"], told["model_id"]) == ("in_progress", "deepseek-v3-7b")
        assert told["progress_url"] == f"/models/local/deployments/{told['deployment_id']}"
        over = _deployed(gateway, examples.DEPLOY)
        assert over["deployment_id"] == told["deployment_id"]
        assert over.keys() >= examples.DEPLOYMENT["data"].keys()  # type: ignore[attr-defined]  # as above
        assert (over["status"], over["progress"]) == ("completed", 100)
        assert [stage["name"] for stage in over["stages"]] == [
            "preparation",
            "downloading_weights",
            "model_initialization",
            "model_loading",
            "service_registration",
        ]
        assert {stage["status"] for stage in over["stages"]} == {"completed"}
        assert over["logs"][0]["message"].startswith("开始部署模型")
        (model,) = _data(gateway, "GET", "/models/local")["models"]
        shown: Any = examples.LOCALS["data"]
        assert model.keys() == shown["models"][0].keys()
        assert model["deployment"].keys() >= shown["models"][0]["deployment"].keys()
        assert model["performance"].keys() >= shown["models"][0]["performance"].keys()
        assert (model["status"], model["deployment"]["health"]) == ("active", "healthy")
        assert (model["deployment"]["node_id"], model["deployment"]["quantization"]) == ("worker-03", "int8")
        assert model["performance"]["max_batch_size"] == 8
        assert _data(gateway, "DELETE", "/models/local/deepseek-v3-7b") == {
            "model_id": "deepseek-v3-7b",
            "status": "unloading",
            "nodes": ["worker-03"],
        }
        gateway.wait_for(lambda: not _data(gateway, "GET", "/models/local")["models"], "the model to be gone")
        assert _engines(gateway) == []
        assert (tmp_path / "data/models/small.gguf").exists()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "small", "messages": MESSAGES, "max_tokens": 5}),
        ("/v1/completions", {"model": "small", "prompt": "hi", "max_tokens": 5}),
        ("/models/small/chat/completions", {"messages": MESSAGES, "max_tokens": 5}),
        ("/models/small/completions", {"prompt": "hi", "max_tokens": 5}),
        ("/api/v1/ai/ask_sync", {"agent": "small", "content": "hi"}),
        ("/api/chat", {"model": "small:latest", "messages": MESSAGES, "stream": False, "options": {"num_predict": 5}}),
        ("/genai/small/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 5}),
    ],
)
def test_every_face_reaches_it(gateway: Served, path: str, body: dict[str, Any]) -> None:
    """A deployed model answers on each face by its id."""
    status, said = _call(gateway, "POST", path, body)
    assert status == 200, said
    assert said


def test_it_tells_how_likely_its_words_were(gateway: Served) -> None:
    """Legacy completions of a deployed model tell logprobs in OpenAI's four lists, not as chat does."""
    body = {"model": "small", "prompt": "hi", "max_tokens": 3, "logprobs": 2}
    (choice,) = _call(gateway, "POST", "/v1/completions", body)[1]["choices"]
    likely = choice["logprobs"]
    assert likely.keys() == {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
    assert {len(each) for each in likely.values()} == {3}
    assert all(logprob <= 0 for logprob in likely["token_logprobs"])
    streamed = _call(gateway, "POST", "/v1/completions", {**body, "stream": True})[1]
    assert streamed.count(b'"text_offset":[') == 3
    assert b'"content":[' not in streamed


def test_its_name_is_shown(gateway: Served) -> None:
    """A deployed model is in the lists of models, as ours, with what it runs on, and under `local/` too."""
    assert "small" in [one["id"] for one in _call(gateway, "GET", "/v1/models")[1]["data"]]
    (shown,) = [one for one in _data(gateway, "GET", "/models")["models"] if one["id"] == "small"]
    assert (shown["provider"], shown["status"], shown["deployment"]["quantization"]) == ("local", "active", "int8")
    assert shown["deployment"]["hardware"]
    body = {"model": "local/small", "messages": MESSAGES, "max_tokens": 2}
    assert _call(gateway, "POST", "/v1/chat/completions", body)[1]["model"] == "local/small"


def test_ollamas_programs_see_it_loaded(gateway: Served) -> None:
    """`/api/ps` lists it by its name with a tag, with the size of its file."""
    status, told = _call(gateway, "GET", "/api/ps")

    assert status == 200
    assert [row["name"] for row in told["models"]] == ["small:latest"]
    assert told["models"][0]["size"] == (gateway.folder / "data/models/small.gguf").stat().st_size


def test_the_ledger_measures_it(gateway: Served) -> None:
    """After a call the model's latency and tokens per second are figures, and its calls cost nothing."""
    _call(gateway, "POST", "/v1/chat/completions", {"model": "small", "messages": MESSAGES, "max_tokens": 50})
    performance = _data(gateway, "GET", "/models/local/small")["performance"]
    assert performance["tokens_per_second"] > 0
    assert performance["avg_latency_ms"] > 0
    pricing = _data(gateway, "GET", "/models/small")["pricing"]
    assert (pricing["input_per_1k_tokens"], pricing["output_per_1k_tokens"]) == (0, 0)


def test_a_log_is_streamed(gateway: Served) -> None:
    """The log comes as events of one line each, goes on after Last-Event-ID, and ends with [DONE]."""
    (one,) = [
        one for one in _data(gateway, "GET", "/models/local/deployments")["deployments"] if one["model_id"] == "small"
    ]
    path = f"/models/local/deployments/{one['deployment_id']}/logs"
    whole = _call(gateway, "GET", path)[1]
    assert whole.startswith(b"id: 1\ndata: ")
    assert whole.endswith(b"data: [DONE]\n\n")
    rest = _call(gateway, "GET", path, headers=((b"last-event-id", b"2"),))[1]
    assert rest.startswith(b"id: 3\ndata: ")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"model_type": "other", "source": "../foz.db"}, 400, "a plain path under the folder of models was expected"),
        ({"model_type": "../other", "source": "small.gguf"}, 400, "model_type: expected a word"),
        ({"model_type": "m", "model_id": "../x", "source": "small.gguf"}, 400, "model_id: expected a name"),
        ({"model_type": "m", "model_id": "nodes", "source": "small.gguf"}, 400, "model_id: expected a name"),
        ({"model_type": "m", "source": "small.gguf", "quantization": "int3"}, 400, "quantization"),
        ({"model_type": "m", "source": "small.gguf", "target_nodes": ["nobody"]}, 400, "Known nodes: worker-03"),
        ({"model_type": "m", "source": "small.gguf", "speed": 1}, 400, "unknown field `speed`"),
        ({"model_type": "m", "source": "small.gguf", "deployment_config": {"x": 1}}, 400, "unknown field `x`"),
        (
            {"model_type": "m", "source": "small.gguf", "deployment_config": {"use_kv_cache": False}},
            400,
            "engine always keeps",
        ),
        (
            {"model_type": "m", "source": "small.gguf", "deployment_config": {"tensor_parallel_size": 2}},
            400,
            "split over GPUs only",
        ),
        ({"model_type": "m", "source": "small.gguf", "deployment_config": {"max_batch_size": 0}}, 400, "from 1 to"),
        ({"model_type": "small", "source": "small.gguf", "quantization": "int8"}, 409, "'small' is deployed already"),
        ({"model_type": "no-such-type"}, 404, "no-such-type"),
        ([], 400, "not a deployment"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(gateway: Served, body: object, status: int, words: str) -> None:
    """What cannot be deployed is refused at once with the field and the reason, in the API's envelope."""
    got, said = _call(gateway, "POST", "/models/local/deploy", body)
    assert (got, said["code"], said["data"]) == (status, status, None)
    assert words in said["message"]


@pytest.mark.parametrize("name", ["nobody", "..%2f..%2fetc", "deploy"])
def test_what_is_not_there_is_not_found(gateway: Served, name: str) -> None:
    """Unknown models and deployments are 404 in the API's envelope, whatever their names are."""
    for method, path in (("GET", f"/models/local/{name}"), ("DELETE", f"/models/local/{name}"),
                         ("GET", f"/models/local/deployments/{name}")):  # fmt: skip
        status, said = _call(gateway, method, path)
        assert status in {404, 405}, said
        assert said["data"] is None


def test_a_path_out_of_the_folder_fails(gateway: Served) -> None:
    """A path out of the folder of models is refused at once; one that leads out by a link is a failed deployment."""
    status, said = _call(gateway, "POST", "/models/local/deploy", {"model_type": "out", "source": "/etc/passwd"})
    assert status == 400
    assert "leads out of the folder of models" in said["message"]
    (gateway.folder / "data/models/link.gguf").symlink_to("/etc/passwd")
    over = _deployed(gateway, {"model_type": "out", "source": "link.gguf"})
    assert over["status"] == "failed"
    assert "leads out of the folder of models" in over["error"]
    _data(gateway, "DELETE", "/models/local/out")


def test_a_bad_file_fails_clearly(gateway: Served) -> None:
    """A file that is no sound GGUF is a failed deployment that says what is wrong, and no model."""
    bad = gateway.folder / "data/models/bad.gguf"
    bad.write_bytes((gateway.folder / "data/models/small.gguf").read_bytes()[:-1000])
    over = _deployed(gateway, {"model_type": "bad", "source": "bad.gguf"})
    assert over["status"] == "failed"
    assert "cut off" in over["error"]
    assert "next_try" not in over
    assert _call(gateway, "POST", "/v1/chat/completions", {"model": "bad", "messages": MESSAGES})[0] == 503
    _data(gateway, "DELETE", "/models/local/bad")
    gateway.wait_for(lambda: _call(gateway, "GET", "/models/local/bad")[0] == 404, "the model to be gone")


def test_a_killed_engine_cuts_its_streams_and_comes_back(tmp_path: Path) -> None:
    """Streams of an engine that is killed end without [DONE]; asked again, the deployment serves anew."""
    with _start(tmp_path) as gateway:
        _deployed(gateway, SMALL)
        (engine,) = _engines(gateway)
        with gateway.connect(20) as connection:
            body = {"model": "small", "messages": MESSAGES, "stream": True, "max_tokens": 2_000}
            connection.send(request("POST", "/v1/chat/completions", msgspec.json.encode(body), JSON))
            assert connection.head().status == 200
            connection.until(b"\n\n")
            os.kill(engine, signal.SIGKILL)
            rest = connection.rest()
        assert b"[DONE]" not in rest
        assert b"upstream_cut" in rest

        def unhealthy() -> bool:
            return bool(_data(gateway, "GET", "/models/local/small")["status"] == "unhealthy")

        gateway.wait_for(unhealthy, "the death of the engine to be seen", 2)

        def told() -> bool:
            status, said = _call(gateway, "POST", "/v1/chat/completions", {"model": "small", "messages": MESSAGES})
            return status == 503 and "is not running just now: it is started again" in said["error"]["message"]

        gateway.wait_for(told, "callers to be told", 2)
        assert _deployed(gateway, SMALL)["status"] == "completed"
        assert _engines(gateway) != [engine]


def _refuses(port: int) -> bool:
    """Whether nobody listens there any more: a worker that loses its supervisor closes what it has let in."""
    try:
        RawConnection(port, deadline=1).close()
    except OSError as error:
        return isinstance(error, ConnectionRefusedError)
    return False


def _soonest(port: int, body: object) -> tuple[int, bytes]:
    """What the first caller is told whom a gateway that starts lets in."""
    found: list[RawConnection] = []

    def let_in() -> bool:
        with suppress(OSError):
            found.append(RawConnection(port, deadline=30))
        return bool(found)

    wait_until(let_in, "the gateway to let somebody in", 20)
    with found[0] as connection:
        reply = connection.call("POST", "/v1/chat/completions", msgspec.json.encode(body), JSON)
    return reply.status, reply.body


@pytest.mark.parametrize("workers", ["1", "2"])
def test_deployments_survive_the_gateway(tmp_path: Path, workers: str) -> None:
    """One engine runs whatever the number of workers; killed with the gateway, it comes back, known from the start."""
    first = _start(tmp_path, "--workers", workers)
    try:
        _deployed(first, SMALL)
        engines = _engines(first)
        assert len(engines) == 1
        body = {"model": "small", "messages": MESSAGES, "max_tokens": 2}
        assert {_call(first, "POST", "/v1/chat/completions", body)[0] for _ in range(12)} == {200}
    finally:
        first.kill()
    wait_until(lambda: not _engines(first), "the engine to be gone with the gateway", 10)
    wait_until(lambda: _refuses(first.port), "its last worker to be gone", 10)
    with ThreadPoolExecutor(1) as pool:
        soonest = pool.submit(_soonest, first.port, body)
        second = _start(tmp_path, "--workers", workers, port=first.port)
    with second:
        status, said = soonest.result()
        assert (status, "does not exist" in str(said)) in {(200, False), (502, False), (503, False)}

        def serves() -> bool:
            return _call(second, "POST", "/v1/chat/completions", body)[0] == 200

        second.wait_for(serves, "the deployment to be back", 10)
        assert len(_engines(second)) == 1
    assert _engines(second) == []


def test_a_user_may_call_but_not_deploy(tmp_path: Path) -> None:
    """With keys, only administrators deploy, unload and look at deployments; a user may list and call."""
    environment = {"FOZ_ADMIN_KEY": "sk-admin-0123456789", "API_KEY": "sk-user-0123456789"}
    admin: Headers = (*JSON, (b"authorization", b"Bearer sk-admin-0123456789"))
    user: Headers = (*JSON, (b"authorization", b"Bearer sk-user-0123456789"))
    with _start(tmp_path, environment=environment) as gateway:
        assert _call(gateway, "POST", "/models/local/deploy", SMALL)[0] == 401
        assert _call(gateway, "POST", "/models/local/deploy", SMALL, user)[0] == 403
        assert _call(gateway, "POST", "/models/local/deploy", SMALL, admin)[0] == 200

        def serves() -> bool:
            body = {"model": "small", "messages": MESSAGES, "max_tokens": 2}
            return _call(gateway, "POST", "/v1/chat/completions", body, user)[0] == 200

        gateway.wait_for(serves, "the model to be there")

        def listed() -> bool:
            return len(_call(gateway, "GET", "/models/local", headers=user)[1]["data"]["models"]) == 1

        gateway.wait_for(listed, "a user to see it", 3)
        assert _call(gateway, "GET", "/models/local/deployments", headers=user)[0] == 403
        assert _call(gateway, "DELETE", "/models/local/small", headers=user)[0] == 403


def test_test_mode_deploys_nothing(tmp_path: Path) -> None:
    """In test mode the seed's examples go through all stages on any node, and no engine is started."""
    with start_gateway(tmp_path, environment={"TEST_MODE": "true"}) as gateway:
        assert _deployed(gateway, examples.DEPLOY)["status"] == "completed"
        body = {"messages": MESSAGES}
        assert _call(gateway, "POST", "/models/deepseek-v3-7b/chat/completions", body)[0] == 200
        assert _engines(gateway) == []
