"""An authority that signs clients' certificates, for who asks clients for one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM


class Authority:
    """Its own certificate stands in `path`. `now` is UTC in milliseconds."""

    def __init__(self, folder: Path, now: int) -> None:
        self.path = folder / "clients.pem"
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clients")])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._count = 7
        self._now = datetime.fromtimestamp(now / 1000, UTC)
        made = self._made(self._name, self._key.public_key(), ca=True).sign(self._key, hashes.SHA256())
        self.path.write_bytes(made.public_bytes(_PEM))

    def client(self, name: str, *more: str) -> tuple[Path, Path]:
        """The files of a client's certificate and key: its common name, and alternative ones."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._made(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key(), ca=False)
        if more:
            names = x509.SubjectAlternativeName([x509.DNSName(one) for one in more])
            made = made.add_extension(names, critical=False)
        pair = self._folder / f"{self._count}.pem", self._folder / f"{self._count}-key.pem"
        pair[0].write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(_PEM))
        plain = serialization.NoEncryption()
        pair[1].write_bytes(key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, plain))
        return pair

    def _made(self, subject: x509.Name, whose: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.CertificateBuilder:
        self._count += 1
        now = self._now
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(whose)
        made = made.serial_number(self._count)
        made = made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
        return made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
