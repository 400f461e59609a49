"""The exact response cache over real sockets: asked in one dialect, answered again in another, kept over a restart."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing.process import Served, Upstream, start_gateway, start_upstream, wait_until
from foz.wire.http import Headers, Reply
from foz.wire.sse import Decoder

OPENAI, HUGGING, MODEL = "/v1/chat/completions", "/api/chat/completions", "/models/house/chat/completions"
KEY = "sk-cache-0123456789"
CONFIG = """
[retries]
attempts = 1

[[provider]]
name = "lab"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"
placement = "gpu"
models = ""

[[model]]
name = "house"
cache_ttl = "1h"
targets = ["lab/one"]

[[model]]
name = "fleeting"
cache_ttl = "250ms"
targets = ["lab/one"]

[[model]]
name = "plain"
targets = ["lab/one"]

[[price]]
provider = "lab"
model = "*"
input = 2
output = 3
"""


class House:
    """A gateway with a simulated upstream behind it."""

    def __init__(self, gateway: Served, upstream: Upstream) -> None:
        self.gateway = gateway
        self._upstream = upstream

    def ask(self, text: str, path: str = OPENAI, model: str = "house", key: str = KEY, **more: object) -> Reply:
        """One question."""
        body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": text}], **more})
        return self.call(path, body, ((b"authorization", f"Bearer {key}".encode()),))

    def call(self, path: str, body: bytes, headers: Headers) -> Reply:
        """Over a connection of its own; it is good."""
        with self.gateway.connect() as connection:
            reply = connection.call("POST", path, body, headers)
        assert reply.status == 200, reply.body
        return reply

    def calls(self) -> int:
        """How many chats the upstream has seen."""
        return int(self._upstream.seen()["requests"].get("/v1/chat/completions", 0))

    def rows(self, count: int) -> list[tuple[Any, ...]]:
        """The last entries, oldest first: target, placement, state, tokens, price, status, whether streamed."""
        query = (
            "SELECT first_target, first_placement, state, input, output, price, status, stream, skin"
            " FROM entries ORDER BY id DESC LIMIT ?"
        )
        with closing(sqlite3.connect(f"file:{self.gateway.folder}/data/foz.db?mode=ro", uri=True)) as books:
            return list(books.execute(query, (count,)))[::-1]

    def new_key(self, project: str) -> str:
        """A key of a project, that is known."""
        command = [sys.executable, "-m", "foz", "keys", "create", "--project", project]
        environment, folder = self.gateway.environment, self.gateway.folder
        made = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
        key = made.stdout.strip()

        def known() -> bool:
            with self.gateway.connect() as connection:
                return connection.call("GET", "/v1/models", headers=((b"x-api-key", key.encode()),)).status == 200

        wait_until(known, "the key to be known")
        return key


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as one:
        yield one


@pytest.fixture(scope="module")
def house(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("gateway")
    with start_gateway(folder, config=CONFIG.format(port=upstream.port), environment={"API_KEY": KEY}) as gateway:
        yield House(gateway, upstream)


def mark(reply: Reply) -> bytes | None:
    return reply.header(b"x-foz-cache")


def text_of(reply: Reply) -> str:
    """What OpenAI's answer says."""
    return str(msgspec.json.decode(reply.body)["choices"][0]["message"]["content"])


def test_what_one_api_asked_another_answers_from(house: House) -> None:
    """Asked once in OpenAI's API, the question is answered in two of the seeds' without a call, in their envelopes."""
    before = house.calls()
    first = house.ask("Where do rivers end?")
    others = [house.ask("Where do rivers end?", path) for path in (HUGGING, MODEL, OPENAI)]

    assert [mark(reply) for reply in (first, *others)] == [b"miss", b"hit", b"hit", b"hit"]
    assert house.calls() == before + 1
    hugging, model = (msgspec.json.decode(reply.body) for reply in others[:2])
    assert hugging["success"] is True
    assert hugging["data"]["response"] == text_of(first)
    assert model["data"]["choices"][0]["message"]["content"] == text_of(first)
    assert others[2].body == first.body


def test_hits_are_marked_in_the_ledger(house: House) -> None:
    """A hit's entry is complete with one attempt at `cache`, no tokens and the price 0; the miss has what it took."""
    house.ask("What is in the ledger?")
    house.ask("What is in the ledger?", HUGGING, stream=True)
    (target, placement, state, tokens, _, price, *_), hit = house.rows(2)

    assert (target, placement, state) == ("lab/one", "gpu", "complete")
    assert tokens > 0
    assert price > 0
    assert hit == ("cache", "gpu", "complete", 0, 0, 0, 200, 1, "hf_chat")


@pytest.mark.parametrize("first", [True, False], ids=["streamed first", "whole first"])
def test_a_stream_and_a_whole_answer_serve_each_other(house: House, first: bool) -> None:
    """Streamed and whole, the words are the same and the upstream is asked once; a streamed hit ends as streams do."""
    before = house.calls()
    text = f"Streamed first: {first}"
    replies = {stream: house.ask(text, stream=stream) for stream in (first, not first)}
    replies |= {stream: house.ask(text, stream=stream) for stream in (True, False)}

    assert [mark(reply) for reply in replies.values()] == [b"hit", b"hit"]
    assert house.calls() == before + 1
    events = Decoder().feed(replies[True].body)
    frames = [msgspec.json.decode(event.data) for event in events if event.data != b"[DONE]"]
    assert "".join(c["delta"].get("content") or "" for one in frames for c in one["choices"]) == text_of(replies[False])
    assert events[-1].data == b"[DONE]"


def test_another_project_is_a_miss(house: House) -> None:
    """Two keys of a project share an answer; a key of another project, and one of none, are asked for themselves."""
    before = house.calls()
    blue, blue_too, red = house.new_key("blue"), house.new_key("blue"), house.new_key("red")
    told = [mark(house.ask("Whose is it?", key=key)) for key in (blue, blue_too, red, KEY)]

    assert told == [b"miss", b"hit", b"miss", b"miss"]
    assert house.calls() == before + 3


def test_another_request_is_a_miss(house: House) -> None:
    """Other words, temperatures and models of the same target are asked; a model without a ttl has no mark."""
    told = [
        house.ask("Is it the same?"),
        house.ask("Is it the same??"),
        house.ask("Is it the same?", temperature=0.5),
        house.ask("Is it the same?", model="fleeting"),
        house.ask("Is it the same?", model="plain"),
        house.ask("Is it the same?", user="somebody"),
    ]
    assert [mark(reply) for reply in told] == [b"miss", b"miss", b"miss", b"miss", None, b"hit"]


def test_an_answer_expires(house: House) -> None:
    """Of a model whose answers hold for 250 ms one is a hit at first and, with no other call, a miss after a while."""
    told = [mark(house.ask("How long?", model="fleeting")), mark(house.ask("How long?", model="fleeting"))]
    assert told == [b"miss", b"hit"]
    wait_until(lambda: mark(house.ask("How long?", model="fleeting")) == b"miss", "the answer to expire", 5)


def test_a_caller_may_ask_anew(house: House) -> None:
    """`Cache-Control: no-cache` asks the target although there is an answer."""
    house.ask("Anew?")
    body = msgspec.json.encode({"model": "house", "messages": [{"role": "user", "content": "Anew?"}]})
    headers = ((b"authorization", f"Bearer {KEY}".encode()), (b"cache-control", b"no-cache"))
    assert mark(house.call(OPENAI, body, headers)) == b"miss"


def test_embeddings_answer_again(house: House) -> None:
    """The same inputs get the same vectors without a call, as numbers and as base64."""
    key = ((b"authorization", f"Bearer {KEY}".encode()),)
    asked = {"model": "house", "input": ["river", "mouth"]}
    first, second = (house.call("/v1/embeddings", msgspec.json.encode(asked), key) for _ in range(2))
    coded = house.call("/v1/embeddings", msgspec.json.encode({**asked, "encoding_format": "base64"}), key)

    assert [mark(reply) for reply in (first, second, coded)] == [b"miss", b"hit", b"hit"]
    assert first.body == second.body


def test_a_job_is_answered_again(house: House) -> None:
    """What a caller waited for answers a job, and a job another one, without a call; the ledger names the job."""
    before = house.calls()
    first = house.ask("Who waits?")
    key = (b"authorization", f"Bearer {KEY}".encode())
    body = msgspec.json.encode({"model": "house", "messages": [{"role": "user", "content": "Who waits?"}]})
    with house.gateway.connect() as connection:
        accepted = connection.call("POST", OPENAI, body, (key, (b"prefer", b"respond-async")))
        assert accepted.status == 202
        place = (accepted.header(b"location") or b"").decode()
        wait_until(lambda: connection.call("GET", place, headers=(key,)).status == 200, "the job's answer")
        answer = connection.call("GET", place, headers=(key,))

        asked = msgspec.json.encode({"model": "house", "message": "Who waits?"})
        for _ in range(2):
            accepted = connection.call("POST", "/chat", asked, (key,))
            assert accepted.status == 202, accepted.body
            place = (accepted.header(b"location") or b"").decode()
            told = msgspec.json.decode(connection.call("GET", f"{place}?wait=20&until=end", headers=(key,)).body)
            assert told["status"] == "completed", told

    assert msgspec.json.decode(answer.body) == msgspec.json.decode(first.body)
    targets = [row[0] for row in house.rows(4)]
    assert (targets[:2], targets[3]) == (["lab/one", "cache"], "cache")
    assert house.calls() == before + targets.count("lab/one")
    query = "SELECT count(job_id) FROM entries WHERE first_target = 'cache'"
    with closing(sqlite3.connect(f"file:{house.gateway.folder}/data/foz.db?mode=ro", uri=True)) as books:
        assert books.execute(query).fetchone()[0] >= 2


def test_a_file_of_ours_is_what_is_in_it(house: House) -> None:
    """A question about an uploaded file answers again for another upload of the same words, and not for other words."""
    key = (b"authorization", f"Bearer {KEY}".encode())

    def upload(words: str) -> str:
        form = (
            '--cut\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--cut\r\n'
            f'content-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n{words}\r\n--cut--\r\n'
        )
        headers = (key, (b"content-type", b"multipart/form-data; boundary=cut"))
        return str(msgspec.json.decode(house.call("/v1/files", form.encode(), headers).body)["id"])

    def ask(file: str) -> bytes | None:
        parts = [{"type": "text", "text": "What is in it?"}, {"type": "file", "file": {"file_id": file}}]
        body = msgspec.json.encode({"model": "house", "messages": [{"role": "user", "content": parts}]})
        return mark(house.call(OPENAI, body, (key,)))

    told = [ask(upload(words)) for words in ("rivers", "rivers", "mouths")]
    assert told == [b"miss", b"hit", b"miss"]


def test_hits_are_counted(house: House) -> None:
    """The metrics have the calls of the target `cache`, which took no tokens."""
    for _ in range(2):
        house.ask("How many?")
    with house.gateway.connect() as connection:
        told = connection.call("GET", "/metrics", headers=((b"x-api-key", KEY.encode()),)).body.decode()
    lines = [line for line in told.splitlines() if 'target="cache"' in line]
    assert any(line.startswith("foz_requests_total") and float(line.split()[-1]) >= 1 for line in lines), lines
    assert all(line.endswith((" 0.0", " 0")) for line in lines if line.startswith("foz_tokens"))


def test_it_survives_a_kill_and_needs_no_upstream(tmp_path: Path) -> None:
    """After a kill -9, with the upstream gone, a new gateway answers again; without the file it asks and is refused."""
    (tmp_path / "upstream").mkdir()
    with start_upstream(tmp_path / "upstream") as upstream:
        config = CONFIG.format(port=upstream.port)
        with start_gateway(tmp_path / "gateway", "--workers", "2", config=config) as gateway:
            first = House(gateway, upstream).ask("Still there?")
            path = gateway.folder / "data" / "cache.db"

            def written() -> bool:
                with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as cache:
                    return bool(cache.execute("SELECT count(*) FROM answers").fetchone()[0])

            wait_until(written, "the answer to be written")
            gateway.kill()
    with start_gateway(tmp_path / "gateway", "--workers", "2") as gateway:
        for _ in range(4):
            again = House(gateway, upstream).ask("Still there?")
            assert (mark(again), again.body) == (b"hit", first.body)
        assert mark(House(gateway, upstream).ask("Still there?", HUGGING)) == b"hit"
    for file in (tmp_path / "gateway" / "data").glob("cache.db*"):
        file.unlink()
    with start_gateway(tmp_path / "gateway") as gateway, gateway.connect() as connection:
        body = msgspec.json.encode({"model": "house", "messages": [{"role": "user", "content": "Still there?"}]})
        assert connection.call("POST", OPENAI, body).status == 502


def test_a_model_gets_its_cache_by_a_reload(tmp_path: Path) -> None:
    """Where a row gets a `cache_ttl` and the settings are read anew, its answers answer again from then on."""
    without = CONFIG.replace('cache_ttl = "1h"\n', "").replace('cache_ttl = "250ms"\n', "")
    (tmp_path / "upstream").mkdir()
    with (
        start_upstream(tmp_path / "upstream") as upstream,
        start_gateway(tmp_path / "gateway", config=without.format(port=upstream.port)) as gateway,
    ):
        house = House(gateway, upstream)
        assert [mark(house.ask("Now?")), mark(house.ask("Now?"))] == [None, None]
        assert not (gateway.folder / "data" / "cache.db").exists()
        (gateway.folder / "foz.toml").write_text(CONFIG.format(port=upstream.port))
        gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: mark(house.ask("Now?")) is not None, "the settings to be read")
        assert mark(house.ask("Now?")) == b"hit"
