"""What is shown of an engine that runs: on what, how large, and when that is worth writing down again."""

from collections.abc import Sequence

from foz.canon.amount import size
from foz.canon.deployment import Replica
from foz.ports.devices import Device
from foz.ports.engine import Load, Process
from foz.ports.machine import Room


def _onto(load: Load, devices: Sequence[Device]) -> list[Device]:
    """The GPUs that it is loaded onto."""
    return [device for device in devices if device.index in load.gpus]


def free(load: Load, room: Room, devices: Sequence[Device]) -> str:
    """What is free where it is loaded, for people."""
    gpus = [f"{size(device.free)} of {device.name}" for device in _onto(load, devices)]
    return f"{' and '.join([*gpus, f'{size(room.free)} of memory'])} are free"


def hardware(load: Load, room: Room, devices: Sequence[Device]) -> str:
    """What it runs on, for people."""
    names = [device.name for device in _onto(load, devices)]
    if not names:
        return room.processor
    return ", ".join(
        f"{names.count(name)} x {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)
    )


def replica_of(process: Process, load: Load, at: int, node: str, hardware: str | None, engine: str) -> Replica:
    """An engine that answers."""
    return Replica(
        node=node,
        url=process.url,
        key=process.key,
        pid=process.pid,
        loaded_at=at,
        memory=process.memory(),
        hardware=hardware,
        engine=engine,
        slots=load.slots,
        context=load.context,
        provider=process.provider,
        model=process.model,
    )


def ended(process: Process, code: int) -> str:
    """That it ended by itself, how, and what it said last."""
    last = " / ".join(process.tail()[-3:]) or "nothing"
    if process.provider:
        return f"the server '{process.provider}' that has it does not answer: {last}"
    how = f"by signal {-code}" if code < 0 else f"with exit status {code}"
    return f"its engine ended {how}; it said last: {last}"


def differs(one: Replica, other: Replica) -> bool:
    """Whether it is worth writing: its memory differs in more than a hundredth."""
    a, b = one.memory or 0, other.memory or 0
    return one.healthy != other.healthy or abs(a - b) * 100 > max(a, b)
