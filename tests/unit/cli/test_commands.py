"""`foz models`, `foz doctor` and `foz tls init`, as a user calls them."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from typing_extensions import override

from foz.cli.main import main
from foz.config.variables import NAMES
from foz.dialects.openai.listing import read_list
from foz.providers.catalog import catalog

SECRET = "sk-very-secret-12345"
MODELS = """
[[model]]
name = "house"
description = "Ours."
targets = ["ollama/llama3", "mistral/mistral-large-latest"]

[[model]]
name = "dead"
targets = ["mistral/x"]
"""

MIXED = """
[[model]]
name = "m"
targets = [
  "mistral/x",
  { provider = "groq", model = "x", weight = 1 },
  { provider = "xai", model = "x", weight = 5 },
  "ollama/x",
]
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, an empty environment, an empty directory."""
    for names in NAMES.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)
    for row in catalog().values():
        for name in (*row.secret, *row.base_url_env):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FOZ_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FOZ_PORT", "0")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _foz(*words: str, **environ: str) -> Result:
    return CliRunner(env=environ).invoke(main, words, prog_name="foz")


def test_models_on_a_bare_machine() -> None:
    """Without any configuration the simulated model is listed, free, and it is said who would need a key."""
    result = _foz("models", "--offline")

    assert result.exit_code == 0
    assert "simulated/simulated" in result.output
    assert "free" in result.output
    assert "Without a key: openai" in result.output


def test_models_says_why_a_target_does_not_serve(home: Path) -> None:
    """Each model has its targets with placement and price, and a target that is barred its reason."""
    (home / "foz.toml").write_text(MODELS)
    text = _foz("models", "--offline").output
    dead, house = msgspec.json.decode(_foz("models", "--offline", "--json").output)

    assert "set MISTRAL_API_KEY" in text
    assert (house["name"], house["available"], house["description"]) == ("house", True, "Ours.")
    assert [target["placement"] for target in house["targets"]] == ["gpu", "api"]
    assert [target["input_price"] for target in house["targets"]] == [0.0, 2.0]
    assert (dead["available"], dead["targets"][0]["why_not"]) == (False, "mistral has no key: set MISTRAL_API_KEY")


def test_targets_are_listed_in_the_order_in_which_they_are_tried(home: Path) -> None:
    """Ours come before what is bought, lower ranks first, and the heavier first among those that share a rank."""
    (home / "foz.toml").write_text(MIXED)

    (model,) = msgspec.json.decode(_foz("models", "--offline", "--json").output)

    assert [one["name"] for one in model["targets"]] == ["ollama/x", "mistral/x", "xai/x", "groq/x"]


def test_models_says_that_test_mode_answers_every_name() -> None:
    """In test mode it is said that names which are not listed are answered too."""
    assert "every other name is answered" in _foz("models", "--offline", TEST_MODE="1").output


def test_doctor_finds_nothing_wrong_on_a_bare_machine() -> None:
    """Without configuration there is no problem and the exit code is 0."""
    result = _foz("doctor", "--offline")

    assert result.exit_code == 0, result.output
    assert "No problems." in result.output


def test_doctor_exits_with_1_where_something_is_wrong(home: Path) -> None:
    """A model that nobody can serve is one problem: it is told with what to do, in JSON too, and the exit code is 1."""
    (home / "foz.toml").write_text(MODELS)
    result = _foz("doctor", "--offline")
    findings = msgspec.json.decode(_foz("doctor", "--offline", "--json").output)

    assert result.exit_code == 1
    assert "1 problem." in result.output
    assert [one["topic"] for one in findings if one["level"] == "problem"] == ["model dead"]
    assert all(one["todo"] for one in findings if one["level"] in {"warning", "problem"})


def test_doctor_shows_no_secret(home: Path) -> None:
    """No key, proxy password or header of a provider is in what the doctor prints."""
    (home / "foz.toml").write_text(f"[[provider]]\nname = 'groq'\nheaders = {{ x = '{SECRET}' }}")
    environ = {"API_KEY": SECRET, "GROQ_API_KEY": SECRET, "HTTPS_PROXY": f"http://u:{SECRET}@127.0.0.1:1"}
    for words in (("doctor", "--offline"), ("doctor", "--offline", "--json"), ("models", "--offline", "--json")):
        result = _foz(*words, **environ)

        assert result.output
        assert SECRET not in result.output


class _Ollama(BaseHTTPRequestHandler):
    """Has two models, for those who bear the key."""

    def do_GET(self) -> None:
        known = self.headers["authorization"] == f"Bearer {SECRET}"
        body = b'{"models": [{"name": "llama3:8b", "model": "llama3:8b"}, {"name": "qwen3"}]}'
        self.send_response(200 if known and self.path == "/api/tags" else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def ollama(home: Path) -> Iterator[str]:
    """A server on this machine, the only one that is asked; its address."""
    others = [name for name, row in catalog().items() if row.local and name != "ollama"]
    (home / "foz.toml").write_text("".join(f"[[provider]]\nname = '{name}'\nenabled = false\n" for name in others))
    with HTTPServer(("127.0.0.1", 0), _Ollama) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_models_asks_the_providers_what_they_have(ollama: str) -> None:
    """The models that a server lists are listed, free and in their place, and can be named."""
    found = msgspec.json.decode(_foz("models", "--json", OLLAMA_HOST=ollama, OLLAMA_API_KEY=SECRET).output)

    assert [model["name"] for model in found] == ["llama3:8b", "qwen3"]
    assert found[0]["targets"][0]["name"] == "ollama/llama3:8b"
    assert found[0]["targets"][0]["input_price"] == 0.0


def test_doctor_says_who_answers_and_who_refuses_the_key(ollama: str) -> None:
    """With the right key a server is well; with a wrong one it is a problem that names the key's variable."""
    well = _foz("doctor", OLLAMA_HOST=ollama, OLLAMA_API_KEY=SECRET)
    refused = _foz("doctor", OLLAMA_HOST=ollama, OLLAMA_API_KEY="wrong")

    assert well.exit_code == 0, well.output
    assert "answers in" in well.output
    assert refused.exit_code == 1
    assert "check OLLAMA_API_KEY" in refused.output


@pytest.mark.parametrize(
    "body",
    [b'{"object":"list","data":[{"id":"a","object":"model"},{"id":"b"}]}', b'[{"id":"a"},{"id":"b","type":"chat"}]'],
)
def test_lists_of_models_are_read_as_their_vendors_write_them(body: bytes) -> None:
    """OpenAI's object and Together's bare list name the same models; an empty list may be null."""
    assert read_list(body) == ["a", "b"]
    assert read_list(b'{"object":"list","data":null}') == []


def test_a_wrong_setting_is_one_line(home: Path) -> None:
    """Every command refuses wrong settings in one line, with exit code 1 and no traceback."""
    (home / "foz.toml").write_text("[server]\nprot = 1")
    for words in (["models"], ["doctor"], ["tls", "init"]):
        result = _foz(*words)

        assert result.exit_code == 1
        assert result.output == f'Error: {home}/foz.toml:2: server.prot: unknown key, did you mean "port"?\n'


def test_tls_init_makes_files_that_serve(home: Path) -> None:
    """`foz tls init` writes beside the data, says what to do with it, and will not do so twice without --force."""
    first = _foz("tls", "init", "--name", "box.example")
    directory = home / "data" / "tls"

    assert first.exit_code == 0
    assert str(directory / "ca.pem") in first.output
    assert _foz("tls", "init").exit_code == 1
    assert _foz("tls", "init", "--force").exit_code == 0
    environ = {"FOZ_TLS_CERT": str(directory / "server.pem"), "FOZ_TLS_KEY": str(directory / "server-key.pem")}
    findings = msgspec.json.decode(_foz("doctor", "--offline", "--json", **environ).output)
    assert [one["level"] for one in findings if one["topic"] == "tls"] == ["ok"]
