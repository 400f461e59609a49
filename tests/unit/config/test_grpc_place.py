"""Where gRPC listens: by the settings, and never in the clear where others could listen in."""

from pathlib import Path

import pytest

from foz.config.address import Address
from foz.config.exposure import check_exposure, grpc_place
from foz.config.load import load
from foz.config.refusal import ConfigError
from foz.config.settings import Settings


def settings(folder: Path, text: str = "", **environment: str) -> Settings:
    (folder / "foz.toml").write_text(text)
    return load({"FOZ_DATA": str(folder / "data"), **environment}, folder, None, {})


@pytest.mark.parametrize(
    ("text", "environment", "place"),
    [
        ("", {}, Address("127.0.0.1", 50051)),
        ("[grpc]\nport = 0", {}, None),
        ("", {"FOZ_GRPC_PORT": "0"}, None),
        ("", {"FOZ_GRPC_PORT": "6000"}, Address("127.0.0.1", 6000)),
        ('[server]\nhost = "::1"', {}, Address("::1", 50051)),
        ('[server]\nhost = "0.0.0.0"', {}, Address("127.0.0.1", 50051)),
        ('[server]\nhost = "::"', {}, Address("::1", 50051)),
        ('[grpc]\nhost = "127.0.0.2"', {}, Address("127.0.0.2", 50051)),
        ('[grpc]\nhost = "0.0.0.0"\nplaintext = true', {}, Address("0.0.0.0", 50051)),
        ('[server]\nhost = "0.0.0.0"\ntls_cert = "a"\ntls_key = "b"', {}, Address("0.0.0.0", 50051)),
    ],
)
def test_where_it_listens(tmp_path: Path, text: str, environment: dict[str, str], place: Address | None) -> None:
    """The server's host and 50051 by default; without TLS this machine only, unless more is allowed; 0 is off."""
    assert grpc_place(settings(tmp_path, text, **environment)) == place


def test_another_address_without_tls_is_refused(tmp_path: Path) -> None:
    """An address of `[grpc]` that others can reach, without TLS, is refused by its key, with what allows it."""
    with pytest.raises(ConfigError, match=r"grpc\.host.*plaintext = true"):
        grpc_place(settings(tmp_path, '[grpc]\nhost = "0.0.0.0"'))


def test_without_keys_only_this_machine_may_reach_it(tmp_path: Path) -> None:
    """Without any key an address that others can reach is refused, with TLS or in the clear."""
    wide = settings(tmp_path, '[grpc]\nhost = "0.0.0.0"\nplaintext = true')

    with pytest.raises(ConfigError, match="without a key"):
        check_exposure(wide, has_keys=False)
    check_exposure(wide, has_keys=True)


def test_clients_stand_for_keys_where_somebody_vouches_for_them(tmp_path: Path) -> None:
    """Names lead to ids of keys; an entry that is none, and clients without an authority, are refused by their key."""
    ca = f'client_ca = "{tmp_path}/ca.pem"\n'
    said = settings(tmp_path, f'[grpc]\n{ca}clients = ["a=b=key-1", "sha256:AB = key-2"]').grpc

    assert said.vouched == {"a=b": "key-1", "sha256:ab": "key-2"}
    for wrong in (f'{ca}clients = ["billing"]', f'{ca}clients = ["=key-1"]'):
        with pytest.raises(ConfigError, match=r"grpc\.clients.*name=key-id"):
            settings(tmp_path, f"[grpc]\n{wrong}")
    with pytest.raises(ConfigError, match=r"grpc\.client_ca"):
        settings(tmp_path, '[grpc]\nclients = ["billing=key-1"]')
