"""What machine and what versions the figures are of."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from bench.processes import ALLOWED

ROOT = Path(__file__).parents[1]
PACKAGES = ("uvicorn", "uvloop", "httptools", "msgspec", "apsw")


class Facts(msgspec.Struct, frozen=True):
    """Who measured what, where and when."""

    at: str
    commit: str
    cpu: str
    cores: int
    memory_gib: float
    load_before: float
    """The machine's load average when the bench began: over 0.3 or so, somebody else was at work."""
    kernel: str
    system: str
    filesystem: str
    python: str
    versions: dict[str, str]


def _said(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def _field(path: str, key: str) -> str:
    for line in Path(path).read_text().splitlines():
        name, found, value = line.partition(":")
        if found and name.strip() == key:
            return value.strip()
    return "unknown"


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def gather(tools: dict[str, str]) -> Facts:
    """`tools` are the versions of the contestants and of the load generator."""
    commit = _said("git", "rev-parse", "--short=10", "HEAD")
    dirty = _said("git", "status", "--porcelain", "--", "src", "bench")
    return Facts(
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        commit=commit + ("-dirty" if dirty else ""),
        cpu=_field("/proc/cpuinfo", "model name"),
        cores=len(ALLOWED),
        memory_gib=round(int(_field("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        load_before=os.getloadavg()[0],
        kernel=platform.release(),
        system=platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        filesystem=_said("stat", "-f", "-c", "%T", str(ROOT / "bench")),
        python=platform.python_version(),
        versions={**tools, **{name: _package(name) for name in PACKAGES}},
    )
