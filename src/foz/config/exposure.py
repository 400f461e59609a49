"""
What must hold before we listen: without any key only this machine may call,
the data directory is ours alone, and the TLS files are a pair.
"""

import ssl
from pathlib import Path

from foz.config.address import Address
from foz.config.refusal import ConfigError
from foz.config.settings import Settings

CA = "ca.pem"
"""What `foz tls init` calls the authority, beside the certificate."""
_TLS_INIT = "`foz tls init` makes a pair for trying out."
_HOLDS = {"tls_cert": "a certificate", "tls_key": "a private key"}


def check_exposure(settings: Settings, *, has_keys: bool) -> None:
    """Refuses to listen beyond this machine while nobody needs a key. `has_keys`: the store holds any."""
    if has_keys or settings.auth.api_key is not None or settings.auth.admin_key is not None:
        return
    place = grpc_place(settings)
    every = (*settings.server.addresses, *(() if place is None else (place,)))
    wide = [str(address) for address in every if not address.loopback]
    if wide:
        raise ConfigError(
            f"refusing to listen on {', '.join(wide)} without a key: whoever reaches it could call every model "
            "at your cost. Set API_KEY, or make a key with `foz keys create`, or listen on 127.0.0.1."
        )


def grpc_place(settings: Settings) -> Address | None:
    """
    Where gRPC listens; None where it is off. Without TLS that is this machine, unless `[grpc] plaintext` allows more.
    Raises ConfigError where another address was asked for.
    """
    said, host = settings.grpc, settings.grpc.host or settings.server.host
    if not said.port:
        return None
    place = Address(host, said.port)
    if settings.server.tls or said.plaintext or place.loopback:
        return place
    if said.host is not None:
        raise ConfigError(
            f"{settings.sources.get('grpc.host', 'settings')}: grpc.host: refusing to serve gRPC on {place} without "
            "TLS: keys and words would pass in the clear. Set tls_cert and tls_key in [server] (`foz tls init` makes "
            "a pair), or allow it with plaintext = true in [grpc]."
        )
    return Address("::1" if ":" in host else "127.0.0.1", said.port)


def make_data(data: Path) -> Path:
    """The data directory, made with mode 0700 where it is missing."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{data}: the data directory cannot be made: {error.strerror}. Name another one with FOZ_DATA."
        ) from error
    return data


def check_tls(settings: Settings) -> None:
    """Refuses TLS files that cannot serve, naming the key and the file."""
    server = settings.server
    if server.tls_cert is None or server.tls_key is None:
        return
    origins = {name: _tls_origin(settings, name) for name in ("tls_cert", "tls_key")}
    for name, path in (("tls_cert", server.tls_cert), ("tls_key", server.tls_key)):
        try:
            text = path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{origins[name]}: {path} cannot be read: {error.strerror}; expected {_HOLDS[name]} in PEM. {_TLS_INIT}"
            ) from error
        if b"-----BEGIN " not in text:
            raise ConfigError(f"{origins[name]}: {path} is not PEM; expected {_HOLDS[name]} in PEM. {_TLS_INIT}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(server.tls_cert, server.tls_key, password="")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{origins['tls_key']}: {server.tls_key} is not the key of {server.tls_cert}: {_why(error)}; "
            f"expected a certificate and its unencrypted key, both in PEM. {_TLS_INIT}"
        ) from error


def _tls_origin(settings: Settings, name: str) -> str:
    return f"{settings.sources.get(f'server.{name}', 'settings')}: server.{name}"


def _why(error: Exception) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return (reason or str(error)).lower().replace("_", " ")
