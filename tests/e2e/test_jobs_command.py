"""
`foz jobs` beside a gateway that works at jobs, wherever they are kept: what an operator sees of them, and what they can
change.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from foz.cli.main import main
from foz.testing.process import Child, Served, start_gateway
from foz.testing.servers import shared_rabbit, shared_redis
from foz.wire.http import Headers

Run = Callable[..., Result]
CONFIG = """
test_mode = true

[jobs]
attempts = 1
backoff = "100ms"
gpu_workers = 4
api_workers = 32
"""
ADDRESSES = ("RABBITMQ_URL", "REDIS_URL")


@pytest.fixture(scope="module", params=["embedded", "scale"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    where = {}
    if request.param == "scale":
        where = dict(zip(ADDRESSES, (shared_rabbit(), shared_redis().rpartition("/")[0] + "/5"), strict=True))
    with start_gateway(tmp_path_factory.mktemp("gateway"), config=CONFIG, environment=where) as served:
        yield served


@pytest.fixture
def run(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in the gateway's folder."""
    for name in list(os.environ):
        if name.startswith("FOZ_") or name.endswith("_KEY") or name in ADDRESSES:
            monkeypatch.delenv(name)
    for name in ADDRESSES:
        if name in gateway.environment:
            monkeypatch.setenv(name, gateway.environment[name])
    monkeypatch.setenv("FOZ_DATA", str(gateway.folder / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(gateway.folder)
    return lambda *words: CliRunner().invoke(main, ["jobs", *words])


def submit(gateway: Served, text: str = "Where do rivers end?", **how: object) -> str:
    """A job, by its id."""
    named: Headers = tuple((f"x-simulate-{name.replace('_', '-')}".encode(), str(how[name]).encode()) for name in how)
    with gateway.connect() as connection:
        reply = connection.call("POST", "/chat", msgspec.json.encode({"message": text}), named)
    return str(msgspec.json.decode(reply.body)["job_id"])


def state(run: Run, id: str) -> str:
    """How it stands."""
    return str(msgspec.json.decode(run("show", id, "--json").stdout)["state"])


def until(gateway: Served, run: Run, id: str, wanted: str) -> None:
    """Waits for a state."""
    gateway.wait_for(lambda: state(run, id) == wanted, f"{id} to be {wanted}")


def test_a_completed_job_is_shown_with_its_answer(gateway: Served, run: Run) -> None:
    """The answer alone is on standard output; what is known of the job is beside it, and in the JSON."""
    id = submit(gateway)
    until(gateway, run, id, "completed")
    shown, card = run("show", id), msgspec.json.decode(run("show", id, "--json").stdout)

    assert shown.exit_code == 0
    assert shown.stdout.startswith("This is Foz's simulated model.")
    assert id not in shown.stdout
    assert "completed" in shown.stderr
    assert (card["id"], card["model"], card["served"], card["attempts"]) == (id, "nemotron", "gpu", 1)
    assert card["created"].endswith("Z")


def test_a_job_is_followed_to_its_end(gateway: Served, run: Run) -> None:
    """--follow waits: the answer comes whole, once, and the exit code says whether there is one."""
    id = submit(gateway, pace=0.02)
    good = run("show", id, "--follow")
    failing = submit(gateway, delay=0.3, status=400)
    bad = run("show", failing, "--follow")

    assert good.exit_code == 0
    assert good.stdout.count("This is Foz's simulated model.") == 1
    assert good.stdout == run("show", id).stdout
    assert bad.exit_code == 1
    assert "failed" in bad.stdout
    assert "400" in bad.stdout


def test_a_terminal_shows_how_a_followed_job_stands(gateway: Served, run: Run, tmp_path: Path) -> None:
    """While nothing comes somebody at a terminal sees who works at it; in the end their cursor is theirs again."""
    id = submit(gateway, hang=0)
    command = (sys.executable, "-m", "foz", "jobs", "show", id, "--follow")
    with Child(command, tmp_path, {**gateway.environment, "FORCE_COLOR": "1", "TERM": "xterm"}) as follower:
        follower.wait_for(
            lambda: f"{id} is worked at on gpu" in re.sub(r"\x1b\[[0-9;]*m", "", follower.stderr), "what is told"
        )
        run("cancel", id)
        assert follower.wait() == 1
        assert follower.stderr.count("\x1b[?25l") == follower.stderr.count("\x1b[?25h") > 0, "hidden, and shown again"


def test_jobs_are_listed_newest_first(gateway: Served, run: Run) -> None:
    """By state and by key, as many as wanted, in a table and in JSON."""
    ids = [submit(gateway, str(number)) for number in range(3)]
    for id in ids:
        until(gateway, run, id, "completed")
    found = msgspec.json.decode(run("list", "--state", "completed", "--limit", "3", "--json").stdout)

    assert [one["id"] for one in found] == ids[::-1]
    assert ids[0] in run("list").stdout
    assert run("list", "--principal", "nobody").stdout == "No jobs.\n"
    assert run("list", "--state", "cancelled", "--principal", "local", "--json").exit_code == 0


def test_dead_letters_are_tried_again(gateway: Served, run: Run) -> None:
    """What failed of its attempts' limit is listed with its error; --dead has all of them wait again."""
    id = submit(gateway, status=503)
    until(gateway, run, id, "failed")
    table, shown = run("dead").stdout, run("show", id).stdout

    assert id in table
    assert "503" in table
    assert f"foz jobs retry {id}" in shown
    assert f"{id} waits again." in run("retry", "--dead").stdout
    gateway.wait_for(lambda: state(run, id) == "failed" and id in run("dead").stdout, "it to be dead again")
    assert msgspec.json.decode(run("show", id, "--json").stdout)["attempts"] == 1
    assert f"{id} waits again." in run("retry", id).stdout


def test_a_running_job_is_cancelled(gateway: Served, run: Run, tmp_path: Path) -> None:
    """Who follows it hears of the end; what is over already stays as it is, and says so."""
    id = submit(gateway, hang=2)
    until(gateway, run, id, "processing")
    command = (sys.executable, "-m", "foz", "jobs", "show", id, "--follow")
    with Child(command, tmp_path, gateway.environment) as follower:
        follower.wait_for(lambda: "This" in follower.stdout, "the first words")
        assert run("cancel", id).stdout == f"{id} is cancelled.\n"
        assert follower.wait() == 1
        assert "cancelled" in follower.stdout

    done = submit(gateway)
    until(gateway, run, done, "completed")
    assert "it had its end already" in run("cancel", done).stdout
    assert f"{done} is completed, not failed" in run("retry", done).stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "x"), "is not an id"),
        (("show", "550e8400-e29b-41d4-a716-446655440000"), "There is no job"),
        (("cancel", "550e8400e29b41d4a716446655440000"), "There is no job"),
        (("retry",), "--dead"),
        (("retry", "x", "--dead"), "--dead"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(run: Run, words: tuple[str, ...], told: str) -> None:
    """No traceback: one line that says what was wrong."""
    result = run(*words)

    assert result.exit_code != 0
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_the_topology_is_told(run: Run, gateway: Served) -> None:
    """Where jobs are kept, how many are worked at at once, and each queue that RabbitMQ would have."""
    text = run("topology").stdout

    scale = "REDIS_URL" in gateway.environment
    assert ("Redis" if scale else f"SQLite in {gateway.folder / 'data'}") in text.splitlines()[0]
    assert "4 gpu, 32 api" in text
    for queue in ("foz.jobs.gpu", "foz.jobs.api", "foz.jobs.dead"):
        assert f"queue {queue}" in text


def test_the_topology_has_the_names_that_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `[scale] name` the queues that are shown are those that gateways of that name declare."""
    (tmp_path / "foz.toml").write_text('[scale]\nname = "estuary"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    text = CliRunner().invoke(main, ["jobs", "topology"]).stdout

    assert "queue estuary.jobs.gpu" in text
    assert "foz.jobs" not in text


def test_without_any_job_the_lists_say_so(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a data directory that nobody has used there are none, and none are dead."""
    monkeypatch.setenv("FOZ_DATA", str(tmp_path / "new"))
    for name in ADDRESSES:
        monkeypatch.delenv(name, raising=False)

    assert (run("list").stdout, run("dead").stdout) == ("No jobs.\n", "No dead letters.\n")
    assert run("retry", "--dead").stdout == "No dead letters.\n"
