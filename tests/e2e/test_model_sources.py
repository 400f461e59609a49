"""Where models come from, through the gateway: from a hub that stalls, cuts and lies to a model that answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.skins.model_api import examples
from foz.testing import gguf
from foz.testing.hub.files import Mischief
from foz.testing.process import Served, Upstream, start_gateway, start_upstream, wait_until
from foz.wire.http import Headers

JSON: Headers = ((b"content-type", b"application/json"),)
SEEDS = "hf/unsloth/DeepSeek-R1-Distill-Qwen-7B-GGUF"
LARGE = {"model_type": "large", "source": "hf:someone/Large-GGUF", "quantization": "int8"}
MESSAGES = [{"role": "user", "content": "hi"}]


def _call(server: Served, method: str, path: str, body: object = None) -> tuple[int, Any]:
    with server.connect(30) as connection:
        reply = connection.call(method, path, b"" if body is None else msgspec.json.encode(body), JSON)
    return reply.status, msgspec.json.decode(reply.body) if reply.body else None


def _data(gateway: Served, method: str, path: str, body: object = None) -> Any:
    status, said = _call(gateway, method, path, body)
    assert status == 200, said
    return said["data"]


def _deployed(gateway: Served, body: object) -> tuple[dict[str, Any], list[int]]:
    """Deploys, and looks until that is over: the last state, and every percentage that was seen on the way."""
    told = _data(gateway, "POST", "/models/local/deploy", body)
    found: dict[str, Any] = {}
    seen: list[int] = []

    def over() -> bool:
        found.update(_data(gateway, "GET", told["progress_url"]))
        seen.append(int(found["progress"]))
        return str(found["status"]) != "in_progress"

    gateway.wait_for(over, "the deployment to be over", 60)
    return found, seen


def _goes_wrong(hub: Upstream, *mischief: Mischief) -> None:
    assert _call(hub, "POST", "/_mischief", mischief)[0] == 204


def _asked(hub: Upstream, part: str) -> list[dict[str, Any]]:
    """The requests that reached the hub whose path has this part."""
    return [one for one in _call(hub, "GET", "/_asked")[1] if part in one["path"]]


def _kept(folder: Path) -> list[str]:
    """What of the folder of models is no note."""
    root = folder / "data/models"
    return sorted(path.name for path in root.rglob("*") if path.is_file() and ".found" not in path.parts)


@pytest.fixture(scope="module")
def goods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the hub has."""
    folder = tmp_path_factory.mktemp("goods")
    names = (SEEDS, "hf/someone/Large-GGUF", "hf/someone/Evil-GGUF", "hf/gated/x", "ollama/library/tiny")
    for name in names:
        (folder / name).mkdir(parents=True)
    gguf.write(folder / SEEDS / "DeepSeek-R1-Distill-Qwen-7B-F16.gguf", gguf.SMALL, weights="f16")
    gguf.write(folder / "hf/someone/Large-GGUF/Large-Q8_0.gguf", gguf.LARGE)
    (folder / "hf/gated/x/x-Q8_0.gguf").write_bytes(b"x")
    (folder / "hf/someone/Evil-GGUF/Evil-Q8_0.gguf").write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 16 + bytes(200_000))
    gguf.write(folder / "ollama/library/tiny/latest-q8_0", gguf.SMALL)
    return folder


@contextmanager
def _place(tmp_path: Path, goods: Path, pace: str = "0") -> Iterator[tuple[Upstream, str]]:
    """A hub, and the settings of a gateway that asks it."""
    arguments = ("--folder", str(goods), "--pace", pace)
    with start_upstream(tmp_path / "hub", *arguments, program="foz.testing.hub") as hub:
        yield hub, f'[local]\nnode = "worker-03"\nhub = "{hub.url}"\nollama_registry = "{hub.url}"\nkeep_free = 1\n'


def test_the_seeds_example_by_the_catalog(tmp_path: Path, goods: Path) -> None:
    """Seed 004: its deployment, as written, is fetched as the catalog says, made int8, answers, and is purged."""
    with _place(tmp_path, goods) as (hub, config), start_gateway(tmp_path / "foz", config=config) as gateway:
        _goes_wrong(hub, Mischief("cut", at=300_000), Mischief("whole"), Mischief("cut", at=200_000))
        over, seen = _deployed(gateway, examples.DEPLOY)

        assert (over["status"], over["progress"]) == ("completed", 100), over
        assert seen == sorted(seen)
        body = {"model": "deepseek-v3-7b", "messages": MESSAGES, "max_tokens": 5}
        assert _call(gateway, "POST", "/v1/chat/completions", body)[0] == 200
        (shown,) = _data(gateway, "GET", "/models/local")["models"]
        assert (shown["name"], shown["version"], shown["deployment"]["quantization"]) == (
            "DeepSeek V3 7B",
            "3.0",
            "int8",
        )
        _data(gateway, "DELETE", "/models/local/deepseek-v3-7b?purge=true")
        gateway.wait_for(lambda: not _data(gateway, "GET", "/models/local")["models"], "the model to be gone")
        wait_until(lambda: _kept(gateway.folder) == [], "its files to be gone")


def test_a_name_of_ollamas_answers(tmp_path: Path, goods: Path) -> None:
    """A model by its name in Ollama's registry is fetched and answers."""
    with _place(tmp_path, goods) as (_, config), start_gateway(tmp_path / "foz", config=config) as gateway:
        over, _ = _deployed(gateway, {"model_type": "tiny", "source": "ollama:tiny:latest-q8_0"})

        assert over["status"] == "completed", over
        body = {"model": "tiny", "messages": MESSAGES, "max_tokens": 5}
        assert _call(gateway, "POST", "/v1/chat/completions", body)[0] == 200


def test_a_cancelled_download_is_purged_with_its_parts(tmp_path: Path, goods: Path) -> None:
    """Unloaded with `purge` while it is fetched, nothing of it is left; without, its part stays to be gone on with."""
    with _place(tmp_path, goods, "0.003") as (_, config), start_gateway(tmp_path / "foz", config=config) as gateway:

        def comes() -> bool:
            return any(one.stat().st_size > 1_000_000 for one in gateway.folder.rglob("*.partial"))

        def gone() -> bool:
            return not _data(gateway, "GET", "/models/local")["models"]

        for purge in ("false", "true"):
            _data(gateway, "POST", "/models/local/deploy", LARGE)
            gateway.wait_for(comes, "a megabyte", 60)
            _data(gateway, "DELETE", f"/models/local/large?purge={purge}")
            gateway.wait_for(gone, "it to be gone")
            assert [name.endswith(".partial") for name in _kept(gateway.folder)].count(True) == (purge == "false")
        assert _kept(gateway.folder) == []


FAILED: dict[str, tuple[dict[str, str], list[Mischief], str]] = {
    "a wrong checksum": (LARGE, [Mischief("flip", at=50_000_000)], "another checksum"),
    "hostile": ({"model_type": "m", "source": "hf:someone/Evil-GGUF"}, [], "promises 18446744073709551615 tensors"),
    "gated": ({"model_type": "m", "source": "hf:gated/x"}, [], "accept its licence"),
    "unknown": ({"model_type": "m", "source": "hf:nobody/nothing"}, [], "does not exist"),
    "another quantization": (
        {"model_type": "m", "source": "hf:someone/Large-GGUF", "quantization": "int4"}, [], "which is not int4"),
    "no such tag": ({"model_type": "m", "source": "ollama:tiny:other"}, [], "404"),
}  # fmt: skip


def test_what_cannot_be_had_is_a_failed_deployment_that_says_why(tmp_path: Path, goods: Path) -> None:
    """Each of these ends as failed with the reason, is not tried again, leaves nothing, and the gateway stays up."""
    with _place(tmp_path, goods) as (hub, config), start_gateway(tmp_path / "foz", config=config) as gateway:
        for number, (body, mischief, words) in enumerate(FAILED.values()):
            _goes_wrong(hub, *mischief)
            over, _ = _deployed(gateway, {**body, "model_id": f"failing-{number}"})

            assert (over["status"], "next_try" in over) == ("failed", False), over
            assert words in over["error"]
            assert _kept(gateway.folder) == []
        assert _call(gateway, "GET", "/v1/models")[0] == 200
