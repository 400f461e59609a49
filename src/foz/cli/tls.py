"""`foz tls`: certificates for trying out."""

import socket
from pathlib import Path

import click

from foz.cli.settings import config_option, read_settings
from foz.config.address import is_host
from foz.config.certificates import make_pair, write_pair
from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.net.clock import SystemClock

NEXT = """\
Written, readable by you alone:
  {ca}      give it to clients: it trusts this server and nothing else
  {certificate}
  {key}

In foz.toml:

  [server]
  tls_cert = "{certificate}"
  tls_key = "{key}"

Try, once `foz serve` runs:

  curl --cacert {ca} https://localhost:{port}/health
"""


def _own_names(settings: Settings) -> list[str]:
    """The machine's name, where it can stand in a certificate, and where we listen."""
    hosts = [address.host for address in settings.server.addresses if not address.everywhere]
    return [name for name in (socket.gethostname(), *hosts) if is_host(name)]


@click.group("tls")
def command() -> None:
    """Make certificates for trying out TLS."""


@command.command("init")
@click.option("--name", "names", multiple=True, help="One more host name or IP address of this server; may repeat.")
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path), help="Where to write; default: tls/ beside the data."
)
@click.option("--days", type=click.IntRange(1, 825), default=365, show_default=True, help="How long they are valid.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@config_option
def init(names: tuple[str, ...], directory: Path | None, days: int, *, force: bool, config: Path | None) -> None:
    """
    Make an authority (ca.pem) and a server's certificate and key.

    The certificate is for localhost, 127.0.0.1, ::1, this machine's name, where Foz listens, and every --name.
    """
    settings = read_settings(config)
    target = (directory or settings.data / "tls").absolute()
    try:
        pair = make_pair((*_own_names(settings), *names), SystemClock().now(), days)
        ca, certificate, key = write_pair(pair, target, force=force)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    click.echo(NEXT.format(ca=ca, certificate=certificate, key=key, port=settings.server.port), nl=False)
