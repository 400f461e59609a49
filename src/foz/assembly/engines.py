"""What `foz doctor` says of running models on this machine: which engine there is, and what it would have."""

from foz.canon.amount import size
from foz.config.checkup.finding import Finding, note, ok, warning
from foz.config.settings import Settings
from foz.ports.machine import Room
from foz.runtime.llamacpp.engine import NAME, missing
from foz.runtime.machine import ThisMachine
from foz.runtime.shelf import hub
from foz.telemetry.nvml import NvmlDevices

TIGHT = 1 << 30


def local(settings: Settings) -> list[Finding]:
    """All of it."""
    why = missing()
    if why is not None:
        told = f"{NAME} is not there: no model can be run on this machine"
        return [note("local models", told, why)]
    room = ThisMachine().look()
    devices = NvmlDevices().look()
    gpus = ", ".join(f"{one.name} with {size(one.free)} of {size(one.total)} free" for one in devices)
    found = [ok("local models", f"{NAME} runs models here, on {gpus or room.processor}; {_memory(room)}")]
    if not devices and room.free < TIGHT:
        found = [warning("local models", f"{NAME} is there; {_memory(room)}", "free memory before models are deployed")]
    if hub.missing() is not None:
        todo = "pip install 'foz[local]' to fetch them from there"
        found.append(note("local models", "models cannot be fetched from Hugging Face", todo))
    threads = settings.local.threads or max(room.cores // 2, 1)
    if threads > room.cores:
        told = f"[local] threads is {threads}, and this process may use {room.cores} processors"
        found.append(warning("local models", told, f"set it to {room.cores} or less: more of them wait for each other"))
    return found


def _memory(room: Room) -> str:
    return f"{size(room.free)} of {size(room.total)} of memory are free, {room.cores} processors"
