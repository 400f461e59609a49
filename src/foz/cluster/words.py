"""
What a gateway and the keeper on a node say to each other, and what the liaison between them says to the gateway.

A gateway beats to each node again and again: it names the work and the processes that it knows there, and hears how all
is there. What it does not name any more is ended by the keeper, and all of it where nobody beats: so nothing is left
running that nobody knows, whoever was killed.
"""

import msgspec
from msgspec import Raw, Struct

from foz.canon.deployment import Form, Wish
from foz.canon.fault import LEAVES, Bug, Fault
from foz.ports.devices import Device
from foz.ports.engine import Load
from foz.ports.machine import Room
from foz.ports.weights import Found

LEASE = 20.0
"""Seconds without a beat after which a keeper ends everything: nobody knows of it any more."""

# -- to the keeper ----------------------------------------------------------


class Beat(Struct, frozen=True):
    """I am here, and this is what I know of you."""

    host: str
    """The address by which the node is reached: its engines listen there."""
    works: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()


class Find(Struct, frozen=True, tag="find"):
    """`Shelf.check` and `Shelf.find`."""

    wish: Wish


class Fetch(Struct, frozen=True, tag="fetch"):
    """`Shelf.fetch`."""

    found: Found


class Make(Struct, frozen=True, tag="make"):
    """`Shelf.make`."""

    found: Found


class Remove(Struct, frozen=True, tag="remove"):
    """`Shelf.remove`."""

    files: tuple[str, ...]
    kept: tuple[str, ...] = ()


class Look(Struct, frozen=True, tag="look"):
    """The node's room and devices, now."""


class Start(Struct, frozen=True, tag="start"):
    """`Engine.start`."""

    process: str
    """How the gateway calls it."""
    engine: str
    load: Load


class Ready(Struct, frozen=True, tag="ready"):
    """`Process.ready`."""

    process: str
    patience: float


class Probe(Struct, frozen=True, tag="probe"):
    """`Process.probe`."""

    process: str
    patience: float


class Busy(Struct, frozen=True, tag="busy"):
    """`Process.busy`."""

    process: str


class Stop(Struct, frozen=True, tag="stop"):
    """`Process.stop`."""

    process: str
    grace: float


What = Find | Fetch | Make | Remove | Look | Start | Ready | Probe | Busy | Stop


class Work(Struct, frozen=True):
    """Something to do."""

    id: str
    what: What


# -- from the keeper --------------------------------------------------------


class Card(Struct, frozen=True):
    """An engine of a node."""

    name: str
    reads: tuple[Form, ...]
    on_gpus_only: bool = False
    missing: str | None = None
    usable: tuple[int, ...] = ()
    """Which of the devices it can use, by their index."""


class State(Struct, frozen=True):
    """How a process is."""

    code: int | None = None
    """Its exit status, where it has ended."""
    memory: int | None = None
    tail: tuple[str, ...] = ()
    """What it said last; told where it has ended."""


class Pulse(Struct, frozen=True):
    """How all is on a node."""

    version: str
    """Of Foz, there."""
    room: Room
    devices: tuple[Device, ...] = ()
    engines: tuple[Card, ...] = ()
    processes: dict[str, State] = {}
    moved: dict[str, tuple[int, int | None]] = {}
    """Bytes that each work has moved, of all."""


class Seen(Struct, frozen=True):
    """What `Look` sees."""

    room: Room
    devices: tuple[Device, ...] = ()


class Running(Struct, frozen=True):
    """A process that was started, or is ready."""

    url: str
    key: str
    pid: int
    memory: int | None = None


class Trouble(Struct, frozen=True):
    """A fault, on its way."""

    code: str
    message: str
    field: str | None = None


class Answer(Struct, frozen=True):
    """What a work came to: one of the two."""

    value: Raw = Raw(b"null")
    trouble: Trouble | None = None


_BY_CODE = {leaf.code: leaf for leaf in LEAVES}


def trouble_of(fault: Fault) -> Trouble:
    """For the way."""
    return Trouble(fault.code, fault.message, fault.field)


def fault_of(trouble: Trouble) -> Fault:
    """As it was raised on the node."""
    return _BY_CODE.get(trouble.code, Bug)(trouble.message, field=trouble.field)


# -- between the gateway and its liaison ------------------------------------


class Link(Struct, frozen=True):
    """The first line: which cluster, and who asks."""

    address: str
    space: str
    """The gateway's own name in the cluster: keepers of other gateways are others."""
    parent: int
    """Process id of whoever started it."""


BEAT, WORK, END = "beat", "work", "end"
"""What a message is; the last is for the liaison itself: the keeper is not needed any more."""


class Ask(Struct, frozen=True):
    """A message for a keeper."""

    id: int
    node: str
    method: str
    """One of the three above."""
    body: Raw = Raw(b"null")


class Member(Struct, frozen=True):
    """A node of the cluster that has a name."""

    name: str
    address: str


class Told(Struct, frozen=True):
    """A line of the liaison's: an answer to a message, or who is in the cluster."""

    id: int = 0
    body: Raw = Raw(b"null")
    gone: str | None = None
    """The keeper cannot be reached: why."""
    members: tuple[Member, ...] | None = None


encode = msgspec.json.encode
