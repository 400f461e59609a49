"""Where models come from: every source from its words to a file that was looked at, and nothing left without use."""

import asyncio
import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typing_extensions import override

from foz.canon.deployment import Form, Quantization, Weights, Wish
from foz.canon.fault import BadRequest, Down, Fault, Garbled, NoCapacity, NotFound, Refused, Unsupported
from foz.ports.engine import LLAMA_CPP, VLLM
from foz.testing import gguf
from foz.testing.hub.files import Answer, Asked, Mischief
from foz.testing.hub.routes import FakeHub
from foz.wire.gguf import layout
from tests.unit.runtime.hubs import run
from tests.unit.runtime.shelves import FP16, INT4, INT8, Shop, shop, wish

QWEN = "hf/someone/Qwen-GGUF"
EIGHT, SIXTEEN = "ollama:tiny:latest-q8_0", "ollama:someone/tiny:1b-f16"
VOCABULARY = len(gguf.vocabulary(1)[0])


@pytest.fixture
def goods(tmp_path: Path) -> Path:
    """A hub's folder: one model of three kinds, a tag of Ollama's, a model as its makers published it."""
    folder = tmp_path / "shop"
    for name in (QWEN, "hf/gated/x", "hf/private/x", "hf/makers/Qwen", "ollama/library/tiny", "ollama/someone/tiny"):
        (folder / name).mkdir(parents=True)
    gguf.write(folder / QWEN / "Qwen-F16.gguf", gguf.SMALL, weights="f16")
    gguf.write(folder / QWEN / "Qwen-Q8_0.gguf", gguf.SMALL)
    (folder / QWEN / "README.md").write_text("# Qwen")
    (folder / "hf/gated/x/x-Q8_0.gguf").write_bytes((folder / QWEN / "Qwen-Q8_0.gguf").read_bytes())
    (folder / "hf/private/x/x-Q8_0.gguf").write_bytes((folder / QWEN / "Qwen-Q8_0.gguf").read_bytes())
    gguf.write(folder / "ollama/library/tiny/latest-q8_0", gguf.SMALL, seed=2)
    gguf.write(folder / "ollama/someone/tiny/1b-f16", gguf.SMALL, weights="f16", seed=3)
    tensors = {"embed": {"dtype": "BF16", "shape": [512, 64], "data_offsets": [0, 65536]}}
    head = msgspec.json.encode(tensors)
    (folder / "hf/makers/Qwen/model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + bytes(65536))
    config = {"model_type": "qwen3", "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}
    (folder / "hf/makers/Qwen/config.json").write_bytes(msgspec.json.encode({**config, "vocab_size": 512}))
    return folder


def there(weights: Weights) -> bool:
    """Whether its file is still there."""
    return Path(weights.path).exists()


def had(tmp_path: Path, wanted: Wish) -> tuple[Weights, list[str]]:
    """What a wish becomes, and the files that are there then."""

    async def main() -> tuple[Weights, list[str]]:
        async with shop(tmp_path) as one:
            _, weights = await one.has(wanted)
            assert one.told.rising
            assert one.made.rising
            assert one.told.figures[-1][0] == one.told.figures[-1][1]
            return weights, one.files

    return run(main())


@pytest.mark.usefixtures("goods")
@pytest.mark.parametrize(("wanted", "stored"), [(None, "Q8_0"), (INT8, "Q8_0"), (FP16, "F16")])
def test_a_repository_gives_the_file_that_is_wanted(tmp_path: Path, wanted: Quantization | None, stored: str) -> None:
    """Of a repository's files the one of the wanted quantization is fetched, and only that one."""
    weights, files = had(tmp_path, wish("hf:someone/Qwen-GGUF", wanted))

    assert weights.quantization == stored
    assert [Path(file).name for file in files] == [f"Qwen-{stored}.gguf"]
    assert (weights.architecture, weights.vocabulary) == ("llama", VOCABULARY)
    assert (weights.context, weights.layers) == (gguf.SMALL.context, gguf.SMALL.layers)
    assert weights.cache_per_token == 2 * 2 * gguf.SMALL.layers * gguf.SMALL.kv_heads * 32
    assert (
        hashlib.sha256(Path(weights.path).read_bytes()).hexdigest()
        == hashlib.sha256((tmp_path / "shop" / QWEN / f"Qwen-{stored}.gguf").read_bytes()).hexdigest()
    )


def test_the_catalog_says_where_a_type_and_size_are(tmp_path: Path) -> None:
    """Seed 004's example asks for deepseek-v3 of 7b in int8: the row's repository is asked, and its title is given."""
    folder = tmp_path / "shop/hf/unsloth/DeepSeek-R1-Distill-Qwen-7B-GGUF"
    folder.mkdir(parents=True)
    gguf.write(folder / "DeepSeek-R1-Distill-Qwen-7B-Q8_0.gguf", gguf.SMALL)

    async def main() -> None:
        async with shop(tmp_path) as one:
            asked = Wish("deepseek-v3-7b", "deepseek-v3", "7b", INT8)
            found, weights = await one.has(asked)

            assert (found.title, found.version) == ("DeepSeek V3 7B", "3.0")
            assert (weights.title, weights.version, weights.quantization) == ("DeepSeek V3 7B", "3.0", "Q8_0")
            with pytest.raises(NotFound, match="no deepseek-v3 of size '9b'"):
                one.shelf.check(Wish("x", "deepseek-v3", "9b"))

    run(main())


def test_an_operators_own_sources_come_before_the_catalog(tmp_path: Path) -> None:
    """A type and size that the settings name mean what is said there."""

    async def main() -> None:
        async with shop(tmp_path, named={"qwen3-7b": "mine.gguf"}) as one:
            assert one.shelf.check(Wish("a", "qwen3", "7b")).source == "mine.gguf"
            assert one.shelf.check(Wish("a", "qwen3", "8b")).source == "hf:unsloth/Qwen3-8B-GGUF"

    run(main())


def test_int8_is_made_of_sixteen_bits(goods: Path, tmp_path: Path) -> None:
    """Without a Q8_0 the F16 file is fetched and eight bits are made of it, which say so and are half as large."""
    (goods / QWEN / "Qwen-Q8_0.gguf").unlink()

    weights, files = had(tmp_path, wish("hf:someone/Qwen-GGUF", INT8))

    assert weights.quantization == "Q8_0"
    assert weights.size < 0.6 * (goods / QWEN / "Qwen-F16.gguf").stat().st_size
    assert [Path(file).name for file in files] == ["Qwen-F16.foz-Q8_0.gguf", "Qwen-F16.gguf"]


def test_a_model_of_ollamas_registry(goods: Path, tmp_path: Path) -> None:
    """A name and tag of Ollama's are looked up in its registry, and int8 is made of a tag of 16 bits."""
    weights, files = had(tmp_path, wish("ollama:tiny:latest-q8_0"))

    assert weights.quantization == "Q8_0"
    assert files[0].startswith("fetched/ollama/library/tiny/latest-q8_0-")
    assert Path(weights.path).read_bytes() == (goods / "ollama/library/tiny/latest-q8_0").read_bytes()

    made, _ = had(tmp_path, wish("ollama:someone/tiny:1b-f16", INT8))
    assert made.quantization == "Q8_0"


def stored(tmp_path: Path, data: bytes, size: int | None = None) -> str:
    """A model in Ollama's store."""
    sha256 = hashlib.sha256(data).hexdigest()
    blobs = tmp_path / "store/blobs"
    manifest = tmp_path / "store/manifests/registry.ollama.ai/library/mine/latest"
    blobs.mkdir(parents=True)
    manifest.parent.mkdir(parents=True)
    (blobs / f"sha256-{sha256}").write_bytes(data)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{sha256}", "size": size or len(data)}
    manifest.write_bytes(msgspec.json.encode({"layers": [layer]}))
    return sha256


def test_a_model_of_ollamas_store_is_run_where_it_lies(goods: Path, tmp_path: Path) -> None:
    """What Ollama has on this machine is neither asked for nor copied, and stays when the deployment is purged."""
    data = (goods / QWEN / "Qwen-Q8_0.gguf").read_bytes()
    sha256 = stored(tmp_path, data)

    async def main() -> None:
        async with shop(tmp_path) as one:
            found, weights = await one.has(wish("ollama:mine"))
            assert weights.path == str(tmp_path / "store/blobs" / f"sha256-{sha256}")
            assert one.hub.asked == []
            assert await one.removes((found, weights)) == 0
            assert there(weights)

    run(main())


def test_a_path_is_a_file_of_the_operators(goods: Path, tmp_path: Path) -> None:
    """A relative path is under the folder of models, an absolute one may lie in another allowed folder; all stay."""
    (tmp_path / "models").mkdir()
    (tmp_path / "others").mkdir()
    data = (goods / QWEN / "Qwen-Q8_0.gguf").read_bytes()
    (tmp_path / "models/mine.gguf").write_bytes(data)
    (tmp_path / "others/other.gguf").write_bytes(data)
    (tmp_path / "models/link.gguf").symlink_to(tmp_path / "others/other.gguf")

    async def main() -> None:
        async with shop(tmp_path) as one:
            for source in ("mine.gguf", str(tmp_path / "others/other.gguf"), "link.gguf"):
                found, weights = await one.has(wish(source, INT8))
                assert weights.quantization == "Q8_0"
                assert await one.removes((found, weights)) == 0
                assert there(weights)
            with pytest.raises(Unsupported, match="stored as Q8_0, which is not int4"):
                await one.has(wish("mine.gguf", INT4))

    run(main())


def test_int8_of_an_operators_file_is_made_elsewhere(goods: Path, tmp_path: Path) -> None:
    """What is made of an operator's file lies apart, is found again, is made anew when the file changes, and goes."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/mine.gguf").write_bytes((goods / QWEN / "Qwen-F16.gguf").read_bytes())

    async def main() -> None:
        async with shop(tmp_path) as one:
            found, weights = await one.has(wish("mine.gguf", INT8))
            _, same = await one.has(wish("mine.gguf", INT8))
            os.utime(tmp_path / "models/mine.gguf", ns=(1, 1))
            _, other = await one.has(wish("mine.gguf", INT8))

            assert weights.path == same.path != other.path
            assert Path(weights.path).parent == tmp_path / "models/made"
            assert await one.removes((found, weights)) == weights.size
            assert await one.removes((found, other)) == other.size
            assert one.files == ["mine.gguf"]

    run(main())


def test_what_is_built_in_needs_nobody(goods: Path, tmp_path: Path) -> None:
    """A model that comes with Foz is run where it lies; one that does not come with it is refused."""

    async def main() -> None:
        async with shop(tmp_path, built_in={"foz-tiny": goods / QWEN / "Qwen-Q8_0.gguf"}) as one:
            found, weights = await one.has(wish("foz:foz-tiny"))
            assert (found.title, weights.path) == ("foz-tiny", str(goods / QWEN / "Qwen-Q8_0.gguf"))
            assert await one.removes((found, weights)) == 0
            with pytest.raises(NotFound, match="there is foz-tiny"):
                one.shelf.check(wish("foz:other"))

    run(main())


@pytest.mark.usefixtures("goods")
def test_a_repository_without_gguf_is_had_as_it_was_published(tmp_path: Path) -> None:
    """Where there are only safetensors the folder is the model, with its config and its size; int8 of it is refused."""
    weights, files = had(tmp_path, wish("hf:makers/Qwen"))

    assert [Path(file).name for file in files] == ["config.json", "model.safetensors"]
    assert Path(weights.path).is_dir()
    assert (weights.architecture, weights.quantization, weights.parameters) == ("qwen3", "BF16", 512 * 64)
    with pytest.raises(Unsupported, match="no int8 can be made"):
        had(tmp_path, wish("hf:makers/Qwen", INT8))


def test_the_engine_decides_which_form_is_had(goods: Path, tmp_path: Path) -> None:
    """Of a repository with both forms llama.cpp's is taken, or vLLM's where that is named or preferred; in rows too."""
    (goods / QWEN / "model.safetensors").write_bytes((goods / "hf/makers/Qwen/model.safetensors").read_bytes())
    (goods / QWEN / "config.json").write_bytes((goods / "hf/makers/Qwen/config.json").read_bytes())

    async def main() -> None:
        async with shop(tmp_path) as one, shop(tmp_path, prefers=Form.SAFETENSORS) as other:
            for shelf, engine, form in (
                (one, "", Form.GGUF), (one, VLLM, Form.SAFETENSORS), (other, "", Form.SAFETENSORS),
                (other, LLAMA_CPP, Form.GGUF),
            ):  # fmt: skip
                _, weights = await shelf.has(wish("hf:someone/Qwen-GGUF", engine=engine))
                assert weights.form is form
            row = wish(model_type="qwen3", model_size="0.6b")
            assert one.shelf.check(row).source == "hf:unsloth/Qwen3-0.6B-GGUF"
            assert other.shelf.check(row).source == "hf:Qwen/Qwen3-0.6B"

    run(main())


def cut(path: Path, parts: int) -> None:
    """One model as so many files, as llama.cpp's own tool cuts it; whole tensors each."""
    data = path.read_bytes()
    whole = layout(data)
    each = -(-len(whole.tensors) // parts)
    for number in range(parts):
        own = whole.tensors[number * each : (number + 1) * each]
        keys = [raw for _, raw in whole.keys] if number == 0 else []
        for name, value in (("split.no", number), ("split.count", parts)):
            keys.append(struct.pack("<Q", len(name)) + name.encode() + struct.pack("<IH", 2, value))
        head = b"GGUF" + struct.pack("<IQQ", 3, len(own), len(keys)) + b"".join(keys)
        at, body = 0, b""
        for tensor in own:
            shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
            raw = struct.pack("<Q", len(tensor.name)) + tensor.name.encode() + shape
            head += raw + struct.pack("<IQ", tensor.kind, at)
            begin = whole.offset + tensor.offset
            body += data[begin : begin + tensor.size] + bytes(-tensor.size % 32)
            at = len(body)
        name = path.name.removesuffix(".gguf")
        (path.parent / f"{name}-{number + 1:05d}-of-{parts:05d}.gguf").write_bytes(head + bytes(-len(head) % 32) + body)
    path.unlink()


@pytest.mark.parametrize(("wanted", "stored_as"), [(FP16, "F16"), (INT8, "Q8_0")])
def test_a_model_in_parts_is_one(goods: Path, tmp_path: Path, wanted: Quantization, stored_as: str) -> None:
    """All parts of a file that was cut are fetched, judged together, made one of eight bits, and removed together."""
    (goods / QWEN / "Qwen-Q8_0.gguf").unlink()
    before = (goods / QWEN / "Qwen-F16.gguf").stat().st_size
    cut(goods / QWEN / "Qwen-F16.gguf", 3)

    async def main() -> None:
        async with shop(tmp_path) as one:
            found, weights = await one.has(wish("hf:someone/Qwen-GGUF", wanted))

            assert len(found.files) == 3
            assert (weights.quantization, weights.vocabulary) == (stored_as, VOCABULARY)
            assert weights.size > before * 0.99 if wanted is FP16 else weights.size < before * 0.6
            assert await one.removes((found, weights)) > before * 0.99
            assert one.files == []

    run(main())


@pytest.mark.usefixtures("goods")
@pytest.mark.parametrize("source", ["hf:someone/Qwen-GGUF", SIXTEEN])
def test_what_is_here_needs_no_hub(tmp_path: Path, source: str) -> None:
    """After a restart a model whose files are here is found and made without asking anybody, as it was."""

    async def main() -> None:
        async with shop(tmp_path) as one:
            found, weights = await one.has(wish(source, INT8))
            await one.hub.stop()
            asked = len(one.hub.asked)
            _, same = await one.has(wish(source, INT8))

            assert len(one.hub.asked) == asked
            assert same == weights
            assert await one.removes((found, weights)) >= weights.size
            with pytest.raises(Down):
                await one.shelf.find(wish(source, INT8))

    run(main())


@pytest.mark.usefixtures("goods")
def test_what_is_run_as_it_is_stays_when_what_was_made_of_it_goes(tmp_path: Path) -> None:
    """Removing a file of eight bits takes away its source too, unless that is run by itself."""

    async def main() -> None:
        async with shop(tmp_path) as one:
            sixteen = await one.has(wish(SIXTEEN, FP16))
            eight = await one.has(wish(SIXTEEN, INT8))
            assert await one.removes(eight, sixteen) == eight[1].size
            assert there(sixteen[1])
            assert await one.removes(sixteen) == sixteen[1].size
            assert one.files == []

            eight = await one.has(wish(SIXTEEN, INT8))
            assert await one.removes(eight) == eight[1].size + sixteen[1].size
            assert one.files == []

    run(main())


REFUSED: dict[str, tuple[str, type[Fault], str]] = {
    "gated": ("hf:gated/x", Refused, "accept its licence"),
    "private": ("hf:private/x", NotFound, "not open to us"),
    "unknown": ("hf:nobody/nothing", NotFound, "does not exist"),
    "no such revision": ("hf:someone/Qwen-GGUF@v9", NotFound, "no revision 'v9'"),
    "no such file": ("hf:someone/Qwen-GGUF/other.gguf", NotFound, r"There are: Qwen-F16\.gguf, Qwen-Q8_0\.gguf"),
    "no such tag": ("ollama:tiny:other", NotFound, "404"),
    "no such path": ("nothing.gguf", NotFound, "no file 'nothing.gguf'"),
}


@pytest.mark.usefixtures("goods")
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_there_is_said(tmp_path: Path, case: str) -> None:
    """Each of these is refused with what is wrong and what to do, and nothing is left."""
    source, fault, words = REFUSED[case]

    async def main() -> None:
        async with shop(tmp_path) as one:
            with pytest.raises(fault, match=words):
                await one.has(wish(source))
            assert one.files == []

    run(main())


@pytest.mark.usefixtures("goods")
def test_a_token_opens_what_is_private_and_is_shown_to_nobody(tmp_path: Path) -> None:
    """With the right token a private repository is had, a wrong one is refused; none is in a fault, note or repr."""

    async def main() -> None:
        async with shop(tmp_path, token="hf_good") as one:
            _, weights = await one.has(wish("hf:private/x"))
            assert weights.quantization == "Q8_0"
            for path in (tmp_path / "models").rglob("*.json"):
                assert "hf_good" not in path.read_text()
        async with shop(tmp_path / "other", token="hf_not_good_at_all") as one:
            with pytest.raises(Fault) as refused:
                await one.has(wish("hf:someone/Qwen-GGUF"))
            assert "hf_not_good_at_all" not in repr(refused.value)
            assert "hf_not_good_at_all" not in repr(one.shelf._shops)

    (tmp_path / "other").mkdir()
    (tmp_path / "other/shop").symlink_to(tmp_path / "shop")
    run(main())


@pytest.mark.parametrize(
    "source", ["../secret.gguf", "/etc/passwd", "out.gguf", "folder/out.gguf", "loop.gguf", "/", "up/x"]
)
def test_no_path_leads_out_of_the_folders(goods: Path, tmp_path: Path, source: str) -> None:
    """Steps up, absolute paths elsewhere, and links that lead out are refused; nothing is read there."""
    secret = tmp_path / "secret.gguf"
    secret.write_bytes((goods / QWEN / "Qwen-Q8_0.gguf").read_bytes())
    models = tmp_path / "models"
    models.mkdir()
    (models / "out.gguf").symlink_to(secret)
    (models / "folder").symlink_to(tmp_path)
    (tmp_path / "out.gguf").write_bytes(secret.read_bytes())
    (models / "loop.gguf").symlink_to(models / "loop.gguf")
    (models / "up").symlink_to("..")

    async def main() -> None:
        async with shop(tmp_path) as one:
            with pytest.raises((BadRequest, NotFound)):
                await one.has(wish(source))

    run(main())


def test_names_that_a_hub_gives_lead_nowhere_else(tmp_path: Path) -> None:
    """Of a repository whose files have names that are paths elsewhere only what has a plain name is had."""

    class Evil(FakeHub):
        @override
        def _files(self, repo: str) -> dict[str, Path]:
            good = self.folder / "x-Q8_0.gguf"
            names = [
                "../../../evil-Q8_0.gguf",
                "/etc/evil-Q8_0.gguf",
                "a\\..\\b-Q8_0.gguf",
                ".x/b-Q8_0.gguf",
                "x-Q8_0.gguf",
            ]
            return dict.fromkeys(names, good) if repo == "a/b" else {}

    (tmp_path / "shop").mkdir()
    gguf.write(tmp_path / "shop/x-Q8_0.gguf", gguf.SMALL)

    async def main() -> None:
        async with shop(tmp_path) as one:
            evil = Evil(tmp_path / "shop")
            one.hub.answer = evil.answer
            evil.port = one.hub.port
            found, _ = await one.has(wish("hf:a/b"))
            assert [file.name.rpartition("/")[2] for file in found.files] == ["x-Q8_0.gguf"]
            with pytest.raises(BadRequest):
                await one.has(wish("hf:a/b/../../../evil-Q8_0.gguf"))

    run(main())
    assert not list(tmp_path.rglob("evil*"))


SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no model": (lambda _: b"<html>" * 20_000, "no GGUF file"),
    "cut off": (lambda data: data[:-4000], "cut off"),
    "hostile": (lambda data: data[:8] + b"\xff" * 16 + data[24:], "promises"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_file_that_no_engine_may_see_is_taken_away(goods: Path, tmp_path: Path, case: str) -> None:
    """What a hub has, with the right checksum, and is no sound model, is refused with the reason, and nothing stays."""
    spoil, words = SPOILT[case]
    path = goods / "ollama/library/tiny/latest-q8_0"
    path.write_bytes(spoil(path.read_bytes()))

    async def main() -> None:
        async with shop(tmp_path) as one:
            with pytest.raises(Garbled, match=words):
                await one.has(wish(EIGHT, INT8))
            assert one.files == []

    run(main())


def test_a_small_file_that_is_no_model_is_taken_away(tmp_path: Path) -> None:
    """What is too short to be looked at on its way is looked at when it is there, and an operator's own file stays."""
    (tmp_path / "shop/ollama/library/tiny").mkdir(parents=True)
    (tmp_path / "shop/ollama/library/tiny/latest-q8_0").write_bytes(b"GGUF")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/bad.gguf").write_bytes(b"")

    async def main() -> None:
        async with shop(tmp_path) as one:
            with pytest.raises(Garbled, match="the file ends at byte 4"):
                await one.has(wish(EIGHT, INT8))
            with pytest.raises(Garbled, match=r"bad\.gguf is empty"):
                await one.has(wish("bad.gguf"))
            assert one.files == ["bad.gguf"]

    run(main())


def test_no_room_is_said_with_the_sum_before_anything_is_fetched(tmp_path: Path) -> None:
    """A model that the disk cannot hold is refused when it is found; what would be made of it counts too."""
    stat = os.statvfs(tmp_path)
    size = int(stat.f_bavail * stat.f_frsize * 0.8)
    listed = {"id": "a/b", "modelId": "a/b", "sha": "a" * 40, "siblings": [{"rfilename": "a-F16.gguf", "size": size}]}

    class Large(FakeHub):
        @override
        def answer(self, asked: Asked) -> Answer:
            return Answer(headers={"Content-Type": "application/json"}, body=msgspec.json.encode(listed))

    async def main() -> None:
        async with shop(tmp_path) as one:
            one.hub.answer = Large(tmp_path).answer
            assert (await one.shelf.find(wish("hf:a/b", FP16))).size == size
            with pytest.raises(NoCapacity, match=r"hf:a/b.* needs .* bytes more"):
                await one.shelf.find(wish("hf:a/b", INT8))
            assert one.files == []

    (tmp_path / "shop").mkdir()
    run(main())


def test_making_eight_bits_can_be_ended_and_leaves_nothing(goods: Path, tmp_path: Path) -> None:
    """Cancelled in the middle, the program that makes eight bits is gone, and so is what it had made."""
    (tmp_path / "models").mkdir()
    gguf.write(tmp_path / "models/large.gguf", gguf.LARGE, weights="f16")
    del goods

    async def main() -> None:
        async with shop(tmp_path) as one:
            found = await one.shelf.find(wish("large.gguf", INT8))
            making = asyncio.ensure_future(one.shelf.make(found, one.made))
            await one.made.enough.wait()
            making.cancel()
            await asyncio.wait([making])
            assert making.cancelled()
            assert one.files == ["large.gguf"]
            assert not running()

    run(main())


def running() -> list[int]:
    """Programs of ours that make eight bits."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"eight_program" in words and parent == str(os.getpid()):
            found.append(int(entry.name))
    return found


@pytest.mark.usefixtures("goods")
def test_parts_that_nobody_goes_on_with_are_swept(tmp_path: Path) -> None:
    """A part that is older than so long is taken away, a younger one stays."""

    async def main() -> None:
        async with shop(tmp_path) as one:
            one.hub.mischief.extend([Mischief("cut", at=100_000), *[Mischief("stall")] * 3])
            with pytest.raises(Fault):
                await one.has(wish(SIXTEEN, INT8))
            assert len(one.files) == 2
            assert await one.shelf.sweep(3600) == 0
            assert await one.shelf.sweep(-1) == 100_000
            assert one.files == []

    run(main())


@pytest.mark.usefixtures("goods")
def test_two_deployments_of_one_file_fetch_it_once(tmp_path: Path) -> None:
    """Two wishes for one file at once have it fetched and made once, and both are told all of it."""

    async def main() -> None:
        async with shop(tmp_path, pace=0.002) as one:
            other = Shop(one.hub, one.shelf, one.folders)
            wanted = wish(SIXTEEN, INT8)
            (_, first), (_, second) = await asyncio.gather(one.has(wanted), other.has(wanted))

            assert first == second
            assert len([asked for asked in one.hub.asked if asked.path.startswith("/cdn/")]) == 1
            assert one.told.figures[-1] == other.told.figures[-1]

    run(main())
