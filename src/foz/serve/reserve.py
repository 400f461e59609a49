"""
A port that is held for a process that opens its own socket: bound, not listened on, so that no connection waits here.

Whoever listens there shares it (SO_REUSEPORT); nobody of another user can, and nobody at all who does not share.
"""

import socket

from foz.serve.http.server import InUse


def reserve(host: str, port: int) -> socket.socket:
    """The holder of a port, as long as it is open. Raises InUse."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:  # first a plain bind, which fails where somebody listens
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        holder = socket.socket(family)
        try:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind((host, port))
        except OSError:
            holder.close()
            raise
    except OSError as error:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        why = (error.strerror or str(error)).lower()
        raise InUse(f"cannot listen for gRPC on {place}: {why}") from error
    return holder
