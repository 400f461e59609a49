"""The OCI GenAI Proxy's life: test mode, CORS, files that change while it runs, and what is sent wrongly."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from foz.testing.oracle.process import Account, make_account, start_oracle
from foz.testing.process import Served, Upstream, clean_environment, start_gateway
from foz.wire.http import Headers
from tests.e2e.genai import BEARER, GPT5, ROWS, SETTINGS, House, row, start, write_files

QUESTION = {"messages": [{"role": "user", "content": "Olá"}]}
PAGE = b"https://app.example"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return make_account(tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory, account: Account) -> Iterator[Upstream]:
    with start_oracle(tmp_path_factory.mktemp("oracle"), account, {GPT5: "openai.gpt-5"}) as running:
        yield running


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, account: Account, upstream: Upstream) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("gateway")
    write_files(folder, account)
    with start(folder, account, upstream) as gateway:
        yield House(gateway, upstream)


# Files that change.


def test_files_are_read_again_when_they_change(tmp_path: Path, account: Account, upstream: Upstream) -> None:
    """Names that are added answer, those taken away are unknown; a broken file leaves the old names, and is told."""
    write_files(tmp_path, account, {"gpt5": ROWS["gpt5"]})
    with start(tmp_path, account, upstream) as gateway:
        house = House(gateway, upstream)

        def status(name: str) -> int:
            return house.call("POST", f"/genai/{name}/inference", b'{"prompt": "hi"}').status

        assert (status("gpt5"), status("novo")) == (200, 404)
        write_files(tmp_path, account, {"novo": row("cohere.command-r-08-2024")})
        gateway.wait_for(lambda: (status("gpt5"), status("novo")) == (404, 200), "the changed file to be read")

        (tmp_path / "llm_models.json").write_text('{"gpt5": {"type": "model"}}')
        gateway.wait_for(lambda: "missing required field" in gateway.stderr, "the broken file to be told")
        assert status("novo") == 200
        assert "gpt5: object missing required field `id`" in gateway.stderr
        assert gateway.stderr.count("missing required field") == 1

        doctor = subprocess.run(
            [sys.executable, "-m", "foz", "doctor", "--offline"],
            cwd=tmp_path,
            env=clean_environment({"FOZ_DATA": str(tmp_path / "data"), "HOME": str(tmp_path)}),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert doctor.returncode == 1
        assert "llm_models.json" in doctor.stderr
        assert "missing required field" in doctor.stderr


def test_broken_credentials_leave_the_old_ones(tmp_path: Path, account: Account, upstream: Upstream) -> None:
    """Credentials that cannot be used are told and not taken; good ones that follow are."""
    write_files(tmp_path, account)
    with start(tmp_path, account, upstream) as gateway:
        house = House(gateway, upstream)
        credentials = tmp_path / "credentials.conf"
        credentials.write_text("[DEFAULT]\nuser=nobody\n")
        gateway.wait_for(lambda: "the old ones stay" in gateway.stderr, "the broken file to be told")
        assert house.ask("/genai/gpt5/inference", {"prompt": "hi"})["response"]["finish_reason"] == "STOP"

        credentials.write_text(account.config.read_text())
        gateway.wait_for(lambda: "were read anew" in gateway.stderr, "the good file to be taken")
        assert house.ask("/genai/gpt5/inference", {"prompt": "hi"})["response"]["finish_reason"] == "STOP"


# Test mode and CORS.


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory, account: Account) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tried")
    write_files(folder, account)
    with start_gateway(folder, config=SETTINGS, environment={"TEST_MODE": "true"}) as gateway:
        yield gateway


def test_seed_003_test_mode(tried: Served, upstream: Upstream) -> None:
    """Seed 003, Modo de Teste: answers are simulated and nothing is sent, but names and types are still checked."""
    before = len(upstream.logged())
    house = House(tried, upstream)
    told = house.ask("/genai/gpt5/v1/chat/completions", QUESTION)
    inferred = house.ask("/genai/gpt5/inference", {"prompt": "Olá"})
    unknown = house.ask("/genai/xxx/inference", {"prompt": "Olá"}, status=404)
    wrong = house.ask("/genai/gpt5/chat", {}, status=400)

    assert told["model"] == "gpt5"
    assert inferred["response"]["finish_reason"] == "STOP"
    assert unknown == {"error": "Modelo 'xxx' não encontrado no arquivo de configuração"}
    assert wrong == {"error": "Modelo 'gpt5' não é um agent. Use type='agent' no JSON."}
    assert len(upstream.logged()) == before


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with start_gateway(tmp_path_factory.mktemp("bare"), environment={"TEST_MODE": "true"}) as gateway:
        yield gateway


@pytest.mark.parametrize("which", ["tried", "bare"])
def test_seed_003_agents_in_test_mode(request: pytest.FixtureRequest, upstream: Upstream, which: str) -> None:
    """Seed 003, Modo de Teste: simulated agents keep sessions, with the file or without, by both ways of the seed."""
    before = len(upstream.logged())
    house = House(request.getfixturevalue(which), upstream)
    who = {"channel": "web-app", "cuid": "user-12345"}
    first = house.ask("/genai/my-agent/chat", {**who, "userMessage": "Olá, preciso de ajuda"})
    second = house.ask("/genai/my-agent/chat", {**who, "userMessage": "Qual é o status do pedido #12345?"})
    session = house.ask("/genai/my-agent/session", who)["id"]
    manual = house.ask("/genai/my-agent/chat", {"sessionId": session, "userMessage": "Olá"})
    alone = house.ask("/genai/my-agent/v1/chat/completions", QUESTION)

    assert second["sessionInfo"] == {**first["sessionInfo"], "reused": True}
    assert second["agentResponse"]["content"][0]["text"].startswith("Turn 2")
    assert session != first["sessionInfo"]["sessionId"]
    assert manual["sessionInfo"]["sessionId"] == session
    assert alone["model"] == "my-agent"
    assert house.call("DELETE", f"/genai/my-agent/session/{session}", headers=()).status == 204
    gone = house.ask("/genai/my-agent/chat", {"sessionId": session, "userMessage": "Olá"}, status=404)
    assert gone["error"] == "Sessão inválida ou expirada"
    assert len(upstream.logged()) == before


@pytest.mark.parametrize("path", ["/genai/gpt5/inference", "/genai/models"])
def test_seed_003_cors_is_open_in_test_mode(tried: Served, path: str) -> None:
    """Seed 003, CORS: in test mode every origin is let in, on both planes."""
    method, body = ("GET", b"") if path == "/genai/models" else ("POST", b'{"prompt": "hi"}')
    with tried.connect() as connection:
        reply = connection.call(method, path, body, ((b"origin", PAGE),))

    assert reply.status == 200
    assert reply.header(b"access-control-allow-origin") == PAGE


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/genai/gpt5/inference", 405),
        ("POST", "/genai/%zz/inference", 400),
        ("POST", "/genai/xxx/inference", 404),
        ("PUT", "/genai/my-agent/session", 405),
        ("GET", "/genai/nothing", 404),
    ],
)
def test_a_page_may_read_what_went_wrong(tried: Served, method: str, path: str, status: int) -> None:
    """An error is as readable for a page that is let in as an answer is, also where no path was found."""
    with tried.connect() as connection:
        reply = connection.call(method, path, b'{"prompt": "hi"}', ((b"origin", PAGE),))

    assert reply.status == status
    assert reply.header(b"access-control-allow-origin") == PAGE


def test_cors_is_closed_unless_it_is_opened(tmp_path: Path, account: Account, upstream: Upstream, house: House) -> None:
    """Outside test mode no origin may read an answer; `[cors] origins` lets one in by its name, preflights too."""
    preflight: Headers = ((b"origin", PAGE), (b"access-control-request-method", b"POST"))
    body = b'{"prompt": "hi"}'
    for path in ("/genai/gpt5/inference", "/genai/my-agent/session"):
        closed = house.call("OPTIONS", path, headers=preflight)
        assert closed.header(b"access-control-allow-origin") is None
    said = house.call("POST", "/genai/gpt5/inference", body, (*BEARER, (b"origin", PAGE)))
    assert said.header(b"access-control-allow-origin") is None

    write_files(tmp_path, account)
    with start(tmp_path, account, upstream, f'\n[cors]\norigins = ["{PAGE.decode()}"]\n') as gateway:
        opened = House(gateway, upstream)
        for path in ("/genai/gpt5/inference", "/genai/my-agent/session"):
            assert opened.call("OPTIONS", path, headers=preflight).header(b"access-control-allow-origin") == PAGE
        stranger = opened.call("POST", "/genai/gpt5/inference", body, (*BEARER, (b"origin", b"https://evil.example")))
        assert stranger.header(b"access-control-allow-origin") is None


# What is sent wrongly.

PATHS = [
    "/genai/gpt5/v1/chat/completions",
    "/genai/gpt5/v1/completions",
    "/genai/gpt5/v1/embeddings",
    "/genai/gpt5/inference",
    "/genai/my-agent/chat",
    "/genai/my-agent/session",
]
BODIES: list[bytes] = [
    b"{",
    b"[]",
    b'"text"',
    b"\xff\xfe",
    b"[" * 200_000,
    b'{"prompt": ' + b'{"a":' * 5000,
    json.dumps({"messages": 5, "prompt": 5, "input": 5, "userMessage": 5, "channel": 5}).encode(),
    json.dumps({"messages": [], "prompt": [], "input": [], "userMessage": "", "channel": ""}).encode(),
    json.dumps({"channel": "a" * 10_000, "cuid": [], "userMessage": None, "prompt": None}).encode(),
    b'{"prompt": "\\ud800", "userMessage": "\\ud800", "input": "\\ud800", "messages": "\\ud800", "channel": "\\ud800"}',
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_body_that_is_wrong_is_refused(house: House, path: str, body: bytes) -> None:
    """Whatever is wrong with a body gets this API's own error, never a 500, and nothing is sent upstream."""
    before = house.asked()
    reply = house.call("POST", path, body)

    assert 400 <= reply.status < 500, reply.body
    assert set(msgspec.json.decode(reply.body)) == {"error"}
    assert house.asked() == before


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/genai/gpt5/inference", {}, "prompt"),
        ("/genai/gpt5/inference", {"prompt": "x", "temperature": 3}, "temperature"),
        ("/genai/gpt5/inference", {"prompt": "x", "max_tokens": 0}, "max_tokens"),
        ("/genai/gpt5/inference", {"prompt": "x", "top_p": -1}, "top_p"),
        ("/genai/my-agent/chat", {"channel": "a", "cuid": "b"}, "userMessage"),
        ("/genai/my-agent/chat", {"channel": "a", "userMessage": "b"}, "cuid"),
        ("/genai/my-agent/chat", {"cuid": "a", "userMessage": "b"}, "channel"),
        ("/genai/my-agent/chat", {"userMessage": "b"}, "channel"),
        ("/genai/gpt5/v1/chat/completions", {}, "messages"),
        ("/genai/gpt5/v1/embeddings", {"model": "x"}, "input"),
        ("/genai/gpt5/v1/embeddings", {"model": "../x", "input": "y"}, "model"),
        ("/genai/gpt5/v1/embeddings", {"model": "a" * 300, "input": "y"}, "model"),
        ("/genai/my-agent/session", {"channel": ""}, "channel"),
    ],
)
def test_the_field_that_is_wrong_is_named(house: House, path: str, body: object, field: str) -> None:
    """A missing field, or one out of its range, is named in the sentence."""
    assert field in house.ask(path, body, status=400)["error"]


@pytest.mark.parametrize("path", [*PATHS, "/genai/gpt5/v1/files"])
def test_a_body_that_is_too_large_is_refused(house: House, path: str) -> None:
    """A body over the limit gets 413 in this API's words before it is read."""
    with house.gateway.connect() as connection:
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        connection.send(head.encode() + b"authorization: " + BEARER[0][1] + b"\r\ncontent-length: 9999999\r\n\r\n")
        reply = connection.reply()

    assert reply.status == 413
    assert set(msgspec.json.decode(reply.body)) == {"error"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/genai/gpt5/inference", 405),
        ("PUT", "/genai/my-agent/session", 405),
        ("GET", "/genai", 404),
        ("POST", "/genai/gpt5/v1/nothing", 404),
        ("GET", "/genai/%zz/v1/models", 404),
        ("POST", "/genai/%zz/inference", 400),
        ("POST", "/genai/%00/inference", 400),
        ("POST", "/genai/" + "a" * 600 + "/inference", 400),
        ("GET", "/genai/xxx/v1/files", 404),
        ("GET", "/genai/gpt5/v1/files/..%2f..%2ffoz.db/content", 404),
        ("DELETE", "/genai/my-agent/session/nothing", 404),
    ],
)
def test_a_path_that_is_wrong_is_told_in_this_apis_words(house: House, method: str, path: str, status: int) -> None:
    """Paths and methods that are not there, and names that are none, get `{"error": ...}` with their status."""
    reply = house.call(method, path)

    assert reply.status == status, reply.body
    assert set(msgspec.json.decode(reply.body)) <= {"error", "suggestion"}
