"""
NVIDIA's GPUs, by NVML: the library that comes with the driver, called as it is. Where it is not there, or a GPU does
not answer, there is nothing to tell; a driver that comes or goes is seen at the next look.
"""

import ctypes
import logging
from collections.abc import Callable, Sequence
from typing import Any

from foz.ports.devices import Device

log = logging.getLogger("foz.nvml")

LIBRARY = "libnvidia-ml.so.1"
LONGEST_NAME = 96
MOST = 64


class Memory(ctypes.Structure):
    """`nvmlMemory_t`."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def load() -> Any:
    """The library. Raises OSError where there is none."""
    return ctypes.CDLL(LIBRARY)


class NvmlDevices:
    """Implements `ports.devices.Devices`."""

    def __init__(self, library: Callable[[], Any] = load) -> None:
        self._library = library

    def look(self) -> Sequence[Device]:
        """As they are now."""
        try:
            library = self._library()
            if library.nvmlInit_v2() != 0:
                return []
            try:
                return _devices(library)
            finally:
                library.nvmlShutdown()
        except (OSError, AttributeError) as error:  # no driver, or one from before these functions
            log.debug("no GPU can be looked at: %s", error)
            return []


def _devices(library: Any) -> list[Device]:
    count = ctypes.c_uint()
    if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return []
    found = (_device(library, index) for index in range(min(count.value, MOST)))
    return [device for device in found if device is not None]


def _device(library: Any, index: int) -> Device | None:
    handle = ctypes.c_void_p()
    name = ctypes.create_string_buffer(LONGEST_NAME)
    memory = Memory()
    answered = (
        library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) == 0
        and library.nvmlDeviceGetName(handle, name, ctypes.c_uint(LONGEST_NAME)) == 0
        and library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0
    )
    if not answered:
        return None
    return Device(name.value.decode("utf-8", "replace"), memory.total, memory.free)
