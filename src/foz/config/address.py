"""Where we listen, as values: `host:port`, `[v6]:port`, or a port alone."""

import ipaddress
import re
import socket

from msgspec import Struct
from typing_extensions import override

MAX_PORT = 65535
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?\.?")
WHAT = 'an address such as "127.0.0.1:8000", "[::1]:8000", or a port'


class Address(Struct, frozen=True, order=True):
    """A host and a port; the host without brackets."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it. A name other than localhost may mean anything: it is not."""
        return is_loopback(self.host)

    @property
    def everywhere(self) -> bool:
        """Whether it is every address of the machine."""
        return self.host in {"0.0.0.0", "::"}  # noqa: S104 - it asks, it does not bind

    @override
    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether a host names this machine to itself only."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_this_machine(host: str) -> bool:
    """
    Whether a host is this machine, by its own name or by one of its addresses: what the kernel sends there leaves
    from there. Nothing is sent, and other names are not looked up.
    """
    if is_loopback(host) or host.lower().rstrip(".") == socket.gethostname().lower():
        return True
    try:
        address = ipaddress.ip_address(host)
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET  # noqa: PLR2004 - IPv6
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            own = str(probe.getsockname()[0]).partition("%")[0]
            return ipaddress.ip_address(own) == address
    except (OSError, ValueError):
        return False


def is_host(text: str) -> bool:
    """Whether this may be a host: a name, or an IP address without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST.fullmatch(text) is not None
    return True


def read(text: str, host: str) -> Address:
    """The address that a text names; a port alone is on `host`. Raises ValueError."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        before, port = host, text
    else:
        before, _, port = text.rpartition(":")
        if before.startswith("[") and before.endswith("]"):
            before = before[1:-1]
        elif ":" in before:
            raise ValueError(WHAT)
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= len(str(MAX_PORT)) else -1
    if not is_host(before) or not 0 <= number <= MAX_PORT:
        raise ValueError(WHAT)
    return Address(before, number)
