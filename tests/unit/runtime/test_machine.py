"""Memory and processors, as the kernel and a container's limits say."""

from pathlib import Path

from foz.ports.machine import Room
from foz.runtime.machine import ThisMachine

GIB = 1 << 30


def _machine(folder: Path, limit: str | None = None, used: int = 0, cached: int = 0) -> Room:
    proc, cgroup = folder / "proc", folder / "cgroup"
    proc.mkdir()
    cgroup.mkdir()
    (proc / "meminfo").write_text("MemTotal:       8388608 kB\nMemFree: 10 kB\nMemAvailable:   4194304 kB\n")
    (proc / "cpuinfo").write_text("processor : 0\nmodel name\t: A Processor 9000\n")
    if limit is not None:
        (cgroup / "memory.max").write_text(limit + "\n")
        (cgroup / "memory.current").write_text(f"{used}\n")
        (cgroup / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\n")
    return ThisMachine(proc, cgroup).look()


def test_the_kernel_says_what_is_free(tmp_path: Path) -> None:
    """Without a limit total and free memory are the kernel's, and the processor has its name."""
    room = _machine(tmp_path)
    assert (room.total, room.free, room.processor) == (8 * GIB, 4 * GIB, "A Processor 9000")
    assert room.cores >= 1


def test_a_limit_of_max_is_none(tmp_path: Path) -> None:
    """A container without a limit has all of the machine."""
    assert _machine(tmp_path, "max").total == 8 * GIB


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    """Within a limit only what it leaves is free, caches of files counted as free."""
    room = _machine(tmp_path, str(2 * GIB), used=GIB, cached=GIB // 2)
    assert (room.total, room.free) == (2 * GIB, GIB + GIB // 2)


def test_more_than_the_machine_has_is_no_limit(tmp_path: Path) -> None:
    """A limit above the machine's memory changes nothing."""
    assert _machine(tmp_path, str(64 * GIB)).free == 4 * GIB
