"""What the doctor says of running models here."""

import pytest

from foz.assembly import engines
from foz.config.local import Local
from foz.config.settings import Settings
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
