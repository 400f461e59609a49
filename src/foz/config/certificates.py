"""
Certificates for trying out TLS: an authority that signs one server certificate and is then forgotten.

The authority's key is never written: whoever trusts `ca.pem` trusts this one server and nothing that could be
signed later. Real deployments bring their own certificates.
"""

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct
from typing_extensions import override

from foz.config.address import is_host
from foz.config.exposure import CA
from foz.config.refusal import ConfigError

CERTIFICATE, KEY = "server.pem", "server-key.pem"
LOCAL = ("localhost", "127.0.0.1", "::1")
LEEWAY = timedelta(minutes=5)
"""Clocks differ: a certificate is valid a little before it was made."""
MAX_NAMES = 100


class Pair(Struct, frozen=True):
    """The three files, as PEM."""

    ca: bytes
    certificate: bytes
    key: bytes

    @override
    def __repr__(self) -> str:
        return "Pair(...)"


def _name(words: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _checked(names: Sequence[str]) -> list[str]:
    wanted = list(dict.fromkeys((*LOCAL, *names)))
    for name in wanted:
        if not is_host(name.removeprefix("*.")):
            raise ConfigError(f"'{name}' is no host name or IP address")
    if len(wanted) > MAX_NAMES:
        raise ConfigError(f"a certificate for {len(wanted)} names, expected at most {MAX_NAMES}")
    return wanted


def make_pair(names: Sequence[str], now: int, days: int) -> Pair:
    """An authority and a server certificate for localhost and these names; `now` is UTC in milliseconds."""
    wanted = _checked(names)
    begins = datetime.fromtimestamp(now / 1000, UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("Foz authority for trying out")
    ca = (
        _builder(ca_name, ca_key.public_key(), begins, days)
        .issuer_name(ca_name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    certificate = (
        _builder(_name("Foz"), key.public_key(), begins, days)
        .issuer_name(ca_name)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in wanted]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return Pair(
        ca=ca.public_bytes(pem),
        certificate=certificate.public_bytes(pem),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - LEEWAY)
        .not_valid_after(begins + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def write_pair(pair: Pair, directory: Path, *, force: bool) -> tuple[Path, Path, Path]:
    """Writes the files with mode 0600, all or, where one is there already and `force` is not set, none."""
    paths = (directory / CA, directory / CERTIFICATE, directory / KEY)
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        raise ConfigError(f"{', '.join(there)}: there already; --force overwrites, and clients must trust anew")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, text in zip(paths, (pair.ca, pair.certificate, pair.key), strict=True):
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text)
    except OSError as error:
        raise ConfigError(f"{error.filename or directory}: cannot be written: {error.strerror}") from error
    return paths
