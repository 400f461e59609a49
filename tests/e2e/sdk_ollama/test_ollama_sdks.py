"""
Ollama's own SDKs, Python's and Node's, run their whole inference surface against `foz serve` over a real socket.

Each SDK is a program of its own that runs all its checks against one set-up of the gateway and reports them; each check
is a test here. The set-ups: the simulated model within the gateway (`TEST_MODE`), an Ollama server behind it in the
relay lane, the same in the translate lane, and a provider that speaks OpenAI's dialect.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import msgspec
import pytest

from foz.testing.process import clean_environment, start_gateway, start_upstream

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
NODE = ROOT / "tests/node/ollama"
SETUPS = ("simulated", "relay", "translate", "openai")
KEY = "sk-check-0123456789"
MODEL = "delta"
ODD_MODEL = "org/estuary:latest"
SETTINGS = f"""
[timeouts]
first_byte = "3s"
idle = "1s"

[breaker]
failures = 1000

[retries]
attempts = 1

[[model]]
name = "{MODEL}"
targets = ["far/simulated"]

[[model]]
name = "{ODD_MODEL}"
targets = ["far/simulated"]

[[provider]]
name = "far"
models = ""
forwards = ["x-simulate-"]
"""


class Report(msgspec.Struct, frozen=True):
    """What a program found: what was wrong, by check; and its version."""

    version: str
    wrong: dict[str, str]


class Programs:
    """The SDKs' programs, each run once for each set-up; each gateway starts when it is first needed."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._site = cache(self._make_site)
        self.report = cache(self._report)
        self._ollama = cache(lambda: self._upstream("ollama", "foz.testing.ollama"))

    def _upstream(self, name: str, program: str) -> int:
        return self._stack.enter_context(start_upstream(self._folder / name, program=program)).port

    def _make_site(self, setup: str) -> str:
        folder = self._folder / setup
        folder.mkdir()
        environment = {"API_KEY": KEY}
        if setup == "simulated":
            provider = 'base_url = "http://127.0.0.1:1/v1"\n'
            environment["TEST_MODE"] = "true"
        elif setup == "openai":
            provider = f'base_url = "http://127.0.0.1:{self._upstream("openai", "foz.testing.server")}/v1"\n'
        else:
            provider = f'dialect = "ollama"\nbase_url = "http://127.0.0.1:{self._ollama()}"\n'
        relay = f"\n[gateway]\nrelay = {str(setup == 'relay').lower()}\n"
        command = [sys.executable, "-m", "foz", "keys", "create", "--json", "--model", "org/*"]
        data = clean_environment({"FOZ_DATA": str(folder / "data"), "HOME": str(folder)})
        made = subprocess.run(command, cwd=folder, env=data, capture_output=True, check=True)
        gateway = self._stack.enter_context(
            start_gateway(folder, config=SETTINGS + provider + relay, environment=environment)
        )
        site = {
            "setup": setup,
            "url": gateway.url,
            "model": MODEL,
            "odd_model": ODD_MODEL,
            "fenced_key": msgspec.json.decode(made.stdout)["key"],
        }
        return msgspec.json.encode(site).decode()

    def _report(self, sdk: str, setup: str) -> Report:
        extra = {"OLLAMA_API_KEY": KEY}
        if sdk == "node":
            program = shutil.which("node", path=f"{Path(sys.executable).parent}:{clean_environment()['PATH']}")
            assert program, "node is not installed: run `make test`, which installs it"
            command = [program, str(NODE / "speak.mjs")]
        else:
            target = Path(sys.executable).parents[1] / "sdk/ollama"
            assert target.is_dir(), f"{target} is missing: run `make test`, which installs it"
            extra["PYTHONPATH"] = f"{target}:{ROOT}"
            command = [sys.executable, "-m", "tests.e2e.sdk_ollama.speak"]
        ran = subprocess.run(
            [*command, self._site(setup)],
            cwd=ROOT, env=clean_environment(extra), capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        first, *lines = [msgspec.json.decode(line) for line in ran.stdout.splitlines()] or [{"version": "none"}]
        wrong = {line["check"]: line["wrong"] for line in lines}
        if ran.returncode != 0:
            wrong["program"] = ran.stderr
        return Report(first["version"], wrong)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    with ExitStack() as stack:
        yield Programs(tmp_path_factory.mktemp("ollama"), stack)


def _checks(folder: Path, pattern: str, form: str) -> list[str]:
    """The names of all checks, as their programs report them."""
    return [
        f"{file.stem}.{name}"
        for file in sorted(folder.glob(form))
        for name in re.findall(pattern, file.read_text(), re.MULTILINE)
    ]


IN_PYTHON = _checks(HERE, r"^(?:async )?def (check_\w+)\(", "*.py")
IN_NODE = _checks(NODE, r"^export async function (check\w+)\(", "*.mjs")


def _passed(report: Report, check: str) -> None:
    assert "program" not in report.wrong, report.wrong["program"]
    assert check in report.wrong, f"{check} did not report"
    assert not report.wrong[check], report.wrong[check]


@pytest.mark.parametrize("check", IN_PYTHON)
@pytest.mark.parametrize("setup", SETUPS)
def test_python(programs: Programs, setup: str, check: str) -> None:
    """What the check's docstring says is so for the Python SDK, in this set-up."""
    _passed(programs.report("python", setup), check)


@pytest.mark.parametrize("check", IN_NODE)
@pytest.mark.parametrize("setup", SETUPS)
def test_node(programs: Programs, setup: str, check: str) -> None:
    """What the check's comment says is so for the Node SDK, in this set-up."""
    _passed(programs.report("node", setup), check)


@pytest.mark.parametrize("sdk", ["python", "node"])
def test_versions_are_the_newest(programs: Programs, sdk: str) -> None:
    """Each program really speaks through the newest line of its SDK."""
    assert programs.report(sdk, "simulated").version.startswith("0.6.")
