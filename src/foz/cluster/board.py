"""
Where the process that owns the engines writes which nodes there are, for all others that are asked: workers, commands,
the process that serves gRPC. What it says is of the moment; whoever owns the engines next writes it anew.
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from foz.ports.sites import Node

NAME = "nodes.json"


class Board(Struct, frozen=True):
    """What is known of the cluster."""

    nodes: tuple[Node, ...] = ()
    trouble: str | None = None
    """Why nobody knows."""


def write(data: Path, board: Board) -> None:
    """For all to read."""
    path = data / NAME
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_bytes(msgspec.json.encode(board))
    beside.replace(path)


def read(data: Path) -> Board | None:
    """What was written last; None where nobody has."""
    try:
        return msgspec.json.decode((data / NAME).read_bytes(), type=Board)
    except (OSError, msgspec.MsgspecError):
        return None


def wipe(data: Path) -> None:
    """Nobody knows any more."""
    (data / NAME).unlink(missing_ok=True)
