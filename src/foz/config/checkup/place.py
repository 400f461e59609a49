"""The place that we run at: data directory, ports, TLS files. Each check does what serving would do."""

import errno
import shutil
import socket
import ssl
import stat
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from foz.config.address import Address
from foz.config.checkup.finding import Finding, note, ok, problem, warning
from foz.config.exposure import check_exposure, make_data
from foz.config.refusal import ConfigError
from foz.config.settings import Settings

GIB = 2**30
LITTLE, TOO_LITTLE = GIB, GIB // 10
SOON = timedelta(days=14)
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def data(path: Path) -> list[Finding]:
    """The data directory: there, ours alone, writable, with room."""
    try:
        make_data(path)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"\0")
            file.flush()
    except ConfigError as error:
        return [problem("data", str(error), "make it writable, or name another one with FOZ_DATA")]
    except OSError as error:
        todo = "make it writable for this user, or name another one with FOZ_DATA"
        return [problem("data", f"{path} cannot be written: {error.strerror}", todo)]
    findings = [_room(path)]
    if path.stat().st_mode & OTHERS:
        findings.append(warning("data", f"{path} is open to other users", f"chmod 700 {path}"))
    return findings


def _room(path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    told = f"{path} is writable, {free / GIB:.1f} GiB free"
    todo = "make room, or name a directory on another disk with FOZ_DATA"
    if free < TOO_LITTLE:
        return problem("data", f"{told}: the ledger will soon fail", todo)
    return warning("data", told, todo) if free < LITTLE else ok("data", told)


def port(address: Address, ollama_port: int = 0) -> Finding:
    """Whether an address can be listened on now. `ollama_port` is the one that is kept for Ollama's programs."""
    topic = f"port {address}"
    try:
        family, kind, _, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(1)
    except socket.gaierror as error:
        return problem(topic, f"{address.host} has no address: {error.strerror}", "correct [server] host")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = "choose another one with --port or FOZ_PORT"
            if address.port == ollama_port:
                other = "stop the Ollama server that has it, or leave out [server] ollama_port"
            return note(topic, "in use", f"if it is not Foz that listens there, {other}")
        if error.errno == errno.EACCES:
            return problem(topic, "this user may not listen there", "choose a port of 1024 or more")
        return problem(topic, f"cannot be listened on: {error.strerror}", "correct [server] host and listen")
    return ok(topic, "free")


def exposure(settings: Settings, *, has_keys: bool) -> list[Finding]:
    """Who can reach us, and whether they need a key."""
    try:
        check_exposure(settings, has_keys=has_keys)
    except ConfigError as error:
        return [problem("keys", str(error), "set API_KEY, or `foz keys create`")]
    keyed = has_keys or settings.auth.api_key is not None or settings.auth.admin_key is not None
    told = "callers need a key" if keyed else "no key is configured: callers from this machine are administrator"
    findings = [ok("keys", told) if keyed else note("keys", told)]
    wide = [str(address) for address in settings.server.addresses if not address.loopback]
    if wide and not settings.server.tls:
        todo = "`foz tls init`, or a proxy that speaks TLS before Foz"
        findings.append(warning("tls", f"keys travel in clear to {', '.join(wide)}", todo))
    return findings


def trust(ca_file: Path | None) -> list[Finding]:
    """The file of more authorities to trust, where it cannot be used: then no provider can be asked over TLS."""
    if ca_file is None:
        return []
    todo = "correct [outbound] ca_file or SSL_CERT_FILE"
    try:
        ssl.create_default_context().load_verify_locations(ca_file)
    except OSError as error:
        why = f"holds no certificates: {error.reason}" if isinstance(error, ssl.SSLError) else error.strerror
        return [problem("outbound", f"{ca_file}: {why}", todo)]
    return []


def tls(certificate: Path, key: Path, now: int) -> list[Finding]:
    """The TLS files: readable, a pair, in their time."""
    todo = "correct tls_cert and tls_key; `foz tls init` makes a pair for trying out"
    try:
        held = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        secret = load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        return [problem("tls", f"{error.filename} cannot be read: {error.strerror}", todo)]
    except (ValueError, TypeError):
        return [problem("tls", f"{certificate} and {key} are not an unencrypted PEM pair", todo)]
    findings = [_dates(held, now)]
    encoding = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if held.public_key().public_bytes(*encoding) != secret.public_key().public_bytes(*encoding):
        findings.append(problem("tls", f"{key} is not the key of {certificate}", todo))
    if key.stat().st_mode & OTHERS:
        findings.append(warning("tls", f"{key} is open to other users", f"chmod 600 {key}"))
    return findings


def _dates(held: x509.Certificate, now: int) -> Finding:
    at = datetime.fromtimestamp(now / 1000, UTC)
    last = held.not_valid_after_utc
    todo = "renew it and restart"
    if at > last:
        return problem("tls", f"the certificate expired on {last:%Y-%m-%d}", todo)
    if at < held.not_valid_before_utc:
        begins = held.not_valid_before_utc
        return problem("tls", f"the certificate is valid only from {begins:%Y-%m-%d %H:%M} UTC", "check the clock")
    if last - at < SOON:
        return warning("tls", f"the certificate expires on {last:%Y-%m-%d}", todo)
    return ok("tls", f"the certificate is valid until {last:%Y-%m-%d}")
