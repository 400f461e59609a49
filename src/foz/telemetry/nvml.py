"""
NVIDIA's GPUs, by NVML: the library that comes with the driver, called as it is. Where it is not there, or a GPU does
not answer, there is nothing to tell; a driver that comes or goes is seen at the next look. Which of them are ours
`CUDA_VISIBLE_DEVICES` says, as to every program for GPUs, counted as the driver counts.
"""

import ctypes
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from foz.ports.devices import Device

log = logging.getLogger("foz.nvml")

LIBRARY = "libnvidia-ml.so.1"
LONGEST_NAME = 96
MOST = 64
MOST_PROCESSES = 1024
_UNKNOWN = (1 << 64) - 1
"""What the driver says of memory that it cannot tell."""


class Memory(ctypes.Structure):
    """`nvmlMemory_t`."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class Utilization(ctypes.Structure):
    """`nvmlUtilization_t`, in percent."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class Process(ctypes.Structure):
    """`nvmlProcessInfo_t`."""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("instance", ctypes.c_uint),
        ("compute", ctypes.c_uint),
    )


def load() -> Any:
    """The library. Raises OSError where there is none."""
    return ctypes.CDLL(LIBRARY)


class NvmlDevices:
    """Implements `ports.devices.Devices`. `visible` is what `CUDA_VISIBLE_DEVICES` says, where it says anything."""

    def __init__(self, library: Callable[[], Any] = load, visible: str | None = None) -> None:
        self._library = library
        self._visible = None if visible is None else [word.strip() for word in visible.split(",")]

    def look(self) -> Sequence[Device]:
        """As they are now."""
        try:
            with self._opened() as library:
                found = [_device(library, index, handle) for index, handle in self._handles(library)]
                return [device for device in found if device is not None]
        except (OSError, AttributeError) as error:  # no driver, or one from before these functions
            log.debug("no GPU can be looked at: %s", error)
            return []

    def held(self, pids: Sequence[int]) -> int | None:
        """Bytes of all GPUs that these processes hold; None where the driver does not know them."""
        try:
            with self._opened() as library:
                found = [used for _, handle in self._handles(library) for used in _used(library, handle, set(pids))]
        except (OSError, AttributeError) as error:
            log.debug("nobody tells what is held of GPUs: %s", error)
            return None
        return sum(found) if found else None

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        library = self._library()
        if library.nvmlInit_v2() != 0:
            raise OSError("the driver does not begin")
        try:
            yield library
        finally:
            library.nvmlShutdown()

    def _handles(self, library: Any) -> list[tuple[int, Any]]:
        count = ctypes.c_uint()
        if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return []
        found = []
        for index in range(min(count.value, MOST)):
            handle = ctypes.c_void_p()
            answered = library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) == 0
            if answered and self._is_ours(library, index, handle):
                found.append((index, handle))
        return found

    def _is_ours(self, library: Any, index: int, handle: Any) -> bool:
        if self._visible is None or str(index) in self._visible:
            return True
        words = [word for word in self._visible if word.startswith("GPU-")]
        if not words:
            return False
        id = ctypes.create_string_buffer(LONGEST_NAME)
        told = library.nvmlDeviceGetUUID(handle, id, ctypes.c_uint(LONGEST_NAME)) == 0
        return told and id.value.decode("utf-8", "replace").startswith(tuple(words))


def _device(library: Any, index: int, handle: Any) -> Device | None:
    name = ctypes.create_string_buffer(LONGEST_NAME)
    memory = Memory()
    answered = (
        library.nvmlDeviceGetName(handle, name, ctypes.c_uint(LONGEST_NAME)) == 0
        and library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0
    )
    if not answered:
        return None
    return Device(name.value.decode("utf-8", "replace"), memory.total, memory.free, index, _load(library, handle))


def _load(library: Any, handle: Any) -> int | None:
    rates = Utilization()
    ask = getattr(library, "nvmlDeviceGetUtilizationRates", None)
    return rates.gpu if ask is not None and ask(handle, ctypes.byref(rates)) == 0 else None


def _used(library: Any, handle: Any, pids: set[int]) -> list[int]:
    """What each of them holds on one GPU."""
    count = ctypes.c_uint(MOST_PROCESSES)
    processes = (Process * MOST_PROCESSES)()
    if library.nvmlDeviceGetComputeRunningProcesses_v3(handle, ctypes.byref(count), processes) != 0:
        return []
    found = processes[: min(count.value, MOST_PROCESSES)]
    return [one.used for one in found if one.pid in pids and one.used != _UNKNOWN]
