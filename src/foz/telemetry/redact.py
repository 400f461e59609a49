"""
What must never be read in a log: keys.

Two nets, one behind the other. Secrets that were registered at the start (keys of providers, of callers, of databases)
are cut out wherever they stand, also percent-encoded or as Python or JSON would write them. What only looks like a key,
by its shape or by the header or address it stands in, is cut out too.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MARK = "***"
SHORTEST = 4
"""A registered secret must be longer than the mark, or cutting it out could never end."""

_SHAPES = re.compile(
    r"""
    (?<![A-Za-z0-9])
    (?: sk- | nvapi- | gsk_ | xai- | r8_ | pplx- | hf_ | github_pat_ | gh[pousr]_ | AKIA | AIza | foz_ )
    (?=[A-Za-z0-9_\-]{0,200}[0-9A-Z])   # a key has a digit or a capital; the name of one of our metrics has neither
    [A-Za-z0-9_\-]{12,}
    """,
    re.VERBOSE,
)
_NAMED = re.compile(
    r"""
    ( (?: proxy-)? authorization | x-api-key | api[-_]?key | x-goog-api-key | access[-_]?token | client[-_]?secret
      | password | set-cookie | cookie )
    ( ['"]? \s* [:=,] \s* (?: b?['"] )? )
    ( (?: (?:bearer|basic|digest|token) \s+ )? [^\s'",;&)}\]]{3,} )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer|basic)(\s+)([A-Za-z0-9._~+/=\-]{8,})", re.IGNORECASE)
_ADDRESS = re.compile(r"(\b[a-z][a-z0-9+.\-]{1,20}://)([^\s/@'\"]{1,500})@", re.IGNORECASE)


def _forms(secret: str) -> set[str]:
    """How a secret may be written."""
    escaped = secret.replace("\\", "\\\\")
    written = {
        secret,
        repr(secret)[1:-1],
        repr(secret.encode("utf-8", "surrogatepass"))[2:-1],
        escaped.replace('"', '\\"'),
        escaped.replace("'", "\\'"),
        quote(secret, safe="", errors="replace"),
        quote(secret, errors="replace"),
        quote_plus(secret, errors="replace"),
    }
    return {form for form in written if len(form) >= SHORTEST}


def hideable(secrets: Iterable[str]) -> list[str]:
    """Those that are long enough to be cut out; what is shorter, a header of a letter or two, holds no secret."""
    return [secret for secret in secrets if len(secret) >= SHORTEST]


class Redactor:
    """Cuts secrets out of text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.register(*secrets)

    def register(self, *secrets: str) -> None:
        """Never shows these again. Raises ValueError for one that is too short to be a secret."""
        for secret in secrets:
            if len(secret) < SHORTEST:
                raise ValueError(f"a secret needs at least {SHORTEST} characters to be kept out of the log")
            self._forms |= _forms(secret)
        if self._forms:
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._known = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        text = self.known(text)
        text = _SHAPES.sub(MARK, text)
        text = _NAMED.sub(rf"\1\2{MARK}", text)
        text = _BEARER.sub(rf"\1\2{MARK}", text)
        text = _ADDRESS.sub(rf"\1{MARK}@", text)
        return self.known(text)

    def known(self, text: str) -> str:
        """
        The text without the registered secrets, and nothing else cut out of it. Until nothing is left: what stood on
        both sides of one secret may be another, once they meet at the mark.
        """
        if self._known is None:
            return text
        found = 1
        while found:
            text, found = self._known.subn(MARK, text)
        return text
