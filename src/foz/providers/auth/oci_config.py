"""
Oracle's file of credentials (`credentials.conf`, `~/.oci/config`): from text to profiles. Pure; it is read elsewhere.

A profile is a section. What `[DEFAULT]` says holds in every section that does not say it itself, as Oracle's own tools
have it: so a session's profile inherits the `user` of the default one. A profile with a `security_token_file` signs
with that token; one that names its own `user` and only inherits the token signs with its key.
No error shows a value: the file holds a pass phrase.
"""

import configparser
import re
from collections.abc import Mapping

from msgspec import Struct
from typing_extensions import override

DEFAULT = "DEFAULT"
_OCID = re.compile(r"[0-9A-Za-z_-]+[.:](?:[0-9A-Za-z_-]*[.:]){3,}[0-9A-Za-z_-]+")
_FINGERPRINT = re.compile(r"(?:[0-9a-f]{2}:){15}[0-9a-f]{2}")
_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LONGEST = 4096
_SHAPES = {
    "tenancy": (_OCID, "an OCID such as ocid1.tenancy.oc1..aaaa"),
    "user": (_OCID, "an OCID such as ocid1.user.oc1..aaaa"),
    "fingerprint": (_FINGERPRINT, "16 pairs of small hexadecimal digits with colons between them"),
    "region": (_REGION, "a region such as us-chicago-1"),
}


class OciConfigError(ValueError):
    """What is wrong with the file, where, and what was expected."""


class OciProfile(Struct, frozen=True):
    """One profile. `user` is None where a token says who it is."""

    name: str
    tenancy: str
    fingerprint: str
    key_file: str
    region: str | None = None
    user: str | None = None
    pass_phrase: str | None = None
    security_token_file: str | None = None

    @property
    def key_id(self) -> str:
        """Who signs, where it is a user's key."""
        return f"{self.tenancy}/{self.user}/{self.fingerprint}"

    @override
    def __repr__(self) -> str:
        return f"OciProfile({self.name!r}, region={self.region!r})"


def _parse(text: str, where: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text.removeprefix("\ufeff"))
    except configparser.MissingSectionHeaderError as error:
        raise OciConfigError(f"{where}:{error.lineno}: expected a section such as [DEFAULT] first") from None
    except configparser.DuplicateSectionError as error:
        raise OciConfigError(f"{where}:{error.lineno}: the section [{error.section}] is there twice") from None
    except configparser.DuplicateOptionError as error:
        raise OciConfigError(f"{where}:{error.lineno}: {error.option} is twice in [{error.section}]") from None
    except configparser.ParsingError as error:
        lines = ", ".join(str(number) for number, _ in error.errors[:5]) or "?"
        raise OciConfigError(f"{where}:{lines}: expected name=value or a section such as [DEFAULT]") from None
    return parser


def names(text: str, where: str) -> tuple[str, ...]:
    """The profiles of a file, `DEFAULT` first where it has entries. Raises OciConfigError."""
    parser = _parse(text, where)
    return (*((DEFAULT,) if parser.defaults() else ()), *parser.sections())


def profile(text: str, name: str, where: str, region: str | None = None) -> OciProfile:
    """One profile; `region` is the environment's, for a file that names none. Raises OciConfigError."""
    parser = _parse(text, where)
    if name != DEFAULT and not parser.has_section(name):
        known = ", ".join((DEFAULT, *parser.sections())[:20])
        raise OciConfigError(f"{where}: there is no profile [{name}]; it has {known}")
    said = {key: value.strip() for key, value in parser[name].items() if value.strip()}
    if "key_content" in said:
        raise OciConfigError(f"{where}: [{name}] key_content: a key does not stand in this file; name its key_file")
    with_token = "security_token_file" in said and not _inherits_only(parser, name, said)
    needed = ["tenancy", "fingerprint", "key_file", *([] if with_token else ["user"])]
    missing = [key for key in needed if key not in said]
    if missing:
        raise OciConfigError(f"{where}: [{name}] {', '.join(missing)}: missing; a profile needs {', '.join(needed)}")
    if region and "region" not in said:
        said["region"] = region
    _check(said, needed, where, name)
    return OciProfile(
        name=name,
        tenancy=said["tenancy"],
        fingerprint=said["fingerprint"],
        key_file=said["key_file"],
        region=said.get("region"),
        user=None if with_token else said["user"],
        pass_phrase=said.get("pass_phrase"),
        security_token_file=said["security_token_file"] if with_token else None,
    )


def _inherits_only(parser: configparser.ConfigParser, name: str, said: Mapping[str, str]) -> bool:
    """Whether the token is the default profile's and this one has a user of its own."""
    defaults = parser.defaults()
    if name == DEFAULT:
        return False
    inherited = defaults.get("security_token_file", "").strip() == said["security_token_file"]
    return inherited and "user" in said and said["user"] != defaults.get("user", "").strip()


def _check(said: Mapping[str, str], needed: list[str], where: str, name: str) -> None:
    for key, value in said.items():
        shape, expected = _SHAPES.get(key, (None, ""))
        if len(value) > _LONGEST:
            raise OciConfigError(f"{where}: [{name}] {key}: longer than {_LONGEST} characters")
        if shape and (key in needed or key == "region") and not shape.fullmatch(value):
            raise OciConfigError(f"{where}: [{name}] {key}: expected {expected}")
