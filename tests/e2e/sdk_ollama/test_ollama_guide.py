"""What the guide for Ollama's programs tells people to write, run as it stands but for the port, by the SDKs."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foz.testing.process import Served, clean_environment, free_port, start_gateway

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/guides/ollama.md").read_text()
USUAL = "127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    """The guide's blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    (settings,) = blocks("toml")
    port = free_port()
    config = settings.replace("11434", str(port), 1)
    with start_gateway(tmp_path_factory.mktemp("foz"), config=config, environment={"TEST_MODE": "true"}) as running:
        running.wait_for(lambda: f"http://127.0.0.1:{port}" in running.stdout, "the port to be told")
        yield running


def _said(command: list[str], path: Path, **extra: str) -> str:
    done = subprocess.run(
        command, cwd=path, env=clean_environment(extra), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_guides_python_is_answered(gateway: Served, tmp_path: Path) -> None:
    """Ollama's Python SDK, pointed at the gateway as the guide has it, prints the model's words."""
    (block,) = blocks("python")
    target = str(Path(sys.prefix) / "sdk/ollama")
    program = block.replace(USUAL, gateway.url.removeprefix("http://"))

    assert USUAL in block
    assert "Where do rivers end?" in _said([sys.executable, "-c", program], tmp_path, PYTHONPATH=target)


def test_the_guides_javascript_is_answered(gateway: Served) -> None:
    """Ollama's Node SDK does so too."""
    (block,) = blocks("js")
    node = shutil.which("node", path=f"{Path(sys.executable).parent}:{clean_environment()['PATH']}")
    program = block.replace(USUAL, gateway.url.removeprefix("http://"))

    assert node, "node is not installed: run `make test`, which installs it"
    assert USUAL in block
    assert "Where do rivers end?" in _said([node, "--input-type=module", "-e", program], ROOT / "tests/node")


def test_the_server_alone_is_enough_of_a_setting(gateway: Served, tmp_path: Path) -> None:
    """`OLLAMA_HOST` in the guide's table is all that a program needs which is told of no server itself."""
    assert "(`OLLAMA_HOST`, " in GUIDE
    program = "import ollama; print(ollama.generate('simulated', 'Where do rivers end?').response)"
    target = str(Path(sys.prefix) / "sdk/ollama")

    said = _said([sys.executable, "-c", program], tmp_path, PYTHONPATH=target, OLLAMA_HOST=gateway.url)
    assert "Where do rivers end?" in said
