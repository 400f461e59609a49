"""The API Ollama Host over a real socket, with a fake Ollama server behind it: the examples of seed 001, and beyond."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.skins.ollama_host import examples
from foz.testing.process import Served, Upstream, start_gateway, start_upstream, wait_until
from foz.testing.raw import request
from foz.wire.http import Headers, Reply

MODELS, SYNC, ASYNC, DASHBOARD = (
    f"/api/v1/{path}" for path in ("ai/models", "ai/ask_sync", "ai/ask_async", "admin/dashboard")
)
CONFIG = """
[limits]
max_body = "64 KiB"

[ledger]
capture_limit = "16 KiB"

[retries]
attempts = 1

[breaker]
failures = 1000

[[provider]]
name = "ollama"
forwards = ["x-simulate-"]

[[model]]
name = "llama3"
targets = ["ollama/simulated"]
"""
ADMIN = "sk-admin-0123456789abcdef"
FIELDS = set(examples.DASHBOARD[0])


class House:
    """A gateway with a fake Ollama server behind it."""

    def __init__(self, gateway: Served, fake: Upstream) -> None:
        self.gateway = gateway
        self.fake = fake

    def call(self, method: str, path: str, body: bytes = b"", headers: Headers = ()) -> Reply:
        """One request over a connection of its own."""
        with self.gateway.connect() as connection:
            return connection.call(method, path, body, headers)

    def traces(self) -> tuple[int, int]:
        """How many chats the server saw, and how many entries the ledger has."""
        with closing(sqlite3.connect(f"file:{self.gateway.folder}/data/foz.db?mode=ro", uri=True)) as books:
            (entries,) = books.execute("SELECT count(*) FROM entries").fetchone()
        return self.fake.seen()["requests"].get("/api/chat", 0), entries

    def text(self, path: str, body: bytes, headers: Headers = ()) -> str:
        """A question's answer."""
        reply = self.call("POST", path, body, headers)
        assert reply.status == 200, reply.body
        assert reply.header(b"content-type") == b"text/plain; charset=utf-8"
        return reply.body.decode()

    def rows(self, query: str = "", headers: Headers = ()) -> list[Any]:
        """The dashboard, as a list that bears the seed's fields and no other."""
        reply = self.call("GET", f"{DASHBOARD}{query}", headers=headers)
        assert reply.status == 200, reply.body
        rows: list[Any] = msgspec.json.decode(reply.body)
        assert all(set(row) == FIELDS for row in rows)
        return rows

    def captured(self, query: str, count: int, headers: Headers = ()) -> list[Any]:
        """The same, once it has so many rows, all with what was said."""

        def there() -> bool:
            rows = self.rows(query, headers)
            return len(rows) == count and all(row["output"] is not None for row in rows)

        wait_until(there, f"{count} rows with their content")
        return self.rows(query, headers)


def _start(folder: Path, fake: Upstream, config: str = CONFIG, **environment: str) -> Served:
    return start_gateway(folder, config=config, environment={"OLLAMA_HOST": f"127.0.0.1:{fake.port}", **environment})


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("fake"), program="foz.testing.ollama") as running:
        yield running


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, fake: Upstream) -> Iterator[House]:
    with _start(tmp_path_factory.mktemp("foz"), fake) as running:
        yield House(running, fake)


def ask(text: str = "Olá", **more: object) -> bytes:
    return msgspec.json.encode({"agent": "llama3", "content": text, **more})


def refused(reply: Reply, status: int) -> str:
    """Asserts an error in this API's words, and gives them."""
    assert reply.status == status, reply.body
    assert (reply.header(b"content-type") or b"").startswith(b"application/json")
    told = msgspec.json.decode(reply.body)
    assert set(told) == {"detail"}
    assert told["detail"]
    return str(told["detail"])


# The seed's examples.


def test_seed_001_models(house: House) -> None:
    """Seed 001, /api/v1/ai/models: a plain list of names, Ollama's own first and without `:latest`, then all others."""

    def listed() -> list[str]:
        reply = house.call("GET", MODELS)
        assert (reply.status, reply.header(b"content-type")) == (200, b"application/json")
        names: list[str] = msgspec.json.decode(reply.body)
        return names

    wait_until(lambda: len(listed()) > 1, "the server's models to be found")

    assert listed() == ["simulated-embed", "simulated-plain", "simulated", "llama3"]


def test_seed_001_ask_sync(house: House) -> None:
    """Seed 001, /api/v1/ai/ask_sync: the example's body is answered by the model's whole text, and nothing else."""
    assert "Explique a teoria da relatividade." in house.text(SYNC, examples.QUESTION)


def test_seed_001_ask_async(house: House) -> None:
    """Seed 001, /api/v1/ai/ask_async: the same body is answered by the same text, in pieces."""
    with house.gateway.connect() as connection:
        connection.send(request("POST", ASYNC, examples.QUESTION, ((b"x-simulate-pace", b"0.01"),)))
        head = connection.head()
        pieces = list(iter(connection.chunk, b""))

    assert (head.status, head.header(b"content-type")) == (200, b"text/plain; charset=utf-8")
    assert len(pieces) > 1
    assert b"".join(pieces).decode() == house.text(SYNC, examples.QUESTION)


def test_seed_001_dashboard(house: House) -> None:
    """Seed 001, /api/v1/admin/dashboard: every field of the example, in its unit, as the server counted and said it."""
    body = {**msgspec.json.decode(examples.QUESTION), "process_id": "p001", "subprocess_id": "s001"}
    said = house.text(SYNC, msgspec.json.encode(body), ((b"x-simulate-delay", b"0.2"), (b"x-request-id", b"seen-1")))
    (row,) = house.captured("?process_id=p001", 1)
    made = next(one for one in house.fake.seen()["produced"] if one["request_id"] == "seen-1")

    when = datetime.fromisoformat(row.pop("date"))
    took = row.pop("total_seconds")
    assert when.tzinfo is None
    assert when.microsecond == 0
    assert 0.2 * 10**9 <= took < 20 * 10**9
    assert row == {
        "total_tokens": made["input"] + made["output"],
        "input_tokens": made["input"],
        "output_tokens": made["output"],
        "model_name": "llama3",
        "input": [
            {"role": "system", "content": body["template"]},
            {"role": "user", "content": body["content"]},
        ],
        "output": said,
        "project": "projeto1",
        "process_id": "p001",
        "subprocess_id": "s001",
    }


def test_the_reference_shows_the_seeds_examples(house: House) -> None:
    """/openapi.json has each path of the seed, with its example of a body and of an answer."""
    paths = msgspec.json.decode(house.call("GET", "/openapi.json").body)["paths"]

    def answer(path: str, method: str, kind: str = "application/json") -> Any:
        return paths[path][method]["responses"]["200"]["content"][kind]["example"]

    assert answer(MODELS, "get") == msgspec.json.decode(examples.MODELS)
    assert answer(DASHBOARD, "get") == examples.DASHBOARD
    for path in (SYNC, ASYNC):
        body = paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert body == msgspec.json.decode(examples.QUESTION)
        assert answer(path, "post", "text/plain") == examples.ANSWER.decode()
    named = {one["name"] for one in paths[DASHBOARD]["get"]["parameters"]}
    filters = {"project", "process_id", "subprocess_id", "user_key", "model", "from", "to"}
    assert named == filters | {"limit", "cursor"}


# Beyond them.


@pytest.mark.parametrize("agent", ["simulated", "simulated:latest", "ollama/simulated", "simulated-plain"])
def test_the_servers_models_are_meant_by_their_names(house: House, agent: str) -> None:
    """A name of the Ollama server's, with its tag or without, reaches it; a template is not needed."""
    assert "Olá" in house.text(SYNC, ask(agent=agent))


@pytest.mark.parametrize("path", [SYNC, ASYNC])
def test_every_letter_comes_through(house: House, path: str) -> None:
    """Letters of all scripts and joined emoji are said as they were asked, also when the server sends byte by byte."""
    text = 'Onde acaba o rio? 河 🌊 👩‍👩‍👧 "\\n\t' + "é" * 300

    assert text in house.text(path, ask(text), ((b"x-simulate-fragment", b"1"),))


def test_a_stream_comes_as_it_is_made(house: House) -> None:
    """The first words reach the caller while the server still waits to send its last."""
    with house.gateway.connect() as connection:
        connection.send(request("POST", ASYNC, ask(), ((b"x-simulate-hang", b"3"), (b"x-request-id", b"hung"))))
        assert connection.head().status == 200
        assert connection.chunk().startswith(b"This")
        assert not any(one["request_id"] == "hung" for one in house.fake.seen()["produced"])


@pytest.mark.parametrize("mischief", [b"cut", b"error", b"garble"])
def test_a_text_that_breaks_never_looks_finished(house: House, mischief: bytes) -> None:
    """Cut, broken off or garbled after its first words, it ends without the last chunk, and the ledger knows it."""
    named = ((b"x-simulate-" + mischief, b"4"), (b"x-request-id", b"broke-" + mischief))
    with house.gateway.connect() as connection:
        connection.send(request("POST", ASYNC, ask(process_id=f"broke-{mischief.decode()}"), named))
        assert connection.head().status == 200
        said = connection.rest()

    assert b"\r\nThis" in said
    assert not said.endswith(b"0\r\n\r\n")
    (row,) = house.captured(f"?process_id=broke-{mischief.decode()}", 1)
    assert row["output"].startswith("This")


@pytest.mark.parametrize(("status", "seen"), [(400, 400), (401, 502), (404, 404), (429, 429), (500, 502), (503, 502)])
def test_the_servers_refusals_are_told_before_a_text(house: House, status: int, seen: int) -> None:
    """What the server refuses is an error with its status, also where pieces were asked for."""
    for path in (SYNC, ASYNC):
        refused(house.call("POST", path, ask(), ((b"x-simulate-status", str(status).encode()),)), seen)


def test_an_empty_answer_is_an_answer(house: House) -> None:
    """No words at all are an empty text, whole and streamed."""
    for path in (SYNC, ASYNC):
        assert not house.text(path, ask(), ((b"x-simulate-words", b"0"),))


DEEP = b'{"agent":' + b"[" * 200 + b"]" * 200 + b"}"
WORDS = ("project", "process_id", "subprocess_id", "user_key")
ODD: tuple[Any, ...] = (1, "x" * 129, "a\nb", ["x"], {}, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        *[
            ("POST", path, body, (), 422)
            for path in (SYNC, ASYNC)
            for body in (
                b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":"\xff"}', b"{}", b"{} x", DEEP, b'{"a":NaN}',
                b'{"agent":"llama3"}', b'{"agent":"","content":"x"}', b'{"agent":5,"content":"x"}',
                b'{"agent":"llama3","content":["x"]}', b'{"agent":"llama3","content":"\\ud800"}',
                b'{"agent":"llama3","content":null}', b'{"agent":"llama3","content":"x","template":{}}',
            )
        ],
        *[("POST", SYNC, ask("x", **{name: odd}), (), 422) for name in WORDS for odd in ODD],
        *[("POST", path, ask("x" * 70_000), (), 413) for path in (SYNC, ASYNC)],
        ("POST", SYNC, ask(), ((b"content-type", b"text/plain"),), 415),
        ("POST", ASYNC, ask(), ((b"content-encoding", b"gzip"),), 415),
        ("POST", SYNC, ask(), ((b"x-foz-project", b"\xff"),), 400),
        ("POST", SYNC, b"", ((b"x-long", b"x" * 70_000),), 431),
        ("POST", SYNC, ask(agent="nobody"), (), 404),
        ("POST", SYNC, ask(agent="x" * 5000), (), 404),
        ("POST", SYNC, ask(agent="../\x00"), (), 404),
        ("GET", SYNC, b"", (), 405),
        ("POST", MODELS, b"{}", (), 405),
        ("DELETE", DASHBOARD, b"", (), 405),
        ("GET", "/api/v1/ai", b"", (), 404),
        ("GET", "/api/v1/admin/dashboard/x", b"", (), 404),
        *[
            ("GET", f"{DASHBOARD}?{query}", b"", (), 422)
            for query in (
                "limit=0", "limit=1001", "limit=x", "limit=1e2", "limit=" + "9" * 400, "cursor=x", "cursor=%00",
                "cursor=" + "0" * 33, "from=yesterday", "to=2025-13-01", "from=%ff", "from=99999-01-01", "to=-1",
                "model=" + "x" * 300, "project=" + "%00" * 300,
            )
        ],
    ],
)  # fmt: skip
def test_bad_input_is_told_in_this_apis_words(
    house: House, method: str, path: str, body: bytes, headers: Headers, status: int
) -> None:
    """What is wrong gets its status and a detail; nothing is sent upstream and nothing is accounted for."""
    before = house.traces()

    refused(house.call(method, path, body, headers), status)

    assert house.traces() == before


@pytest.mark.parametrize(
    "query",
    [
        "model=%00&project=%F0%9F%8C%8A", "process_id=';DROP+TABLE+entries", "cursor=" + "0" * 32, "user_key=nobody",
        "from=9999-12-31T23:59:59%2B00:00", "to=0001-01-01", "from=0001-01-01T00:00:00%2B14:00&to=0001-01-02",
    ],
)  # fmt: skip
def test_odd_filters_find_nothing(house: House, query: str) -> None:
    """Any words and any times may be asked for: they find nothing."""
    assert house.rows(f"?{query}") == []


def test_each_filter_finds_its_calls(house: House) -> None:
    """Each filter alone and all together find the calls that bear the word, and the times bound them."""
    words = {name: f"filter-{name}" for name in WORDS}
    house.text(SYNC, ask("one", **words))
    house.text(SYNC, ask("two", **{**words, "user_key": "another", "project": None}, agent="simulated"))

    for name, word in words.items():
        found = house.captured(f"?{name}={word}", 1 if name in {"user_key", "project"} else 2)
        assert found[-1]["input"] == [{"role": "user", "content": "one"}]
    together = "&".join(f"{name}={word}" for name, word in words.items())
    (row,) = house.rows(f"?{together}&model=llama3")
    at = datetime.fromisoformat(row["date"])
    second = timedelta(seconds=1)

    assert house.rows("?process_id=filter-process_id&model=simulated")[0]["project"] is None
    for since, until, count in ((at, at + second, 1), (at + second, at + 2 * second, 0), (at - second, at, 0)):
        assert len(house.rows(f"?{together}&from={since.isoformat()}&to={until.isoformat()}Z")) == count
    assert len(house.rows(f"?{together}&from={at.isoformat()}+00:00")) == 1


def test_pages_follow_the_link(house: House) -> None:
    """Following `Link` shows each call once, newest first, with the filters kept, whatever is called meanwhile."""
    for number in range(7):
        house.text(SYNC, ask(f"page {number}", project="páginas & más"))
    path: str | None = f"{DASHBOARD}?project=p%C3%A1ginas+%26+m%C3%A1s&limit=3"
    house.captured(path.removeprefix(DASHBOARD) if path else "", 3)
    seen = []
    while path is not None:
        reply = house.call("GET", path)
        seen += [row["input"][0]["content"] for row in msgspec.json.decode(reply.body)]
        house.text(SYNC, ask("meanwhile", project="páginas & más"))
        link = reply.header(b"link")
        path = None if link is None else link.decode().removeprefix("<").removesuffix('>; rel="next"')

    assert seen == [f"page {number}" for number in range(6, -1, -1)]


def test_a_page_has_a_hundred_lines(house: House) -> None:
    """Without `limit` a page has 100 lines and the way to the next one; 1,000 may be asked for."""
    with house.gateway.connect() as connection:
        for _ in range(102):
            assert connection.call("POST", SYNC, ask(process_id="many")).status == 200
    reply = house.call("GET", f"{DASHBOARD}?process_id=many")

    assert len(msgspec.json.decode(reply.body)) == 100
    assert b'rel="next"' in (reply.header(b"link") or b"")
    assert len(house.rows("?process_id=many&limit=1000")) == 102


@pytest.mark.parametrize("left_out", [(name,) for name in WORDS] + [WORDS])
def test_seed_001_optional_parameters(house: House, left_out: tuple[str, ...]) -> None:
    """Seed 001, /api/v1/ai/ask_sync: the four parameters are optional, each alone and all of them, absent or null."""
    said = msgspec.json.decode(examples.QUESTION)
    for body in ({**said, **dict.fromkeys(left_out)}, {name: said[name] for name in said if name not in left_out}):
        for path in (SYNC, ASYNC):
            assert said["content"] in house.text(path, msgspec.json.encode(body))


def test_calls_of_other_apis_are_listed_without_what_was_said(house: House) -> None:
    """The dashboard shows the calls of all APIs; where content is not captured, input and output are null."""
    chat = b'{"model":"llama3","messages":[{"role":"user","content":"x"}]}'
    headers = ((b"x-foz-process-id", b"other-api"),)
    assert house.call("POST", "/v1/chat/completions", chat, headers).status == 200
    (row,) = house.rows("?process_id=other-api")

    assert (row["input"], row["output"], row["model_name"]) == (None, None, "llama3")
    assert row["total_tokens"] == row["input_tokens"] + row["output_tokens"] > 0


def test_a_call_is_listed_once_it_has_ended(house: House) -> None:
    """A call that still runs is not on the dashboard; when its caller has gone it is, with what had been said."""
    with house.gateway.connect() as connection:
        body = ask(process_id="running")
        connection.send(request("POST", ASYNC, body, ((b"x-simulate-endless", b"1"), (b"x-simulate-pace", b"0.002"))))
        connection.head()
        for _ in range(30):
            connection.chunk()
        assert house.rows("?process_id=running") == []
    (row,) = house.captured("?process_id=running", 1)

    assert row["output"].startswith("This is")
    assert row["total_tokens"] > 0


def test_a_long_question_is_kept_in_part(house: House) -> None:
    """Of a question longer than what is kept, the beginning is shown, and an ellipsis says that there was more."""
    content = 'água "doce" \\ ' * 1200
    reply = house.call("POST", SYNC, ask(content, process_id="long"))
    assert reply.status == 200
    (row,) = house.captured("?process_id=long", 1)
    (message,) = row["input"]

    assert message["role"] == "user"
    assert message["content"].endswith("…")
    assert content.startswith(message["content"][:-1])
    assert len(message["content"]) > 5_000


# Who may see what.


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, fake: Upstream) -> Iterator[House]:
    """A gateway with keys, which lets callers of this API in without one."""
    config = CONFIG + '\n[auth]\nopen_skins = ["ollama_host"]\n'
    with _start(tmp_path_factory.mktemp("shared"), fake, config, FOZ_ADMIN_KEY=ADMIN, API_KEY="sk-user-key") as running:
        yield House(running, fake)


def keyed(key: str) -> Headers:
    return ((b"authorization", f"Bearer {key}".encode()),)


def test_who_sees_what(shared: House) -> None:
    """An administrator sees all calls, a user and a caller without a key what is their own, and no more by asking."""
    for key, project in ((ADMIN, "a"), ("sk-user-key", "b"), (None, "c")):
        shared.text(SYNC, ask(project=project), keyed(key) if key else ())
    shared.captured("", 3, keyed(ADMIN))

    def seen(headers: Headers, query: str = "") -> list[str]:
        return [row["project"] for row in shared.captured(query, len(shared.rows(query, headers)), headers)]

    assert seen(keyed(ADMIN)) == ["c", "b", "a"]
    assert seen(keyed("sk-user-key")) == ["b"]
    assert seen(()) == ["c"]
    assert seen(keyed("sk-user-key"), "?project=a") == []
    assert seen((), "?project=b") == []


def made_key(house: House, *options: str) -> str:
    """A key of `foz keys create`."""
    command = [sys.executable, "-m", "foz", "keys", "create", *options]
    environment, folder = house.gateway.environment, house.gateway.folder
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_projects_key_sees_the_projects_calls(shared: House) -> None:
    """A key with a project sees all that the project asked, by whomever and whatever it says, and nothing else."""
    keys = [made_key(shared, "--project", "river") for _ in range(2)]
    wait_until(lambda: shared.call("GET", MODELS, headers=keyed(keys[1])).status == 200, "the keys to be known")
    for key in keys:
        shared.text(SYNC, ask(project="somebody-elses"), keyed(key))
    shared.text(SYNC, ask(project="river-not"), keyed(ADMIN))

    for key in keys:
        assert [row["project"] for row in shared.captured("", 2, keyed(key))] == ["river", "river"]
        assert shared.rows("?project=river-not", keyed(key)) == []


def test_a_key_for_one_model_can_ask_what_it_is_shown(shared: House) -> None:
    """A key for `simulated:latest` is shown `simulated` and may ask it by both names, and no other model."""
    key = made_key(shared, "--model", "simulated:latest")

    def listed() -> bool:
        return shared.call("GET", MODELS, headers=keyed(key)).body == b'["simulated"]'

    wait_until(listed, "the key to be known and the model to be found")

    for agent in ("simulated", "simulated:latest"):
        assert "Olá" in shared.text(SYNC, ask(agent=agent), keyed(key))
    refused(shared.call("POST", SYNC, ask(agent="simulated-plain"), keyed(key)), 403)


def test_a_wrong_key_is_refused_though_none_is_needed(shared: House) -> None:
    """A key that nobody knows is 401 in this API's words, on both planes."""
    for method, path, body in (("GET", MODELS, b""), ("POST", SYNC, ask()), ("GET", DASHBOARD, b"")):
        reply = shared.call(method, path, body, keyed("sk-wrong"))
        assert "key" in refused(reply, 401)
        assert reply.header(b"www-authenticate") == b"Bearer"
