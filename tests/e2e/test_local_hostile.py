"""Files that are no models, or worse: each is a clear failure, the gateway stays up, and nothing is left behind."""

import random
from pathlib import Path
from typing import Any

import msgspec

from foz.testing import gguf
from foz.testing.process import Served, start_gateway, wait_until
from foz.wire.http import Headers

JSON: Headers = ((b"content-type", b"application/json"),)
MUTANTS = 54


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


def _data(gateway: Served, method: str, path: str, body: object = None) -> Any:
    with gateway.connect(60) as connection:
        reply = connection.call(method, path, b"" if body is None else msgspec.json.encode(body), JSON)
    assert reply.status == 200, reply.body
    return msgspec.json.decode(reply.body)["data"]


def _engines(gateway: Served) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, seen = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"foz.runtime.llamacpp.child" in command and f"HOME={gateway.folder}".encode() in seen:
            found.append(int(folder.name))
    return found


def test_mutated_files_fail_clearly(tmp_path: Path) -> None:
    """Of 54 mutants of a sound file each fails with its reason or serves; the sound one serves beside them."""
    models = tmp_path / "data" / "models"
    models.mkdir(parents=True)
    (tmp_path / "data").chmod(0o700)
    gguf.write(models / "sound.gguf", gguf.SMALL)
    mutants = _mutants((models / "sound.gguf").read_bytes())
    assert len(mutants) == MUTANTS
    for number, data in enumerate(mutants):
        (models / f"bad{number}.gguf").write_bytes(data)
    before = sorted(path.name for path in models.iterdir())
    with start_gateway(tmp_path) as gateway:
        names = [f"bad{number}" for number in range(MUTANTS)]
        for name in (*names, "sound"):
            _data(gateway, "POST", "/models/local/deploy", {"model_type": name, "source": f"{name}.gguf"})
        seen: dict[str, Any] = {}

        def over() -> bool:
            found = _data(gateway, "GET", "/models/local/deployments")["deployments"]
            seen.update({one["model_id"]: one for one in found})
            return all(one["status"] != "in_progress" for one in found)

        gateway.wait_for(over, "all deployments to be over", 90)
        assert seen["sound"]["status"] == "completed"
        failed = [name for name in names if seen[name]["status"] == "failed"]
        assert len(failed) > MUTANTS // 2
        assert [name for name in failed if len(seen[name]["error"]) < 30] == []
        body = {"model": "sound", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
        with gateway.connect(30) as connection:
            reply = connection.call("POST", "/v1/chat/completions", msgspec.json.encode(body), JSON)
            assert reply.status == 200
        for name in (*names, "sound"):
            _data(gateway, "DELETE", f"/models/local/{name}")
        gateway.wait_for(lambda: not _data(gateway, "GET", "/models/local")["models"], "all to be gone", 30)
        assert _engines(gateway) == []
    wait_until(lambda: sorted(path.name for path in models.iterdir() if path.suffix == ".gguf") ==
               [name for name in before if name.endswith(".gguf")], "nothing but the operator's files", 1)  # fmt: skip
