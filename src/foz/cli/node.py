"""`foz node`: machines that models run on, besides this one."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec
from msgspec import Struct
from rich.table import Column, Table

from foz.assembly.nodes import token
from foz.canon.amount import size
from foz.cli.local import Yard, on_deployments
from foz.cli.settings import config_option, json_option, read_settings
from foz.cli.words import plain, shown
from foz.cluster import starting
from foz.cluster.starting import Joining
from foz.config.exposure import make_data
from foz.config.load import process_environment
from foz.config.local import is_node, is_place
from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.ports.sites import Node

AGAIN_SECONDS = 2.0
LOG = "node.log"
TAIL = 5
BEGUN = """\
A cluster begins here, at {address}. Its token is in {token}, for you alone.

The gateway on this machine finds it by foz.toml:

  [cluster]
  address = "{address}"

Another machine becomes a node, with a copy of the token, by:

  foz node join {address} --name worker-01 --token {name}
"""
ONLY_HERE = """
Only this machine reaches it. For others say this machine's own address: foz node start --host 10.0.0.5
"""


@click.group("node")
def command() -> None:
    """
    Run models on other machines: `foz node start` begins a cluster, `foz node join` adds a machine to it.

    Each runs until it is told to stop. Both need the extra foz[cluster].
    """


@command.command("start")
@click.option("--host", default="127.0.0.1", show_default=True, help="This machine's address, as the others reach it.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=starting.PORT, show_default=True, help="Port to listen on."
)
@config_option
def start(host: str, port: int, config: Path | None) -> None:
    """
    Begin a cluster on this machine, where the gateway is.

    Its token is made where there is none; it lies in the data directory.
    """
    settings = _ready(config)
    if starting.is_rays(port):
        kept = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in starting.RAYS_OWN)
        raise click.BadParameter(f"{port} is one of those that Ray keeps for itself ({kept})", param_hint="--port")
    secret = token(settings)
    starting.make_token(secret)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if _is_taken(host, port):
        raise click.ClickException(f"Somebody listens at {address} already. Say another --port, or stop it.")
    click.echo(BEGUN.format(address=address, token=secret, name=secret.name), nl=False)
    if starting.is_loopback(host):
        click.echo(ONLY_HERE, nl=False)
    seen = starting.seen_by(process_environment(), secret.absolute(), host)
    _run(settings, starting.head(host, port), _with(settings, seen))


@command.command("join")
@click.argument("address")
@click.option(
    "--name", default=socket.gethostname, help="What it is called, as `target_nodes` says it. Default: its host name."
)
@click.option("--host", help="This machine's address, as the others reach it.")
@click.option("--token", "secret", type=click.Path(path_type=Path), help="A copy of the cluster's token.")
@config_option
def join(address: str, name: str, host: str | None, secret: Path | None, config: Path | None) -> None:
    """
    Make this machine a node of the cluster at ADDRESS.

    Models lie in this machine's own data directory, and its own settings say how they are run. Where the cluster or
    this node is lost it joins again.
    """
    settings = _ready(config)
    if not is_place(address):
        raise click.BadParameter(
            f"{address!r}: expected a host and a port, such as 10.0.0.5:6399", param_hint="ADDRESS"
        )
    if not is_node(name):
        raise click.BadParameter(f"{name!r}: expected letters, digits, '.', '_' and '-'")
    secret = (secret or token(settings)).absolute()
    if not secret.is_file():
        raise click.ClickException(f"There is no token at {secret}: copy the cluster's, and name it with --token.")
    joining = Joining(name, address, host)
    click.echo(f"The node {name} joins {address}.")
    _run(settings, starting.member(joining), _with(settings, starting.seen_by_member(process_environment(), secret)))


class Card(Struct, frozen=True):
    """A node, for programs. Memory is bytes."""

    name: str
    well: bool
    hardware: str
    cores: int | None
    memory_free: int | None
    memory_total: int | None
    error: str | None


@command.command("list")
@json_option
@config_option
def listed(*, as_json: bool, config: Path | None) -> None:
    """List the machines that models can run on, as the gateway that runs here sees them."""

    async def work(yard: Yard) -> Sequence[Node]:
        return await yard.intake.nodes()

    cards = [_card(node) for node in on_deployments(config, work)]
    if as_json:
        click.echo(msgspec.json.encode(cards))
        return
    table = Table(Column("name", no_wrap=True), "hardware", "processors", "memory free", "of", "error")
    for card in cards:
        memory = ["" if figure is None else size(figure) for figure in (card.memory_free, card.memory_total)]
        table.add_row(plain(card.name), plain(card.hardware), str(card.cores or ""), *memory, plain(card.error))
    shown(table)


def _card(node: Node) -> Card:
    room = node.room
    return Card(
        name=node.name,
        well=node.trouble is None,
        hardware=", ".join(device.name for device in node.devices) or (room.processor if room else ""),
        cores=room.cores if room else None,
        memory_free=room.free if room else None,
        memory_total=room.total if room else None,
        error=node.trouble,
    )


def _ready(config: Path | None) -> Settings:
    why = starting.missing()
    if why is not None:
        raise click.ClickException(why)
    settings = read_settings(config)
    try:
        make_data(settings.data)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    return settings


def _is_taken(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _with(settings: Settings, seen: Mapping[str, str]) -> dict[str, str]:
    """And where the keeper of engines on this node finds its settings."""
    found = dict(seen)
    found["FOZ_DATA"] = str(settings.data.absolute())
    if settings.file is not None:
        found["FOZ_CONFIG"] = str(settings.file.absolute())
    return found


def _run(settings: Settings, order: Sequence[str], environment: Mapping[str, str]) -> None:
    """Ray's program, again and again, until we are told to stop."""
    stopping = threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def stop(_: int, __: object) -> None:
        stopping.set()
        for one in running:
            one.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log = settings.data / LOG
    while not stopping.is_set():
        with log.open("wb") as out:
            child = subprocess.Popen(  # noqa: S603 - Ray's own program
                order, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                cwd=settings.data,
            )  # fmt: skip
        running[:] = [child]
        if stopping.is_set():  # while it was being started
            child.terminate()
        child.wait()
        if not stopping.is_set():
            click.echo(f"It ended ({_why(log)}); it is tried again.", err=True)
            stopping.wait(AGAIN_SECONDS)
    sys.exit(0)


def _why(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return " / ".join(plain(line) for line in lines[-TAIL:])[-1000:] or "it said nothing"
