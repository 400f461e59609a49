"""What `foz serve` says when it is ready, and the TLS files that it refuses before."""

import re
from pathlib import Path

import pytest

from foz.config.certificates import make_pair, write_pair
from foz.config.directory import snapshot
from foz.config.exposure import check_tls
from foz.config.greeting import greeting, to_try
from foz.config.load import load
from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.gateway.resolve import Snapshot
from foz.ports.line import Line
from foz.testing.clock import StillClock
from foz.testing.simulated.upstream import SimulatedUpstream

DAY = "2026-10-12"
KEY = {"OPENAI_API_KEY": "sk-x"}
PLACE = "http://127.0.0.1:8000"


def _settings(folder: Path, text: str = "", **environ: str) -> Settings:
    (folder / "foz.toml").write_text(text)
    return load({"HOME": str(folder), **environ}, folder)


def _directory(settings: Settings, **found: list[str]) -> Snapshot:
    line = Line(SimulatedUpstream({}, StillClock()), {})
    directory = snapshot(settings, {one.name: line for one in settings.providers if one.state != "off"}, DAY)
    for provider, names in found.items():
        directory = directory.with_discovered(provider, names)
    return directory


def _said(settings: Settings, *, keyed: bool = False) -> str:
    return greeting(settings, _directory(settings), [PLACE], "1", keyed=keyed)


@pytest.mark.parametrize(
    ("text", "environ", "found", "named"),
    [
        ("", {}, {}, "simulated"),
        ("", {"TEST_MODE": "1"}, {}, "simulated"),
        ("", KEY, {}, "openai/gpt-4o-mini"),
        ("", KEY, {"openai": ["babbage-002", "gpt-4o-mini", "gpt-4.1"]}, "gpt-4o-mini"),
        ("", KEY, {"openai": ["babbage-002", "text-embedding-3-small", "gpt-4.1"]}, "gpt-4.1"),
        ("", {**KEY, "OPENAI_BASE_URL": "http://10.0.0.7/v1"}, {}, None),
        ("", {}, {"ollama": ["bge-m3", "llama3"]}, "llama3"),
        ("model = [{name='dead', targets=['mistral/x']}]", {}, {}, "simulated"),
        ("model = [{name='dead', targets=['mistral/x']}, {name='a', targets=['openai/b']}]", KEY, {}, "a"),
        ("model = [{name='e', targets=['openai/text-embedding-3-small']}]", KEY, {}, "openai/gpt-4o-mini"),
        ("model = [{name='m', targets=['ollama/b']}, {name='s', targets=['openai/b']}]", KEY, {}, "s"),
    ],
)
def test_the_line_to_try_names_what_can_be_asked(
    tmp_path: Path, text: str, environ: dict[str, str], found: dict[str, list[str]], named: str | None
) -> None:
    """A usable model of the settings comes first, then one that was found, then a row's example; else none."""
    settings = _settings(tmp_path, text, **environ)

    assert to_try(settings, _directory(settings, **found)) == named


def test_a_model_that_cannot_be_asked_is_listed_with_its_reason(tmp_path: Path) -> None:
    """A model whose targets all lack a key says which variable is missing; one with another target does not."""
    text = "model = [{name='x', targets=['mistral/x']}, {name='y', targets=['mistral/x', 'openai/y']}]"

    said = _said(_settings(tmp_path, text, **KEY))

    assert "Models: x (off: mistral has no key: set MISTRAL_API_KEY), y; and every model of openai" in said


def test_a_provider_alone_is_no_reason_to_say_that_there_is_nothing(tmp_path: Path) -> None:
    """With a key and no foz.toml it says that every model of the provider can be named, and tries one of them."""
    said = _said(_settings(tmp_path, **KEY))

    assert "Models: every model of openai, as 'provider/model'" in said
    assert '"model":"openai/gpt-4o-mini"' in said
    assert "none" not in said


def test_where_no_model_is_known_the_line_lists_them(tmp_path: Path) -> None:
    """With a provider of one's own that lists nothing, the line to try is a request for the list, with a key."""
    text = "provider = [{name='mine', base_url='http://10.0.0.7/v1', auth='none'}]"

    said = _said(_settings(tmp_path, text), keyed=True)

    assert said.endswith(f"Try:\n  curl {PLACE}/v1/models -H 'Authorization: Bearer YOUR-KEY'\n")


def test_a_name_with_an_apostrophe_stays_one_word_of_the_shell(tmp_path: Path) -> None:
    """A quote in a model's name is written as the shell reads it."""
    said = _said(_settings(tmp_path, 'model = [{name="it\'s", targets=["openai/b"]}]', **KEY))

    assert r'"model":"it' "'\\''" 's"' in said


def test_in_test_mode_every_name_is_answered(tmp_path: Path) -> None:
    """Test mode says that names which are not listed are answered too, and lists no model as off."""
    said = _said(_settings(tmp_path, "model = [{name='dead', targets=['mistral/x']}]", TEST_MODE="1"))

    assert "Models: dead, simulated\n" in said
    assert "every other name is answered" in said


def _pair(folder: Path) -> tuple[Path, Path]:
    _, certificate, key = write_pair(make_pair((), 1_700_000_000_000, 30), folder, force=False)
    return certificate, key


def _refused(folder: Path, certificate: Path, key: Path) -> str:
    settings = _settings(folder, f"[server]\ntls_cert = '{certificate}'\ntls_key = '{key}'\n")
    with pytest.raises(ConfigError) as refused:
        check_tls(settings)
    return str(refused.value)


def test_the_line_to_try_trusts_what_tls_init_made(tmp_path: Path) -> None:
    """With the files of `foz tls init` curl is told the authority beside them; with others it is not."""
    certificate, key = _pair(tmp_path / "tls")
    alone = tmp_path / "alone.pem"
    alone.write_bytes(certificate.read_bytes())
    text = "[server]\ntls_cert = '{}'\ntls_key = '{}'\n"

    assert f" --cacert '{tmp_path}/tls/ca.pem' -d " in _said(_settings(tmp_path, text.format(certificate, key)))
    assert "--cacert" not in _said(_settings(tmp_path, text.format(alone, key)))


def test_a_good_pair_is_taken(tmp_path: Path) -> None:
    """The files of `foz tls init` pass."""
    certificate, key = _pair(tmp_path / "tls")

    check_tls(_settings(tmp_path, f"[server]\ntls_cert = '{certificate}'\ntls_key = '{key}'\n"))


def test_tls_files_that_cannot_serve_are_named(tmp_path: Path) -> None:
    """A missing file, one that is no PEM and a key of another certificate are each told with line, key and file."""
    certificate, key = _pair(tmp_path / "tls")
    _, stranger = _pair(tmp_path / "other")
    (tmp_path / "text.pem").write_text("hello")
    start = re.escape(f"{tmp_path}/foz.toml")

    absent = _refused(tmp_path, tmp_path / "x.pem", key)
    text = _refused(tmp_path, certificate, tmp_path / "text.pem")
    unpaired = _refused(tmp_path, certificate, stranger)

    assert re.match(rf"{start}:2: server\.tls_cert: .*/x\.pem cannot be read: No such file", absent)
    assert re.match(rf"{start}:3: server\.tls_key: .*/text\.pem is not PEM; expected a private key", text)
    assert re.match(rf"{start}:3: server\.tls_key: .* is not the key of .*: key values mismatch", unpaired)
    assert not any("\n" in said for said in (absent, text, unpaired))
