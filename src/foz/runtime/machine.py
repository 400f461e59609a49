"""The machine we are on: its memory and processors, as the kernel and a container's limits say."""

import os
from pathlib import Path

from foz.ports.machine import Room

_KIB = 1024
_CGROUP = Path("/sys/fs/cgroup")


class ThisMachine:
    """Implements `ports.machine.Machine`."""

    def __init__(self, proc: Path = Path("/proc"), cgroup: Path = _CGROUP) -> None:
        self._proc = proc
        self._cgroup = cgroup

    def look(self) -> Room:
        """As it is now. A container's limit counts where it is lower."""
        total, free = self._memory()
        limit = _figure(self._cgroup / "memory.max")
        if limit is not None and limit < total:
            used = _figure(self._cgroup / "memory.current") or 0
            cached = _fields(self._cgroup / "memory.stat").get("inactive_file", 0)
            total, free = limit, min(free, max(limit - used + cached, 0))
        return Room(total, free, _cores(), self._processor())

    def _memory(self) -> tuple[int, int]:
        said = _fields(self._proc / "meminfo")
        if "MemTotal" in said:
            total = said["MemTotal"] * _KIB
            return total, said.get("MemAvailable", said.get("MemFree", 0)) * _KIB
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return total, total // 2  # where nobody says what is free

    def _processor(self) -> str:
        try:
            text = (self._proc / "cpuinfo").read_text("utf-8", "replace")
        except OSError:
            return os.uname().machine
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
        return os.uname().machine


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1


def _figure(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _fields(path: Path) -> dict[str, int]:
    """Lines of a name and a whole number, with or without a colon."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    words = [line.replace(":", " ").split() for line in lines]
    return {parts[0]: int(parts[1]) for parts in words if len(parts) > 1 and parts[1].isdecimal()}
