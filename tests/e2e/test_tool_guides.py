"""What the guides for everybody's tools tell people to set and to write, as it stands but for the port."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from foz.testing.process import Served, clean_environment, start_gateway

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs/guides"
USUAL = "http://127.0.0.1:8000"
END = "-- the end of a program --"
SIMULATED = "This is Foz's simulated model."
WITH_OPENAI = "from openai import OpenAI\nprint(OpenAI().models.retrieve('gpt-5-mini').id)"
WITH_ANTHROPIC = (
    "from anthropic import Anthropic\nasked = [{'role': 'user', 'content': 'Hello'}]\n"
    "print(Anthropic().messages.create(model='claude-sonnet-5', max_tokens=9, messages=asked).model)"
)
WITH_OLLAMA = "import ollama\nprint(ollama.chat('gpt-5-mini', [{'role': 'user', 'content': 'Hello'}]).model)"


def blocks(page: str, language: str) -> list[str]:
    """A guide's blocks of a language."""
    text = (GUIDES / f"{page}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _exports(page: str, gateway: Served) -> str:
    """What a guide says to set, with the gateway's own address."""
    (block,) = (block for block in blocks(page, "sh") if block.startswith("export"))
    assert block.count("export ") == len(block.splitlines())
    assert USUAL in block
    return block.replace(USUAL, gateway.url)


def _said(command: Sequence[str], folder: Path, settings: str = "", sdk: str = "") -> str:
    """What a program prints, in a shell with these settings, and no warning beside it."""
    paths = {"PYTHONPATH": str(Path(sys.prefix) / "sdk" / sdk)} if sdk else {}
    ran = subprocess.run(
        ["sh", "-e", "-c", f'{settings}\nexec "$0" "$@"', *command],
        cwd=folder, env=clean_environment(paths), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With the names that the guide for agents gives to models."""
    (config,) = blocks("agents", "toml")
    with start_gateway(tmp_path_factory.mktemp("foz"), config=config, environment={"TEST_MODE": "true"}) as running:
        yield running


@pytest.mark.parametrize("sdk", ["openai2", "openai3"])
def test_two_settings_are_enough_for_openais_sdk(gateway: Served, tmp_path: Path, sdk: str) -> None:
    """With the guide's two settings exported, its Python program prints an answer, in each major version."""
    (program,) = blocks("openai", "python")
    settings = _exports("openai", gateway)

    assert settings.count("export ") == 2
    assert _said([sys.executable, "-c", program], tmp_path, settings, sdk).startswith(SIMULATED)


def test_two_settings_are_enough_for_openais_node_sdk(gateway: Served) -> None:
    """The same two make the guide's program for Node print an answer."""
    (program,) = blocks("openai", "js")
    node = shutil.which("node", path=f"{Path(sys.executable).parent}:{clean_environment()['PATH']}")

    assert node, "node is not installed: run `make test`, which installs it"
    settings = _exports("openai", gateway)
    assert _said([node, "--input-type=module", "-e", program], ROOT / "tests/node", settings).startswith(SIMULATED)


@pytest.mark.parametrize(
    ("sdk", "program", "told"),
    [
        ("openai3", WITH_OPENAI, "gpt-5-mini"),
        ("anthropic2", WITH_ANTHROPIC, "claude-sonnet-5"),
        ("ollama", WITH_OLLAMA, "gpt-5-mini"),
    ],
    ids=["openai", "anthropic", "ollama"],
)
def test_the_settings_for_agents_reach_every_sdk(
    gateway: Served, tmp_path: Path, sdk: str, program: str, told: str
) -> None:
    """Each SDK, told nothing but what the guide exports, finds the gateway and the models that it names there."""
    assert _said([sys.executable, "-c", program], tmp_path, _exports("agents", gateway), sdk).strip() == told


def test_the_guides_agent_reads_a_file(gateway: Served, tmp_path: Path) -> None:
    """The whole agent of the guide calls its tool, gives the result back and prints the answer."""
    (program,) = blocks("agents", "python")
    said = _said([sys.executable, "-c", program], tmp_path, _exports("agents", gateway), "openai3")

    assert "there is no file" in said


@pytest.fixture(scope="module")
def langchain(gateway: Served, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each program of LangChain's guide prints, one after the other in one process: its imports take long."""
    programs = [program.replace(USUAL, gateway.url) for program in blocks("langchain", "python")]
    each = f"for program in {programs!r}:\n    exec(program, {{'__name__': '__main__'}})\n    print('{END}')"
    return _said([sys.executable, "-c", each], tmp_path_factory.mktemp("langchain"), sdk="langchain").split(END)[:-1]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        pytest.param(0, "Where do rivers end?", id="openai"),
        pytest.param(1, "Where do rivers end?", id="anthropic"),
        pytest.param(2, "Where do rivers end?", id="ollama"),
        pytest.param(3, ": 4 metres", id="tools"),
        pytest.param(4, "River ", id="form"),
    ],
)
def test_langchains_programs_run_as_written(langchain: list[str], number: int, told: str) -> None:
    """Each chat of LangChain's guide prints what the model says, without a warning, told only the gateway's address."""
    assert told in langchain[number]


def test_langchains_vectors_are_the_gateways(langchain: list[str]) -> None:
    """The last program of LangChain's guide prints the size of a vector; there is no other."""
    assert len(langchain) == 6
    assert int(langchain[5]) > 0


@pytest.mark.parametrize(
    ("sdk", "words"),
    [
        ("openai3/openai", ("OPENAI_BASE_URL", "OPENAI_API_KEY")),
        ("langchain/langchain_openai", ("OPENAI_API_BASE",)),
        ("anthropic2/anthropic", ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY")),
        ("ollama/ollama", ("OLLAMA_HOST",)),
    ],
)
def test_the_guide_for_agents_names_what_is_read(sdk: str, words: tuple[str, ...]) -> None:
    """Each variable that the guide's table names is one that a program of that dialect reads."""
    sources = (Path(sys.prefix) / "sdk" / sdk).rglob("*.py")
    read = "\n".join(source.read_text() for source in sources)
    guide = (GUIDES / "agents.md").read_text()

    assert [word for word in words if f'"{word}"' not in read and f"'{word}'" not in read] == []
    assert [word for word in words if f"`{word}`" not in guide] == []
