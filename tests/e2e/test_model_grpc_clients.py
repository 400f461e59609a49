"""Clients' certificates that stand for keys: who is known by one, as whom, and for how long."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import grpc
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from foz.config.certificates import make_pair
from foz.net.clock import SystemClock
from foz.skins.model_grpc import model_pb2 as pb
from foz.testing.authority import Authority
from foz.testing.process import Child, clean_environment, free_port, wait_until
from foz.testing.service import Ended, Service

KEY = "sk-clients-0123456789"
OK, UNAUTHENTICATED = grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED
ASKED = pb.ChatCompletionRequest(model_id="any", messages=[pb.Message(role="user", content="Hello!")])
Pair = tuple[Path, Path]


class House(NamedTuple):
    """A gateway that asks its clients for certificates, and theirs."""

    folder: Path
    port: int
    key: str
    """The id of the key that certificates stand for."""
    by_name: Pair
    by_other_name: Pair
    by_fingerprint: Pair
    liar: Pair
    """Calls itself by another one's fingerprint."""
    nobody: Pair

    def ask(self, pair: Pair, key: str | None = None, *metadata: tuple[str, str]) -> Ended:
        """One call with this certificate."""
        with Service(self.port, key=key, ca=self.folder / "ca.pem", pair=pair, host="localhost") as service:
            return service.call("CreateChatCompletion", ASKED, *metadata)


def _foz(folder: Path, *words: str) -> str:
    environment = clean_environment({"FOZ_DATA": str(folder / "data"), "HOME": str(folder)})
    ran = subprocess.run(
        [sys.executable, "-m", "foz", *words], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return ran.stdout


def _fingerprint(pair: Pair) -> str:
    return "sha256:" + x509.load_pem_x509_certificate(pair[0].read_bytes()).fingerprint(hashes.SHA256()).hex()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, port = tmp_path_factory.mktemp("clients"), free_port()
    id = msgspec.json.decode(_foz(folder, "keys", "create", "--project", "billing", "--json"))["id"]
    authority = Authority(folder, SystemClock().now())
    pair = make_pair((), SystemClock().now(), 30)
    for name, text in (("ca.pem", pair.ca), ("server.pem", pair.certificate), ("key.pem", pair.key)):
        (folder / name).write_bytes(text)
    shown = authority.client("unnamed")
    clients = [
        f"billing={id}",
        f"other.example.com = {id}",
        f"{_fingerprint(shown).upper().replace('SHA', 'sha')}={id}",
    ]
    (folder / "foz.toml").write_text(
        f'[server]\ntls_cert = "{folder}/server.pem"\ntls_key = "{folder}/key.pem"\n'
        f'[grpc]\nclient_ca = "{authority.path}"\nclients = {msgspec.json.encode(clients).decode()}\n'
    )
    environment = {"TEST_MODE": "true", "API_KEY": KEY, "FOZ_DATA": str(folder / "data"), "HOME": str(folder)}
    command = [sys.executable, "-m", "foz", "serve", "--port", str(free_port()), "--grpc-port", str(port)]
    with Child(command, folder, environment) as child:
        child.wait_for(lambda: "gRPC: " in child.stdout, "gRPC to listen")
        yield House(
            folder,
            port,
            id,
            by_name=authority.client("billing"),
            by_other_name=authority.client("whoever", "other.example.com"),
            by_fingerprint=shown,
            liar=authority.client(_fingerprint(shown)[:64]),
            nobody=authority.client("nobody"),
        )


@pytest.mark.parametrize("which", ["by_name", "by_other_name", "by_fingerprint"])
def test_a_certificate_stands_for_a_key(house: House, which: str) -> None:
    """By its common name, another name or its fingerprint: the entry is of that key, and of its project."""
    ended = house.ask(getattr(house, which), None, ("x-request-id", f"call-{which}"))

    assert (ended.code, ended.message) == (OK, "")
    with closing(sqlite3.connect(f"file:{house.folder}/data/foz.db?mode=ro", uri=True)) as books:
        query = "SELECT principal, project FROM entries WHERE request_id = ?"
        assert books.execute(query, (f"call-{which}",)).fetchall() == [(house.key, "billing")]


def test_a_certificate_that_stands_for_nobody_needs_a_key(house: House) -> None:
    """One that no entry names is asked for a key, and served with it; its name is no fingerprint."""
    assert house.ask(house.nobody).code is UNAUTHENTICATED
    assert house.ask(house.liar).code is UNAUTHENTICATED
    assert house.ask(house.nobody, KEY).code is OK


def test_a_key_that_is_given_counts(house: House) -> None:
    """Who shows a certificate and gives a key is whom the key names; an unknown key is not helped by a certificate."""
    assert house.ask(house.by_name, "sk-unknown-000000").code is UNAUTHENTICATED
    assert house.ask(house.by_name, KEY, ("x-request-id", "call-with-key")).code is OK
    with closing(sqlite3.connect(f"file:{house.folder}/data/foz.db?mode=ro", uri=True)) as books:
        query = "SELECT principal FROM entries WHERE request_id = 'call-with-key'"
        assert books.execute(query).fetchall() == [("api-key",)]


def test_it_is_dead_with_its_key(house: House) -> None:
    """When the key is revoked, the certificates that stand for it open nothing any more."""
    _foz(house.folder, "keys", "revoke", house.key)
    wait_until(lambda: house.ask(house.by_name).code is UNAUTHENTICATED, "the key to be dead", 5.0)
    assert house.key in house.ask(house.by_fingerprint).message
