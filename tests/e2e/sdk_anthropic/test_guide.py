"""What the guide for Anthropic's programs tells people to set and to write, as it stands but for the port."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from foz.testing.process import clean_environment, start_gateway

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/guides/anthropic.md").read_text()
VERSIONS = ("anthropic0", "anthropic1", "anthropic2")


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def test_the_two_settings_are_enough(tmp_path: Path) -> None:
    """With the guide's two settings exported, its programs print an answer, in each version of the SDK."""
    exports = next(block for block in _blocks("sh") if block.startswith("export"))
    (program,) = _blocks("python")
    (tmp_path / "program.py").write_text(program)
    with start_gateway(tmp_path / "gateway", environment={"TEST_MODE": "true"}) as gateway:
        settings = exports.replace("http://127.0.0.1:8000", gateway.url)
        assert settings.count("export ") == 2
        assert gateway.url in settings
        for version in VERSIONS:
            target = Path(sys.executable).parents[1] / "sdk" / version
            _answered(settings, [sys.executable, "program.py"], tmp_path, {"PYTHONPATH": str(target)})
        node = shutil.which("node", path=f"{Path(sys.executable).parent}:{clean_environment()['PATH']}")
        assert node, "node is not installed: run `make test`, which installs it"
        (program,) = _blocks("js")
        _answered(settings, [node, "--input-type=module", "-e", program], ROOT / "tests/node", {})


def _answered(settings: str, command: list[str], folder: Path, extra: dict[str, str]) -> None:
    ran = subprocess.run(
        ["sh", "-e", "-c", f'{settings}\nexec "$0" "$@"', *command],
        cwd=folder, env=clean_environment(extra), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("This is Foz's simulated model.")


@pytest.mark.parametrize("word", ["ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_the_guide_names_what_the_sdks_read(word: str) -> None:
    """Each variable that the guide names is one that the newest SDK reads."""
    target = Path(sys.executable).parents[1] / "sdk" / VERSIONS[-1] / "anthropic/_client.py"

    assert word in GUIDE
    assert word in target.read_text()
