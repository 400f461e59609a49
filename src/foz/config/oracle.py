"""
Oracle's credentials as files: `credentials.conf` beside the settings, or `~/.oci/config`, and the key and the token
that a profile names.

The key is read once, the token whenever its file has changed: Oracle's tools renew it every hour.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from typing_extensions import override

from foz.config.refusal import ConfigError
from foz.providers.auth.oci_config import DEFAULT, OciConfigError, OciProfile, profile
from foz.providers.auth.oci_signing import Key, OciKey, token_id

FILE = "credentials.conf"
_LARGEST = 1024 * 1024
_KEYS = "foz.providers.auth.oci_keys"
"""Loaded when there is a key to read: it brings a large library."""
_ELSEWHERE = (".oci/config", ".oraclebmc/config")


def find(said: str, environ: Mapping[str, str], cwd: Path | None) -> Path | None:
    """The file of credentials: the one that is named, else one that is there."""
    home = Path(environ["HOME"]) if environ.get("HOME") else None
    here = cwd or Path()
    named = said or ""
    if named:
        return _placed(named, here, home)
    if cwd is not None and (cwd / FILE).is_file():
        return cwd / FILE
    elsewhere = environ.get("OCI_CONFIG_FILE", "").strip()
    if elsewhere:
        return _placed(elsewhere, here, home)
    return next((home / one for one in _ELSEWHERE if (home / one).is_file()), None) if home else None


def _placed(name: str, here: Path, home: Path | None) -> Path:
    if home is not None and name.startswith("~/"):
        return home / name[2:]
    return here / name


def _read(path: Path, what: str) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"{path}: larger than {_LARGEST // 2**20} MiB, which is no {what}")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: the {what} cannot be read: {error.strerror}") from error


class Credentials:
    """One profile, and the key that signs for it. Its repr shows no secret."""

    def __init__(self, file: Path, told: OciProfile, home: Path | None) -> None:
        self.file = file
        self.profile = told
        self._key: Key = self._load(_placed(told.key_file, file.parent, home))
        token = told.security_token_file
        self._token_file = None if token is None else _placed(token, file.parent, home)
        self._token_seen: tuple[int, int] | None = None
        self._current = OciKey("" if self._token_file else told.key_id, self._key)
        self.key()

    def _load(self, path: Path) -> Key:
        pem = _read(path, "key file")
        load_key: Callable[[bytes, str | None, str], Key] = import_module(_KEYS).load_key
        try:
            return load_key(pem, self.profile.pass_phrase, str(path))
        except ValueError as error:
            raise ConfigError(f"{self.file}: [{self.profile.name}] key_file: {error}") from None

    def key(self) -> OciKey:
        """Who signs at this moment. A token file that is gone, or half written, leaves the token as it was."""
        if self._token_file is not None:
            try:
                self._renew(self._token_file)
            except ConfigError:
                if self._token_seen is None:
                    raise
        return self._current

    def _renew(self, file: Path) -> None:
        """Reads the token, if it is another than it was. Raises ConfigError."""
        try:
            about = file.stat()
        except OSError as error:
            raise ConfigError(f"{file}: the token cannot be read: {error.strerror}") from error
        seen = (about.st_mtime_ns, about.st_size)
        if seen == self._token_seen:
            return
        token = _read(file, "token").decode("ascii", "replace").strip()
        if not token or not token.isprintable() or '"' in token or not token.isascii():
            raise ConfigError(f"{file}: expected a token of printable ASCII characters")
        self._token_seen = seen
        self._current = OciKey(token_id(token), self._key)

    @override
    def __repr__(self) -> str:
        return f"Credentials({str(self.file)!r}, {self.profile.name!r})"


def load(file: Path, name: str, environ: Mapping[str, str]) -> Credentials:
    """The credentials of a profile. Raises ConfigError."""
    text = _read(file, "file of credentials").decode("utf-8", "replace")
    home = Path(environ["HOME"]) if environ.get("HOME") else None
    try:
        told = profile(text, name or DEFAULT, str(file), environ.get("OCI_REGION", "").strip() or None)
    except OciConfigError as error:
        raise ConfigError(str(error)) from None
    return Credentials(file, told, home)
