"""The check-up: each thing that can be wrong is seen and told with what to do, and nothing else is."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typing_extensions import override

from foz.canon.model import Placement
from foz.config.address import Address
from foz.config.bind import Provider
from foz.config.certificates import make_pair, write_pair
from foz.config.checkup import grpc, machine, place
from foz.config.checkup.finding import Finding
from foz.config.checkup.reach import judged, reach
from foz.config.checkup.settings import models, providers, sources
from foz.config.directory import snapshot
from foz.config.load import load
from foz.config.sections import Limits
from foz.config.settings import Settings
from foz.net.clock import SystemClock
from foz.net.origin import Endpoint, Origin
from foz.net.watch import TickingWatch
from foz.ports.line import Line
from foz.providers.row import ProviderRow
from foz.testing.process import free_port

NOW = 1_795_000_000_000
DAY = 86_400_000


def _settings(cwd: Path, toml: str = "", **environ: str) -> Settings:
    (cwd / "foz.toml").write_text(toml)
    return load({"HOME": str(cwd), **environ}, cwd)


def _levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


def _pair(directory: Path, days: int = 365) -> tuple[Path, Path]:
    _, certificate, key = write_pair(make_pair((), NOW, days), directory, force=True)
    return certificate, key


def test_an_old_sqlite_is_a_problem() -> None:
    """A SQLite before 3.51.3 is refused, a newer one is not, also with four parts."""
    versions = ["3.40.1", "3.51.2", "3.51.3", "3.54.1.0", "4.0.0"]

    assert [machine.sqlite(version).level for version in versions] == ["problem", "problem", "ok", "ok", "ok"]


def test_too_few_open_files_are_told_with_the_number_to_set() -> None:
    """With 1,024 files the number that is needed is told; for fewer connections they are enough."""
    few = machine.open_files(Limits(), 1024)

    assert few.level == "warning"
    assert "ulimit -n 12200" in few.todo
    assert machine.open_files(Limits(max_connections=400), 1024).level == "ok"
    assert machine.open_files(Limits(), None).level == "ok"


@pytest.mark.parametrize(
    ("now", "skews", "level"),
    [
        (0, {}, "problem"),
        (NOW, {}, "ok"),
        (NOW, {"a": 3.0, "b": -2.0}, "ok"),
        (NOW, {"a": 3000.0}, "problem"),
        (NOW, {"a": 3000.0, "b": 1.0, "c": -1.0}, "ok"),
        (NOW, {"a": -400.0, "b": -401.0, "c": 0.0}, "problem"),
    ],
)
def test_a_wrong_clock_is_seen(now: int, skews: dict[str, float], level: str) -> None:
    """A date before Foz, or more than five minutes from what most providers say, is a problem."""
    assert machine.clock(now, skews).level == level


def test_a_data_directory_is_tried(tmp_path: Path) -> None:
    """A good one is fine, one open to others is warned of, one that is a file is a problem."""
    open_to_all = tmp_path / "open"
    open_to_all.mkdir(mode=0o755)
    (tmp_path / "file").write_text("")

    assert _levels(place.data(tmp_path / "new")) == ["ok"]
    assert _levels(place.data(open_to_all)) == ["ok", "warning"]
    assert _levels(place.data(tmp_path / "file")) == ["problem"]
    assert list((tmp_path / "new").iterdir()) == []


def test_a_port_is_free_or_taken() -> None:
    """A port that somebody listens on is told as in use, with what to do; the same one is free afterwards."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])
        used = place.port(address)
        ollamas = place.port(address, address.port)

    assert (used.level, used.what) == ("note", "in use")
    assert "--port" in used.todo
    assert "Ollama server" in ollamas.todo
    assert place.port(address).level == "ok"
    assert place.port(Address("192.0.2.1", 80)).level == "problem"


def test_who_may_reach_us(tmp_path: Path) -> None:
    """Loopback without keys is fine; elsewhere it is a problem; with a key but without TLS it is warned of."""
    bare = _settings(tmp_path)
    wide = _settings(tmp_path, FOZ_HOST="0.0.0.0")

    assert _levels(place.exposure(bare, has_keys=False)) == ["note"]
    assert _levels(place.exposure(bare, has_keys=True)) == ["ok"]
    assert _levels(place.exposure(wide, has_keys=False)) == ["problem"]
    assert _levels(place.exposure(wide, has_keys=True)) == ["ok", "warning"]


def test_tls_files_are_read_as_serving_would(tmp_path: Path) -> None:
    """A fresh pair is fine; near its end, expired, not begun, of another pair, unreadable or no PEM is told."""
    certificate, key = _pair(tmp_path / "a", days=30)
    other = _pair(tmp_path / "b")[1]
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("what is this")

    def levels(key: Path, now: int) -> list[str]:
        return _levels(place.tls(certificate, key, now))

    assert levels(key, NOW) == ["ok"]
    assert levels(key, NOW + 20 * DAY) == ["warning"]
    assert levels(key, NOW + 31 * DAY) == ["problem"]
    assert levels(key, NOW - DAY) == ["problem"]
    assert levels(other, NOW) == ["ok", "problem"]
    assert levels(garbage, NOW) == ["problem"]
    assert levels(tmp_path / "nowhere", NOW) == ["problem"]
    key.chmod(0o644)
    assert levels(key, NOW) == ["ok", "warning"]


def test_authorities_to_trust_are_read(tmp_path: Path) -> None:
    """A file of certificates is fine; one that is missing or holds none is a problem; none named is nothing."""
    certificate, key = _pair(tmp_path)

    assert place.trust(None) == place.trust(certificate) == []
    assert _levels(place.trust(key)) == _levels(place.trust(tmp_path / "nowhere")) == ["problem"]


def test_a_model_that_nobody_can_serve_is_a_problem(tmp_path: Path) -> None:
    """A model whose targets all lack a key is a problem, one with a target left is a note, others are not told."""
    toml = """
        [[model]]
        name = "dead"
        targets = ["mistral/x"]
        [[model]]
        name = "half"
        targets = ["mistral/x", "groq/x"]
        [[model]]
        name = "well"
        targets = ["groq/x"]
    """
    found = models(list(snapshot(_settings(tmp_path, toml, GROQ_API_KEY="k"), {}, "2026-11-01").all_models()))

    assert [(finding.topic, finding.level) for finding in found] == [("model dead", "problem"), ("model half", "note")]
    assert "MISTRAL_API_KEY" in found[0].what


def test_settings_are_told_with_their_source_and_without_secrets(tmp_path: Path) -> None:
    """Each setting that is no default is told by its source, each key by its variable, no value of either."""
    settings = _settings(tmp_path, "[log]\nlevel = 'debug'", API_KEY="very-secret", GROQ_API_KEY="very-secret")
    told = [*sources(settings), *providers(settings)]

    assert {"setting log.level", "setting auth.api_key", "provider groq"} <= {finding.topic for finding in told}
    assert any("key from GROQ_API_KEY" in finding.what for finding in told)
    assert "very-secret" not in repr(told)


class _Answers(BaseHTTPRequestHandler):
    """Answers with the status that the path says."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.rpartition("/")[2]))
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _server() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def _nobody() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize(
    ("status", "level", "told"),
    [
        ("200", "ok", "answers in"),
        ("401", "problem", "refuses the key"),
        ("403", "problem", "refuses the key"),
        ("404", "note", "no list of models"),
        ("429", "warning", "status 429"),
        ("503", "warning", "status 503"),
        ("", "problem", "cannot connect"),
    ],
)
def test_a_provider_is_judged_by_its_answer(status: str, level: str, told: str) -> None:
    """Over a real socket: an answer is fine, a refused key and no answer are problems, the rest is told."""

    async def ask(port: int) -> Finding:
        row = ProviderRow(name="p", base_url=f"http://127.0.0.1:{port}/v1", models=f"/{status or 200}")
        one = Provider(row, "ready", key_from="P_KEY")
        upstream = Origin(Endpoint(row.base_url), TickingWatch(asyncio.get_running_loop()))
        (reached,) = await reach([one], {"p": Line(upstream, {})}, SystemClock())
        await upstream.close()
        assert reached.skew is None or abs(reached.skew) < timedelta(minutes=1).total_seconds()
        return judged(one, reached)

    if status:
        with _server() as port:
            found = asyncio.run(ask(port))
    else:
        found = asyncio.run(ask(_nobody()))

    assert found.level == level
    assert told in found.what
    assert (found.todo != "") == (level != "ok")


def test_a_local_server_that_is_not_there_is_no_problem() -> None:
    """Nobody misses a local server that nobody named."""

    async def ask() -> Finding:
        row = ProviderRow(name="p", base_url=f"http://127.0.0.1:{_nobody()}/v1", placement=Placement.GPU, local=True)
        one = Provider(row, "probe")
        upstream = Origin(Endpoint(row.base_url), TickingWatch(asyncio.get_running_loop()))
        (reached,) = await reach([one], {"p": Line(upstream, {})}, SystemClock())
        return judged(one, reached)

    assert asyncio.run(ask()).level == "note"


def test_who_is_off_or_in_this_process_is_not_asked() -> None:
    """Only providers that are on and have an endpoint are asked."""
    row = ProviderRow(name="p", base_url="http://127.0.0.1:1/v1")
    off = Provider(row, "off", why="no key")
    simulated = Provider(ProviderRow(name="simulated", base_url="simulated:"), "ready")

    assert asyncio.run(reach([off, simulated], {}, SystemClock())) == []


def test_what_grpc_does_is_told(tmp_path: Path) -> None:
    """Off, for this machine, for others in clear, with TLS and clients' certificates: each is told as it is."""
    certificate, key = _pair(tmp_path)
    free = f"port = {free_port()}"
    tls = f'[server]\ntls_cert = "{certificate}"\ntls_key = "{key}"\n'
    wide = f'[grpc]\nhost = "0.0.0.0"\n{free}\n'

    def told(toml: str) -> list[tuple[str, str]]:
        return [(one.level, one.what) for one in grpc.service(_settings(tmp_path, toml))]

    ((level, off),) = told("[grpc]\nport = 0\n")
    assert (level, off[:3]) == ("note", "off")
    ((level, here),) = told(f"[grpc]\n{free}\n")
    assert level == "ok"
    assert "without TLS; its process starts with the first call" in here
    assert [level for level, _ in told(wide)] == ["problem"]
    assert [level for level, _ in told(f"{wide}plaintext = true\n")] == ["warning"]
    assert [level for level, _ in told(f"{tls}{wide}")] == ["ok"]
    assert [level for level, _ in told(f'{tls}{wide}client_ca = "{certificate}"\n')] == ["ok", "ok"]
    assert [level for level, _ in told(f'{tls}{wide}client_ca = "{tmp_path}/none.pem"\n')] == ["ok", "problem"]
    assert [level for level, _ in told(f'[grpc]\n{free}\nclient_ca = "{certificate}"\n')] == ["ok", "warning"]


def test_a_port_for_grpc_that_is_taken_is_told(tmp_path: Path) -> None:
    """Where somebody listens on it, the check-up says so and how to choose another."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        _, taken = grpc.service(_settings(tmp_path, f"[grpc]\nport = {holder.getsockname()[1]}\n"))
    assert (taken.level, "--grpc-port" in taken.todo) == ("note", True)
