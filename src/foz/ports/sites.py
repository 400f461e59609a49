"""
Machines that models run on. A `Site` is what one of them has for it: a shelf for files, an engine, and its room; on the
machine that we are on these act here, on a node of a cluster they act there. What they raise where the node does not
answer is Down.
"""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from foz.ports.devices import Device, Devices
from foz.ports.engine import Engine
from foz.ports.machine import Machine, Room
from foz.ports.weights import Shelf


class Site(Struct, frozen=True):
    """What one machine has to run models with."""

    shelf: Shelf
    engines: Mapping[str, Engine]
    """By their names, the preferred first."""
    machine: Machine
    devices: Devices


class Sites(Protocol):
    """Finds them by the names of their nodes."""

    def site(self, node: str) -> Site | None:
        """As it can be asked now; None where there is no such node, or it does not answer just now."""
        ...


class Node(Struct, frozen=True):
    """A machine that models can be deployed on, as it was last seen."""

    name: str
    room: Room | None
    """None where it was never seen to answer."""
    devices: tuple[Device, ...] = ()
    trouble: str | None = None
    """Why nothing can be run there just now."""


class OneSite:
    """Implements `Sites` where there is no cluster: this machine, in test mode under whatever name."""

    def __init__(self, node: str, here: Site, *, any_node: bool = False) -> None:
        self._node = node
        self._here = here
        self._any = any_node

    def site(self, node: str) -> Site | None:
        """By its name."""
        return self._here if self._any or node == self._node else None
