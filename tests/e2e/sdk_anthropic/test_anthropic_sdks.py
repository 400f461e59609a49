"""
Anthropic's official SDK, in three major versions, runs the whole surface against `foz serve` over a real socket; the
one for Node runs what people use most of it.

Each version is a program of its own that runs all its checks against one set-up of the gateway and reports them; each
check is a test here. The set-ups: the simulated model within the gateway (`TEST_MODE`), a provider of another dialect
behind a socket, and one of Anthropic's own in each lane. The fake of the latter is proven by the same SDKs without a
gateway between.
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
NODE = ROOT / "tests/node/anthropic"
VERSIONS = {"anthropic0": "0.", "anthropic1": "1.", "anthropic2": "2."}
NEWEST = ("anthropic2",)
SETUPS = {"fake": VERSIONS, "simulated": NEWEST, "openai": NEWEST, "relay": VERSIONS, "translate": NEWEST}
"""And the versions that speak in each."""
NODE_SETUPS = ("simulated", "relay")
ABOUT_MODELS = ("messages", "tools")
"""Checks of what a model says; the others are of a gateway."""
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
"""
ANTHROPIC = (
    'dialect = "anthropic"\nbase_url = "http://127.0.0.1:{port}"\nauth = "header"\nauth_header = "x-api-key"\n'
    'secret = "CHECK_ANTHROPIC_KEY"\nmodels = ""\n'
)
PROVIDERS = {
    "simulated": 'base_url = "http://127.0.0.1:1/v1"\n',
    "openai": 'base_url = "http://127.0.0.1:{port}/v1"\n',
    "relay": ANTHROPIC,
    "translate": ANTHROPIC + "\n[gateway]\nrelay = false\n",
}


def _key(folder: Path, *options: str) -> str:
    """A caller's key, made with `foz keys`."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "foz", "keys", "create", "--json", *options]
    environment = clean_environment({"FOZ_DATA": str(folder / "data"), "HOME": str(folder)})
    made = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return str(msgspec.json.decode(made.stdout)["key"])


class Report(msgspec.Struct, frozen=True):
    """What a program found: what was wrong, by check; and its version."""

    version: str
    wrong: dict[str, str]


class Programs:
    """The versions' programs, each run once for each set-up; each gateway starts when it is first needed."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._site = cache(self._make_site)
        self._port = cache(self._start)
        self.report = cache(self._report)

    def _make_site(self, setup: str) -> str:
        folder = self._folder / setup
        if setup == "fake":
            site = dict.fromkeys(("key", "fenced_key", "slow_key", "odd_model"), "any")
            fake = f"http://127.0.0.1:{self._port('foz.testing.anthropic')}"
            return msgspec.json.encode(site | {"setup": setup, "url": fake, "model": "simulated"}).decode()
        programs = {"openai": "foz.testing.server", "simulated": ""}
        program = programs.get(setup, "foz.testing.anthropic")
        provider = PROVIDERS[setup].replace("{port}", str(self._port(program)) if program else "1")
        config = f'{SETTINGS}\n[[provider]]\nname = "far"\nforwards = ["x-simulate-"]\n{provider}\n'
        fenced = _key(folder, "--model", "org/*")
        slow = [_key(folder, "--rate", "1") for _ in SETUPS[setup]]
        environment = {"API_KEY": KEY, "CHECK_ANTHROPIC_KEY": "sk-ant-check"} | (
            {"TEST_MODE": "true"} if setup == "simulated" else {}
        )
        gateway = self._stack.enter_context(start_gateway(folder, config=config, environment=environment))
        site = {
            "setup": setup,
            "url": gateway.url,
            "key": KEY,
            "fenced_key": fenced,
            "slow_key": " ".join(slow),
            "model": MODEL,
            "odd_model": ODD_MODEL,
        }
        return msgspec.json.encode(site).decode()

    def _start(self, program: str) -> int:
        """The port of a fake."""
        return self._stack.enter_context(start_upstream(self._folder / program, program=program)).port

    def _report(self, sdk: str, setup: str) -> Report:
        if sdk == "node":
            program = shutil.which("node", path=f"{Path(sys.executable).parent}:{clean_environment()['PATH']}")
            assert program, "node is not installed: run `make test`, which installs it"
            return self._ran([program, str(NODE / "speak.mjs"), self._site(setup)], {})
        site = msgspec.json.decode(self._site(setup))
        slow = site["slow_key"].split()
        site["slow_key"] = slow[list(SETUPS[setup]).index(sdk) % len(slow)]
        parts = ABOUT_MODELS if setup == "fake" else ()
        target = Path(sys.executable).parents[1] / "sdk" / sdk
        assert target.is_dir(), f"{target} is missing: run `make test`, which installs it"
        command = [sys.executable, "-m", "tests.e2e.sdk_anthropic.speak", msgspec.json.encode(site).decode(), *parts]
        return self._ran(command, {"PYTHONPATH": f"{target}:{ROOT}"})

    def _ran(self, command: list[str], extra: dict[str, str]) -> Report:
        """What a program reports."""
        ran = subprocess.run(
            command,
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
        yield Programs(tmp_path_factory.mktemp("anthropic"), stack)


CHECKS = [
    f"{file.stem}.{name}"
    for file in sorted(HERE.glob("*.py"))
    for name in re.findall(r"^(?:async )?def (check_\w+)\(", file.read_text(), re.MULTILINE)
]


CASES = [
    (setup, sdk, check)
    for setup, versions in SETUPS.items()
    for sdk in versions
    for check in CHECKS
    if setup != "fake" or check.startswith(ABOUT_MODELS)
] + [
    (setup, "node", f"node.{name}")
    for setup in NODE_SETUPS
    for name in re.findall(r"^export async function (check\w+)\(", (NODE / "checks.mjs").read_text(), re.MULTILINE)
]


@pytest.mark.parametrize(("setup", "sdk", "check"), CASES)
def test_check(programs: Programs, setup: str, sdk: str, check: str) -> None:
    """What the check's docstring says is so for this version of the SDK, in this set-up."""
    report = programs.report(sdk, setup)

    assert "program" not in report.wrong, report.wrong["program"]
    assert check in report.wrong, f"{check} did not report"
    assert not report.wrong[check], report.wrong[check]


@pytest.mark.parametrize("sdk", VERSIONS)
def test_versions_are_the_majors(programs: Programs, sdk: str) -> None:
    """Each program really speaks through the major version that it is named after."""
    assert programs.report(sdk, "relay").version.startswith(VERSIONS[sdk])


def test_node_is_of_the_newest_major(programs: Programs) -> None:
    """The program for Node really speaks through the newest major version."""
    assert programs.report("node", "relay").version.startswith("1.")
