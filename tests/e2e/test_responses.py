"""Responses over real sockets: conversations that outlive the gateway, owners, time, and work in the background."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import msgspec
import pytest
from typing_extensions import override

from foz.testing.process import Served, Upstream, clean_environment, start_gateway, start_upstream, wait_until
from foz.testing.raw import request
from foz.wire.http import Headers
from foz.wire.sse import Decoder
from tests.e2e.sdk.test_sdks import _key

Wire = dict[str, Any]
ROOT = Path(__file__).parents[2]
PATH = "/v1/responses"
KEY = "sk-responses-0123456789"
CONFIG = """
[[provider]]
name = "far"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"
forwards = ["x-simulate-"]

[[model]]
name = "delta"
targets = ["far/hidden"]

[retries]
backoff = "10ms"
"""


def bearer(key: str = KEY, *more: tuple[bytes, bytes]) -> Headers:
    return ((b"authorization", f"Bearer {key}".encode()), *more)


OWN = bearer()
ENDLESS = bearer(KEY, (b"x-simulate-endless", b"1"), (b"x-simulate-pace", b"0.01"))


def called(
    gateway: Served, method: str, path: str, said: Wire | None = None, headers: Headers = OWN
) -> tuple[int, Wire]:
    """Status and body of a call."""
    with gateway.connect() as connection:
        reply = connection.call(method, path, b"" if said is None else msgspec.json.encode(said), headers)
    return reply.status, msgspec.json.decode(reply.body)


def made(gateway: Served, headers: Headers = OWN, **said: object) -> Wire:
    """A response."""
    status, body = called(gateway, "POST", PATH, {"model": "delta", "input": "hi", **said}, headers)
    assert status == 200, body
    return body


def streamed(gateway: Served, path: str, said: Wire | None = None, headers: Headers = OWN) -> list[Wire]:
    """The events of a stream, to its end."""
    body = b"" if said is None else msgspec.json.encode({"model": "delta", "input": "hi", "stream": True, **said})
    sent = request("GET" if said is None else "POST", path, body, (*headers, (b"connection", b"close")))
    with gateway.connect(30) as connection:
        connection.send(sent)
        assert connection.head().status == 200
        left = b"".join(iter(connection.chunk, b""))
    return [msgspec.json.decode(frame.data) for frame in Decoder().feed(left)]


def settled(gateway: Served, id: str, headers: Headers = OWN) -> Wire:
    """A response in the background, once it is over."""
    found: Wire = {}

    def over() -> bool:
        nonlocal found
        _, found = called(gateway, "GET", f"{PATH}/{id}", headers=headers)
        return found["status"] not in {"queued", "in_progress"}

    wait_until(over, f"the end of {id}", 20)
    return found


def text(response: Wire) -> str:
    return "".join(part["text"] for item in response["output"] for part in item.get("content") or [])


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as served:
        yield served


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("gateway")
    with start_gateway(folder, config=CONFIG.format(port=upstream.port), environment={"API_KEY": KEY}) as served:
        yield served


# Conversations.


class Echo(BaseHTTPRequestHandler):
    """A provider that says how many messages it was told, and keeps what it was told last."""

    told: ClassVar[list[tuple[str, str]]] = []

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        body = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
        Echo.told = [(message["role"], message["content"]) for message in body["messages"]]
        said = f"answer {len(Echo.told) // 2}"
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": "hidden"}
        if body.get("stream"):
            chunk = {"index": 0, "delta": {"content": said}, "finish_reason": "stop"}
            data = b"data: %s\n\ndata: [DONE]\n\n" % msgspec.json.encode({**head, "choices": [chunk]})
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
            data = msgspec.json.encode({**head, "choices": [choice]})
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if body.get("stream") else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def echo() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_conversation_outlives_the_gateway(tmp_path: Path, echo: int) -> None:
    """Fifty turns over two restarts, whole, streamed and in the background: each is told all before it, in order."""
    told: list[tuple[str, str]] = []
    previous: str | None = None
    for life in range(3):
        with start_gateway(tmp_path, config=CONFIG.format(port=echo), environment={"API_KEY": KEY}) as gateway:
            for turn in range(17 if life < 2 else 16):
                said: Wire = {"input": f"question {len(told) // 2}", "previous_response_id": previous}
                if turn % 4 == 1:
                    response = streamed(gateway, PATH, said)[-1]["response"]
                elif turn % 8 == 2:
                    response = settled(gateway, made(gateway, background=True, **said)["id"])
                else:
                    response = made(gateway, **said)
                told.append(("user", said["input"]))
                assert Echo.told == told
                told.append(("assistant", text(response)))
                assert response["previous_response_id"] == previous
                previous = response["id"]
            if life == 0:
                gateway.kill()

    assert len(told) == 100
    assert told[-1] == ("assistant", "answer 49")


def test_a_conversation_can_branch(gateway: Served) -> None:
    """Two responses may go on from one, and instructions of an earlier turn are not those of a later one."""
    first = made(gateway, instructions="Speak as a pilot.")
    left, right = (made(gateway, previous_response_id=first["id"], input=word) for word in ("left", "right"))

    assert left["usage"]["input_tokens"] == right["usage"]["input_tokens"]
    assert left["instructions"] is None
    assert '"left"' in text(left)
    assert '"right"' in text(right)


def test_an_item_may_be_named_instead_of_said(gateway: Served) -> None:
    """An `item_reference` is the item that was kept, also in what goes on from it; one that is not kept is 404."""
    first = made(gateway, input="a long question about rivers")
    item = first["output"][0]["id"]
    then = made(gateway, input=[{"type": "item_reference", "id": item}, {"role": "user", "content": "go on"}])
    _, items = called(gateway, "GET", f"{PATH}/{then['id']}/input_items?order=asc")
    status, error = called(
        gateway, "POST", PATH, {"model": "delta", "input": [{"type": "item_reference", "id": item[:-1] + "9"}]}
    )

    assert items["data"][0]["content"][0]["text"] == text(first)
    assert (status, error["error"]["code"]) == (404, "item_not_found")


def test_a_file_that_was_uploaded_is_read_in_every_turn(gateway: Served) -> None:
    """A file named by its id is told to the model as its words, also in a turn that only goes on from the first."""
    form = (
        b'--cut\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        b"the Douro ends in Porto\r\n--cut--\r\n"
    )
    with gateway.connect() as connection:
        kind = (b"content-type", b"multipart/form-data; boundary=cut")
        uploaded = connection.call("POST", "/v1/files", form, bearer(KEY, kind))
    named = {"type": "input_file", "file_id": msgspec.json.decode(uploaded.body)["id"]}
    plain, first = (
        made(gateway, input=[{"role": "user", "content": [{"type": "input_text", "text": "sum up"}, *files]}])
        for files in ([], [named])
    )
    then = made(gateway, input="again", previous_response_id=first["id"])

    assert "the Douro ends in Porto" in text(first)
    assert first["usage"]["input_tokens"] > plain["usage"]["input_tokens"]
    assert then["usage"]["input_tokens"] > first["usage"]["input_tokens"]


def test_what_is_not_to_be_kept_is_not(gateway: Served) -> None:
    """With `store` false a response has an id that nobody finds, and nothing goes on from it."""
    response = made(gateway, store=False)

    assert response["store"] is False
    assert called(gateway, "GET", f"{PATH}/{response['id']}")[0] == 404
    status, error = called(
        gateway, "POST", PATH, {"model": "delta", "input": "x", "previous_response_id": response["id"]}
    )
    assert (status, error["error"]["code"]) == (404, "previous_response_not_found")


def test_somebody_elses_response_is_unknown(tmp_path: Path, upstream: Upstream) -> None:
    """Another key, and another project of the same key, gets 404 wherever a response is named; its owner keeps it."""
    hers = bearer(_key(tmp_path))
    config = CONFIG.format(port=upstream.port)
    with start_gateway(tmp_path, config=config, environment={"API_KEY": KEY}) as gateway:
        ids = [made(gateway)["id"], made(gateway, background=True)["id"]]
        settled(gateway, ids[1])
        for who in (hers, bearer(KEY, (b"x-foz-project", b"other"))):
            for id in ids:
                for method, path in (
                    ("GET", f"{PATH}/{id}"),
                    ("GET", f"{PATH}/{id}?stream=true"),
                    ("GET", f"{PATH}/{id}/input_items"),
                    ("POST", f"{PATH}/{id}/cancel"),
                    ("DELETE", f"{PATH}/{id}"),
                ):
                    assert called(gateway, method, path, headers=who)[0] == 404
                body = {"model": "delta", "input": "x", "previous_response_id": id}
                assert called(gateway, "POST", PATH, body, who)[0] == 404
        assert [called(gateway, "GET", f"{PATH}/{id}")[0] for id in ids] == [200, 200]
        assert called(gateway, "DELETE", f"{PATH}/{ids[0]}")[1] == {"id": ids[0], "object": "response", "deleted": True}
        assert called(gateway, "GET", f"{PATH}/{ids[0]}")[0] == 404


def test_a_response_is_kept_as_long_as_is_configured(tmp_path: Path, upstream: Upstream) -> None:
    """When the time of `[responses] ttl` is over, a response is unknown, and nothing goes on from it."""
    config = CONFIG.format(port=upstream.port) + '\n[responses]\nttl = "1s"\n'
    with start_gateway(tmp_path, config=config, environment={"API_KEY": KEY}) as gateway:
        id = made(gateway)["id"]
        wait_until(lambda: called(gateway, "GET", f"{PATH}/{id}")[0] == 404, "the end of its time")
        body = {"model": "delta", "input": "x", "previous_response_id": id}

        assert called(gateway, "POST", PATH, body)[0] == 404


# In the background.


def test_one_in_the_background_survives_a_kill(tmp_path: Path, upstream: Upstream) -> None:
    """A queued response whose gateway is killed is made by the next one, and is gone on from."""
    config = CONFIG.format(port=upstream.port) + "\n[jobs]\nlease = 1\n"
    slow = bearer(KEY, (b"x-simulate-delay", b"0.3"))
    with start_gateway(tmp_path, config=config, environment={"API_KEY": KEY}) as gateway:
        queued = made(gateway, slow, background=True, input="Where do rivers end?")
        gateway.kill()
    assert (queued["status"], queued["output"]) == ("queued", [])
    with start_gateway(tmp_path, config=config, environment={"API_KEY": KEY}) as gateway:
        response = settled(gateway, queued["id"])
        then = made(gateway, previous_response_id=queued["id"])

    assert response["status"] == "completed"
    assert "Where do rivers end?" in text(response)
    assert response["background"] is True
    assert then["usage"]["input_tokens"] > response["usage"]["input_tokens"]


def test_its_events_are_told_from_any_number(gateway: Served) -> None:
    """A follower gets the same events while it is made, after it, and from each number on."""
    paced = bearer(KEY, (b"x-simulate-pace", b"0.01"))
    live = streamed(gateway, PATH, {"background": True}, paced)
    id = live[0]["response"]["id"]

    assert [event["sequence_number"] for event in live] == list(range(len(live)))
    assert [event["type"] for event in live[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    assert live[-1]["type"] == "response.completed"
    assert live[-1]["response"] == called(gateway, "GET", f"{PATH}/{id}")[1]
    for after in (-1, 0, 1, 5, len(live) - 1):
        assert streamed(gateway, f"{PATH}/{id}?stream=true&starting_after={after}") == live[after + 1 :]


def test_one_in_the_background_is_cancelled(gateway: Served) -> None:
    """One whose model never ends is ended by its caller; its follower hears of it, and nothing goes on from it."""
    id = made(gateway, ENDLESS, background=True)["id"]
    wait_until(lambda: called(gateway, "GET", f"{PATH}/{id}")[1]["status"] == "in_progress", "its beginning")
    status, cancelled = called(gateway, "POST", f"{PATH}/{id}/cancel")
    events = streamed(gateway, f"{PATH}/{id}?stream=true")

    assert (status, cancelled["status"]) == (200, "cancelled")
    assert called(gateway, "POST", f"{PATH}/{id}/cancel")[1] == cancelled
    assert (events[-1]["type"], events[-1]["response"]["status"]) == ("response.failed", "cancelled")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    body = {"model": "delta", "input": "x", "previous_response_id": id}
    assert called(gateway, "POST", PATH, body)[0] == 400


def test_nothing_is_left_of_a_deleted_one(gateway: Served) -> None:
    """After DELETE of a response of the background neither it nor the job that made it is known, ended or not."""
    over, running = made(gateway, background=True)["id"], made(gateway, ENDLESS, background=True)["id"]
    settled(gateway, over)
    with gateway.connect() as connection:
        jobs = [f"/v1/chat/completions/{UUID(id.removeprefix('resp_'))}" for id in (over, running)]
        assert connection.call("GET", jobs[0], b"", OWN).status == 200
        for id, job in zip((over, running), jobs, strict=True):
            assert called(gateway, "DELETE", f"{PATH}/{id}")[0] == 200
            assert called(gateway, "GET", f"{PATH}/{id}")[0] == 404
            assert connection.call("GET", job, b"", OWN).status == 404


def test_only_what_is_in_the_background_is_cancelled_or_followed(gateway: Served) -> None:
    """Cancelling, or streaming again, a response that its caller waited for is 400, and it stays as it is."""
    response = made(gateway)

    assert called(gateway, "POST", f"{PATH}/{response['id']}/cancel")[0] == 400
    assert called(gateway, "GET", f"{PATH}/{response['id']}?stream=true")[0] == 400
    assert called(gateway, "GET", f"{PATH}/{response['id']}") == (200, response)


def test_one_in_the_background_may_fail(gateway: Served) -> None:
    """An upstream's refusal is the response's error, with the status `failed`, and the last event of its stream."""
    refused = bearer(KEY, (b"x-simulate-status", b"400"))
    id = made(gateway, refused, background=True)["id"]
    response = settled(gateway, id)
    last = streamed(gateway, f"{PATH}/{id}?stream=true")[-1]

    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
    assert (last["type"], last["response"]) == ("response.failed", response)


def test_the_same_submission_is_the_same_response(gateway: Served) -> None:
    """With an idempotency key what is sent twice is one response; another body under the key is refused."""
    keyed = bearer(KEY, (b"idempotency-key", b"once"))
    first, again = (made(gateway, keyed, background=True, input="once") for _ in range(2))
    status, _ = called(gateway, "POST", PATH, {"model": "delta", "input": "other", "background": True}, keyed)

    assert again["id"] == first["id"]
    assert status == 422


# The guide.

GUIDE = (ROOT / "docs/guides/responses.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def test_the_programs_of_the_guide_run(tmp_path: Path) -> None:
    """Each program of the guide, as it stands but for the port, runs with OpenAI's SDK and prints what it was told."""
    sdk = Path(sys.executable).parents[1] / "sdk" / "openai3"
    assert sdk.is_dir(), f"{sdk} is missing: run `make test`, which installs it"
    with start_gateway(tmp_path, environment={"TEST_MODE": "true"}) as gateway:
        said = []
        for program in PROGRAMS:
            typed = program.replace("http://127.0.0.1:8000", gateway.url)
            ran = subprocess.run(
                [sys.executable, "-c", typed], env=clean_environment({"PYTHONPATH": str(sdk)}),
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert (ran.returncode, ran.stderr) == (0, "")
            said.append(ran.stdout)

    assert ["And lakes?" in one for one in said] == [True, False]
    assert ["response.completed" in one for one in said] == [False, True]


# What goes wrong.


def test_a_stream_that_breaks_ends_as_failed_and_is_not_kept(gateway: Served) -> None:
    """An upstream that is cut in the middle ends the stream with `response.failed`; nobody finds that response."""
    cut = bearer(KEY, (b"x-simulate-cut", b"6"))
    events = streamed(gateway, PATH, {"input": "Where do rivers end? " * 5}, cut)
    last = events[-1]

    assert last["type"] == "response.failed"
    assert last["sequence_number"] == len(events) - 1
    assert text(last["response"])
    assert called(gateway, "GET", f"{PATH}/{last['response']['id']}")[0] == 404


def test_who_has_heard_the_end_finds_the_response(gateway: Served) -> None:
    """As soon as the last event of a stream is heard, the response is there as that event showed it."""
    for _ in range(20):
        last = streamed(gateway, PATH, {})[-1]["response"]
        assert called(gateway, "GET", f"{PATH}/{last['id']}") == (200, last)
