"""Oracle's file of credentials, and its keys."""

from pathlib import Path

import pytest

from foz.providers.auth.oci_config import OciConfigError, names, profile
from foz.providers.auth.oci_keys import UnusableKey, load_key
from foz.providers.auth.oci_signing import date_of
from foz.testing.oracle.process import FINGERPRINT, PASS_PHRASE, TENANCY, USER, make_account

GOOD = f"""
[DEFAULT]
user={USER}
fingerprint={FINGERPRINT}
tenancy={TENANCY}
region=us-chicago-1
key_file=~/.oci/key.pem
pass_phrase=sesame % and ; more

[SESS]
region = sa-saopaulo-1
security_token_file=/path/token
"""


def test_a_profile_is_read() -> None:
    """The default profile has all that it says, a session's inherits it and is known by its token alone."""
    default, session = profile(GOOD, "DEFAULT", "f"), profile(GOOD, "SESS", "f")

    assert default.key_id == f"{TENANCY}/{USER}/{FINGERPRINT}"
    assert (default.region, default.key_file, default.pass_phrase) == (
        "us-chicago-1",
        "~/.oci/key.pem",
        "sesame % and ; more",
    )
    assert (session.region, session.user, session.security_token_file) == ("sa-saopaulo-1", None, "/path/token")
    assert names(GOOD, "f") == ("DEFAULT", "SESS")


def test_the_environments_region_is_the_last_resort() -> None:
    """A region from outside counts where the profile has none."""
    without = GOOD.replace("region=us-chicago-1\n", "")

    assert profile(GOOD, "DEFAULT", "f", "eu-frankfurt-1").region == "us-chicago-1"
    assert profile(without, "DEFAULT", "f", "eu-frankfurt-1").region == "eu-frankfurt-1"
    assert profile(without, "DEFAULT", "f").region is None


def test_a_users_own_profile_does_not_sign_with_an_inherited_token() -> None:
    """A token of the default profile is not used by a profile that names another user."""
    text = GOOD.replace("region=us", "security_token_file=/path/token\nregion=us", 1)
    text += f"\n[OWN]\nuser={USER}x\n"

    assert profile(text, "DEFAULT", "f").security_token_file == "/path/token"
    assert profile(text, "OWN", "f").security_token_file is None


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("user=a\n", "DEFAULT", "f:1: expected a section"),
        ("[DEFAULT]\nnonsense with sesame\n", "DEFAULT", "f:2: expected name=value"),
        ("[A]\na=1\n[A]\n", "A", "f:3: the section [A] is there twice"),
        ("[A]\na=1\na=2\n", "A", "f:3: a is twice in [A]"),
        (GOOD, "OTHER", "there is no profile [OTHER]; it has DEFAULT, SESS"),
        (GOOD.replace("key_file", "other"), "DEFAULT", "[DEFAULT] key_file: missing"),
        (GOOD.replace(USER, "me"), "DEFAULT", "[DEFAULT] user: expected an OCID"),
        (GOOD.replace(FINGERPRINT, FINGERPRINT.upper()), "DEFAULT", "[DEFAULT] fingerprint: expected 16 pairs"),
        (GOOD.replace("us-chicago-1", "us/chicago"), "DEFAULT", "[DEFAULT] region: expected a region"),
        (GOOD + "\nkey_content=sesame\n", "SESS", "[SESS] key_content: a key does not stand in this file"),
        ("", "DEFAULT", "tenancy, fingerprint, key_file, user: missing"),
    ],
)
def test_what_is_wrong_is_named(text: str, name: str, said: str) -> None:
    """Each mistake names the file, the line or the profile and key, and what was expected; never a value."""
    with pytest.raises(OciConfigError) as wrong:
        profile(text, name, "f")

    assert said in str(wrong.value)
    assert "sesame" not in str(wrong.value)


def test_nothing_secret_is_in_a_repr() -> None:
    """A profile's repr shows no pass phrase."""
    assert "sesame" not in repr(profile(GOOD, "DEFAULT", "f"))


def test_keys_are_loaded_or_say_why_not(tmp_path: Path) -> None:
    """A plain key loads with a needless pass phrase too; one that is locked, public or no key says so."""
    account = make_account(tmp_path)
    plain, locked = account.key.read_bytes(), account.locked_key.read_bytes()

    signature = load_key(plain, None, "k")(b"words")
    assert load_key(plain, "needless", "k")(b"words") == signature
    assert load_key(locked, PASS_PHRASE, "k")(b"words") == signature
    for pem, phrase, why in (
        (locked, None, "expected its pass_phrase"),
        (locked, "wrong", "the pass phrase is wrong"),
        (account.public_key.read_bytes(), None, "this is a public key"),
        (b"nonsense", None, "not a private key in PEM form"),
    ):
        with pytest.raises(UnusableKey, match=why):
            load_key(pem, phrase, "k")


def test_a_date_is_as_http_has_it() -> None:
    """Milliseconds become the date of an HTTP header."""
    assert date_of(1_767_225_600_000) == "Thu, 01 Jan 2026 00:00:00 GMT"
