"""
What bad input gets, by hand-written HTTP: the right status, OpenAI's error object that names the field; nothing reaches
the upstream, nothing is in the ledger, and the process stays up. In both lanes.
"""

import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import msgspec
import pytest
from typing_extensions import override

from foz.testing.process import Served, Upstream, start_gateway, start_upstream
from foz.wire.http import Headers, Reply

KEY = "sk-check-0123456789"
BEARER: Headers = ((b"authorization", f"Bearer {KEY}".encode()),)
CHAT, COMPLETE, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
PLAIN: dict[str, dict[str, Any]] = {
    CHAT: {"model": "delta", "messages": [{"role": "user", "content": "Hi"}]},
    COMPLETE: {"model": "delta", "prompt": "Hi"},
    EMBED: {"model": "delta", "input": "Hi"},
}
GONE = object()
CONFIG = """
[gateway]
relay = {relay}

[limits]
max_body = "1 MiB"

[[provider]]
name = "far"
base_url = "http://127.0.0.1:{port}/v1"
models = ""

[[model]]
name = "delta"
targets = ["far/hidden"]

[[model]]
name = "org/estuary:latest"
targets = ["far/hidden"]
"""


class House:
    """A gateway, its upstream, and what neither may have noticed."""

    def __init__(self, gateway: Served, upstream: Upstream) -> None:
        self.gateway = gateway
        self._upstream = upstream

    def call(self, method: str, path: str, body: bytes = b"", headers: Headers = BEARER) -> Reply:
        """One request over a connection of its own."""
        with self.gateway.connect() as connection:
            return connection.call(method, path, body, headers)

    def traces(self) -> tuple[int, int]:
        """How many calls the upstream saw, and how many entries the ledger has."""
        seen = sum(count for path, count in self._upstream.seen()["requests"].items() if path.startswith("/v1"))
        books = sqlite3.connect(f"file:{self.gateway.folder}/data/foz.db?mode=ro", uri=True)
        try:
            (entries,) = books.execute("SELECT count(*) FROM entries").fetchone()
        finally:
            books.close()
        return seen, entries


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as served:
        yield served


@pytest.fixture(scope="module", params=["relay", "translate"])
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> Iterator[House]:
    config = CONFIG.format(port=upstream.port, relay=str(request.param == "relay").lower())
    folder = tmp_path_factory.mktemp("gateway")
    with start_gateway(folder, config=config, environment={"API_KEY": KEY}) as gateway:
        yield House(gateway, upstream)


@pytest.fixture(autouse=True)
def untouched(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test of a house sends leaves no trace at the upstream and in the ledger, and the house stands."""
    if "house" not in request.fixturenames:
        yield
        return
    house = cast("House", request.getfixturevalue("house"))
    before = house.traces()
    yield
    assert house.traces() == before
    assert house.call("GET", "/v1/models/delta").status == 200


def refused(reply: Reply, status: int, field: str | None, code: str | None) -> str:
    """Asserts OpenAI's error object, and gives its message."""
    assert reply.status == status, reply.body
    assert (reply.header(b"content-type") or b"").startswith(b"application/json")
    assert sum(name == b"x-request-id" for name, _ in reply.headers) == 1
    told = msgspec.json.decode(reply.body)
    assert set(told) == {"error"}
    error = told["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", field, code)
    assert field is None or field in error["message"]
    return cast("str", error["message"])


def changed(path: str, **changes: object) -> bytes:
    """A good body with some fields changed or gone."""
    body = {**PLAIN[path], **changes}
    return msgspec.json.encode({name: value for name, value in body.items() if value is not GONE})


@pytest.mark.parametrize("path", [CHAT, COMPLETE, EMBED])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe{}", b'{"model":"\xff"}', b'{"model": NaN}', b"{'model': 1}"],
)
def test_what_is_not_a_json_object_is_told_so(house: House, path: str, body: bytes) -> None:
    """A body that is no JSON object is 400, in words about JSON."""
    assert "JSON" in refused(house.call("POST", path, body), 400, None, None)


@pytest.mark.parametrize("path", [CHAT, COMPLETE, EMBED])
def test_nothing_may_follow_the_json(house: House, path: str) -> None:
    """A good body with something behind it is 400: nobody guesses which of two was meant."""
    for behind in (b"x", changed(path)):
        assert "trailing" in refused(house.call("POST", path, changed(path) + behind), 400, None, None)


def _tool(name: str) -> dict[str, object]:
    return {"type": "function", "function": {"name": name}}


def _said(**fields: object) -> list[dict[str, object]]:
    return [fields]


MISSING, TYPE, VALUE = "missing_required_parameter", "invalid_type", "invalid_value"
WRONG: list[tuple[str, dict[str, object], str, str]] = [
    (CHAT, {"model": GONE}, "model", MISSING),
    (COMPLETE, {"model": GONE}, "model", MISSING),
    (EMBED, {"model": GONE}, "model", MISSING),
    (CHAT, {"model": 5}, "model", TYPE),
    (COMPLETE, {"model": ""}, "model", "empty_string"),
    (CHAT, {"messages": GONE}, "messages", MISSING),
    (CHAT, {"messages": []}, "messages", "empty_array"),
    (CHAT, {"messages": "Hi"}, "messages", TYPE),
    (CHAT, {"messages": [{}]}, "messages[0].role", MISSING),
    (CHAT, {"messages": _said(role="user")}, "messages[0].content", MISSING),
    (CHAT, {"messages": _said(role="king", content="Hi")}, "messages[0].role", VALUE),
    (CHAT, {"messages": _said(role="user", content=5)}, "messages[0].content", TYPE),
    (CHAT, {"messages": _said(role="user", content=[{"type": "smell"}])}, "messages[0].content[0].type", VALUE),
    (CHAT, {"messages": _said(role="tool", content="x")}, "messages[0].tool_call_id", MISSING),
    (CHAT, {"temperature": 2.1}, "temperature", "decimal_above_max_value"),
    (CHAT, {"temperature": -1}, "temperature", "decimal_below_min_value"),
    (CHAT, {"temperature": "hot"}, "temperature", TYPE),
    (CHAT, {"top_p": 1.5}, "top_p", "decimal_above_max_value"),
    (CHAT, {"n": 0}, "n", "integer_below_min_value"),
    (CHAT, {"n": 1.5}, "n", TYPE),
    (CHAT, {"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
    (CHAT, {"max_tokens": 2**31}, "max_tokens", "integer_above_max_value"),
    (CHAT, {"max_completion_tokens": "x"}, "max_completion_tokens", TYPE),
    (CHAT, {"seed": 2**63}, "seed", "integer_above_max_value"),
    (CHAT, {"top_logprobs": 21, "logprobs": True}, "top_logprobs", "integer_above_max_value"),
    (CHAT, {"top_logprobs": 2}, "top_logprobs", VALUE),
    (CHAT, {"presence_penalty": 3}, "presence_penalty", "decimal_above_max_value"),
    (CHAT, {"logit_bias": {"1": 200}}, "logit_bias", "decimal_above_max_value"),
    (CHAT, {"stop": 5}, "stop", TYPE),
    (CHAT, {"stream": "yes"}, "stream", TYPE),
    (CHAT, {"stream_options": {"include_usage": True}}, "stream_options", VALUE),
    (CHAT, {"tools": "x"}, "tools", TYPE),
    (CHAT, {"tools": [{"type": "function"}]}, "tools[0].function", MISSING),
    (CHAT, {"tool_choice": "required"}, "tool_choice", VALUE),
    (CHAT, {"tools": [_tool("f")], "tool_choice": _tool("g")}, "tool_choice", VALUE),
    (CHAT, {"tools": [_tool("f")], "tool_choice": "always"}, "tool_choice", VALUE),
    (CHAT, {"function_call": {"name": "f"}}, "function_call", VALUE),
    (CHAT, {"functions": [{"name": "g"}], "function_call": {"name": "f"}}, "function_call", VALUE),
    (CHAT, {"response_format": {"type": "xml"}}, "response_format.type", VALUE),
    (CHAT, {"response_format": {"type": "json_schema"}}, "response_format.json_schema", MISSING),
    (CHAT, {"reasoning_effort": "huge"}, "reasoning_effort", VALUE),
    (CHAT, {"user": 5}, "user", TYPE),
    (COMPLETE, {"prompt": GONE}, "prompt", MISSING),
    (COMPLETE, {"prompt": []}, "prompt", "empty_array"),
    (COMPLETE, {"prompt": 5}, "prompt", TYPE),
    (COMPLETE, {"prompt": ["a", 1]}, "prompt[1]", TYPE),
    (COMPLETE, {"prompt": [-1]}, "prompt[0]", "integer_below_min_value"),
    (COMPLETE, {"prompt": [2**31]}, "prompt[0]", "integer_above_max_value"),
    (COMPLETE, {"n": -1}, "n", "integer_below_min_value"),
    (COMPLETE, {"n": 2, "best_of": 1}, "best_of", VALUE),
    (COMPLETE, {"logprobs": 6}, "logprobs", "integer_above_max_value"),
    (COMPLETE, {"logprobs": True}, "logprobs", TYPE),
    (COMPLETE, {"echo": "x"}, "echo", TYPE),
    (COMPLETE, {"suffix": 5}, "suffix", TYPE),
    (COMPLETE, {"max_tokens": -5}, "max_tokens", "integer_below_min_value"),
    (COMPLETE, {"max_tokens": 2**31}, "max_tokens", "integer_above_max_value"),
    (EMBED, {"input": GONE}, "input", MISSING),
    (EMBED, {"input": []}, "input", "empty_array"),
    (EMBED, {"input": ""}, "input", "empty_string"),
    (EMBED, {"input": [1.5]}, "input[0]", TYPE),
    (EMBED, {"input": {"a": 1}}, "input", TYPE),
    (EMBED, {"encoding_format": "hex"}, "encoding_format", VALUE),
    (EMBED, {"dimensions": 0}, "dimensions", "integer_below_min_value"),
    (EMBED, {"dimensions": 2**31}, "dimensions", "integer_above_max_value"),
]


@pytest.mark.parametrize(("path", "changes", "field", "code"), WRONG)
def test_a_wrong_field_is_named(house: House, path: str, changes: dict[str, object], field: str, code: str) -> None:
    """A field that is missing, of a wrong type or out of range is 400 and named."""
    refused(house.call("POST", path, changed(path, **changes)), 400, field, code)


@pytest.mark.parametrize("path", [CHAT, COMPLETE, EMBED])
def test_numbers_without_end_are_refused(house: House, path: str) -> None:
    """A number of 400 digits is refused where a number belongs, not reckoned with."""
    body = changed(path)[:-1] + b',"model":1' + b"0" * 400 + b"}"

    refused(house.call("POST", path, body), 400, "model", "invalid_value")


@pytest.mark.parametrize("path", [CHAT, COMPLETE, EMBED])
def test_an_unknown_model_is_told_with_the_closest_names(house: House, path: str) -> None:
    """A model that nobody has is 404; names like it are told, and only those."""
    near = refused(house.call("POST", path, changed(path, model="detla")), 404, "model", "model_not_found")
    far = refused(house.call("POST", path, changed(path, model="zzzzzz")), 404, "model", "model_not_found")

    assert "'detla' does not exist" in near
    assert "Did you mean delta?" in near
    assert "Did you mean" not in far


def test_a_model_in_the_path_may_be_unknown_or_broken(house: House) -> None:
    """An id that nobody has is 404 with the closest, one that is no text is 400."""
    near = house.call("GET", "/v1/models/org%2Festuary%3Alast")

    assert "Did you mean org/estuary:latest?" in refused(near, 404, "model", "model_not_found")
    assert "%25" in refused(house.call("GET", "/v1/models/%zz"), 400, None, None)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"authorization", b"Bearer "),),
        ((b"authorization", b"Basic c2stY2hlY2s6"),),
        ((b"authorization", b"Bearer sk-nobodys-key-at-all"),),
        ((b"authorization", b"Bearer sk-\xff\xfe"),),
        ((b"x-api-key", b"sk-nobodys-key-at-all"),),
    ],
)
def test_no_key_or_a_wrong_one_is_refused(house: House, headers: Headers) -> None:
    """Without a key that is known here every path is 401, says how to authenticate, and repeats no key."""
    for method, path in (("POST", CHAT), ("POST", COMPLETE), ("POST", EMBED), ("GET", "/v1/models")):
        reply = house.call(method, path, changed(path) if path in PLAIN else b"", headers)
        assert "nobodys" not in refused(reply, 401, None, "invalid_api_key")
        assert reply.header(b"www-authenticate") == b"Bearer"


def test_a_body_too_large_is_refused(house: House) -> None:
    """Beyond the limit a body is 413 and the limit is told, whether its size is announced or found out."""
    body = changed(CHAT, messages=_said(role="user", content="x" * 1_100_000))
    announced = house.call("POST", CHAT, body)
    chunked = house.call("POST", CHAT, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), (*BEARER, CHUNKED))

    assert "1048576" in refused(announced, 413, None, None)
    assert "1048576" in refused(chunked, 413, None, None)


CHUNKED = (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize("path", [CHAT, COMPLETE, EMBED])
@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 200 + b"]" * 200])
def test_json_too_deep_is_refused(house: House, path: str, deep: bytes) -> None:
    """JSON nested beyond the limit is 400, at the top and within a field that nobody knows."""
    assert "deep" in refused(house.call("POST", path, deep), 400, None, None)
    assert "deep" in refused(house.call("POST", path, changed(path)[:-1] + b',"x":' + deep + b"}"), 400, None, None)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, b"POST"),
        ("PUT", CHAT, b"POST"),
        ("DELETE", COMPLETE, b"POST"),
        ("PATCH", EMBED, b"POST"),
        ("POST", "/v1/models", b"GET"),
        ("DELETE", "/v1/models/delta", b"GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(house: House, method: str, path: str, allowed: bytes) -> None:
    """A path that is there answers another method with 405 and Allow."""
    reply = house.call(method, path, b"{}" if method != "GET" else b"")

    assert "/v1/" in refused(reply, 405, None, "method_not_allowed")
    assert allowed in (reply.header(b"allow") or b"").split(b", ")


@pytest.mark.parametrize(
    "kind", [b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"json", b""]
)
@pytest.mark.parametrize("path", [CHAT, COMPLETE, EMBED])
def test_a_wrong_content_type_is_refused(house: House, path: str, kind: bytes) -> None:
    """A body that says that it is not JSON is 415 and told what to send."""
    reply = house.call("POST", path, changed(path), (*BEARER, (b"content-type", kind)))

    assert "application/json" in refused(reply, 415, None, None)


def test_a_path_that_is_not_there_is_told_so(house: House) -> None:
    """An unknown path is 404 in the same error object."""
    assert "/v1/nothing" in refused(house.call("POST", "/v1/nothing", b"{}"), 404, None, "not_found")


class Mirror(BaseHTTPRequestHandler):
    """An upstream that keeps what it is sent."""

    bodies: list[dict[str, Any]] = []  # noqa: RUF012 - the class is the one place that its handlers share

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.bodies.append(msgspec.json.decode(body))
        message = {"role": "assistant", "content": "Hi", "x_also_unknown": [1]}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = msgspec.json.encode({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "hidden", "choices": [choice],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}, "x_unknown": {"a": None},
        })  # fmt: skip
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def test_unknown_fields_pass_in_the_relay_lane(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What no schema knows goes to an upstream of the same dialect as it came, and comes back as it was said."""
    extra = {"x_unknown": {"deep": [1, 2.5, None, "é"]}, "guided_choice": ["a"], "stop_token_ids": [1]}
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        config = CONFIG.format(port=server.server_address[1], relay="true")
        folder = tmp_path_factory.mktemp("mirror")
        try:
            with start_gateway(folder, config=config) as gateway, gateway.connect() as connection:
                reply = connection.call("POST", CHAT, changed(CHAT, **extra))
        finally:
            server.shutdown()
            thread.join()

    (sent,) = Mirror.bodies
    assert sent == {**PLAIN[CHAT], **extra, "model": "hidden"}
    got = msgspec.json.decode(reply.body)
    assert got["model"] == "delta"
    assert got["x_unknown"] == {"a": None}
    assert got["choices"][0]["message"]["x_also_unknown"] == [1]
