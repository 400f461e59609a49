"""`foz serve` in front of Oracle's API: signed calls over real sockets, whole and streamed, and what can go wrong."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from foz.testing.oracle.process import COMPARTMENT, Account, make_account, start_oracle
from foz.testing.process import Served, Upstream, start_gateway
from foz.testing.raw import request
from foz.wire.http import Headers

LLAMA, COMMAND, VISION = (
    "oci/meta.llama-3.3-70b-instruct",
    "oci/cohere.command-r-08-2024",
    "oci/cohere.command-a-vision",
)
GPT = "oci/openai.gpt-5"
KNOWN = "ocid1.generativeaimodel.oc1.us-chicago-1.known"
HIDDEN = "ocid1.generativeaimodel.oc1.us-chicago-1.hidden"
DEDICATED = "ocid1.generativeaiendpoint.oc1.us-chicago-1.own"
TOKENS = "ocid1.generativeaimodel.oc1.us-chicago-1.gpt"
SETTINGS = f"""
[timeouts]
first_byte = "2s"
idle = "1s"

[retries]
backoff = "10ms"
budget = 1.0

[breaker]
failures = 1000

[[provider]]
name = "oci"
compartment = "{COMPARTMENT}"
forwards = ["x-simulate-"]

[[provider]]
name = "oci-session"
dialect = "oci"
profile = "SESSION"
base_url = "{{url}}"
"""
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return make_account(tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory, account: Account) -> Iterator[Upstream]:
    models = {KNOWN: "cohere.command-r-plus", TOKENS: "openai.gpt-5-mini", DEDICATED: "meta.llama-3.1-8b"}
    with start_oracle(tmp_path_factory.mktemp("oracle"), account, models) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, account: Account, upstream: Upstream) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "credentials.conf").write_text(account.config.read_text())
    environment = {"OCI_GENAI_ENDPOINT": upstream.url}
    with start_gateway(folder, config=SETTINGS.format(url=upstream.url), environment=environment) as running:
        yield running


def sent_with(headers: dict[str, str]) -> Headers:
    return tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())


def ask(gateway: Served, body: dict[str, Any], path: str = "/v1/chat/completions", **headers: str) -> tuple[int, Any]:
    """Status and body of one call."""
    with gateway.connect() as connection:
        answer = connection.call("POST", path, msgspec.json.encode(body), sent_with(headers))
        return answer.status, msgspec.json.decode(answer.body)


def chat(model: str, text: str = "Olá 🌊 there", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def stream(gateway: Served, body: dict[str, Any], **headers: str) -> list[Any]:
    """The events of one stream, the last one a word where it is no JSON; it may be broken off."""
    asked = msgspec.json.encode({**body, "stream": True, "stream_options": {"include_usage": True}})
    with gateway.connect() as connection:
        along = (*sent_with(headers), (b"connection", b"close"))
        connection.send(request("POST", "/v1/chat/completions", asked, along))
        assert connection.head().status == 200
        left, text = connection.rest(), b""
    while left:
        size, _, left = left.partition(b"\r\n")
        text, left = text + left[: int(size, 16)], left[int(size, 16) + 2 :]
    frames = [frame.removeprefix("data: ") for frame in text.decode().split("\n\n") if frame]
    return [msgspec.json.decode(frame) if frame.startswith("{") else frame for frame in frames]


def lay(upstream: Upstream, *acts: dict[str, str]) -> None:
    """What is wrong with the fake's next calls."""
    with upstream.connect() as connection:
        assert connection.call("PUT", "/_next", msgspec.json.encode(acts)).status == 200


def produced(upstream: Upstream) -> list[dict[str, Any]]:
    with upstream.connect() as connection:
        told: list[dict[str, Any]] = msgspec.json.decode(connection.call("GET", "/_produced").body)
        return told


@pytest.mark.parametrize("model", [LLAMA, COMMAND, VISION, GPT, f"oci-session/{LLAMA[4:]}"])
def test_a_chat_is_answered_whole_and_streamed(gateway: Served, model: str) -> None:
    """A model of each format, and one called with a session's token, answers the same words whole and streamed."""
    status, whole = ask(gateway, chat(model, max_tokens=500))
    events = stream(gateway, chat(model, max_tokens=500))

    assert status == 200, whole
    text = whole["choices"][0]["message"]["content"]
    assert "Olá 🌊 there" in text
    pieces = [choice["delta"].get("content") or "" for event in events[:-1] for choice in event["choices"]]
    assert "".join(pieces) == text
    assert len([piece for piece in pieces if piece]) > 5
    assert events[-1] == "[DONE]"
    assert events[-2]["usage"] == whole["usage"]
    assert whole["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("model", [LLAMA, COMMAND, VISION, "oci/google.gemini-2.5-flash"])
def test_parallel_calls_are_told_apart(gateway: Served, model: str) -> None:
    """Two calls of one turn come with their own arguments, whole and streamed, and their results are answered."""
    asked = chat(model, "The weather in Paris and Tokyo?", tools=[TOOL])
    _, whole = ask(gateway, asked)
    calls = whole["choices"][0]["message"]["tool_calls"]
    pieces: dict[int, str] = {}
    for event in stream(gateway, asked)[:-1]:
        for choice in event["choices"]:
            for call in choice["delta"].get("tool_calls", []):
                pieces[call["index"]] = pieces.get(call["index"], "") + call["function"].get("arguments", "")
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "22 degrees"} for call in calls]
    said = {**asked, "messages": [*asked["messages"], whole["choices"][0]["message"], *results]}
    _, last = ask(gateway, said)

    cities = [msgspec.json.decode(call["function"]["arguments"]) for call in calls]
    assert cities == [{"city": "Paris"}, {"city": "Tokyo"}]
    assert [msgspec.json.decode(piece) for piece in pieces.values()] == cities
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert "22 degrees" in last["choices"][0]["message"]["content"]


def test_texts_are_embedded(gateway: Served) -> None:
    """Two texts are two vectors, and their tokens are counted."""
    body = {"model": "oci/cohere.embed-english-v3.0", "input": ["one", "two words"], "encoding_format": "float"}
    status, told = ask(gateway, body, "/v1/embeddings")

    assert status == 200, told
    assert [row["index"] for row in told["data"]] == [0, 1]
    assert told["usage"]["prompt_tokens"] == 3


@pytest.mark.parametrize(("ocid", "asked"), [(KNOWN, "models"), (DEDICATED, "endpoints")])
def test_what_an_ocid_is_is_asked_once(gateway: Served, upstream: Upstream, ocid: str, asked: str) -> None:
    """A model known only by its OCID, or an endpoint of one's own, is looked up once and told in its format."""
    for _ in range(2):
        status, told = ask(gateway, chat(f"oci/{ocid}"))
        assert status == 200, told

    seen = upstream.seen()["requests"]
    assert seen[f"/20231130/{asked}/{ocid}"] == 1


def test_a_wrong_guess_is_corrected_by_its_400(gateway: Served, upstream: Upstream) -> None:
    """Where the model API says nothing, what a 400 refuses is followed by what works, and that is remembered."""
    lay(upstream, {"x-simulate-status": "404"})
    before = upstream.seen()["requests"]["/20231130/actions/chat"]
    first = ask(gateway, chat(f"oci/{TOKENS}"))
    between = upstream.seen()["requests"]["/20231130/actions/chat"]
    second = ask(gateway, chat(f"oci/{TOKENS}"))
    after = upstream.seen()["requests"]["/20231130/actions/chat"]

    assert (first[0], second[0]) == (200, 200), first
    assert (between - before, after - between) == (2, 1)


def test_a_model_with_one_temperature_is_told_none(gateway: Served, upstream: Upstream) -> None:
    """GPT-5 refuses every temperature but its own: it is asked again without, and from then on at once."""
    said = {**chat("oci/openai.gpt-5"), "temperature": 0.7, "top_p": 0.5}
    before = upstream.seen()["requests"]["/20231130/actions/chat"]
    first = ask(gateway, said)
    between = upstream.seen()["requests"]["/20231130/actions/chat"]
    second = ask(gateway, said)
    after = upstream.seen()["requests"]["/20231130/actions/chat"]

    assert (first[0], second[0]) == (200, 200), first
    assert (between - before, after - between) == (3, 1)


def test_a_model_that_there_is_not_says_the_first_refusal(gateway: Served) -> None:
    """An OCID that nobody has is a 404 in the caller's words."""
    status, told = ask(gateway, chat(f"oci/{HIDDEN}"))

    assert status == 404
    assert "Authorization failed or requested resource not found" in told["error"]["message"]


@pytest.mark.parametrize(
    ("act", "status", "calls"),
    [
        ({"x-simulate-status": "400"}, 400, 1),
        ({"x-simulate-status": "401", "x-simulate-code": "NotAuthenticated"}, 502, 1),
        ({"x-simulate-status": "404", "x-simulate-code": "NotAuthorizedOrNotFound"}, 404, 1),
        ({"x-simulate-status": "409", "x-simulate-code": "Conflict"}, 409, 1),
        ({"x-simulate-status": "409", "x-simulate-code": "IncorrectState"}, 200, 2),
        ({"x-simulate-status": "409"}, 200, 2),
        ({"x-simulate-status": "429"}, 200, 2),
        ({"x-simulate-status": "500"}, 200, 2),
    ],
)
def test_what_passes_is_asked_again(
    gateway: Served, upstream: Upstream, act: dict[str, str], status: int, calls: int
) -> None:
    """A 409 that is not final, a 429 and a 500 are asked again and answered; what is final is told at once."""
    before = upstream.seen()["requests"]["/20231130/actions/chat"]
    lay(upstream, act)
    answered, told = ask(gateway, chat(LLAMA))

    assert answered == status, told
    assert upstream.seen()["requests"]["/20231130/actions/chat"] - before == calls


def test_a_cut_stream_never_looks_finished(gateway: Served) -> None:
    """A stream that breaks off ends with an error and without its last word, in each format."""
    for model in (LLAMA, COMMAND, VISION):
        events = stream(gateway, chat(model), x_simulate_cut="5")
        assert "error" in events[-1], model


def test_an_error_in_the_stream_is_told(gateway: Served) -> None:
    """An error that the service sends in its stream ends ours with an error."""
    events = stream(gateway, chat(LLAMA), x_simulate_error="4", x_simulate_code="429")

    assert events[-1]["error"]["code"] == "rate_limit_exceeded"


def test_letters_cut_in_two_arrive_whole(gateway: Served) -> None:
    """A stream that comes in pieces of one byte says the same, emoji and all."""
    events = stream(gateway, chat(COMMAND), x_simulate_fragment="1")
    text = "".join(choice["delta"].get("content") or "" for event in events[:-1] for choice in event["choices"])

    assert "Olá 🌊 there" in text


def test_an_empty_answer_is_an_answer(gateway: Served) -> None:
    """A model that says nothing gets its caller an answer of no words, whole and streamed."""
    for model in (LLAMA, COMMAND, VISION):
        status, told = ask(gateway, chat(model), x_simulate_words="0")
        events = stream(gateway, chat(model), x_simulate_words="0")
        assert status == 200
        assert not told["choices"][0]["message"]["content"]
        assert events[-1] == "[DONE]"


def test_a_slow_service_times_out(gateway: Served) -> None:
    """A service that does not begin in time is a 504."""
    assert ask(gateway, chat(LLAMA), x_simulate_hang="0")[0] == 504


def test_the_ledger_counts_what_was_produced(gateway: Served, upstream: Upstream) -> None:
    """The tokens told to callers are those that the service says it produced, call by call."""
    for model in (LLAMA, COMMAND, VISION):
        for body in (chat(model), chat(model, "The weather in Rio?", tools=[TOOL])):
            usage = stream(gateway, body)[-2]["usage"]
            account = produced(upstream)[-1]
            assert account["ended"]
            assert (usage["prompt_tokens"], usage["completion_tokens"]) == (account["input"], account["output"])


def test_nothing_unsigned_or_changed_is_taken(upstream: Upstream) -> None:
    """The fake refuses a call without a signature, so that what passes was signed."""
    with upstream.connect() as connection:
        answer = connection.call("POST", "/20231130/actions/chat", b"{}")

    assert answer.status == 401
    assert msgspec.json.decode(answer.body)["code"] == "NotAuthenticated"


def test_a_stream_is_passed_on_as_it_comes(gateway: Served, upstream: Upstream) -> None:
    """The first words are with the caller while the service still speaks."""
    body = msgspec.json.encode({**chat(LLAMA), "stream": True})
    with gateway.connect() as connection:
        connection.send(request("POST", "/v1/chat/completions", body, sent_with({"x_simulate_pace": "0.05"})))
        assert connection.head().status == 200
        connection.until(b"simulated")
        assert upstream.seen()["answering"] == 1
        connection.until(b"[DONE]")
