"""What `foz doctor` says of the cluster: which one it is, whether it is reached, who is in it."""

import socket
from pathlib import Path

from foz.assembly.nodes import seen, token
from foz.canon.amount import size
from foz.cluster import starting
from foz.config.checkup.finding import Finding, note, ok, problem, warning
from foz.config.settings import Settings
from foz.ports.sites import Node

TOPIC = "cluster"
SECONDS = 2.0


def cluster(settings: Settings) -> list[Finding]:
    """All of it."""
    address = settings.cluster.address
    if address is None:
        return [note(TOPIC, "none: models run on this machine only", "foz node start begins one")]
    why = starting.missing()
    if why is not None:
        what, _, todo = why.partition(": ")
        return [problem(TOPIC, f"{address}: {what}", todo)]
    found = _token(token(settings))
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS).close()
    except OSError as error:
        told = f"nobody answers at {address}: {error.strerror or error}"
        return [*found, problem(TOPIC, told, "foz node start on the machine that has this address")]
    told_by_owner = seen(settings)
    if told_by_owner is None:
        return [*found, ok(TOPIC, f"{address} listens; who is in it is known while `foz serve` runs")]
    if told_by_owner.trouble is not None:
        why = f"{address} is not reached: {told_by_owner.trouble}"
        return [*found, problem(TOPIC, why, "look at foz node's own words")]
    if not told_by_owner.nodes:
        told = f"{address} has no node besides this machine"
        return [*found, note(TOPIC, told, f"foz node join {address} on another machine")]
    return [*found, *[_node(node) for node in told_by_owner.nodes]]


def _token(path: Path) -> list[Finding]:
    try:
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        told = f"its token, {path}, cannot be read: {error.strerror}"
        return [problem(TOPIC, told, "foz node start makes one; on other machines copy it")]
    if mode & 0o077:
        return [warning(TOPIC, f"others on this machine may read its token, {path}", f"chmod 600 {path}")]
    return []


def _node(node: Node) -> Finding:
    topic = f"node {node.name}"
    if node.trouble is not None or node.room is None:
        return warning(topic, node.trouble or "it was never seen", "start `foz node join` there, or look at its words")
    gpus = ", ".join(device.name for device in node.devices)
    on = gpus or f"{node.room.processor}, {node.room.cores} processors"
    return ok(topic, f"{on}; {size(node.room.free)} of {size(node.room.total)} of memory are free")
