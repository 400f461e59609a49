"""
`foz service`: the gateway as a service of systemd, the machine's (as root) or a user's own.

Elsewhere (macOS, a container, Linux without systemd) nothing is changed, and it is said what to run instead.
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
from msgspec import Struct

from foz.config.load import load, process_environment
from foz.config.refusal import ConfigError
from foz.config.unit import MARK, Service, unit
from foz.config.unit import command as serve_command

if sys.platform != "win32":
    import pwd

SYSTEM_FOLDER = Path("/etc/systemd/system")
_RUNNING = {"initializing", "starting", "running", "degraded", "maintenance", "stopping"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_SECONDS = 90
_NOT_ACTIVE, _NOT_THERE = 3, 4
"""Exit statuses of `status`, as systemctl's own."""
_SHOWN = ("ActiveState", "SubState", "UnitFileState", "MainPID", "Result")


class Manager(Struct, frozen=True):
    """The systemd that is asked: the machine's, or a user's own."""

    system: bool
    folder: Path

    def ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """What `systemctl` says."""
        arguments = ["systemctl", *([] if self.system else ["--user"]), "--no-pager", *words]
        try:
            return subprocess.run(arguments, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603 - systemctl, and a checked name
        except (OSError, subprocess.TimeoutExpired) as error:
            raise click.ClickException(f"systemctl cannot be asked: {error}") from error

    def tell(self, *words: str) -> None:
        """Has it do something. Raises ClickException with its words where it does not."""
        done = self.ask(*words)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise click.ClickException(f"systemctl {' '.join(words)} failed with {done.returncode}: {said}")


def _manager(*, system: bool) -> Manager:
    if system:
        return Manager(True, SYSTEM_FOLDER)
    environment = process_environment()
    named = environment.get("XDG_CONFIG_HOME", "")
    home = Path(named) if Path(named).is_absolute() else Path(environment.get("HOME") or Path.home()) / ".config"
    return Manager(False, home / "systemd" / "user")


def _reachable(manager: Manager, instead: str) -> None:
    """Raises ClickException where this systemd is not there, saying what to do instead."""
    if shutil.which("systemctl") is None:
        why = f"There is no systemd on this machine ({platform.system()}), and Foz makes services of no other kind."
    elif manager.ask("is-system-running").stdout.strip() not in _RUNNING:
        whose = "this machine" if manager.system else "this session"
        why = f"systemd is installed here, but it is not what runs {whose} (a container, or no login session?)."
    else:
        return
    raise click.ClickException(f"{why} Nothing was changed.\n{instead}")


def _own(path: Path) -> bool:
    """Whether this file was written by us."""
    return path.read_text(encoding="utf-8", errors="replace").startswith(MARK)


def _name(_: click.Context, __: click.Parameter, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise click.BadParameter(f"{name!r}: expected letters, digits and _.- only, at most 100")
    return name.removesuffix(".service")


_named = click.option("--name", default="foz", show_default=True, callback=_name, help="What the service is called.")
_which = click.option(
    "--system/--user", default=None, help="The machine's service or your own; default: the machine's for root."
)


def _is_system(system: bool | None) -> bool:
    return sys.platform != "win32" and os.geteuid() == 0 if system is None else system


@click.group()
def command() -> None:
    """Run the gateway as a service of systemd."""


@command.command()
@_named
@_which
@click.option(
    "--directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    default=".",
    help="Where foz.toml and .env lie; default: here.",
)
@click.option("--as", "account", help="The account that runs it, for the machine's; default: the directory's owner.")
@click.option("--config", type=click.Path(path_type=Path, exists=True, resolve_path=True), help="The settings file.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--print", "print_only", is_flag=True, help="Print the unit and change nothing.")
def install(
    *,
    name: str,
    system: bool | None,
    directory: Path,
    account: str | None,
    config: Path | None,
    host: str | None,
    port: int | None,
    print_only: bool,
) -> None:
    """
    Write a hardened unit, enable it and start it.

    The service sees the directory's .env and the settings file, not the environment of this shell; its data directory
    is the one that is configured now.
    """
    manager = _manager(system=_is_system(system))
    service = _service(manager, directory, account, _arguments(config, host, port))
    try:
        text = unit(service)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if print_only:
        click.echo(text, nl=False)
        return
    line = shlex.join(service.command)
    _reachable(manager, f"Let what runs programs here start, in {directory}:\n  {line}\nSIGTERM stops it.")
    path = manager.folder / f"{name}.service"
    _write(path, text, service)
    manager.tell("daemon-reload")
    manager.tell("enable", name)
    manager.tell("restart", name)
    click.echo(f"{path} is written, enabled and started. Its data: {service.data}")
    click.echo(f"What it says: journalctl {'' if manager.system else '--user '}-u {name} -f")
    if not manager.system:
        click.echo("It ends when you log out, unless you say once: loginctl enable-linger")


def _arguments(config: Path | None, host: str | None, port: int | None) -> dict[str, str]:
    given = {"--config": config, "--host": host, "--port": port}
    return {option: str(value) for option, value in given.items() if value is not None}


def _service(manager: Manager, directory: Path, account: str | None, arguments: dict[str, str]) -> Service:
    if not manager.system and account is not None:
        raise click.UsageError("--as names the account of the machine's service; your own runs as you.")
    environment = process_environment()
    if manager.system:
        account, environment["HOME"] = _account(directory, account)
    overrides: dict[str, object] = {
        f"server.{option[2:]}": int(value) if option == "--port" else value
        for option, value in arguments.items()
        if option != "--config"
    }
    config = Path(arguments["--config"]) if "--config" in arguments else None
    try:
        settings = load(environment, directory, config, overrides)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    return Service(
        command=serve_command(sys.executable, [word for pair in arguments.items() for word in pair]),
        directory=directory,
        data=directory / settings.data,
        account=account,
        drain=settings.limits.drain,
        ports=tuple(address.port for address in settings.server.addresses),
    )


def _account(directory: Path, named: str | None) -> tuple[str, str]:
    """Who runs it, and their home."""
    try:
        account = pwd.getpwnam(named) if named is not None else pwd.getpwuid(directory.stat().st_uid)
    except KeyError as error:
        raise click.ClickException(f"{named or directory}: there is no such account here; --as names one.") from error
    if account.pw_uid == 0:
        raise click.ClickException(
            f"{directory} belongs to root, and Foz does not run as root: --as names the account that runs it."
        )
    return account.pw_name, account.pw_dir


def _write(path: Path, text: str, service: Service) -> None:
    """Writes the unit, and makes the data directory that it may write to."""
    try:
        if path.exists() and not _own(path):
            raise click.ClickException(f"{path} is there already and was not written by Foz; --name takes another.")
        if not service.data.exists():
            service.data.mkdir(mode=0o700, parents=True)
            if service.account is not None:
                shutil.chown(service.data, service.account)
        path.parent.mkdir(parents=True, exist_ok=True)
        unready = path.with_name(f".{path.name}.new")
        unready.write_text(text, encoding="utf-8")
        unready.chmod(0o644)
        unready.replace(path)
    except OSError as error:
        hint = " Run it as root." if isinstance(error, PermissionError) else ""
        raise click.ClickException(f"{error.filename}: cannot be written: {error.strerror}.{hint}") from error


@command.command()
@_named
@_which
def status(*, name: str, system: bool | None) -> None:
    """
    Say whether the service is installed and runs.

    Exits with 0 where it runs, 3 where it does not, 4 where it is not installed.
    """
    manager = _manager(system=_is_system(system))
    path = manager.folder / f"{name}.service"
    if not path.exists():
        click.echo(f"{path} is not there: `foz service install` makes it.")
        sys.exit(_NOT_THERE)
    _reachable(manager, f"{path} is there, and nobody runs it.")
    said = manager.ask("show", name, f"--property={','.join(_SHOWN)}").stdout
    facts = dict(line.partition("=")[::2] for line in said.splitlines())
    active = facts.get("ActiveState") == "active"
    click.echo(f"{path}{'' if _own(path) else ' (not written by Foz)'}")
    click.echo(f"{facts.get('ActiveState', 'unknown')} ({facts.get('SubState', 'unknown')})", nl=False)
    click.echo(f", process {facts['MainPID']}" if active and facts.get("MainPID", "0") != "0" else "", nl=False)
    click.echo(f", {facts.get('UnitFileState') or 'not enabled'}")
    if not active:
        click.echo(f"What it said: journalctl {'' if manager.system else '--user '}-u {name} -n 50")
        sys.exit(_NOT_ACTIVE)


@command.command()
@_named
@_which
def uninstall(*, name: str, system: bool | None) -> None:
    """Stop the service and remove its unit. Data and settings stay."""
    manager = _manager(system=_is_system(system))
    path = manager.folder / f"{name}.service"
    if not path.exists():
        raise click.ClickException(f"{path} is not there: nothing was changed.")
    if not _own(path):
        raise click.ClickException(f"{path} was not written by Foz: nothing was changed.")
    _reachable(manager, f"{path} is there; remove it where nothing runs it.")
    manager.tell("disable", "--now", name)
    try:
        path.unlink()
    except OSError as error:
        raise click.ClickException(f"{path}: cannot be removed: {error.strerror}") from error
    manager.tell("daemon-reload")
    click.echo(f"The service is stopped and {path} removed. Data and settings are as they were.")
