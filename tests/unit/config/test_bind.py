"""Rows and the environment: which providers there are, where, with which key, and why not."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.model import Patience, Placement
from foz.config.address import Address, is_this_machine
from foz.config.bind import Provider, is_own, place
from foz.config.load import load
from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.providers.catalog import catalog

SECRET = "sk-very-secret-12345"
OLLAMA = catalog()["ollama"]


def _settings(cwd: Path, toml: str = "", **environ: str) -> Settings:
    (cwd / "foz.toml").write_text(toml)
    return load({"HOME": str(cwd), **environ}, cwd)


def _bound(cwd: Path, toml: str = "", **environ: str) -> Mapping[str, Provider]:
    return {one.name: one for one in _settings(cwd, toml, **environ).providers}


def _states(bound: Mapping[str, Provider]) -> dict[str, list[str]]:
    states: dict[str, list[str]] = {}
    for name, one in bound.items():
        states.setdefault(one.state, []).append(name)
    return states


def test_without_keys_local_servers_are_looked_for_and_the_rest_is_off(tmp_path: Path) -> None:
    """On a bare machine: local servers are probed, vendors are off for want of a key, the simulated model is ready."""
    bound = _bound(tmp_path)

    assert _states(bound)["ready"] == ["simulated"]
    assert _states(bound)["probe"] == ["llamacpp", "lmstudio", "ollama"]
    assert bound["openai"].why == "no key: set OPENAI_API_KEY"
    assert bound["huggingface"].why == "no key: set HUGGINGFACE_API_KEY or HF_TOKEN"
    assert bound["vllm"].why.endswith("is our own: say where it is with VLLM_BASE_URL")


def test_a_key_wakes_its_provider_and_sends_the_simulated_one_away(tmp_path: Path) -> None:
    """A key in the environment or in `.env` makes its provider ready; the simulated one is then off."""
    (tmp_path / ".env").write_text("GROQ_API_KEY=g\n")
    bound = _bound(tmp_path, OPENAI_API_KEY=SECRET)

    assert _states(bound)["ready"] == ["openai", "groq"]
    assert bound["openai"].headers() == ((b"authorization", f"Bearer {SECRET}".encode()),)
    assert bound["openai"].key_from == "OPENAI_API_KEY"
    assert bound["simulated"].state == "off"
    assert SECRET not in repr(bound)


def test_the_first_variable_that_is_set_holds_the_key(tmp_path: Path) -> None:
    """Of two variables the first in the row wins, and an empty one is not set."""
    both = _bound(tmp_path, HUGGINGFACE_API_KEY="one", HF_TOKEN="two")["huggingface"]
    empty = _bound(tmp_path, HUGGINGFACE_API_KEY=" ", HF_TOKEN="two")["huggingface"]

    assert (both.key_from, empty.key_from) == ("HUGGINGFACE_API_KEY", "HF_TOKEN")


def test_in_test_mode_only_the_simulated_model_is_there(tmp_path: Path) -> None:
    """TEST_MODE turns off every provider but the simulated one, keys or not."""
    bound = _bound(tmp_path, TEST_MODE="true", OPENAI_API_KEY="k", OLLAMA_HOST="box")

    assert _states(bound)["ready"] == ["simulated"]
    assert "probe" not in _states(bound)


def test_a_row_of_the_file_changes_the_catalogs(tmp_path: Path) -> None:
    """What a `[[provider]]` row says of a known provider holds, the rest stays."""
    toml = """
        [timeouts]
        idle = 7
        [[provider]]
        name = "openai"
        base_url = "https://eu.api.openai.com/v1/"
        resend = true
        headers = { "OpenAI-Project" = "${PROJECT}" }
        timeouts = { connect = "2s" }
        [[provider]]
        name = "ollama"
        enabled = false
    """
    bound = _bound(tmp_path, toml, OPENAI_API_KEY="k", PROJECT=SECRET)
    openai = bound["openai"]

    assert openai.row.base_url == "https://eu.api.openai.com/v1"
    assert openai.row.resend
    assert openai.row.secret == ("OPENAI_API_KEY",)
    assert openai.patience == Patience(connect=2, first_byte=120, idle=7, total=600)
    assert openai.headers() == ((b"authorization", b"Bearer k"), (b"openai-project", SECRET.encode()))
    assert SECRET not in repr(bound)
    assert (bound["ollama"].state, bound["ollama"].why) == ("off", "switched off by enabled = false in foz.toml")


@pytest.mark.parametrize(
    ("toml", "environ", "expected"),
    [
        ("", {}, "https://api.nvcf.nvidia.com/v2/nvcf/pexec/status"),
        ("", {"NVIDIA_BASE_URL": "http://nim.lab:8000"}, ""),
        ('base_url = "http://nim.lab:8000/v1"', {}, ""),
        ('polls = "http://nim.lab/status"', {"NVIDIA_BASE_URL": "http://nim.lab:8000"}, "http://nim.lab/status"),
        ('base_url = "http://nim.lab:8000/v1"\npolls = "http://nim.lab/status"', {}, "http://nim.lab/status"),
    ],
)
def test_a_key_for_another_place_is_not_shown_to_the_known_one(
    tmp_path: Path, toml: str, environ: dict[str, str], expected: str
) -> None:
    """Where calls that were put off are asked for moves with the provider: elsewhere it is only what the row says."""
    row = f'[[provider]]\nname = "nvidia"\n{toml}' if toml else ""

    assert _bound(tmp_path, row, NVIDIA_API_KEY="k", **environ)["nvidia"].row.polls == expected


def test_a_provider_of_ones_own(tmp_path: Path) -> None:
    """A new name with a URL is a provider: without a secret it needs none, on this machine it is ours."""
    toml = """
        [[provider]]
        name = "lab"
        base_url = "http://10.0.0.7:8000/v1"
        secret = "LAB_KEY"
        auth = "header"
        auth_header = "Api-Key"
        [[provider]]
        name = "mine"
        base_url = "http://localhost:9999/v1"
    """
    bound = _bound(tmp_path, toml, LAB_KEY="k")

    assert bound["lab"].headers() == ((b"api-key", b"k"),)
    assert (bound["lab"].row.placement, bound["mine"].row.placement) == (Placement.API, Placement.GPU)
    assert (bound["lab"].state, bound["mine"].state) == ("ready", "ready")
    assert bound["mine"].headers() == ()
    assert _bound(tmp_path, toml)["lab"].why == "no key: set LAB_KEY"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[[provider]]\nname = 'lab'", "1: provider[0].base_url: expected a URL: 'lab' is not in the catalog"),
        ("[[provider]]\nname = 'opnai'", 'did you mean "openai"?'),
        ("[[provider]]\nname = 'groq'\n[[provider]]\nname = 'groq'", "4: provider[1].name: found 'groq' a second time"),
        (
            "[[model]]\nname = 'm'\ntargets = ['groq/a', 'opnai/b']",
            "3: model[0].targets[1]: there is no provider 'opnai', did you mean \"openai\"?",
        ),
        (
            "[[price]]\nprovider = 'grok'\nmodel = '*'\ninput = 1",
            "2: price[0].provider: there is no provider 'grok', did you mean \"groq\"?",
        ),
        (
            "[[provider]]\nname = 'groq'\nheaders = { a = '${NOPE}' }",
            "expected the environment variable NOPE to be set",
        ),
    ],
)
def test_rows_that_cannot_be(tmp_path: Path, toml: str, message: str) -> None:
    """Names that do not exist, that come twice, or that need what is not set are told with the closest known one."""
    with pytest.raises(ConfigError) as caught:
        _settings(tmp_path, toml, GROQ_API_KEY="k")

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("box", "http://box:11434"),
        ("box:1", "http://box:1"),
        ("1234", "http://127.0.0.1:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::]:80", "http://[::1]:80"),
        ("::1", "http://[::1]:11434"),
        ("http://box", "http://box"),
        ("https://box:8/", "https://box:8"),
        ("https://box/ollama", "https://box/ollama"),
        ("ollama.com", "https://ollama.com"),
        ("https://box/v1", None),
        (' "box:1" ', "http://box:1"),
        ("'http://box'", "http://box"),
        ("box:1/api", "http://box:1/api"),
        ("ftp://box", None),
        ("http://u:p@box", None),
        ("http://box:99999", None),
        ("a b", None),
    ],
)
def test_a_variable_says_a_place_as_its_server_reads_it(said: str, expected: str | None) -> None:
    """A host, a port, both, or a URL; what is missing is the row's, and "everywhere" is this machine."""
    if expected is None:
        with pytest.raises(ValueError, match="expected a URL such as"):
            place(OLLAMA, said)
    else:
        assert place(OLLAMA, said) == expected


def test_a_place_without_a_path_takes_the_rows() -> None:
    """A host or a URL without a path begins where the row's API does; a path of its own is kept."""
    vllm = catalog()["vllm"]

    assert place(vllm, "box:1") == "http://box:1/v1"
    assert place(vllm, "https://box") == "https://box/v1"
    assert place(vllm, "https://box/models/v1/") == "https://box/models/v1"


def test_a_loop_through_ollama_is_refused(tmp_path: Path) -> None:
    """OLLAMA_HOST with an address of ours, in whatever form, is off and warned of: asking it would go in circles."""
    for said in ("8000", "0.0.0.0:8000", "localhost:8000", "http://127.0.0.1:8000/", "[::1]:8000"):
        settings = _settings(tmp_path, OLLAMA_HOST=said)
        ollama = next(one for one in settings.providers if one.name == "ollama")

        assert (ollama.state, "in circles" in ollama.why) == ("off", True)
        assert any("OLLAMA_HOST" in warning for warning in settings.warnings)
    assert _bound(tmp_path, OLLAMA_HOST="box:8000")["ollama"].state == "ready"
    assert "OLLAMA_HOST" in _bound(tmp_path, FOZ_PORT="11434")["ollama"].why


def test_ollamas_other_api_is_a_row_away(tmp_path: Path) -> None:
    """A row of foz.toml speaks to Ollama's /v1 instead, without asking twice what it has."""
    toml = """
        [[provider]]
        name = "ollama"
        dialect = "openai"
        base_url = "http://127.0.0.1:11434/v1"
        models = "/models"
        quirks = ["max_tokens"]
    """
    row = _bound(tmp_path, toml)["ollama"].row

    assert (row.dialect, row.models, row.quirks) == ("openai", "/models", ("max_tokens",))
    assert (OLLAMA.dialect, OLLAMA.models) == ("ollama", "/api/tags")


@given(st.text(max_size=60))
def test_any_place_is_a_url_or_refused(said: str) -> None:
    """Whatever a variable says, the place is an http URL or a ValueError."""
    try:
        url = place(OLLAMA, said)
    except ValueError:
        return

    assert url.startswith(("http://", "https://"))


def test_a_bad_place_names_its_variable(tmp_path: Path) -> None:
    """A variable that says no place is refused by name, without its value: it may hold a password."""
    with pytest.raises(ConfigError, match="environment: OLLAMA_HOST: expected a URL") as caught:
        _settings(tmp_path, OLLAMA_HOST=f"http://u:{SECRET}@box")

    assert SECRET not in str(caught.value)


def test_a_bad_key_names_its_variable(tmp_path: Path) -> None:
    """A key with a line break or a letter beyond ASCII is refused by its variable, without being shown."""
    for bad in (SECRET + "\nx", SECRET + "é"):
        with pytest.raises(ConfigError, match="OPENAI_API_KEY") as caught:
            _settings(tmp_path, OPENAI_API_KEY=bad)

        assert SECRET not in str(caught.value)


def test_a_named_place_is_ready_and_a_found_one_is_not(tmp_path: Path) -> None:
    """OLLAMA_HOST makes Ollama ready without asking whether it answers."""
    assert _bound(tmp_path, OLLAMA_HOST="box")["ollama"].state == "ready"
    assert _bound(tmp_path)["ollama"].state == "probe"


def test_our_own_address_is_refused_as_a_provider(tmp_path: Path) -> None:
    """A provider that is ourselves is off, with a warning where somebody named it."""
    settings = _settings(tmp_path, OPENAI_BASE_URL="http://localhost:8000/v1", OPENAI_API_KEY="k")
    openai = next(one for one in settings.providers if one.name == "openai")

    assert openai.state == "off"
    assert any("OPENAI_BASE_URL" in warning and "our own address" in warning for warning in settings.warnings)
    assert _bound(tmp_path, FOZ_PORT="9000", VLLM_BASE_URL="http://127.0.0.1:8000/v1")["vllm"].state == "ready"


@pytest.mark.parametrize(
    ("url", "address", "expected"),
    [
        ("http://127.0.0.1:8000/v1", Address("127.0.0.1", 8000), True),
        ("http://localhost:8000/v1", Address("0.0.0.0", 8000), True),
        ("http://[::1]:8000/v1", Address("127.0.0.1", 8000), True),
        ("http://127.0.0.1:8001/v1", Address("127.0.0.1", 8000), False),
        ("http://10.0.0.1:8000/v1", Address("10.0.0.1", 8000), True),
        ("http://127.0.0.1:8000/v1", Address("10.0.0.1", 8000), False),
        ("https://api.openai.com/v1", Address("0.0.0.0", 443), False),
        ("simulated:", Address("127.0.0.1", 80), False),
        (f"http://{socket.gethostname()}:8000", Address("0.0.0.0", 8000), True),
        (f"http://{socket.gethostname()}:8000", Address("127.0.0.1", 8000), False),
        ("http://203.0.113.7:8000", Address("0.0.0.0", 8000), False),
        ("http://[2001:db8::7]:8000", Address("::", 8000), False),
        ("http://elsewhere.invalid:8000", Address("::", 8000), False),
    ],
)
def test_what_is_our_own_address(url: str, address: Address, expected: bool) -> None:
    """A URL is ours where its port is and its host is this machine or the address itself."""
    assert is_own(url, [address]) is expected


def test_an_address_of_this_machine_is_known() -> None:
    """The address that this machine has towards others is its own; one that nobody has is not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        with suppress(OSError):  # no way out: only loopback is left
            probe.connect(("203.0.113.7", 9))
        own = probe.getsockname()[0]

    assert is_this_machine(own if own != "0.0.0.0" else "127.0.0.1")
    assert not is_this_machine("203.0.113.7")
    assert not is_this_machine("not an address")


def test_the_url_of_ollamas_other_api_is_told_what_to_say(tmp_path: Path) -> None:
    """A row of Ollama's own API with a URL of `/v1` is refused, with both ways out; the other dialect takes it."""
    toml = "[[provider]]\nname = 'ollama'\nbase_url = 'http://box:11434/v1'\n"
    with pytest.raises(ConfigError, match=r"without /v1.* dialect = \"openai\""):
        _settings(tmp_path, toml)

    row = _bound(tmp_path, toml + "dialect = 'openai'\nmodels = '/models'\n")["ollama"].row
    assert row.base_url == "http://box:11434/v1"
