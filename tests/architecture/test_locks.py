"""A lock says which bytes are installed, and nothing about where they come from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
SOURCES = sorted((ROOT / "requirements").glob("*.in"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BUILD = PROJECT["dependency-groups"]["build"]
RUN = PROJECT["project"]["dependencies"]
DEV = PROJECT["dependency-groups"]["dev"]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def _named(path: Path) -> str:
    return path.name


def _pins(lock: Path) -> dict[str, list[Version]]:
    """Name to versions; a universal lock may hold a name twice, with markers that exclude each other."""
    found: dict[str, list[Version]] = {}
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        pin = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line)
        assert pin, f"{lock.name}: not a pinned version: {line[:60]}"
        assert HASH.search(line), f"{lock.name}: no hash: {pin[0]}"
        found.setdefault(canonicalize_name(pin[1]), []).append(Version(pin[2]))
    return found


def _lacking(wanted: list[str], lock: Path) -> list[str]:
    pins = _pins(lock)
    requirements = [Requirement(text) for text in wanted]
    return [
        str(need)
        for need in requirements
        if not any(need.specifier.contains(version) for version in pins.get(canonicalize_name(need.name), []))
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=_named)
def test_a_lock_names_versions_and_hashes_only(lock: Path) -> None:
    """Every line of every lock is a version with its SHA-256; no lock names an index, a host or a path."""
    assert _pins(lock)
    assert not re.search(r"://|^\s*(-i|-f|--(extra-)?index|--find|--trusted)|@ ", lock.read_text(), re.MULTILINE)


def test_the_locks_satisfy_the_project() -> None:
    """Each dependency of pyproject.toml is in its lock, in a version that it allows."""
    assert _lacking(RUN + BUILD, ROOT / "requirements/run.lock") == []
    assert _lacking(RUN + BUILD + DEV, ROOT / "requirements/dev.lock") == []


@pytest.mark.parametrize("source", SOURCES, ids=_named)
def test_a_lock_beside_the_venv_satisfies_its_source(source: Path) -> None:
    """Each requirement of NAME.in is in NAME.lock, in a version that it allows."""
    wanted = [line for line in source.read_text().splitlines() if line and not line.startswith("#")]

    assert wanted
    assert _lacking(wanted, source.with_suffix(".lock")) == []


def test_tests_run_against_the_versions_that_users_run() -> None:
    """What run.lock pins, dev.lock pins to the same version."""
    run, dev = _pins(ROOT / "requirements/run.lock"), _pins(ROOT / "requirements/dev.lock")

    assert {name: dev.get(name) for name in run} == run


def test_the_node_lock_names_no_host() -> None:
    """The lock of the Node SDK holds integrity hashes and no address it was resolved from."""
    text = (ROOT / "tests/node/package-lock.json").read_text()

    assert '"integrity": "sha512-' in text
    assert "resolved" not in text
    assert "://" not in text
