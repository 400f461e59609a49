"""Files that are no models, or worse, and names that are paths: a clear failure each, and nothing is left behind."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from foz.testing import gguf
from foz.testing.process import Served, Upstream, start_gateway, start_upstream
from tests.e2e.deploying import call, chat, data, deployed, engines, kept, serves, unloaded

MUTANTS = 54
ADMITTED = "completed"
NAMES = [f"bad{number}" for number in range(MUTANTS)]
BROKEN = [*NAMES[:24], *NAMES[-10:]]
"""Those that were cut off, and those whose first bytes are wrong."""


def _mutants(sound: bytes) -> list[bytes]:
    """Cut off anywhere, counts and lengths beyond all bounds, wrong bytes where the header is."""
    dice = random.Random(5)
    header = sound.index(b"token_embd.weight")
    found = [b"", b"GGUF", b"not a model at all", sound[:4] + b"\xff" * 64 + sound[68:]]
    found += [sound[: dice.randrange(4, len(sound) - 1)] for _ in range(20)]
    for _ in range(20):
        at = dice.randrange(4, header)
        found.append(sound[:at] + b"\xff" * 8 + sound[at + 8 :])
    for _ in range(MUTANTS - len(found)):
        at = dice.randrange(4, 24)
        found.append(sound[:at] + bytes([sound[at] ^ 0x80]) + sound[at + 1 :])
    return found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sound file."""
    path = tmp_path_factory.mktemp("sound") / "sound.gguf"
    gguf.write(path, gguf.SMALL)
    return path.read_bytes()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, sound: bytes) -> Iterator[Upstream]:
    """A registry with every mutant, and the sound file."""
    folder = tmp_path_factory.mktemp("hub")
    odd = sound.replace(b"llama", b"lambo")
    for name, content in zip((*NAMES, "sound", "odd"), (*_mutants(sound), sound, odd), strict=True):
        path = folder / "ollama/library" / name / "latest"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    with start_upstream(folder / "said", "--folder", str(folder), program="foz.testing.hub") as one:
        yield one


def _gateway(folder: Path, hub: Upstream, **files: bytes) -> Served:
    """A gateway that fetches from there, with these files in its folder of models."""
    models = folder / "data" / "models"
    models.mkdir(parents=True, exist_ok=True)
    (folder / "data").chmod(0o700)
    for name, content in files.items():
        (models / f"{name}.gguf").write_bytes(content)
    return start_gateway(folder, config=f'[local]\nollama_registry = "{hub.url}"\nkeep_free = 1\n')


def _stand(gateway: Served) -> dict[str, dict[str, Any]]:
    """How each deployment stands, newest last."""
    found = data(gateway, "GET", "/models/local/deployments")["deployments"]
    return {one["model_id"]: one for one in reversed(found)}


def _all_over(gateway: Served, sources: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Deploys all, and waits until all are over."""
    for name, source in sources.items():
        data(gateway, "POST", "/models/local/deploy", {"model_type": name, "source": source})
    seen: dict[str, dict[str, Any]] = {}

    def over() -> bool:
        seen.update(_stand(gateway))
        return all(seen[name]["status"] != "in_progress" for name in sources)

    gateway.wait_for(over, "all deployments to be over", 90)
    return {name: seen[name] for name in sources}


def _judge(gateway: Served, seen: dict[str, dict[str, Any]]) -> list[str]:
    """Which failed: each with a reason that a person can read. Beside them all others serve."""
    failed = [name for name, one in seen.items() if one["status"] == "failed"]
    assert len(failed) > len(seen) // 2
    for name in failed:
        assert len(seen[name]["error"]) >= 30, seen[name]
        assert seen[name]["error"].isprintable(), seen[name]
        assert "a defect of Foz" not in seen[name]["error"], seen[name]
    assert chat(gateway, "sound", 2) == 2
    assert len(engines(gateway)) == len(seen) - len(failed)
    return failed


def test_mutants_of_an_operators_files_fail_clearly(hub: Upstream, tmp_path: Path, sound: bytes) -> None:
    """Of 54 mutants of a sound file each fails with its reason or serves; a restart and unloading change no file."""
    files = dict(zip((*NAMES, "sound"), (*_mutants(sound), sound), strict=True))
    with _gateway(tmp_path, hub, **files) as gateway:
        seen = _all_over(gateway, {name: f"{name}.gguf" for name in files})
        assert seen["sound"]["status"] == ADMITTED
        failed = _judge(gateway, seen)
        unloaded(gateway, *(name for name in files if name not in {*failed, "sound"}))
    with start_gateway(tmp_path) as gateway:
        gateway.wait_for(lambda: serves(gateway, "sound"), "the sound model to be back")
        again = _stand(gateway)
        assert [again[name]["error"] for name in failed] == [seen[name]["error"] for name in failed]
        assert len(engines(gateway)) == 1
        unloaded(gateway, *failed, "sound")
        assert engines(gateway) == []
        assert kept(gateway) == sorted(f"{name}.gguf" for name in files)


def test_mutants_that_are_fetched_leave_nothing(hub: Upstream, tmp_path: Path) -> None:
    """A mutant with the right checksum fails or serves; nothing of one that failed stays, and none comes back."""
    with _gateway(tmp_path, hub) as gateway:
        seen = _all_over(gateway, {name: f"ollama:{name}" for name in (*BROKEN, "sound")})
        failed = _judge(gateway, seen)
        served = [name for name in seen if name not in failed]
        assert len(kept(gateway)) == len(served)
        unloaded(gateway, *seen)
        assert kept(gateway) == []
    with start_gateway(tmp_path) as gateway:
        assert data(gateway, "GET", "/models/local")["models"] == []
        assert {one["model_id"]: one for one in _stand(gateway).values() if one["status"] == "in_progress"} == {}
        assert engines(gateway) == []


def test_what_llama_cpp_does_not_know_is_told_and_purged(hub: Upstream, tmp_path: Path) -> None:
    """A sound file of no known kind fails at loading with llama.cpp's own reason alone; a purge takes it, once."""
    purged = "/models/local/odd?purge=true"
    with _gateway(tmp_path, hub) as gateway:
        for again in (False, True):
            one, _ = deployed(gateway, {"model_type": "odd", "source": "ollama:odd"})
            assert (one["status"], one["current_stage"]) == ("failed", "model_loading"), one
            assert "unknown model architecture: 'lambo'" in one["error"]
            assert "Fatal Python error" not in one["error"]
            assert len(kept(gateway)) == 1
            if again:  # what was kept is purged later, too
                unloaded(gateway, "odd", purge=False)
                assert len(kept(gateway)) == 1
            unloaded(gateway, "odd")
            gateway.wait_for(lambda: kept(gateway) == [], "the file to be gone")
            gateway.wait_for(lambda: call(gateway, "DELETE", purged)[0] == 404, "nothing to be left to purge")


def test_a_wrong_checksum_leaves_nothing(hub: Upstream, tmp_path: Path) -> None:
    """A file of which one bit is wrong when it comes fails with the reason and is taken away; again, it is had."""
    assert call(hub, "POST", "/_mischief", [{"kind": "flip", "at": 300_000}])[0] == 204
    with _gateway(tmp_path, hub) as gateway:
        one, _ = deployed(gateway, {"model_type": "sound", "source": "ollama:sound"})
        assert (one["status"], "another checksum" in one["error"]) == ("failed", True), one
        assert kept(gateway) == []
        again, _ = deployed(gateway, {"model_type": "sound", "source": "ollama:sound"})
        assert again["status"] == ADMITTED


def _kinds(sound: bytes) -> dict[str, bytes]:
    """A file whose first tensor is stored in a way that nobody knows, and one that says so of itself."""
    tensor = sound.index(b"token_embd.weight") + len(b"token_embd.weight") + 4 + 2 * 8
    known = sound.index(b"general.file_type") + len(b"general.file_type") + 4
    return {
        "tensor": sound[:tensor] + b"\x63\0\0\0" + sound[tensor + 4 :],
        "file": sound[:known] + b"\xe7\x03\0\0" + sound[known + 4 :],
    }


def test_a_quantization_that_nobody_knows(hub: Upstream, tmp_path: Path, sound: bytes) -> None:
    """What is stored in an unknown way fails; a wrong label does no harm; an unknown word is refused at once."""
    with _gateway(tmp_path, hub, **_kinds(sound)) as gateway:
        one, _ = deployed(gateway, {"model_type": "tensor", "source": "tensor.gguf"})
        assert one["status"] == "failed"
        assert "stored as type 99, which is none that is known" in one["error"]
        one, _ = deployed(gateway, {"model_type": "file", "source": "file.gguf"})
        assert one["status"] == ADMITTED, one
        one, _ = deployed(gateway, {"model_type": "four", "source": "file.gguf", "quantization": "int4"})
        assert (one["status"], "which is not int4" in one["error"]) == ("failed", True), one
        for word in ("int3", "Q8_0", "", "../int8", 8):
            body = {"model_type": "m", "source": "file.gguf", "quantization": word}
            status, said = call(gateway, "POST", "/models/local/deploy", body)
            assert (status, "quantization" in said["message"]) == (400, True), said


TRICKS = [
    "..", "../x", "/etc/passwd", "a/../../b", "a\\..\\b", "~/x", "%2e%2e%2fx", "a\0b", "a\nb", "\u202ex",
    "\uff0e\uff0e/x",
    "C:\\x", "$(id)", "`id`", "-rf", "{{x}}", ".hidden", "x" * 2_000, "file:///etc/passwd", "http://127.0.0.1:1/x.gguf",
]  # fmt: skip
SOURCES = [
    "hf:../..", "hf:a/..", "hf:a/b@../c", "hf:a/b/../../c.gguf", "hf:a/b/%2e%2e/c.gguf", "ollama:../x", "ollama:a/../b",
    "ollama:x:../y", "ollama:.x", "foz:../foz-tiny", "foz:/etc/passwd", "hf:", "ollama:", "foz:",
]  # fmt: skip
FIELDS = ("model_type", "model_size", "model_id", "quantization", "source", "target_nodes")


def _wish(field: str, word: str) -> dict[str, Any]:
    said = {"model_type": "m", "source": "sound.gguf", "model_id": "m"}
    return {**said, field: [word] if field == "target_nodes" else word}


def test_names_that_are_paths_are_refused(hub: Upstream, tmp_path: Path, sound: bytes) -> None:
    """Each trick in each name is refused by it, in print; as an id in a path it is nobody's; nothing is written."""
    tried = [(field, word) for field in FIELDS for word in TRICKS] + [("source", word) for word in SOURCES]
    with _gateway(tmp_path, hub, sound=sound) as gateway:
        before = sorted(str(path) for path in tmp_path.rglob("*"))
        for field, word in tried:
            status, said = call(gateway, "POST", "/models/local/deploy", _wish(field, word))
            assert status in {400, 404}, (field, word, said)
            assert said["message"].isprintable(), (field, word, said)
        for word in TRICKS:
            id = quote(word, safe="")
            for method, path in (
                ("GET", f"/models/local/{id}"),
                ("DELETE", f"/models/local/{id}?purge=true"),
                ("GET", f"/models/local/deployments/{id}"),
                ("GET", f"/models/local/deployments/{id}/logs"),
                ("POST", f"/models/local/deployments/{id}/retry"),
            ):
                status, said = call(gateway, method, path)
                assert status in {400, 404, 405}, (method, path, said)
        assert data(gateway, "GET", "/models/local/deployments")["deployments"] == []
        assert sorted(str(path) for path in tmp_path.rglob("*")) == before
        assert engines(gateway) == []
