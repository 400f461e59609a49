"""`scripts/setup.sh` on machines that lack something: what it says, and that it does nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "dirname", "mkdir", "cat", "cksum", "tr", "sed", "uname", "id", "grep", "env")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what setting up reads, and `bin` with nothing but what every system has."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (tmp_path / "bin" / tool).symlink_to(found)
    for folder in ("scripts", "requirements"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _python(checkout: Path, name: str, *, version: str = "", without: str = "") -> None:
    """The interpreter of these tests, as one that says it is another version or that lacks a module."""
    site = checkout / f"lacks-{name}"
    site.mkdir()
    code = "import sys\n"
    if version:
        code += f"sys.version_info = ({version.replace('.', ', ')}, 0, 'final', 0)\n"
    if without:
        code += f"""
class Lost:
    def find_spec(self, name, path=None, target=None):
        if name == {without!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Lost())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == {without!r} else found(name, package)
"""
    (site / "sitecustomize.py").write_text(code)
    program = checkout / "bin" / name
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{site}" exec "{sys.executable}" "$@"\n')
    program.chmod(0o755)


def _setup(checkout: Path, level: str, **environ: str) -> tuple[int, list[str]]:
    ran = subprocess.run(
        [str(checkout / "scripts/setup.sh"), level],
        env={"PATH": str(checkout / "bin"), "HOME": str(checkout), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, (ran.stdout + ran.stderr).splitlines()


def test_a_python_that_is_too_old_is_named(checkout: Path) -> None:
    """With Python 3.9 alone, one line says which versions are needed and which was found, and no .venv is made."""
    _python(checkout, "python3", version="3.9")

    code, lines = _setup(checkout, "run")

    assert code == 1
    assert len(lines) == 1
    assert "3.11 to 3.14" in lines[0]
    assert "python3 is 3.9" in lines[0]
    assert not (checkout / ".venv").exists()


def test_no_python_is_named(checkout: Path) -> None:
    """Without any Python, one line says which versions are needed."""
    code, lines = _setup(checkout, "run")

    assert code == 1
    assert len(lines) == 1
    assert "3.11 to 3.14 is needed; on the PATH: none" in lines[0]


def test_what_cannot_be_installed_is_named_before_anything_else(checkout: Path) -> None:
    """Without ensurepip and without apt, one line names python3-venv, and no .venv is made."""
    _python(checkout, "python3", without="ensurepip")

    code, lines = _setup(checkout, "run")

    assert code == 1
    assert len(lines) == 1
    assert "python3-venv" in lines[0]
    assert not (checkout / ".venv").exists()


def test_an_environment_of_ones_own_is_left_alone(checkout: Path) -> None:
    """A .venv that is a link is used as it is: nothing is written through it."""
    (checkout / "own").mkdir()
    (checkout / ".venv").symlink_to("own")

    code, lines = _setup(checkout, "test")

    assert code == 0
    assert len(lines) == 1
    assert list((checkout / "own").iterdir()) == []


def test_an_unknown_level_is_refused(checkout: Path) -> None:
    """Anything but run, dev and test is answered with the usage."""
    assert _setup(checkout, "everything") == (1, ["foz: usage: scripts/setup.sh run|dev|test"])
