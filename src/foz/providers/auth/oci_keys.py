"""
Private keys from PEM files, as functions that sign. `config.oracle` loads this module when it has credentials to read:
the library beneath costs 20 ms and 8 MB, which who does not call Oracle does not pay.
"""

from functools import partial

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from foz.providers.auth.oci_signing import Key


class UnusableKey(ValueError):
    """Why a key file cannot sign, and what was expected."""


def load_key(pem: bytes, pass_phrase: str | None, where: str) -> Key:
    """Signs with a PEM file's private key; a pass phrase that it does not need is no mistake. Raises UnusableKey."""
    pem = pem.strip()
    secret = pass_phrase.encode() if pass_phrase else None
    try:
        key = _read(pem, secret, where)
    except (ValueError, UnsupportedAlgorithm) as error:
        if isinstance(error, UnusableKey):
            raise
        if _is_public(pem):
            raise UnusableKey(f"{where}: this is a public key; expected the private one that belongs to it") from None
        what = "the pass phrase is wrong, or this is" if pass_phrase else "this is"
        raise UnusableKey(f"{where}: {what} not a private key in PEM form") from None
    if not isinstance(key, RSAPrivateKey):
        raise UnusableKey(f"{where}: expected an RSA key, the only kind that Oracle takes for its API")
    return partial(_sign, key)


def _sign(key: RSAPrivateKey, data: bytes) -> bytes:
    return key.sign(data, PKCS1v15(), SHA256())


def _read(pem: bytes, secret: bytes | None, where: str) -> object:
    try:
        return load_pem_private_key(pem, secret)
    except TypeError:
        if secret is None:
            raise UnusableKey(f"{where}: the key is encrypted; expected its pass_phrase in the profile") from None
        return load_pem_private_key(pem, None)


def _is_public(pem: bytes) -> bool:
    try:
        load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True
