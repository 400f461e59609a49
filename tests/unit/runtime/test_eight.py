"""Eight bits a weight: what is made loads and says what its source says, and nothing is left when it cannot be made."""

import asyncio
import mmap
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from gguf import GGUFReader
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize

from foz.canon.fault import Bug, NoCapacity
from foz.net.clock import SystemClock
from foz.runtime.shelf import eight
from foz.runtime.shelf.asked import Halving
from foz.runtime.shelf.partial import Partial
from foz.testing import gguf
from foz.testing.engine import Engine
from foz.testing.process import clean_environment, wait_until
from foz.wire.gguf import layout
from tests.unit.runtime.hubs import HASTY, Told, run


def make(source: Path, final: Path, told: Told | None = None) -> None:
    run(eight.make([source], final, told or Told(), SystemClock(), HASTY, clean_environment()))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 16 bits."""
    path = tmp_path_factory.mktemp("source") / "small.gguf"
    gguf.write(path, gguf.SMALL, weights="f16")
    return path


@pytest.fixture(scope="module")
def made(source: Path) -> Path:
    """And of eight."""
    final = source.parent / "made/small-8.gguf"
    make(source, final)
    return final


def test_what_is_made_talks_as_its_source_does(source: Path, made: Path) -> None:
    """A real engine loads what was made, and its likeliest words begin as those of the source."""
    asked = [{"role": "user", "content": "Hello there"}]

    said = [Engine(path).say(asked, tokens=4).text for path in (source, made)]

    assert said[0] == said[1] != ""


def test_only_matrices_change(source: Path, made: Path) -> None:
    """All keys but the file's kind and small tensors go over byte for byte; matrices become Q8_0, near their source."""
    with source.open("rb") as one, made.open("rb") as other:
        old = layout(mmap.mmap(one.fileno(), 0, access=mmap.ACCESS_READ))
        new = layout(mmap.mmap(other.fileno(), 0, access=mmap.ACCESS_READ))

    assert dict(new.keys) | {"general.file_type": b""} == dict(old.keys) | {"general.file_type": b""}
    assert [(entry.name, entry.shape) for entry in new.tensors] == [(entry.name, entry.shape) for entry in old.tensors]
    before = {str(tensor.name): tensor for tensor in GGUFReader(source).tensors}
    for tensor in GGUFReader(made).tensors:
        was = before[str(tensor.name)]
        if len(was.shape) == 1:
            assert tensor.tensor_type == was.tensor_type
            assert np.array_equal(tensor.data, was.data)
        else:
            assert tensor.tensor_type == GGMLQuantizationType.Q8_0
            wide, narrow = was.data.astype(np.float32), dequantize(tensor.data, GGMLQuantizationType.Q8_0)
            assert float(np.abs(wide - narrow).max()) <= float(np.abs(wide).max()) / 100


def test_what_is_there_is_not_made_again(source: Path, made: Path) -> None:
    """A second wish finds the file, unchanged, and is told all of it."""
    before, told = made.stat().st_mtime_ns, Told()
    make(source, made, told)

    assert made.stat().st_mtime_ns == before
    assert told.figures == [(source.stat().st_size, source.stat().st_size)]


def test_a_full_disk_leaves_nothing(source: Path, tmp_path: Path) -> None:
    """When the disk takes no more while it is made, the fault says so and nothing is left."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(NoCapacity, match="the disk is full"):
            make(source, tmp_path / "made/x.gguf")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert list((tmp_path / "made").iterdir()) == []


def test_a_source_that_is_none_is_a_defect_that_is_told(tmp_path: Path) -> None:
    """A file that nobody looked at before fails with the program's last words, and leaves nothing."""
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(Bug, match="Malformed"):
        make(bad, tmp_path / "made/x.gguf")

    assert list((tmp_path / "made").iterdir()) == []


def test_the_program_ends_with_its_starter(tmp_path: Path) -> None:
    """When who started it is killed with SIGKILL in the middle, the program that makes eight bits ends by itself."""
    large = tmp_path / "large.gguf"
    gguf.write(large, gguf.LARGE, weights="f16")
    (tmp_path / "out").touch()
    order = msgspec.json.encode(Halving((str(large),), str(tmp_path / "out"))).decode()
    starter = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([{sys.executable!r}, '-m', {eight.PROGRAM!r}], stdin=-1, stdout=-3)\n"
        f"child.stdin.write({(order + chr(10)).encode()!r}); child.stdin.flush()\n"
        "print(child.pid, flush=True); child.wait()\n"
    )
    command = [sys.executable, "-c", starter]
    with subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        wait_until(lambda: (tmp_path / "out").stat().st_size > 0, "the first bytes")
        process.kill()
    wait_until(lambda: not _lives(pid), "the program's end")

    assert (tmp_path / "out").stat().st_size < large.stat().st_size // 2


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_killed_fetcher_gives_up_its_part(tmp_path: Path) -> None:
    """Whoever is killed with SIGKILL in the middle of a download leaves a part that the next one takes up at once."""
    (tmp_path / "models").mkdir()
    holder = (
        "from pathlib import Path; import time\n"
        "from foz.runtime.shelf.partial import Mark, Partial\n"
        f"part = Partial.hold(Path({str(tmp_path / 'models/x.bin')!r}))\n"
        "part.begin(Mark('http://x')); part.write([b'half'])\n"
        "print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", holder]
    with subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert Partial.hold(tmp_path / "models/x.bin") is None
        process.send_signal(signal.SIGKILL)
    part = Partial.hold(tmp_path / "models/x.bin")

    assert part is not None
    assert (part.size, part.mark is not None and part.mark.url) == (4, "http://x")
    part.close()


def test_two_make_it_once(source: Path, tmp_path: Path) -> None:
    """Two who want the same file of eight bits at once have it made once, and both are told all of it."""
    size = source.stat().st_size

    async def main() -> None:
        told = [Told(), Told()]
        final = tmp_path / "made/x.gguf"
        await asyncio.gather(
            *(eight.make([source], final, one, SystemClock(), HASTY, clean_environment()) for one in told)
        )
        assert {one.figures[-1] for one in told} == {(size, size)}

    run(main())
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["x.gguf"]
