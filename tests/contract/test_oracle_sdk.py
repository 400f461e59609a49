"""Oracle's own SDK judges our signatures, and speaks with the fake of Oracle's API over a real socket."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from foz.providers.auth.oci_config import profile
from foz.providers.auth.oci_keys import load_key
from foz.providers.auth.oci_signing import OciKey, date_of, sign, token_id
from foz.testing.oracle.process import Account, make_account, start_oracle
from foz.testing.oracle.verify import why_not
from foz.testing.process import Upstream, clean_environment
from foz.wire.http import Call

SDK = Path(sys.prefix) / "sdk/oci"
PROGRAM = Path(__file__).with_name("oci_sdk.py")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return make_account(tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory, account: Account) -> Iterator[Upstream]:
    with start_oracle(tmp_path_factory.mktemp("oracle"), account) as running:
        yield running


@pytest.fixture(scope="module")
def facts(upstream: Upstream, account: Account) -> dict[str, Any]:
    assert SDK.is_dir(), f"{SDK} is not there: `scripts/setup.sh test` installs it"
    environment = clean_environment({"HOME": str(upstream.folder)})
    environment["PYTHONPATH"] = f"{SDK}:{environment['PYTHONPATH']}"
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), str(account.config), upstream.url],
        env=environment, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr.decode()
    said: dict[str, Any] = msgspec.json.decode(ran.stdout)
    return said


def _key(account: Account, name: str) -> OciKey:
    """As the gateway makes it from a profile."""
    one = profile(account.config.read_text(), name, "config")
    key = load_key(Path(one.key_file).read_bytes(), one.pass_phrase, one.key_file)
    if one.security_token_file:
        return OciKey(token_id(Path(one.security_token_file).read_text()), key)
    return OciKey(one.key_id, key)


def test_our_signatures_are_the_sdks(facts: dict[str, Any], account: Account) -> None:
    """For each profile, method, path and body our headers are byte for byte those of Oracle's own signer."""
    assert len(facts["signatures"]) == 15
    for asked in facts["signatures"]:
        key = _key(account, asked["profile"])
        body, date = asked["body"].encode(), "Thu, 05 Jan 2014 21:31:40 GMT"
        ours = dict(sign(key, asked["method"], asked["path"], "inference.example.com", body, date))

        assert ours[b"authorization"].decode() == asked["authorization"]
        digest = ours.get(b"x-content-sha256")
        assert (digest.decode() if digest else None) == asked["digest"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"body": b'{"a":2}'}, "x-content-sha256 is not of this body"),
        ({"path": "/other"}, "the signature is not of this call"),
        ({"query": "a=1"}, "the signature is not of this call"),
        ({"method": "PUT"}, "the signature is not of this call"),
        ({"host": b"elsewhere"}, "the signature is not of this call"),
        ({"late": 301.0}, "the date is more than five minutes off"),
        ({"id": "somebody"}, "nobody has this key id"),
        ({"bare": True}, "there is no signature"),
    ],
)
def test_the_fake_judges_each_signature(account: Account, change: dict[str, Any], why: str | None) -> None:
    """A call is let in as it was signed; changed in body, path, query, method or host, late or by another it is not."""
    key = _key(account, "DEFAULT")
    body, host, now = b'{"a":1}', b"inference.example.com", 1_767_225_600_000
    signed = sign(OciKey(change.get("id", key.id), key.key), "POST", "/x", host.decode(), body, date_of(now))
    head = ((b"host", change.get("host", host)), (b"content-type", b"application/json"), (b"content-length", b"7"))
    headers = head if change.get("bare") else (*head, *signed)
    call = Call(
        change.get("method", "POST"),
        change.get("path", "/x"),
        headers,
        change.get("body", body),
        change.get("query", ""),
    )

    public = load_pem_public_key(account.public_key.read_bytes())
    assert isinstance(public, RSAPublicKey)
    assert why_not(call, {key.id: public}, now / 1000 + change.get("late", 0.0)) == why


def test_the_sdk_takes_generic_answers(facts: dict[str, Any]) -> None:
    """A GENERIC answer is the same whole and streamed, with usage after the finish event and calls told apart."""
    told = facts["generic"]

    assert (told["format"], told["model"], told["finish"]) == ("GENERIC", "meta.llama-3.3-70b-instruct", "stop")
    assert "Olá 🌊" in told["text"]
    assert told["streamed"] == told["text"]
    assert told["after_finish"] == ["usage"]
    assert told["streamed_usage"] == told["usage"] > 2
    assert [name for name, _ in told["calls"]] == told["opened"] == ["weather", "weather"]


def test_the_sdk_takes_cohere_answers(facts: dict[str, Any]) -> None:
    """A COHERE answer says its whole text again at the end of its stream."""
    told = facts["cohere"]

    assert (told["format"], told["finish"]) == ("COHERE", "COMPLETE")
    assert told["streamed"] == told["restated"] == told["text"]
    assert told["usage"] > 2


def test_the_sdk_takes_cohere2_answers(facts: dict[str, Any]) -> None:
    """A COHEREV2 answer is a message of parts."""
    told = facts["cohere2"]

    assert (told["format"], told["finish"]) == ("COHEREV2", "COMPLETE")
    assert "Hello there" in told["text"]


def test_the_sdk_takes_embeddings(facts: dict[str, Any]) -> None:
    """Two texts are two vectors."""
    assert facts["embeddings"] == {"vectors": 2, "dimensions": facts["embeddings"]["dimensions"], "differ": True}
    assert facts["embeddings"]["dimensions"] > 1


def test_the_sdk_takes_errors(facts: dict[str, Any]) -> None:
    """Each status is raised with its code; a model that there is not is a 404 whose code is its status once more."""
    told = [(error["status"], error["code"]) for error in facts["errors"]]

    assert told[:-1] == [(status, f"Code{status}") for status in (400, 401, 404, 409, 429, 500)]
    assert told[-1] == (404, "404")


def test_a_session_token_signs_too(facts: dict[str, Any]) -> None:
    """A profile with a token file is let in by its token."""
    assert facts["by_token"] == facts["cohere"]["text"]


def test_the_sdk_takes_agents(facts: dict[str, Any]) -> None:
    """The agent runtime's client makes, uses, looks at and ends a session, and reads all that an agent says."""
    told = facts["agents"]

    assert (told["name"], told["known"], told["ended"], told["gone"]) == ("mine", True, 204, 404)
    assert told["text"].startswith('Turn 1, which began with "Hello"')
    assert told["citation"] == "https://example.com/a.pdf"
    assert told["called"] == "weather"
    assert told["tokens"] > 3
    assert told["streamed"] == told["last"]
    assert "The tool answered: 30 degrees" in told["last"]
