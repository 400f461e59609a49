"""Oracle's credentials as files: when its provider is awake, where it is, and what is said when it is not."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from foz.config.bind import Provider, bind
from foz.config.oracle import find, load
from foz.config.refusal import ConfigError
from foz.config.rows import ProviderSettings
from foz.config.sections import Written
from foz.providers.auth.oci_signing import token_id
from foz.providers.oracle import MANAGEMENT, beside, endpoint, realm_of
from foz.testing.oracle.process import COMPARTMENT, KEY_ID, TENANCY, TOKEN, Account, make_account


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return make_account(tmp_path_factory.mktemp("account"))


def bound(cwd: Path | None, environ: Mapping[str, str], *rows: ProviderSettings, name: str = "oci") -> Provider:
    return {one.name: one for one in bind(Written(provider=rows), environ, cwd)}[name]


def test_without_a_file_it_sleeps() -> None:
    """Without any file of credentials the provider is off, and says what it misses."""
    one = bound(None, {})

    assert one.state == "off"
    assert one.why.startswith("no key: put credentials.conf")


def test_a_file_wakes_it_in_its_region(account: Account, tmp_path: Path) -> None:
    """A file in the working directory wakes it in the profile's region, and the tenancy pays."""
    (tmp_path / "credentials.conf").write_text(account.config.read_text())
    one = bound(tmp_path, {})

    assert (one.state, one.row.base_url) == ("ready", "https://inference.generativeai.us-chicago-1.oci.oraclecloud.com")
    assert one.row.compartment == TENANCY
    assert one.credentials is not None
    assert one.credentials.key().id == KEY_ID
    assert TENANCY not in repr(one.credentials)


def test_what_is_said_nearer_counts(account: Account, tmp_path: Path) -> None:
    """A row's region, compartment and profile go before the environment's, these before the file's."""
    environ = {"OCI_CONFIG_FILE": str(account.config), "OCI_COMPARTMENT_ID": "ocid1.compartment.oc2..env"}
    environ |= {"OCI_CLI_PROFILE": "LOCKED"}
    by_environment = bound(tmp_path, environ)
    row = ProviderSettings(name="oci", region="eu-frankfurt-1", compartment=COMPARTMENT, profile="SESSION")
    by_row = bound(tmp_path, environ, row)

    assert by_environment.row.base_url == "https://inference.generativeai.us-chicago-1.oci.oraclegovcloud.com"
    assert by_environment.credentials is not None
    assert by_environment.credentials.profile.name == "LOCKED"
    assert by_row.row.base_url == "https://inference.generativeai.eu-frankfurt-1.oci.oraclecloud.com"
    assert by_row.row.compartment == COMPARTMENT
    assert by_row.credentials is not None
    assert by_row.credentials.key().id == token_id(TOKEN)


def test_a_second_row_needs_no_url(account: Account, tmp_path: Path) -> None:
    """Another row of the dialect takes the catalogue's place and way of signing."""
    row = ProviderSettings(name="oci-two", dialect="oci", region="sa-saopaulo-1", credentials=str(account.config))
    one = bound(tmp_path, {}, row, name="oci-two")

    assert (one.state, one.row.auth) == ("ready", "oci")
    assert one.row.base_url == "https://inference.generativeai.sa-saopaulo-1.oci.oraclecloud.com"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[DEFAULT]\nuser=a\n", "[DEFAULT] tenancy, fingerprint, key_file: missing"),
        ("nonsense", "expected a section"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, why: str) -> None:
    """A file that is wrong leaves the provider off and says what is wrong where."""
    (tmp_path / "credentials.conf").write_text(text)
    one = bound(tmp_path, {})

    assert one.state == "off"
    assert why in one.why
    assert str(tmp_path) in one.why


def test_a_key_that_is_not_there_is_told(account: Account, tmp_path: Path) -> None:
    """A key file that cannot be read is named."""
    text = account.config.read_text().replace(str(account.key), str(tmp_path / "gone.pem"))
    (tmp_path / "credentials.conf").write_text(text)

    assert "gone.pem: the key file cannot be read" in bound(tmp_path, {}).why


def test_a_renewed_token_is_read_again(account: Account, tmp_path: Path) -> None:
    """A token file that changed signs with its new token; one that is gone or spoiled says so, or leaves the old."""
    token = tmp_path / "token"
    token.write_text("first")
    config = tmp_path / "config"
    config.write_text(account.config.read_text().replace(str(account.token), str(token)))
    credentials = load(config, "SESSION", {})
    assert credentials.key().id == "ST$first"

    token.write_text("second")
    os.utime(token, ns=(1, 1))
    assert credentials.key().id == "ST$second"
    for spoiled in ("", 'half"', "\x00"):  # as who renews it writes it
        token.write_text(spoiled)
        os.utime(token, ns=(2, 2))
        assert credentials.key().id == token_id("second")
    token.unlink()
    assert credentials.key().id == "ST$second"
    with pytest.raises(ConfigError, match="the token cannot be read"):
        load(config, "SESSION", {})


def test_files_are_found_in_their_order(tmp_path: Path) -> None:
    """A named file first, then the working directory's, the environment's, and the home directory's."""
    home = tmp_path / "home"
    (home / ".oci").mkdir(parents=True)
    (home / ".oci/config").write_text("")
    environ = {"HOME": str(home)}

    assert find("", environ, tmp_path) == home / ".oci/config"
    assert find("", {**environ, "OCI_CONFIG_FILE": "~/other"}, tmp_path) == home / "other"
    (tmp_path / "credentials.conf").write_text("")
    assert find("", {**environ, "OCI_CONFIG_FILE": "~/other"}, tmp_path) == tmp_path / "credentials.conf"
    assert find("mine.conf", environ, tmp_path) == tmp_path / "mine.conf"


@pytest.mark.parametrize(
    ("realm", "domain"),
    [
        ("oc1", "oraclecloud.com"),
        ("oc2", "oraclegovcloud.com"),
        ("oc4", "oraclegovcloud.uk"),
        ("oc8", "oraclecloud8.com"),
        ("odd", "oraclecloud.com"),
    ],
)
def test_a_realm_has_its_domain(realm: str, domain: str) -> None:
    """Each realm's services are under its domain."""
    assert endpoint("generativeai", "r-1", realm) == f"https://generativeai.r-1.oci.{domain}"


def test_the_realm_is_in_the_ocid() -> None:
    """An OCID's third field is its realm; what is no OCID is in the first."""
    assert realm_of("ocid1.compartment.oc8..x") == "oc8"
    assert realm_of("nonsense") == "oc1"


def test_the_other_service_is_beside() -> None:
    """The management API is on its own host in the same region, or on the same host where that is one's own."""
    inference = endpoint("inference.generativeai", "r-1", "oc1")

    assert beside(inference, "inference.generativeai", MANAGEMENT) == "https://generativeai.r-1.oci.oraclecloud.com"
    assert beside("http://127.0.0.1:1", "inference.generativeai", MANAGEMENT) == "http://127.0.0.1:1"
