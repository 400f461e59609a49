"""The OCI GenAI Proxy over a real socket, with a fake Oracle behind it: the examples and errors of seed 003."""

import re
from collections.abc import Iterator

import msgspec
import pytest

from foz.testing.oracle.process import Account, make_account, start_oracle
from foz.testing.raw import request
from foz.wire.http import Headers
from tests.e2e.genai import BEARER, GPT5, KEY, ROWS, House, start, write_files

CHAT = "/genai/gpt5/v1/chat/completions"
AGENT = "/genai/my-agent/chat"
QUESTION = {"messages": [{"role": "user", "content": "Conte uma história"}]}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return make_account(tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, account: Account) -> Iterator[House]:
    with start_oracle(tmp_path_factory.mktemp("oracle"), account, {GPT5: "openai.gpt-5"}) as upstream:
        folder = tmp_path_factory.mktemp("gateway")
        write_files(folder, account)
        with start(folder, account, upstream) as gateway:
            yield House(gateway, upstream)


# The seed's examples.


def test_seed_003_chat_with_a_model(house: House) -> None:
    """Seed 003, Chat com Model (OpenAI v1): the example is answered as the document's answer looks."""
    body = {
        "messages": [{"role": "user", "content": "Explique computação quântica"}],
        "temperature": 0.7,
        "max_tokens": 500,
    }
    answer = house.ask(CHAT, body)

    assert answer["object"] == "chat.completion"
    assert answer["model"] == "gpt5"
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert "Explique computação quântica" in answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


def test_seed_003_chat_with_an_agent_in_automatic_mode(house: House) -> None:
    """Seed 003, Chat com Agent (Modo Automático): the second message of a user is told in the session of the first."""
    who = {"channel": "web-app", "cuid": "user-12345"}
    first = house.ask(AGENT, {**who, "userMessage": "Olá, preciso de ajuda"})
    second = house.ask(AGENT, {**who, "userMessage": "Qual é o status do pedido #12345?"})

    assert first["agentResponse"]["role"] == "ASSISTANT"
    assert "Olá, preciso de ajuda" in first["agentResponse"]["content"][0]["text"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["agentResponse"]["timeCreated"])
    assert first["sessionInfo"]["reused"] is False
    assert second["sessionInfo"] == {**first["sessionInfo"], "reused": True}
    assert second["sessionInfo"]["sessionKey"] == "web-app:user-12345"
    assert second["agentResponse"]["content"][0]["text"].startswith("Turn 2")


def test_seed_003_chat_with_an_agent_in_manual_mode(house: House) -> None:
    """Seed 003, Chat com Agent (Modo Manual): a session is made, always a new one, and a message told in it."""
    who = {"channel": "web-app", "cuid": "user-12345"}
    session = house.ask("/genai/my-agent/session", who)["id"]
    other = house.ask("/genai/my-agent/session", who)["id"]
    answer = house.ask(AGENT, {"sessionId": session, "userMessage": "Olá"})

    assert session != other
    assert "Olá" in answer["agentResponse"]["content"][0]["text"]
    assert answer["sessionInfo"]["sessionId"] == session


def test_seed_003_direct_inference(house: House) -> None:
    """Seed 003, Inferência Direta (OCI): a text and a reason in capitals, in `response`."""
    body = {"prompt": "Traduza para inglês: Olá, mundo!", "temperature": 0.3, "max_tokens": 100}
    answer = house.ask("/genai/gpt5/inference", body)

    assert set(answer) == {"response"}
    assert set(answer["response"]) == {"text", "finish_reason"}
    assert "Olá, mundo!" in answer["response"]["text"]
    assert answer["response"]["finish_reason"] == "STOP"
    short = house.ask("/genai/gpt5/inference", {"prompt": "Conte uma história longa", "max_tokens": 2})
    assert short["response"]["finish_reason"] == "LENGTH"


def test_seed_003_streaming(house: House) -> None:
    """Seed 003, Streaming: OpenAI's chunks as server-sent events, then `[DONE]`, and the connection ends whole."""
    events, whole = house.stream(CHAT, QUESTION)
    text = "".join(choice["delta"].get("content") or "" for event in events[:-1] for choice in event["choices"])

    assert whole
    assert events[-1] == "[DONE]"
    assert {event["model"] for event in events[:-1]} == {"gpt5"}
    assert "Conte uma história" in text
    assert len(events) > 5


def test_seed_003_embeddings(house: House) -> None:
    """Seed 003, Embeddings: the body's model is asked of Oracle in the place of the path's."""
    body = {"input": "Texto para gerar embedding", "model": "cohere.embed-multilingual-v3.0"}
    answer = house.ask("/genai/gpt5/v1/embeddings", body)

    assert len(answer["data"][0]["embedding"]) > 1
    assert answer["model"] == "cohere.embed-multilingual-v3.0"


def test_seed_003_text_completion(house: House) -> None:
    """Seed 003, Endpoints: `/v1/completions` continues a text, though the model only chats."""
    answer = house.ask("/genai/gpt5/v1/completions", {"prompt": "Era uma vez", "max_tokens": 100})

    assert (answer["object"], answer["model"]) == ("text_completion", "gpt5")
    assert "Era uma vez" in answer["choices"][0]["text"]


def test_seed_003_information_on_a_model(house: House) -> None:
    """Seed 003, Endpoints: `/v1/models` tells the model of the path; `/genai/models` those of the file."""
    told = house.call("GET", "/genai/gpt5/v1/models")
    listed = house.call("GET", "/genai/models")
    single = house.call("GET", "/genai/org/estuary:latest/v1/models/org/estuary:latest")

    assert told.status == listed.status == single.status == 200
    assert b'"id":"gpt5"' in told.body
    assert all(f'"name":"{name}"'.encode() in listed.body for name in ROWS)
    assert b'"type":"agent"' in listed.body
    assert b'"id":"org/estuary:latest"' in single.body


@pytest.mark.parametrize("header", [(b"authorization", f"Bearer {KEY}".encode()), (b"x-api-key", KEY.encode())])
def test_seed_003_both_headers_of_a_key(house: House, header: tuple[bytes, bytes]) -> None:
    """Seed 003, Autenticação: the key is taken from either header."""
    body = b'{"prompt": "hi"}'

    assert house.call("POST", "/genai/gpt5/inference", body, (header,)).status == 200


@pytest.mark.parametrize(
    ("path", "fixed", "limits"),
    [
        (CHAT, QUESTION, {"temperature": (0.0, 2.0), "top_p": (0.0, 1.0), "max_tokens": (1, 500)}),
        (
            "/genai/gpt5/inference",
            {"prompt": "Olá"},
            {"temperature": (0.0, 2.0), "top_p": (0.0, 1.0), "top_k": (0, 50), "max_tokens": (1, 500)},
        ),
    ],
)
def test_seed_003_parameters(
    house: House, path: str, fixed: dict[str, object], limits: dict[str, tuple[float, float]]
) -> None:
    """Seed 003, Parâmetros Comuns: each parameter is taken within its range, alone and together, and not outside."""
    for name, ends in limits.items():
        for value in ends:
            house.ask(path, {**fixed, name: value})
    for end in (0, 1):
        house.ask(path, {**fixed, "stream": False, **{name: ends[end] for name, ends in limits.items()}})
    for name, value in (("temperature", 2.01), ("temperature", -0.01), ("max_tokens", 0), ("top_p", 1.1)):
        assert name in house.ask(path, {**fixed, name: value}, status=400)["error"]


def test_seed_003_what_automatic_mode_does_by_itself(house: House) -> None:
    """Seed 003, Benefícios: a 409 is asked again in the same session, and one that Oracle forgot is made anew."""
    said = {"channel": "web-app", "cuid": "beneficios", "userMessage": "Olá"}
    first = house.ask(AGENT, said)["sessionInfo"]
    house.lay({"x-simulate-status": "409"})
    busy = house.ask(AGENT, said)
    with house.upstream.connect() as connection:
        assert connection.call("DELETE", "/_sessions").status == 200
    anew = house.ask(AGENT, said)

    assert busy["sessionInfo"] == {**first, "reused": True}
    assert busy["agentResponse"]["content"][0]["text"].startswith("Turn 2")
    assert anew["sessionInfo"]["sessionKey"] == "web-app:beneficios"
    assert anew["agentResponse"]["content"][0]["text"].startswith("Turn 1")
    assert anew["sessionInfo"]["reused"] is False
    assert house.ask(AGENT, said)["sessionInfo"] == {**anew["sessionInfo"], "reused": True}


# The seed's errors, to the letter.


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/genai/xxx/v1/chat/completions", QUESTION, 404, "Modelo 'xxx' não encontrado no arquivo de configuração"),
        ("/genai/xxx/chat", {}, 404, "Modelo 'xxx' não encontrado no arquivo de configuração"),
        ("/genai/xxx/session", {}, 404, "Modelo 'xxx' não encontrado no arquivo de configuração"),
        ("/genai/gpt5/chat", {}, 400, "Modelo 'gpt5' não é um agent. Use type='agent' no JSON."),
        ("/genai/gpt5/session", {}, 400, "Modelo 'gpt5' não é um agent. Use type='agent' no JSON."),
        ("/genai/my-agent/inference", {}, 400, "Modelo 'my-agent' não é um model. Use type='model' no JSON."),
        ("/genai/my-agent/v1/embeddings", {}, 400, "Modelo 'my-agent' não é um model. Use type='model' no JSON."),
        ("/genai/my-agent/v1/completions", {}, 400, "Modelo 'my-agent' não é um model. Use type='model' no JSON."),
    ],
)
def test_seed_003_names_that_are_wrong(house: House, path: str, body: object, status: int, error: str) -> None:
    """Seed 003, Erros Comuns 1 and 2: a name that is nothing, or not what the path is for, is told in its words."""
    before = house.asked()

    assert house.ask(path, body, status=status) == {"error": error}
    assert house.asked() == before


def test_seed_003_session_that_is_gone(house: House) -> None:
    """Seed 003, Erros Comuns 3: a session that is not the caller's, or forgotten by Oracle, has the suggestion."""
    gone = {
        "error": "Sessão inválida ou expirada",
        "suggestion": "Use modo automático com 'channel' e 'cuid'",
    }
    unknown = {"sessionId": "ocid1.genaiagentsession.oc1..somebody", "userMessage": "Olá"}
    assert house.ask(AGENT, unknown, status=404) == gone

    session = house.ask("/genai/my-agent/session", {})["id"]
    with house.upstream.connect() as connection:
        assert connection.call("DELETE", "/_sessions").status == 200
    assert house.ask(AGENT, {"sessionId": session, "userMessage": "Olá"}, status=404) == gone


def test_a_session_that_was_ended_is_gone(house: House) -> None:
    """DELETE of a session ends it once; whoever names it afterwards gets the seed's error."""
    session = house.ask("/genai/my-agent/session", {})["id"]
    path = f"/genai/my-agent/session/{session}"

    assert house.call("DELETE", path).status == 204
    again = house.call("DELETE", path)
    assert again.status == 404
    assert "Sessão inválida ou expirada" in again.body.decode()
    house.ask(AGENT, {"sessionId": session, "userMessage": "Olá"}, status=404)


@pytest.mark.parametrize("headers", [(), ((b"authorization", b"Bearer wrong"),), ((b"x-api-key", b"wrong"),)])
@pytest.mark.parametrize("path", [CHAT, AGENT, "/genai/models", "/genai/my-agent/session", "/genai/nothing"])
def test_seed_003_key_that_is_wrong(house: House, path: str, headers: Headers) -> None:
    """Seed 003, Erros Comuns 4: without a key, or with an unknown one, every path says so in the seed's words."""
    method, body = ("GET", b"") if path == "/genai/models" else ("POST", b"{}")
    reply = house.call(method, path, body, headers)

    assert reply.status == 401
    assert reply.body.decode() == '{"error":"API Key inválida"}'


# Streams.


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, QUESTION),
        ("/genai/gpt5/inference", {"prompt": "Conte uma história"}),
        (AGENT, {"channel": "web", "cuid": "slow", "userMessage": "Conte uma história"}),
    ],
)
def test_pieces_arrive_one_by_one(house: House, path: str, body: dict[str, object]) -> None:
    """Pieces are here, each by itself, while the upstream, which stops after its third, has not finished."""
    with house.gateway.connect() as connection:
        asked = msgspec.json.encode({**body, "stream": True})
        connection.send(request("POST", path, asked, (*BEARER, (b"x-simulate-hang", b"4"))))
        assert connection.head().status == 200
        pieces = [connection.chunk() for _ in range(2)]

    assert all(piece.startswith(b"data: {") and b"[DONE]" not in piece for piece in pieces)


def test_an_agents_stream_has_its_own_body(house: House) -> None:
    """An agent's stream brings pieces of `agentResponse`, each with its session, then `[DONE]`."""
    events, whole = house.stream(AGENT, {"channel": "web", "cuid": "streams", "userMessage": "Olá 🌊"})
    text = "".join(event["agentResponse"]["content"][0]["text"] for event in events[:-1])

    assert whole
    assert events[-1] == "[DONE]"
    assert len(events) > 4
    assert text == 'Turn 1, which began with "Olá 🌊": you said "Olá 🌊".'
    assert {event["sessionInfo"]["sessionKey"] for event in events[:-1]} == {"web:streams"}
    assert all(event["sessionInfo"]["sessionId"] for event in events[:-1])


def test_an_inference_stream_has_its_own_body(house: House) -> None:
    """A stream of inference brings pieces of `response`, the last with the reason, then `[DONE]`."""
    events, whole = house.stream("/genai/gpt5/inference", {"prompt": "Conte uma história"})

    assert whole
    assert events[-1] == "[DONE]"
    assert events[-2]["response"] == {"text": "", "finish_reason": "STOP"}
    assert all(event["response"]["finish_reason"] is None for event in events[:-2])
    assert "Conte uma história" in "".join(event["response"]["text"] for event in events[:-1])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, QUESTION),
        ("/genai/gpt5/v1/completions", {"prompt": "Era uma vez"}),
        ("/genai/gpt5/inference", {"prompt": "Conte uma história"}),
        (AGENT, {"channel": "web", "cuid": "cut", "userMessage": "Conte uma história"}),
    ],
)
def test_a_cut_stream_never_looks_finished(house: House, path: str, body: dict[str, object]) -> None:
    """A stream that breaks off ends with this API's error, no `[DONE]`, and the connection without its last chunk."""
    events, whole = house.stream(path, body, x_simulate_cut="5")

    assert not whole
    assert "[DONE]" not in events
    assert set(events[-1]) == {"error"}
