"""
The systemd unit of a gateway, as text: pure, from paths and a command.

It is hardened as far as a gateway that may start engines can be: it writes its data directory and nothing else, sees no
secrets of the kernel, gains no privilege, and speaks only to the network. Devices stay in reach, for engines compute on
them, and memory may be made executable, for they compile. A user's own manager cannot set up mount namespaces
everywhere, so a user's unit goes without what needs them.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

MARK = "# Written by `foz service install`; `foz service uninstall` removes it. Changes of your own: systemctl edit."
"""The first line: a file without it is not ours."""
SPARE_SECONDS = 15
"""What a stop may take beyond the drain: closing the books."""
_HOMES = ("/home", "/root", "/run/user")
_EVERYWHERE = """\
NoNewPrivileges=yes
UMask=0077
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""
_SYSTEM = """\
CapabilityBoundingSet={capability}
AmbientCapabilities={capability}
PrivateTmp=yes
ProtectSystem=strict
ProtectHome={home}
ReadWritePaths={data}
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RemoveIPC=yes
"""
_LOWEST_FREE_PORT = 1024


class Service(Struct, frozen=True):
    """What is to run."""

    command: tuple[str, ...]
    directory: Path
    """Where `foz.toml` and `.env` lie."""
    data: Path
    account: str | None
    """Who runs it, for the system's manager; None is a user's own."""
    drain: float
    ports: tuple[int, ...] = ()


def unit(service: Service) -> str:
    """The whole file. Raises ValueError where a path cannot be written in it."""
    system = service.account is not None
    lines = [
        MARK,
        "[Unit]",
        "Description=Foz, a gateway for language models",
        *(["Wants=network-online.target", "After=network-online.target"] if system else []),
        "StartLimitIntervalSec=60",
        "StartLimitBurst=5",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(_argument(word) for word in service.command)}",
        "ExecReload=/bin/kill -HUP $MAINPID",
        f"WorkingDirectory={_plain(service.directory)}",
        f"Environment={_quoted(f'FOZ_DATA={service.data}')}",
        *([f"User={service.account}"] if system else []),
        "Restart=on-failure",
        "RestartSec=2",
        f"TimeoutStopSec={round(service.drain) + SPARE_SECONDS}",
        "LimitNOFILE=65536",
        "",
        _hardening(service, system=system),
        "[Install]",
        f"WantedBy={'multi-user.target' if system else 'default.target'}",
        "",
    ]
    return "\n".join(lines)


def _hardening(service: Service, *, system: bool) -> str:
    if not system:
        return _EVERYWHERE
    paths = (service.directory, service.data, *(Path(word) for word in service.command[:1]))
    at_home = any(path.is_relative_to(home) for path in paths for home in _HOMES)
    low = any(0 < port < _LOWEST_FREE_PORT for port in service.ports)
    return _EVERYWHERE + _SYSTEM.format(
        capability="CAP_NET_BIND_SERVICE" if low else "",
        home="read-only" if at_home else "yes",
        data=_quoted(str(service.data)),
    )


def _plain(path: Path) -> str:
    """A path that stands alone: only `%` means something there."""
    return _fit(str(path)).replace("%", "%%")


def _quoted(text: str) -> str:
    """One of several words."""
    text = _fit(text).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


def _argument(word: str) -> str:
    """One word of a command, where variables are put in too."""
    return _quoted(word).replace("$", "$$")


def _fit(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError(f"{text!r} has characters that no unit file can hold.")
    return text


def command(python: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """`foz serve` by this interpreter."""
    return (python, "-m", "foz", "serve", *arguments)
