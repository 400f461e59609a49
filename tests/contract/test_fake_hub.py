"""The fake hub of models: Hugging Face's own client lists, downloads and is refused there as at the real one."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing import gguf
from foz.testing.process import ChildFailed, Served, clean_environment, start_upstream

PROGRAM = Path(__file__).with_name("hub_sdk.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the hub has."""
    root = tmp_path_factory.mktemp("hub")
    for name in ("someone/Tiny-GGUF/sub", "private/x", "gated/x"):
        (root / "hf" / name).mkdir(parents=True)
    gguf.write(root / "hf/someone/Tiny-GGUF/tiny-Q8_0.gguf", gguf.SMALL)
    (root / "hf/someone/Tiny-GGUF/sub/config.json").write_text("{}")
    (root / "hf/private/x/x.gguf").write_bytes(b"x" * 50_000)
    (root / "hf/gated/x/a.gguf").write_bytes(b"x")
    return root


@pytest.fixture(scope="module")
def hub(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("process")
    with start_upstream(place, "--folder", str(folder), program="foz.testing.hub") as running:
        yield running


@pytest.fixture(scope="module")
def facts(hub: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("client")
    settings = {"HF_HOME": str(place), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, str(PROGRAM), hub.url, str(place)]
    done = subprocess.run(command, env=clean_environment(settings), capture_output=True, check=False, timeout=60)
    if done.returncode:
        raise ChildFailed(done.stderr.decode() + hub.said())
    said: dict[str, Any] = msgspec.json.decode(done.stdout)
    return said


def test_what_there_is(folder: Path, facts: dict[str, Any]) -> None:
    """The client lists every file with its size, the large ones with the checksum that they have."""
    data = (folder / "hf/someone/Tiny-GGUF/tiny-Q8_0.gguf").read_bytes()

    assert len(facts["commit"]) == 40
    assert facts["files"] == {
        "sub/config.json": [2, None],
        "tiny-Q8_0.gguf": [len(data), hashlib.sha256(data).hexdigest()],
    }


def test_what_is_downloaded(facts: dict[str, Any]) -> None:
    """The client downloads a large file from the other host, a whole repository, and with a token what is private."""
    assert facts["large"] == facts["files"]["tiny-Q8_0.gguf"][1]
    assert facts["whole"] == ["sub/config.json", "tiny-Q8_0.gguf"]
    assert facts["private"] == 50_000


def test_what_is_refused(facts: dict[str, Any]) -> None:
    """Each refusal is to the client the error that it has for it."""
    assert facts["refusals"] == {
        "gated": "GatedRepoError",
        "unknown": "RepositoryNotFoundError",
        "file": "RemoteEntryNotFoundError",
        "revision": "RevisionNotFoundError",
    }


def test_what_goes_wrong_is_said_over_the_wire(hub: Served) -> None:
    """A mischief that is posted hits the next file, and what was asked is told."""
    with hub.connect() as connection:
        wanted = msgspec.json.encode([{"kind": "status", "status": 503}])
        assert connection.call("POST", "/_mischief", wanted).status == 204
        path = "/someone/Tiny-GGUF/resolve/main/sub/config.json"
        assert [connection.call("GET", path).status for _ in range(2)] == [503, 200]
        asked = msgspec.json.decode(connection.call("GET", "/_asked").body)
        assert [one["path"] for one in asked][-3:] == [path, path, "/_asked"]
