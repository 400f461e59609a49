"""Oracle's API as a child of a test, and an account for it: keys, and a file of credentials as Oracle's tools do."""

import sys
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from msgspec import Struct

from foz.testing.process import READY_WITHIN, Upstream

TENANCY = "ocid1.tenancy.oc1..aaaatenancy"
USER = "ocid1.user.oc1..aaaauser"
FINGERPRINT = "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"
COMPARTMENT = "ocid1.compartment.oc1..aaaacompartment"
REGION = "us-chicago-1"
TOKEN = "eyJhbGciOiJub25lIn0.e30."  # noqa: S105 - nobody's
KEY_ID = f"{TENANCY}/{USER}/{FINGERPRINT}"
TOKEN_ID = f"ST${TOKEN}"
PASS_PHRASE = "it is only a test"  # noqa: S105 - nobody's
BITS = 2048


class Account(Struct, frozen=True):
    """Files of one account: profiles `DEFAULT` (a user's key), `SESSION` (a token) and `LOCKED` (an encrypted key)."""

    config: Path
    key: Path
    locked_key: Path
    public_key: Path
    token: Path


def make_account(folder: Path) -> Account:
    """A new one in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    key = generate_private_key(public_exponent=65537, key_size=BITS)
    account = Account(*(folder / name for name in ("config", "key.pem", "locked.pem", "public.pem", "token")))
    account.key.write_bytes(_pem(key))
    account.locked_key.write_bytes(_pem(key, PASS_PHRASE))
    account.public_key.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    account.token.write_text(TOKEN)
    account.config.write_text(
        f"[DEFAULT]\nuser={USER}\nfingerprint={FINGERPRINT}\ntenancy={TENANCY}\nregion={REGION}\n"
        f"key_file={account.key}\n\n"
        f"[SESSION]\nsecurity_token_file={account.token}\n\n"
        f"[LOCKED]\nkey_file={account.locked_key}\npass_phrase={PASS_PHRASE}\n"
    )
    return account


def _pem(key: RSAPrivateKey, pass_phrase: str | None = None) -> bytes:
    lock = BestAvailableEncryption(pass_phrase.encode()) if pass_phrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


def start_oracle(
    folder: Path, account: Account, models: Mapping[str, str] | None = None, within: float = READY_WITHIN
) -> Upstream:
    """The fake as a process; it takes the signatures of this account, by key and by token."""
    command = [sys.executable, "-m", "foz.testing.oracle.server", "--public-key", str(account.public_key)]
    command += ["--key-id", KEY_ID, "--key-id", TOKEN_ID, "--log", str(folder / "seen.log")]
    for ocid, name in (models or {}).items():
        command += ["--model", f"{ocid}={name}"]
    upstream = Upstream(command, folder, 0)

    def listens() -> bool:
        _, said, rest = upstream.stdout.partition("listening on http://127.0.0.1:")
        line, ended, _ = rest.partition("\n")
        if said and ended:
            upstream.port = int(line)
        return bool(said and ended)

    try:
        upstream.wait_for(listens, "the line that says where it listens", within)
    except BaseException:
        upstream.stop()
        raise
    return upstream
