"""Where settings come from, which one wins, and what a wrong one gets."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.config.address import Address
from foz.config.exposure import check_exposure, make_data
from foz.config.load import default_data, load
from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.config.variables import NAMES

SECRET = "sk-very-secret-12345"


def _load(cwd: Path, environ: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    dotted = {name.replace("__", "."): value for name, value in overrides.items()}
    return load({"HOME": str(cwd), **(environ or {})}, cwd, None, dotted)


def _refusal(cwd: Path, toml: str = "", environ: Mapping[str, str] | None = None, **overrides: object) -> str:
    (cwd / "foz.toml").write_text(toml)
    with pytest.raises(ConfigError) as caught:
        _load(cwd, environ, **overrides)
    return str(caught.value).removeprefix(f"{cwd}/")


def test_nothing_is_needed(tmp_path: Path) -> None:
    """Without any file or variable it is one worker on 127.0.0.1:8000 with data under the home."""
    settings = _load(tmp_path)

    assert settings.server.addresses == (Address("127.0.0.1", 8000),)
    assert settings.data == default_data({"HOME": str(tmp_path)})
    assert settings.data.is_relative_to(tmp_path)
    assert settings.server.workers == 1
    assert settings.limits.max_body == 32 * 2**20
    assert settings.limits.max_header == 64 * 2**10
    assert settings.ledger.durability == "process"
    assert not settings.test_mode
    assert (settings.sources, settings.warnings, settings.file) == ({}, (), None)


def test_later_sources_win(tmp_path: Path) -> None:
    """Command line over environment over `.env` over file over default, key by key, and each is told."""
    (tmp_path / "foz.toml").write_text(
        "[server]\nhost = '127.0.0.5'\nport = 1\nworkers = 2\n[log]\nlevel = 'error'\n[limits]\ndrain = '1m'\n"
    )
    (tmp_path / ".env").write_text("FOZ_PORT=2\nFOZ_WORKERS=3\nFOZ_LOG_LEVEL=debug\n")
    settings = _load(tmp_path, {"FOZ_PORT": "3", "FOZ_WORKERS": "4"}, server__port=5)

    assert (settings.server.host, settings.server.port, settings.server.workers) == ("127.0.0.5", 5, 4)
    assert (settings.log.level, settings.limits.drain) == ("debug", 60.0)
    assert settings.sources == {
        "server.host": f"{tmp_path}/foz.toml:2",
        "server.port": f"command line, which goes before {tmp_path}/foz.toml:3",
        "server.workers": f"environment: FOZ_WORKERS, which goes before {tmp_path}/foz.toml:4",
        "log.level": f".env: FOZ_LOG_LEVEL, which goes before {tmp_path}/foz.toml:6",
        "limits.drain": f"{tmp_path}/foz.toml:8",
    }


def test_rows_are_told_by_their_names(tmp_path: Path) -> None:
    """A row's source stands under its kind and name; a second price of one model keeps its place in the list."""
    price = "[[price]]\nmodel = 'm'\ninput = 1\n"
    (tmp_path / "foz.toml").write_text(f"[[provider]]\nname = 'groq'\n{price}{price}")

    assert list(_load(tmp_path).sources) == ["provider groq", "price m", "price[1]"]


def test_a_short_form_in_the_environment_beats_the_long_one_in_dotenv(tmp_path: Path) -> None:
    """`.env` never overrides the environment, also where they use different names for one key."""
    (tmp_path / ".env").write_text("FOZ_SERVER_PORT=1")

    assert _load(tmp_path, {"FOZ_PORT": "2"}).server.port == 2


def test_every_setting_has_its_variable(tmp_path: Path) -> None:
    """`FOZ_<SECTION>_<KEY>` exists for every key that is no row, and no name sets two keys."""
    every = [name for names in NAMES.values() for name in names]

    assert len(every) == len(set(every))
    assert {
        "FOZ_DATA", "FOZ_LIMITS_MAX_BODY", "FOZ_RETRIES_BUDGET", "FOZ_AUTH_OPEN_SKINS", "API_KEY", "FOZ_ADMIN_KEY",
        "TEST_MODE", "FOZ_HOST", "FOZ_CORS_ORIGINS", "FOZ_LOG_FORMAT", "HTTPS_PROXY",
    } <= set(every)  # fmt: skip


def test_variables_hold_lists_sizes_and_times(tmp_path: Path) -> None:
    """Lists with commas, sizes and times with units are read from the environment."""
    settings = _load(
        tmp_path,
        {
            "FOZ_LISTEN": "5000, [::1]:9000",
            "FOZ_LIMITS_MAX_BODY": "1.5 MiB",
            "FOZ_TIMEOUTS_CONNECT": "250ms",
            "FOZ_AUTH_OPEN_SKINS": "ollama_host,hf_chat",
            "FOZ_CORS_ORIGINS": "https://a.example,http://localhost:3000/",
            "TEST_MODE": "true",
        },
    )

    assert settings.server.addresses[1:] == (Address("127.0.0.1", 5000), Address("::1", 9000))
    assert settings.limits.max_body == 3 * 2**19
    assert settings.timeouts.connect == 0.25
    assert settings.auth.open_skins == ("ollama_host", "hf_chat")
    assert settings.cors.origins == ("https://a.example", "http://localhost:3000")
    assert settings.test_mode


def test_empty_variables_are_not_set(tmp_path: Path) -> None:
    """An empty or blank variable, as compose files make them, leaves the default."""
    settings = _load(tmp_path, {"API_KEY": "", "FOZ_PORT": " ", "FOZ_CONFIG": ""})

    assert settings.auth.api_key is None
    assert settings.server.port == 8000


def test_kubernetes_word_of_a_service_is_no_port(tmp_path: Path) -> None:
    """FOZ_PORT=tcp://... is ignored with a warning; FOZ_SERVICE_HOST and its like are ignored silently."""
    settings = _load(
        tmp_path, {"FOZ_PORT": "tcp://10.0.0.1:80", "FOZ_SERVICE_HOST": "x", "FOZ_PORT_80_TCP_ADDR": "10.0.0.1"}
    )

    assert settings.server.port == 8000
    assert len(settings.warnings) == 1
    assert "Kubernetes" in settings.warnings[0]


def test_a_mistyped_variable_is_warned_of(tmp_path: Path) -> None:
    """A FOZ_ variable that sets nothing is named with the closest one that does, without its value."""
    (warning,) = _load(tmp_path, {"FOZ_PROT": SECRET}).warnings

    assert warning == "FOZ_PROT sets nothing, did you mean FOZ_PORT?"


def test_paths_are_taken_from_where_they_are_written(tmp_path: Path) -> None:
    """A relative path in a file is beside the file, in the environment in the working directory; `~` is the home."""
    elsewhere = tmp_path / "etc"
    elsewhere.mkdir()
    (elsewhere / "mine.toml").write_text("data = 'd'\n[server]\ntls_cert = '~/c.pem'\n")
    settings = load({"HOME": "/home/me", "FOZ_TLS_KEY": "k.pem", "FOZ_CONFIG": "etc/mine.toml"}, tmp_path, None, {})

    assert settings.data == elsewhere / "d"
    assert settings.server.tls_cert == Path("/home/me/c.pem")
    assert settings.server.tls_key == tmp_path / "k.pem"


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    """FOZ_CONFIG and --config name a file that is missing: refused, saying who names it."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml: there is no such file, though FOZ_CONFIG names it"):
        _load(tmp_path, {"FOZ_CONFIG": "nowhere.toml"})
    with pytest.raises(ConfigError, match="though --config names it"):
        load({"HOME": "/"}, tmp_path, Path("nowhere.toml"))


WRONG = [
    ("[server]\n\nport = 'abc'", '3: server.port: found "abc", expected a whole number'),
    ("[server]\nport = true", "2: server.port: found true, expected a whole number"),
    ("[server]\nport = 70000", "2: server.port: found 70000, expected at most 65535"),
    ("server = 5", "1: server: found 5, expected a table"),
    ("[server]\nprot = 1", '2: server.prot: unknown key, did you mean "port"?'),
    ("workers = 1", "1: workers: unknown key here, it belongs in [server]"),
    ("[[providers]]\nname = 'x'", '1: providers: unknown key, did you mean "provider"?'),
    ("[log]\nlevel = 'loud'", "2: log.level: found \"loud\", expected 'debug', 'info', 'warning' or 'error'"),
    ("[server]\ntls_cert = 'c.pem'", "1: server.tls_key: expected tls_key beside tls_cert"),
    ("[server]\nlisten = ['::1:80']", "2: server.listen: expected an address such as"),
    ("[limits]\nmax_body = '5 bananas'", '2: limits.max_body: found "5 bananas", expected a size in bytes'),
    ("[timeouts]\nidle = -1", "2: timeouts.idle: found -1, expected more than 0"),
    ("[timeouts]\nidle = nan", "2: timeouts.idle: found NaN, expected a time in seconds"),
    ("a = 1\nb = = 2", "2:5: not TOML: Invalid value"),
    ("[server", "1: not TOML: "),
    ("a = 1\na = 2", "2: not TOML: Cannot overwrite a value"),
    ("a = [1,", "1: not TOML: "),
    ("[[provider]]\nname = 'a'\n[[provider]]\nresend = true", "3: provider[1].name: expected a value"),
    ("[[provider]]\nname = 'Big'", '2: provider[0].name: found "Big", expected a name of small letters'),
    ("[[provider]]\nname = 'groq'\nquirks = ['odd']", '3: provider[0].quirks[0]: found "odd", expected'),
    ("[[model]]\nname = 'm'\ntargets = ['gpt']", '3: model[0].targets[0]: found "gpt", expected "provider/model"'),
    ("[[model]]\nname = 'm'\ntargets = []", "3: model[0].targets: found a list, expected at least 1"),
    ("[auth]\nopen_skins = ['olama']", "2: auth.open_skins[0]: found \"olama\", expected 'openai'"),
    ("[cors]\norigins = ['example.com']", '2: cors.origins[0]: found "example.com", expected "*" or an origin'),
    ("[[price]]\nmodel = 'x'\ninput = 0.0000001", "3: price[0].input: found 1E-7, expected a number with at most 6"),
    (
        "[[provider]]\nname = 'a'\nbase_url = 'http://h/v1/chat/completions'",
        '3: provider[0].base_url: found "http://h/v1/chat/completions", expected the URL up to before',
    ),
]


@pytest.mark.parametrize(("toml", "message"), WRONG)
def test_a_wrong_file_names_line_key_found_and_expected(tmp_path: Path, toml: str, message: str) -> None:
    """One line: file, line, key, what was found, what was expected, and the closest key for an unknown one."""
    told = _refusal(tmp_path, toml)

    assert told.startswith(f"foz.toml:{message}")
    assert "\n" not in told


def test_many_mistakes_are_counted(tmp_path: Path) -> None:
    """The first mistake in the file is told, the others are counted."""
    told = _refusal(tmp_path, "[log]\nlevel = 'x'\n[server]\nport = 'y'\nhost = ''")

    assert told.startswith("foz.toml:2: log.level")
    assert told.endswith("(and 2 more)")


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ('["groq"]', 'expected "provider/model"'),
        ("[{provider='groq', modl='b'}]", 'targets[0].modl: unknown key, did you mean "model"?'),
        ("['groq/m']\nnmae = 'b'", 'model[0].nmae: unknown key, did you mean "name"?'),
    ],
)
def test_one_mistake_is_counted_once(tmp_path: Path, targets: str, said: str) -> None:
    """What only follows from a mistake, a list too short or a key missing under its right name, is not counted."""
    name = "" if "nmae" in targets else "name = 'a'\n"

    told = _refusal(tmp_path, f"[[model]]\n{name}targets = {targets}")

    assert said in told
    assert "more)" not in told


def test_a_mistake_elsewhere_names_the_variable(tmp_path: Path) -> None:
    """A wrong value of a variable, of `.env` or of the command line is told as theirs."""
    assert _refusal(tmp_path, environ={"FOZ_PORT": "x"}).startswith('environment: FOZ_PORT: server.port: found "x"')
    assert _refusal(tmp_path, server__port="x").startswith("command line: server.port")
    (tmp_path / ".env").write_text("TEST_MODE=perhaps")
    assert _refusal(tmp_path).startswith('.env: TEST_MODE: test_mode: found "perhaps", expected true or false')


def test_a_broken_dotenv_names_its_line(tmp_path: Path) -> None:
    """A line of `.env` that is no assignment is refused by its number."""
    (tmp_path / ".env").write_text("A=1\n\n=what is this\n")

    assert _refusal(tmp_path).startswith(".env:3: expected NAME=value")


def test_bytes_that_are_no_text_name_their_line(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused by the line that is not."""
    (tmp_path / "foz.toml").write_bytes(b"# fine\nx = '\xff'\n")

    with pytest.raises(ConfigError, match=r"foz\.toml:2: not UTF-8"):
        _load(tmp_path)


@pytest.mark.parametrize(
    ("toml", "environ"),
    [
        ("", {"API_KEY": SECRET + "\x07"}),
        ("", {"HTTPS_PROXY": f"socks5://u:{SECRET}@proxy:1080"}),
        ("", {"HTTP_PROXY": f"http://u:{SECRET}@proxy:99999"}),
        ("", {"HTTP_PROXY": f"http://[{SECRET}"}),
        ("", {"API_KEY": SECRET, "FOZ_ADMIN_KEY": SECRET}),
        (f"[auth]\napi_key = ['{SECRET}']", {}),
        (f"[auth]\nopenai_key = '{SECRET}'", {}),
        (f"[[provider]]\nname = 'a'\nsecret = '{SECRET}'", {}),
        (f"[[provider]]\nname = 'a'\nsecret = [['{SECRET}']]", {}),
        (f"[[provider]]\nname = 'a'\napi_key = '{SECRET}'", {}),
        (f"[[provider]]\nname = 'a'\nbase_url = 'https://u:{SECRET}@h/v1'", {}),
        (f"[[provider]]\nname = 'a'\nbase_url = ['{SECRET}']", {}),
        (f"[[provider]]\nname = 'a'\nheaders = {{ 'x-key' = ['{SECRET}'] }}", {}),
        (f"[[provider]]\nname = 'a'\nheaders = '{SECRET}'", {}),
    ],
)
def test_a_refusal_shows_no_secret(tmp_path: Path, toml: str, environ: dict[str, str]) -> None:
    """A key that is wrong, or stands where none belongs, is refused without being shown, in causes too."""
    (tmp_path / "foz.toml").write_text(toml)
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, environ)

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_settings_show_no_secret(tmp_path: Path) -> None:
    """Keys, proxies with passwords and providers' headers are in no repr of settings."""
    (tmp_path / "foz.toml").write_text(f"[[provider]]\nname = 'openai'\nheaders = {{ x-key = '{SECRET}' }}")
    settings = _load(tmp_path, {"API_KEY": SECRET, "HTTPS_PROXY": f"http://u:{SECRET}@p"})

    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert settings.auth.api_key is not None
    assert settings.auth.api_key.get_secret_value() == SECRET


def test_settings_are_frozen(tmp_path: Path) -> None:
    """Nobody sets a setting after it was loaded."""
    with pytest.raises(ValueError, match="frozen"):
        _load(tmp_path).server.port = 1


@given(st.text(max_size=200))
def test_any_text_is_settings_or_one_message(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever a file holds, loading gives settings or a ConfigError of one line that names the file."""
    cwd = tmp_path_factory.mktemp("any")
    (cwd / "foz.toml").write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    told = str(cwd / "foz.toml")
    try:
        settings = load({"HOME": "/"}, cwd)
    except ConfigError as error:
        told = str(error)
    else:
        assert settings.file == cwd / "foz.toml"

    assert told.startswith(str(cwd / "foz.toml"))
    assert "\n" not in told


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9", "0.0.0.0", "::", "box", "10.0.0.1"])
def test_without_a_key_only_this_machine_may_call(tmp_path: Path, host: str) -> None:
    """Without keys an address beyond loopback is refused, saying how to set one; with any key it is not."""
    settings = _load(tmp_path, server__host=host)
    if host in {"127.0.0.1", "localhost", "::1", "127.9.9.9"}:
        check_exposure(settings, has_keys=False)
    else:
        with pytest.raises(ConfigError, match="API_KEY"):
            check_exposure(settings, has_keys=False)
    check_exposure(settings, has_keys=True)
    check_exposure(_load(tmp_path, {"API_KEY": "sk-made-up"}, server__host=host), has_keys=False)


def test_an_added_address_is_watched_too(tmp_path: Path) -> None:
    """`listen` cannot open what `host` keeps closed."""
    with pytest.raises(ConfigError, match=r"refusing to listen on 0\.0\.0\.0:5000 without a key"):
        check_exposure(_load(tmp_path, {"FOZ_LISTEN": "0.0.0.0:5000"}), has_keys=False)


def test_the_data_directory_is_ours_alone(tmp_path: Path) -> None:
    """A missing data directory is made with mode 0700; one that cannot be made is told with what to do."""
    assert make_data(tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "f").write_text("")
    with pytest.raises(ConfigError, match="FOZ_DATA"):
        make_data(tmp_path / "f" / "data")


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {"HOME": "/h"}, "/h/.local/share/foz"),
        ("linux", {"HOME": "/h", "XDG_DATA_HOME": "/x"}, "/x/foz"),
        ("linux", {"HOME": "/h", "XDG_DATA_HOME": "relative"}, "/h/.local/share/foz"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Application Support/foz"),
        ("win32", {"HOME": "/h", "LOCALAPPDATA": "/l"}, "/l/foz"),
    ],
)
def test_the_platform_says_where_data_lives(platform: str, environ: dict[str, str], expected: str) -> None:
    """The default data directory follows XDG on Linux and the platform's habit elsewhere."""
    assert str(default_data(environ, platform)) == expected
