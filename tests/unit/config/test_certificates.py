"""Certificates for trying out: what they are for, who may read them, and that a client trusts them."""

import ssl
import stat
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from foz.config.certificates import make_pair, write_pair
from foz.config.refusal import ConfigError
from foz.net.clock import SystemClock


def test_the_pair_is_for_this_machine_and_the_given_names() -> None:
    """The certificate names localhost, both loopback addresses and each given name once, and holds so many days."""
    pair = make_pair(("box.example", "10.0.0.7", "localhost", "*.lab.example"), 1_795_000_000_000, 30)
    held = x509.load_pem_x509_certificate(pair.certificate)
    names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == ["localhost", "box.example", "*.lab.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address(one) for one in ("127.0.0.1", "::1", "10.0.0.7")]
    assert (held.not_valid_after_utc - held.not_valid_before_utc).days == 30


def test_a_client_that_trusts_the_authority_trusts_the_server(tmp_path: Path) -> None:
    """A TLS handshake in memory succeeds for localhost with ca.pem, and fails for a name that is not in it."""
    ca, certificate, key = write_pair(make_pair((), SystemClock().now(), 1), tmp_path, force=False)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(ca))

    def shake(name: str) -> None:
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = [client.wrap_bio(back, there, server_hostname=name), server.wrap_bio(there, back, server_side=True)]
        done: set[int] = set()
        for _ in range(10):
            for index, end in enumerate(ends):
                try:
                    end.do_handshake()
                    done.add(index)
                except ssl.SSLWantReadError:
                    continue
        assert done == {0, 1}

    shake("localhost")
    shake("127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake("elsewhere.example")


def test_the_files_are_ours_alone_and_not_overwritten(tmp_path: Path) -> None:
    """Files have mode 0600; what is there is left as it is unless it is forced, and the authority's key is nowhere."""
    first, second = make_pair((), 1_795_000_000_000, 1), make_pair((), 1_795_000_000_000, 1)
    paths = write_pair(first, tmp_path / "tls", force=False)

    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["ca.pem", "server-key.pem", "server.pem"]
    with pytest.raises(ConfigError, match="--force"):
        write_pair(second, tmp_path / "tls", force=False)
    assert paths[1].read_bytes() == first.certificate
    write_pair(second, tmp_path / "tls", force=True)
    assert paths[1].read_bytes() == second.certificate
    assert "BEGIN" not in repr(second)


@pytest.mark.parametrize("names", [("a b",), ("",), ("-x",), ("é.example",), tuple(f"h{n}" for n in range(101))])
def test_names_that_cannot_be_are_refused(names: tuple[str, ...]) -> None:
    """What is no host name, and too many of them, is refused in words."""
    with pytest.raises(ConfigError):
        make_pair(names, 1_795_000_000_000, 1)
