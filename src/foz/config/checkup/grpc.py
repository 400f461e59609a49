"""What gRPC does: whether, where and for whom it listens, and when its process starts."""

import ssl
from pathlib import Path

from foz.config.checkup import place
from foz.config.checkup.finding import Finding, note, ok, problem, warning
from foz.config.exposure import grpc_place
from foz.config.refusal import ConfigError
from foz.config.settings import Settings

TOPIC = "grpc"


def service(settings: Settings) -> list[Finding]:
    """The ModelService, as it is configured."""
    try:
        where = grpc_place(settings)
    except ConfigError as error:
        return [problem(TOPIC, str(error), "set tls_cert and tls_key, or plaintext = true in [grpc]")]
    if where is None:
        return [note(TOPIC, "off ([grpc] port is 0)")]
    tls = settings.server.tls
    how = "over TLS" if tls else "without TLS"
    if where.loopback:
        told = f"this machine's callers are served on {where}, {how}; its process starts with the first call"
    else:
        told = f"callers from everywhere are served on {where}, {how}"
    exposed = not where.loopback and not tls
    todo = "set tls_cert and tls_key in [server], or have a proxy speak TLS before Foz"
    findings = [warning(TOPIC, f"{told}: keys travel in clear", todo) if exposed else ok(TOPIC, told)]
    free = place.port(where)
    if free.level != "ok":
        todo = "if it is not Foz that listens there, choose another port with --grpc-port or FOZ_GRPC_PORT"
        findings.append(Finding(TOPIC, free.level, f"{where}: {free.what}", todo))
    if settings.grpc.client_ca is not None:
        findings.append(_clients(settings.grpc.client_ca, len(settings.grpc.vouched), tls=tls))
    return findings


def _clients(authority: Path, clients: int, *, tls: bool) -> Finding:
    todo = "correct client_ca in [grpc]"
    if not tls:
        return warning(TOPIC, "client_ca does nothing without tls_cert and tls_key in [server]", todo)
    try:
        ssl.create_default_context().load_verify_locations(authority)
    except OSError as error:
        why = f"holds no certificates: {error.reason}" if isinstance(error, ssl.SSLError) else error.strerror
        return problem(TOPIC, f"{authority}: {why}", todo)
    return ok(TOPIC, f"each client must show a certificate that {authority} vouches for{_standing(clients)}")


def _standing(clients: int) -> str:
    return f"; {clients} of them {'stands for a key' if clients == 1 else 'stand for keys'}" if clients else ""
