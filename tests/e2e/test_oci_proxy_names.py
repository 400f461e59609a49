"""What the names of `/genai/{model}` reach: the rows of the file, agents as models, and public names."""

import re
from collections.abc import Iterator

import msgspec
import pytest

from foz.testing.oracle.process import COMPARTMENT, Account, make_account, start_oracle
from foz.testing.process import start_upstream
from foz.wire.http import Headers
from tests.e2e.genai import BEARER, House, start, write_files

AS_WRITTEN = """{
  "gpt5": {
    "id": "ocid1.generativeaimodel.oc1.us-chicago-1.amaaa...",
    "region": "us-chicago-1",
    "compartmentId": "ocid1.compartment.oc1..aaaaaa...",
    "type": "model"
  },
  "my-agent": {
    "id": "ocid1.generativeaiagentendpoint.oc1.us-chicago-1.amaaa...",
    "region": "us-chicago-1",
    "compartmentId": "ocid1.compartment.oc1..aaaaaa...",
    "type": "agent"
  }
}
"""
MORE = {
    "other": {"id": "cohere.command-r-08-2024", "region": "us-chicago-1", "profile": "SESSION", "type": "model"},
    "vectors": {"id": "cohere.embed-v4.0", "compartmentId": COMPARTMENT, "apiFormat": "COHERE"},
}
CONFIG = """
[[provider]]
name = "far"
base_url = "http://127.0.0.1:{port}/v1"
models = ""

[[model]]
name = "delta"
targets = ["far/hidden"]
"""
ADMIN = "sk-administrator-0123456789"
CHAT = "/genai/{}/v1/chat/completions"
QUESTION = {"messages": [{"role": "user", "content": "Explique computação quântica"}]}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    account: Account = make_account(tmp_path_factory.mktemp("account"))
    rows = msgspec.json.decode(AS_WRITTEN)
    with (
        start_oracle(tmp_path_factory.mktemp("oracle"), account, {rows["gpt5"]["id"]: "openai.gpt-5"}) as upstream,
        start_upstream(tmp_path_factory.mktemp("far")) as far,
    ):
        folder = tmp_path_factory.mktemp("gateway")
        write_files(folder, account)
        (folder / "llm_models.json").write_text(AS_WRITTEN[:-3] + "," + msgspec.json.encode(MORE).decode()[1:])
        with start(folder, account, upstream, CONFIG.format(port=far.port), FOZ_ADMIN_KEY=ADMIN) as gateway:
            yield House(gateway, upstream)


def test_seed_003_the_file_as_it_is_written(house: House) -> None:
    """Seed 003, Configurar Modelos and Configurar Credenciais: the rows as they stand there are asked."""
    answer = house.ask(CHAT.format("gpt5"), {**QUESTION, "temperature": 0.7, "max_tokens": 500})
    agent = house.ask("/genai/my-agent/chat", {"channel": "web-app", "cuid": "user-12345", "userMessage": "Olá"})

    assert answer["model"] == "gpt5"
    assert "Explique computação quântica" in answer["choices"][0]["message"]["content"]
    assert re.fullmatch(r"ocid1\.\S+", agent["sessionInfo"]["sessionId"])
    paths = [path for path, _, _ in house.upstream.logged()]
    assert any("ocid1.generativeaiagentendpoint.oc1.us-chicago-1.amaaa..." in path for path in paths)


def test_rows_may_say_more(house: House) -> None:
    """A row may name a profile of the credentials, an API format, and leave region or compartment to the account."""
    answer = house.ask("/genai/other/inference", {"prompt": "Olá"})
    vectors = house.ask("/genai/vectors/v1/embeddings", {"input": "Texto para gerar embedding"})

    assert answer["response"]["finish_reason"] == "STOP"
    assert len(vectors["data"][0]["embedding"]) > 1


@pytest.mark.parametrize("body", ["other", "delta", "nothing", ""])
def test_the_paths_model_wins(house: House, body: str) -> None:
    """Whatever model the body names, the path's is asked and told."""
    answer = house.ask(CHAT.format("gpt5"), {**QUESTION, "model": body})

    assert answer["model"] == "gpt5"
    assert house.upstream.logged()[-1][0].endswith("actions/chat")


def test_public_names_are_reached_too(house: House) -> None:
    """A model that only foz.toml has answers a client of this API in every one of its shapes for models."""
    before = house.asked()

    assert house.ask(CHAT.format("delta"), QUESTION)["model"] == "delta"
    assert house.ask("/genai/delta/inference", {"prompt": "Olá"})["response"]["finish_reason"] == "STOP"
    assert house.ask("/genai/delta/v1/completions", {"prompt": "Olá"})["model"] == "delta"
    assert len(house.ask("/genai/delta/v1/embeddings", {"input": "Olá"})["data"]) == 1
    assert house.ask("/genai/far/hidden/inference", {"prompt": "Olá"})["response"]["text"]
    assert house.call("GET", "/genai/delta/v1/models").status == 200
    assert house.asked() == before


def test_seed_003_an_agent_on_openais_path(house: House) -> None:
    """Seed 003, Comparação: an agent chats on `/v1/chat/completions` too, whole and streamed, and tells no usage."""
    who = {"channel": "web", "cuid": "completions"}
    first = house.ask(CHAT.format("my-agent"), {**QUESTION, **who})
    second = house.ask(CHAT.format("my-agent"), {**QUESTION, **who})
    session = house.ask("/genai/my-agent/session", {})["id"]
    named = house.ask(CHAT.format("my-agent"), {**QUESTION, "sessionId": session})
    events, whole = house.stream(CHAT.format("my-agent"), {**QUESTION, **who})

    assert first["model"] == "my-agent"
    assert "usage" not in first
    assert second["choices"][0]["message"]["content"].startswith("Turn 2")
    assert named["choices"][0]["message"]["content"].startswith("Turn 1")
    assert whole
    assert events[-1] == "[DONE]"
    said = "".join(choice["delta"].get("content") or "" for event in events[:-1] for choice in event["choices"])
    assert said.startswith("Turn 3")


def test_an_agents_chat_of_its_own_leaves_no_session(house: House) -> None:
    """Without `channel`, `cuid` and `sessionId` a chat has a session of its own, deleted when it has ended."""
    answer = house.ask(CHAT.format("my-agent"), QUESTION)

    assert answer["choices"][0]["message"]["content"].startswith("Turn 1")
    house.gateway.wait_for(lambda: "/sessions/" in house.upstream.logged()[-1][0], "its session to be deleted")


def test_sessions_and_files_are_their_keys_own(house: House) -> None:
    """Another key has another session of the same user, and finds neither the first's session nor its file."""
    hers: Headers = ((b"authorization", f"Bearer {ADMIN}".encode()),)
    said = {"channel": "web", "cuid": "shared", "userMessage": "Olá"}
    mine = house.ask("/genai/my-agent/chat", said)["sessionInfo"]["sessionId"]
    other = house.call("POST", "/genai/my-agent/chat", msgspec.json.encode(said), hers)
    named = msgspec.json.encode({"sessionId": mine, "userMessage": "Olá"})
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nsegredo\r\n--x--\r\n'
    type_ = (b"content-type", b"multipart/form-data; boundary=x")
    kept = msgspec.json.decode(house.call("POST", "/v1/files", form, (*BEARER, type_)).body)["id"]

    assert msgspec.json.decode(other.body)["sessionInfo"]["sessionId"] != mine
    assert house.call("POST", "/genai/my-agent/chat", named, hers).status == 404
    assert house.call("DELETE", f"/genai/my-agent/session/{mine}", headers=hers).status == 404
    for method, path in (("GET", kept), ("GET", f"{kept}/content"), ("DELETE", kept)):
        assert house.call(method, f"/genai/gpt5/v1/files/{path}", headers=hers).status == 404
    assert house.call("GET", f"/v1/files/{kept}/content").body == b"segredo"
    assert house.call("DELETE", f"/v1/files/{kept}").status == 200
