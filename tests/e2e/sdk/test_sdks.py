"""
The official SDKs run the whole surface against `foz serve` over a real socket.

Each SDK is a program of its own that runs all its checks against one set-up of the gateway and reports them; each
check is a test here. The set-ups: the simulated model within the gateway (`TEST_MODE`), a provider behind a socket in
the relay lane, and the same in the translate lane.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing.process import Served, Upstream, clean_environment, start_gateway, start_upstream

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
NODE = ROOT / "tests" / "node"
SETUPS = ("simulated", "relay", "translate")
PYTHONS = ("openai2", "openai3")
KEY = "sk-check-0123456789"
MODEL = "delta"
ODD_MODEL = "org/estuary:latest"
SETTINGS = """
[limits]
max_body = "4 MiB"

[timeouts]
first_byte = "3s"
idle = "1s"

[breaker]
failures = 1000

[retries]
backoff = "10ms"
budget = 1.0
retry_after_cap = 1
"""
MODELS = f"""
[[model]]
name = "{MODEL}"
targets = ["far/hidden-name"]

[[model]]
name = "{ODD_MODEL}"
targets = ["far/hidden/name:2"]
"""


def _provider(port: int) -> str:
    more = 'forwards = ["x-simulate-"]\nquirks = ["links"]\n'
    return f'\n[[provider]]\nname = "far"\nbase_url = "http://127.0.0.1:{port}/v1"\n{more}'


def _key(folder: Path, *options: str) -> str:
    """A caller's key, made with `foz keys`."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "foz", "keys", "create", "--json", *options]
    environment = clean_environment({"FOZ_DATA": str(folder / "data"), "HOME": str(folder)})
    made = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return str(msgspec.json.decode(made.stdout)["key"])


class Grounds:
    """All processes that the SDKs speak to; each starts when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._made: dict[str, Any] = {}

    def close(self) -> None:
        """Stops them."""
        self._stack.close()

    def upstream(self) -> Upstream:
        """The simulated model behind a socket."""
        if "upstream" not in self._made:
            self._made["upstream"] = self._stack.enter_context(start_upstream(self._folder / "upstream"))
        made: Upstream = self._made["upstream"]
        return made

    def gateway(self, setup: str) -> Served:
        """`foz serve` in one set-up; `open` has no keys and room for one request."""
        if setup in self._made:
            made: Served = self._made[setup]
            return made
        config, environment = SETTINGS, {}
        if setup == "open":
            config = f"[limits]\nmax_in_flight = 1\n{_provider(self.upstream().port)}{MODELS}"
        elif setup == "simulated":
            config, environment = config + _provider(1) + MODELS, {"TEST_MODE": "true", "API_KEY": KEY}
        else:
            config += _provider(self.upstream().port) + MODELS + f"\n[gateway]\nrelay = {str(setup == 'relay').lower()}"
            environment = {"API_KEY": KEY}
        folder = self._folder / setup
        if setup != "open":
            self._made[f"{setup} keys"] = (_key(folder, "--model", "org/*"), _key(folder, "--rate", "1"))
        started = start_gateway(folder, config=config, environment=environment)
        self._made[setup] = self._stack.enter_context(started)
        return started

    def site(self, setup: str) -> str:
        """What a program is told of a set-up."""
        gateway = self.gateway(setup)
        fenced, slow = self._made[f"{setup} keys"]
        return msgspec.json.encode(
            {
                "setup": setup,
                "url": gateway.url,
                "open_url": self.gateway("open").url,
                "upstream_url": "" if setup == "simulated" else self.upstream().url,
                "key": KEY,
                "fenced_key": fenced,
                "slow_key": slow,
                "model": MODEL,
                "odd_model": ODD_MODEL,
            }
        ).decode()


class Report(msgspec.Struct, frozen=True):
    """What a program found: what was wrong, by check; and its version."""

    version: str
    wrong: dict[str, str]


class Program:
    """The SDKs' programs, each run once for each set-up."""

    def __init__(self, grounds: Grounds) -> None:
        self._grounds = grounds
        self.report = cache(self._report)

    def _report(self, sdk: str, setup: str) -> Report:
        site = self._grounds.site(setup)
        extra = {"SITE": site}
        if sdk == "node":
            program = shutil.which("node", path=f"{Path(sys.executable).parent}:{clean_environment()['PATH']}")
            assert program, "node is not installed: run `make test`, which installs it"
            command = [program, str(NODE / "speak.mjs"), site]
        else:
            target = Path(sys.executable).parents[1] / "sdk" / sdk
            assert target.is_dir(), f"{target} is missing: run `make test`, which installs it"
            extra["PYTHONPATH"] = f"{target}:{ROOT}"
            command = [sys.executable, "-m", "tests.e2e.sdk.speak", site]
        ran = subprocess.run(
            command, cwd=ROOT, env=clean_environment(extra), capture_output=True, text=True, timeout=100, check=False
        )
        first, *lines = [msgspec.json.decode(line) for line in ran.stdout.splitlines()] or [{"version": "none"}]
        wrong = {line["check"]: line["wrong"] for line in lines}
        if ran.returncode != 0:
            wrong["program"] = ran.stderr
        return Report(first["version"], wrong)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    grounds = Grounds(tmp_path_factory.mktemp("sdks"))
    try:
        yield Program(grounds)
    finally:
        grounds.close()


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
@pytest.mark.parametrize("sdk", PYTHONS)
@pytest.mark.parametrize("setup", SETUPS)
def test_python(program: Program, setup: str, sdk: str, check: str) -> None:
    """What the check's docstring says is so for this version of the Python SDK, in this set-up."""
    _passed(program.report(sdk, setup), check)


@pytest.mark.parametrize("check", IN_NODE)
@pytest.mark.parametrize("setup", SETUPS)
def test_node(program: Program, setup: str, check: str) -> None:
    """What the check's comment says is so for the Node SDK, in this set-up."""
    _passed(program.report("node", setup), check)


@pytest.mark.parametrize(("sdk", "major"), [("openai2", "2."), ("openai3", "3."), ("node", "7.")])
def test_versions_are_the_newest_majors(program: Program, sdk: str, major: str) -> None:
    """Each program really speaks through the major version that it is named after."""
    assert program.report(sdk, "simulated").version.startswith(major)
