"""
How a machine becomes a node: the orders that Ray is started with, the token that all of a cluster share, and the
settings that have a dead node noticed soon.

Whoever reaches a cluster's ports may run programs on its machines. So there is always a token, in a file that only its
owner reads; and a cluster that is not told otherwise listens on this machine only.
"""

import ipaddress
import os
import secrets
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

LABEL = "foz.node"
"""The label by which Ray knows a node's name."""
TOKEN = "cluster.token"  # noqa: S105 - the name of a file
PORT = 6399
RAYS_OWN = ((8265, 8265), (10_001, 19_999), (52_365, 52_365))
"""Ports that Ray keeps for its own programs, from the first to the last: it refuses to begin a cluster at one."""
INSTALL = "pip install 'foz[cluster]'"
_SOON = (
    '{"health_check_initial_delay_ms":500,"health_check_period_ms":500,'
    '"health_check_timeout_ms":1000,"health_check_failure_threshold":3}'
)
ONLY_HERE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
HERE = "--here"
_PROGRAM = (sys.executable, "-m", "foz.cluster.ray_start")
_START = ("start", "--block", "--disable-usage-stats")
_MODEST = ("--num-cpus=0", "--num-gpus=0", "--object-store-memory=80000000", "--include-log-monitor=false")
_BARE = ("--include-dashboard=false", "--no-monitor")
"""Nothing of a first node that Foz does not need: each listens."""


class Joining(Struct, frozen=True):
    """A machine that joins a cluster."""

    name: str
    address: str
    """Of the cluster: host and port of its first node."""
    host: str | None = None
    """Its own address, as the others reach it; None leaves it to Ray."""


def missing() -> str | None:
    """Why there can be no cluster here, and what to do about it."""
    return None if find_spec("ray") is not None else f"Ray is not installed: {INSTALL}"


def is_rays(port: int) -> bool:
    """Whether Ray keeps this port for its own programs."""
    return any(first <= port <= last for first, last in RAYS_OWN)


def make_token(path: Path) -> bool:
    """A token of its own, where there is none. Whether it was made."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(file, "w") as out:
        out.write(secrets.token_hex(32))
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def environment(token: Path, host: str) -> dict[str, str]:
    """What every process of the cluster must see."""
    told = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_gcs_rpc_server_reconnect_timeout_s": "15",  # of a first node that is lost; it comes back as another one
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # keepers have nothing to hand over
    }
    if is_loopback(host):
        told[ONLY_HERE] = "0"  # else it listens on an address that others reach
    return told


def head(host: str, port: int) -> tuple[str, ...]:
    """The command that starts a cluster on this machine."""
    orders = (f"--node-ip-address={host}", f"--port={port}", f"--system-config={_SOON}")
    return (*_PROGRAM, *_START, "--head", *_BARE, *orders, *_MODEST)


def member(joining: Joining) -> tuple[str, ...]:
    """The command that joins one."""
    here = (HERE,) if is_loopback(joining.address.rpartition(":")[0]) else ()
    own = () if joining.host is None else (f"--node-ip-address={joining.host}",)
    orders = (f"--address={joining.address}", f"--labels={LABEL}={joining.name}")
    return (*_PROGRAM, *here, *_START, *orders, *own, *_MODEST)


def seen_by(ours: Mapping[str, str], token: Path, host: str) -> dict[str, str]:
    """The whole environment of a program that is started so."""
    return {**ours, **environment(token, host)}


def seen_by_member(ours: Mapping[str, str], token: Path) -> dict[str, str]:
    """The same of one that joins: Ray refuses to where it is told that there is this machine only."""
    told = seen_by(ours, token, "")
    told.pop(ONLY_HERE, None)
    return told
