"""The GPUs of this machine, over a library that answers as NVIDIA's does."""

from types import SimpleNamespace
from typing import Any

import pytest

from foz.ports.devices import Device
from foz.telemetry.nvml import LIBRARY, MOST, NvmlDevices

GIGABYTE = 2**30


class FakeNvml:
    """The library, with GPUs that are made up; what is named in `ailing` gives an error."""

    def __init__(self, *names: str, ailing: str = "") -> None:
        self._names = names
        self._ailing = ailing
        self.open = 0

    def _answer(self, what: str) -> int:
        return 999 if what == self._ailing else 0

    def nvmlInit_v2(self) -> int:  # noqa: N802 - the library's own name
        self.open += 1
        return self._answer("init")

    def nvmlShutdown(self) -> int:  # noqa: N802 - as above
        self.open -= 1
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802 - as above
        count._obj.value = len(self._names)
        return self._answer("count")

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:  # noqa: N802 - as above
        handle._obj.value = index.value + 1
        return self._answer(f"handle {index.value}")

    def nvmlDeviceGetName(self, handle: Any, name: Any, length: Any) -> int:  # noqa: N802 - as above
        name.value = self._names[handle.value - 1].encode()[: length.value - 1]
        return self._answer("name")

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:  # noqa: N802 - as above
        memory._obj.total, memory._obj.free = 80 * GIGABYTE, handle.value * GIGABYTE
        return self._answer("memory")

    def nvmlDeviceGetUtilizationRates(self, handle: Any, rates: Any) -> int:  # noqa: N802 - as above
        rates._obj.gpu = 40 + handle.value
        return self._answer("load")

    def nvmlDeviceGetUUID(self, handle: Any, id: Any, length: Any) -> int:  # noqa: N802 - as above
        id.value = f"GPU-{'abc'[handle.value - 1]}000".encode()[: length.value - 1]
        return self._answer("uuid")

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Any, count: Any, found: Any) -> int:  # noqa: N802 - as above
        told = [(100, GIGABYTE), (200, handle.value * GIGABYTE), (300, (1 << 64) - 1)]
        count._obj.value = len(told)
        for place, (pid, used) in enumerate(told):
            found[place].pid, found[place].used = pid, used
        return self._answer("processes")


def _none() -> Any:
    raise OSError(f"{LIBRARY}: cannot open shared object file")


def test_every_gpu_is_told_with_its_memory() -> None:
    """Name, size, what is free, and the load of each, in the driver's order; the library is let go."""
    library = FakeNvml("NVIDIA H100 80GB HBM3", "NVIDIA L4")

    assert NvmlDevices(lambda: library).look() == [
        Device("NVIDIA H100 80GB HBM3", 80 * GIGABYTE, GIGABYTE, 0, 41),
        Device("NVIDIA L4", 80 * GIGABYTE, 2 * GIGABYTE, 1, 42),
    ]
    assert library.open == 0


def test_where_there_is_no_driver_there_is_nothing_to_tell() -> None:
    """A library that is not there, or that lacks what is called, is no error."""
    assert NvmlDevices(_none).look() == []
    assert NvmlDevices(SimpleNamespace).look() == []


@pytest.mark.parametrize("ailing", ["init", "count", "name", "memory"])
def test_a_driver_that_fails_tells_nothing(ailing: str) -> None:
    """Whatever call fails, nothing is made up."""
    assert NvmlDevices(lambda: FakeNvml("A", ailing=ailing)).look() == []


def test_a_gpu_that_fell_off_the_bus_hides_no_other() -> None:
    """One that does not answer is left out, and the others are told; there are not more than a machine has."""
    assert [one.name for one in NvmlDevices(lambda: FakeNvml("A", "B", "C", ailing="handle 1")).look()] == ["A", "C"]
    assert len(NvmlDevices(lambda: FakeNvml(*["A"] * 1000)).look()) == MOST


def test_a_gpu_that_does_not_tell_its_load_is_told_without() -> None:
    """An error, or an older driver without the function, leaves the load unknown and the GPU there."""
    assert [one.load for one in NvmlDevices(lambda: FakeNvml("A", ailing="load")).look()] == [None]


@pytest.mark.parametrize(
    ("visible", "indexes"),
    [(None, [0, 1, 2]), ("2,0", [0, 2]), ("GPU-b", [1]), ("GPU-c000,0", [0, 2]), ("", []), ("-1", []), ("7", [])],
)
def test_only_those_that_are_visible_are_ours(visible: str | None, indexes: list[int]) -> None:
    """`CUDA_VISIBLE_DEVICES` leaves those that it names, by index or id, with their place among all."""
    found = NvmlDevices(lambda: FakeNvml("A", "B", "C"), visible).look()
    assert [one.index for one in found] == indexes


def test_what_processes_hold_is_summed_over_gpus() -> None:
    """The memory of the named processes on all GPUs is added up; none that is known is None, as without a driver."""
    devices = NvmlDevices(lambda: FakeNvml("A", "B"))
    assert devices.held((100, 200)) == (2 + 1 + 2) * GIGABYTE
    assert devices.held((300, 400)) is None
    assert NvmlDevices(_none).held((100,)) is None
    assert NvmlDevices(lambda: FakeNvml("A", ailing="processes")).held((100,)) is None
