"""Where there is no room: a disk that is full before a download or in the middle of it, and too little memory."""

import os
import resource
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from foz.testing import gguf
from foz.testing.process import Served, Upstream, start_gateway, start_upstream
from tests.e2e.deploying import call, chat, data, deployed, engines, kept, unloaded

LARGE: dict[str, Any] = {"model_type": "large", "source": "ollama:large", "deployment_config": {"context": 256}}
DISK = 116 * 1024 * 1024
"""As large as the disk of the folder of models is made: the model of 108 MB has room on it, and little else."""
LIMIT = 20_000_000
BEGUN = 10_000_000
MIDDLING = gguf.Shape(layers=2, width=768, hidden=2048, heads=12, kv_heads=4)
"""26 MB of sixteen bits; what is made of them is larger than the limit."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """A registry with a model of 108 MB, from which it comes in some seconds."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "ollama/library/large").mkdir(parents=True)
    gguf.write(folder / "ollama/library/large/latest")
    arguments = ("--folder", str(folder), "--pace", "0.002")
    with start_upstream(folder / "said", *arguments, program="foz.testing.hub") as one:
        yield one


class Room(Protocol):
    """How a test has the gateway's disk be full."""

    full: str
    """What is said where it is full before a download begins."""

    def before(self, models: Path) -> tuple[str, ...]:
        """What starts the gateway."""
        ...

    def take(self, gateway: Served, left: int) -> None:
        """Has no more than so many bytes free, or for one file."""
        ...

    def give(self, gateway: Served) -> None:
        """Has all of it free again."""
        ...


class SmallDisk:
    """A disk of its own under the folder of models, that only the gateway has mounted, and a file that fills it."""

    full = "needs 107908128 bytes more"

    def before(self, models: Path) -> tuple[str, ...]:
        mounts = f'mount -t tmpfs -o size={DISK} tmpfs {shlex.quote(str(models))} && exec "$@"'
        return (*_unshares(), "sh", "-c", mounts, "sh")

    def take(self, gateway: Served, left: int) -> None:
        file = self._file(gateway)
        stat = os.statvfs(file.parent)
        with file.open("wb") as opened:
            os.posix_fallocate(opened.fileno(), 0, stat.f_bavail * stat.f_frsize - left)

    def give(self, gateway: Served) -> None:
        self._file(gateway).unlink()

    @staticmethod
    def _file(gateway: Served) -> Path:
        """Where another program's file is, as seen from here."""
        return Path(f"/proc/{gateway.pid}/root{gateway.folder}/data/models/another")


class FileLimit:
    """A limit of the kernel's for each file that the gateway writes: a write beyond it fails, as on a full disk."""

    full = "the disk is full"

    def before(self, models: Path) -> tuple[str, ...]:
        del models
        return ()

    def take(self, gateway: Served, left: int) -> None:
        for pid in _all(gateway.pid):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (left, resource.RLIM_INFINITY))

    def give(self, gateway: Served) -> None:
        self.take(gateway, resource.RLIM_INFINITY)


def _all(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *(below for child in found.split() for below in _all(int(child)))]


def _unshares() -> tuple[str, ...]:
    """What gives a program mounts of its own, where that is allowed here."""
    for command in (("unshare", "--mount"), ("unshare", "--mount", "--map-root-user")):
        probe = (*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt")
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return command
    return ()


ROOM: Room = SmallDisk() if _unshares() else FileLimit()
"""A real disk where a program may have one of its own."""


def _kept(gateway: Served) -> list[str]:
    """What is in the folder of models, as the gateway sees it."""
    root = Path(f"/proc/{gateway.pid}/root{gateway.folder}/data/models")
    return sorted(path.name for path in root.rglob("*") if path.is_file() and ".found" not in path.parts)


def _coming(gateway: Served) -> int:
    root = Path(f"/proc/{gateway.pid}/root{gateway.folder}/data/models")
    return sum(path.stat().st_size for path in root.rglob("*.partial"))


def _over(gateway: Served, url: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(data(gateway, "GET", url))
        return str(found["status"]) != "in_progress"

    gateway.wait_for(over, "the deployment to be over", 60)
    return found


def test_a_disk_that_fills_up(hub: Upstream, tmp_path: Path) -> None:
    """A download that fills the disk fails and says so, leaves nothing, and is had as soon as there is room."""
    models = tmp_path / "data" / "models"
    models.mkdir(parents=True)
    (tmp_path / "data").chmod(0o700)
    config = f'[local]\nollama_registry = "{hub.url}"\nkeep_free = 1\n'
    with start_gateway(tmp_path, config=config, by=ROOM.before(models)) as gateway:
        told = data(gateway, "POST", "/models/local/deploy", LARGE)
        gateway.wait_for(lambda: _coming(gateway) > BEGUN, "the download", 60)
        ROOM.take(gateway, LIMIT)
        one = _over(gateway, told["progress_url"])
        assert (one["status"], one["current_stage"]) == ("failed", "downloading_weights")
        assert "the disk is full" in one["error"]
        assert one["next_try"]
        assert [name for name in _kept(gateway) if name != "another"] == []
        assert engines(gateway) == []
        assert call(gateway, "GET", "/v1/models")[0] == 200
        ROOM.give(gateway)
        data(gateway, "POST", f"{told['progress_url']}/retry")
        one = _over(gateway, told["progress_url"])
        assert one["status"] == "completed", one
        assert chat(gateway, "large", 2) == 2
        unloaded(gateway, "large")
        assert _kept(gateway) == []
        ROOM.take(gateway, LIMIT)
        one, _ = deployed(gateway, LARGE)
        assert (one["status"], ROOM.full in one["error"]) == ("failed", True), one
        assert [name for name in _kept(gateway) if name != "another"] == []


def test_no_room_for_what_is_made(tmp_path: Path) -> None:
    """Where the disk fills up while eight bits are made of sixteen, that stage fails and leaves nothing half made."""
    models = tmp_path / "data" / "models"
    models.mkdir(parents=True)
    (tmp_path / "data").chmod(0o700)
    gguf.write(models / "sixteen.gguf", MIDDLING, weights="f16")
    wish = {"model_type": "m", "source": "sixteen.gguf", "quantization": "int8"}
    room = FileLimit()
    with start_gateway(tmp_path) as gateway:
        room.take(gateway, LIMIT // 2)
        one, _ = deployed(gateway, wish)
        assert (one["status"], one["current_stage"]) == ("failed", "model_initialization"), one
        assert "the disk is full" in one["error"]
        assert kept(gateway) == ["sixteen.gguf"]
        room.give(gateway)
        again, _ = deployed(gateway, wish)
        assert again["status"] == "completed", again
        unloaded(gateway, "m")
        assert kept(gateway) == ["sixteen.gguf"]


def test_too_little_memory(tmp_path: Path) -> None:
    """What does not fit into memory fails before an engine is started, with the sum, and is tried again later."""
    models = tmp_path / "data" / "models"
    models.mkdir(parents=True)
    (tmp_path / "data").chmod(0o700)
    gguf.write(models / "small.gguf", gguf.SMALL)
    wish = {
        "model_type": "m",
        "source": "small.gguf",
        "deployment_config": {"max_batch_size": 256, "context": 16777216},
    }
    with start_gateway(tmp_path) as gateway:
        one, _ = deployed(gateway, wish)
        assert (one["status"], one["current_stage"]) == ("failed", "model_loading")
        assert "does not fit into memory" in one["error"]
        assert "256 x 16777216 tokens of context" in one["error"]
        assert one["next_try"]
        assert engines(gateway) == []
        unloaded(gateway, "m")
        assert kept(gateway) == ["small.gguf"]
