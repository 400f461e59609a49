"""What the doctor says of running models here."""

import pytest

from foz.assembly import engines
from foz.assembly.served import Providers, nowhere
from foz.config.local import Local
from foz.config.settings import Settings
from foz.deploy.engines import candidates
from foz.net.clock import SystemClock
from foz.ports.devices import Device
from foz.ports.engine import LLAMA_CPP, VLLM
from foz.ports.machine import Room
from foz.runtime.machine import ThisMachine


def _levels(settings: Settings) -> dict[str, str]:
    return {finding.what: finding.level for finding in engines.local(settings)}


def test_the_engine_and_the_memory_are_told() -> None:
    """Where llama.cpp is installed the doctor says so, with the memory and the processors that it would have."""
    room = ThisMachine().look()
    (what, *_) = _levels(Settings())
    assert what.startswith("llama.cpp ")
    assert f"{room.cores} processors" in what


def test_too_many_threads_are_warned_of() -> None:
    """More threads than processors are a warning that says how many there are."""
    cores = ThisMachine().look().cores
    found = _levels(Settings(local=Local(threads=cores + 1)))
    assert f"[local] threads is {cores + 1}, and this process may use {cores} processors" in found
    assert found[f"[local] threads is {cores + 1}, and this process may use {cores} processors"] == "warning"


@pytest.mark.parametrize(
    ("room", "words"),
    [
        (Room(8 << 30, 4 << 30, 2), "4GB of 8GB of memory are free, 2 processors"),
        (Room(1 << 30, 1 << 20, 1), "1MB of 1GB of memory are free, 1 processors"),
    ],
)
def test_memory_is_in_the_seeds_words(room: Room, words: str) -> None:
    """Memory is said as `4GB of 8GB`."""
    assert engines._memory(room) == words


def _with(settings: Settings, devices: list[Device]) -> dict[str, tuple[str, str]]:
    """What is said of each engine of ours where these GPUs are: the last word's level, and all words."""
    servers = Providers(lambda: settings, nowhere)
    there = {one.name: one for one in engines.engines(settings, engines._unreached, SystemClock(), servers)}
    room = Room(8 << 30, 4 << 30, 2, "A Processor")
    said: dict[str, tuple[str, str]] = {}
    for one in candidates(there.values()):
        if one.name in {LLAMA_CPP, VLLM}:
            found = engines._engine(one, there[one.name], room, devices)
            said[one.name] = (found[-1].level, " ".join(finding.what + finding.todo for finding in found))
    return said


def test_a_gpu_that_a_build_cannot_use_is_warned_of() -> None:
    """The build for processors beside a GPU is a warning that says which command brings the other one."""
    gpu = Device("NVIDIA L4", 24 << 30, 20 << 30, load=7)
    level, words = _with(Settings(), [gpu])[LLAMA_CPP]
    assert level == "warning"
    assert "NVIDIA L4 is not used" in words
    assert "pip install xllamacpp --force-reinstall --index-url https://" in words


def test_a_gpu_is_told_with_what_is_free_and_how_busy_it_is() -> None:
    """An engine that can use a GPU says its memory and its load; one on processors says that it is not used."""
    gpu = Device("NVIDIA L4", 24 << 30, 20 << 30, load=7)
    settings = Settings(local=Local(vllm="/bin/sh"))
    assert "on NVIDIA L4 with 20GB of 24GB free, 7 % busy;" in _with(settings, [gpu])[VLLM][1]
    assert (
        "vllm_on_cpu is set: NVIDIA L4 is not used"
        in _with(Settings(local=Local(vllm="/bin/sh", vllm_on_cpu=True)), [gpu])[VLLM][1]
    )
    assert "no GPU" in _with(settings, [])[VLLM][1]


def test_a_preferred_engine_that_cannot_be_used_is_a_warning() -> None:
    """`[local] engine` that names what is not there is a warning; unnamed it is a note."""
    preferred = {one.topic: one for one in engines.local(Settings(local=Local(engine="vllm", vllm="no-vllm")))}
    assert preferred["engine vllm"].level == "warning"
    assert "preferred by [local] engine" in preferred["engine vllm"].what
    plain = {one.topic: one for one in engines.local(Settings(local=Local(vllm="no-vllm")))}
    assert plain["engine vllm"].level == "note"


def test_the_preferred_engine_comes_first() -> None:
    """The order of engines is the order in which they are chosen."""

    def names(preferred: str) -> list[str]:
        settings = Settings(local=Local.model_validate({"engine": preferred}))
        return [one.name for one in engines.ours(settings, engines._unreached, SystemClock())]

    assert names("") == names(LLAMA_CPP) == [LLAMA_CPP, VLLM]
    assert names(VLLM) == [VLLM, LLAMA_CPP]
