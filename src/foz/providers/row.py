"""
A provider is a row: who, which dialect, which key, which quirks. No code.

The deciding question for anything more is whether the protocol requires it.
"""

from typing import Literal

from msgspec import Struct

from foz.canon.model import Placement
from foz.dialects.oci.telling import Facts

Auth = Literal["bearer", "header", "none", "oci"]
Dialect = Literal["openai", "anthropic", "huggingface", "ollama", "oci", "oci_agent"]
Knows = Literal["", "org/name", "name:latest"]
Quirk = Literal["max_tokens", "no_reasoning_back", "families", "loads", "dedicated", "links"]
"""
`max_tokens`: it knows the limit of an answer only by this name. `no_reasoning_back`: it refuses earlier thoughts.
`families`: how its models are told to think and what their embeddings need is their families' (`profiles/`).
`loads`: its models may be asleep; they are waited for. `dedicated`: a Hugging Face endpoint of one model.
`links`: though we run it ourselves it may follow callers' links.
"""


class ProviderRow(Struct, frozen=True, forbid_unknown_fields=True):
    """One provider, as `catalog.toml` and `foz.toml` say it."""

    name: str
    base_url: str
    """Where its API begins, without a slash at the end; `simulated:` is answered in this process."""
    dialect: Dialect = "openai"
    base_url_env: tuple[str, ...] = ()
    """Variables that say where it is: a whole URL, or a host and port that take the rest from `base_url`."""
    shorthands: dict[str, str] = {}
    """Words that its own programs take for a whole URL there."""
    secret: tuple[str, ...] = ()
    """Variables that may hold its key, in order."""
    docs: str = ""
    example: str = ""
    """A model that it has, for the line that newcomers are told to try."""
    auth: Auth = "bearer"
    auth_header: str = ""
    """The header that takes the key where `auth` is `header`."""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent with each call."""
    placement: Placement = Placement.API
    resend: bool = False
    """Whether a call that timed out after it was sent may be sent again, here or elsewhere."""
    models: str = "/models"
    """The path of its list of models; empty where it has none."""
    knows: Knows = ""
    """
    Names that it knows beside those that it lists, for callers who speak its own API: `org/name` any such id, with or
    without a provider behind a colon; `name:latest` a listed one without its tag.
    """
    polls: str = ""
    """Where the answer of a call that it put off (202) is asked for, by its id: a URL that gets the same key."""
    region: str = ""
    """Oracle's, where `base_url` does not say it; empty is the profile's."""
    compartment: str = ""
    """The OCID of Oracle's compartment that pays; empty is the tenancy, its root."""
    profile: str = ""
    """The profile of Oracle's file of credentials; empty is `DEFAULT`."""
    credentials: str = ""
    """That file; empty is `credentials.conf` in the working directory, else `~/.oci/config`."""
    facts: dict[str, Facts] = {}
    """What is known of models of Oracle's, by the name or OCID that calls bear."""
    forwards: tuple[str, ...] = ()
    """Prefixes of callers' header names that go along."""
    local: bool = False
    """It runs on a user's own machine: it needs no key, and unless its place is said it is looked for at `base_url`."""
    quirks: tuple[Quirk, ...] = ()

    @property
    def may_look_around(self) -> bool:
        """Whether callers may send it links: it goes there from where it stands, and a vendor (or Ollama) does not."""
        return self.placement is Placement.API or self.dialect == "ollama" or "links" in self.quirks

    @property
    def needs_key(self) -> bool:
        """Whether it is of no use without a key."""
        return self.auth != "none" and bool(self.secret) and not self.local
