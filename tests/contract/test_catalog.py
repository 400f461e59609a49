"""Every row of the catalog keeps the same promises; so do the families of models."""

import re
from importlib.resources import files
from typing import get_args
from urllib.parse import urlsplit

import pytest

from foz.assembly.tongues import WRAPPERS
from foz.canon.model import Capability, Placement, Profile
from foz.canon.request import Operation
from foz.config.bind import bind
from foz.config.rows import ProviderSettings
from foz.config.sections import Written
from foz.dialects.openai.chat.asking import QUIRKS, manner_of
from foz.providers.auth.sign import signed
from foz.providers.catalog import SIMULATED, catalog
from foz.providers.profile import ANYTHING, families, profile, weight
from foz.providers.row import ProviderRow, Quirk

ROWS = list(catalog().values())
REMOTE = [row for row in ROWS if not row.local and row.name != SIMULATED and row.auth != "oci"]
LOCAL = [row for row in ROWS if row.local]
WANTED = {
    "openai", "anthropic", "nvidia", "huggingface", "deepseek", "mistral", "groq", "openrouter", "together", "xai",
    "oci", "oci_agent", "vllm", "llamacpp", "lmstudio", "ollama", "simulated",
}  # fmt: skip


def _named(row: ProviderRow) -> str:
    return row.name


def test_the_catalog_has_whom_everybody_calls() -> None:
    """The catalog has the providers that the README promises, each once."""
    text = files("foz.providers").joinpath("catalog.toml").read_text("utf-8")

    assert set(catalog()) == WANTED
    assert len(re.findall(r"^name = ", text, re.MULTILINE)) == len(WANTED)


@pytest.mark.parametrize("row", ROWS, ids=_named)
def test_a_row_may_stand_in_foz_toml(row: ProviderRow) -> None:
    """What the catalog says of a provider, a user could say of their own."""
    own = ProviderSettings(
        name=row.name,
        secret=row.secret,
        auth=row.auth,
        auth_header=row.auth_header or None,
        forwards=row.forwards,
        models=row.models,
        placement=row.placement.value,
        base_url=row.base_url if row.name != SIMULATED else None,
    )

    assert own.secret == row.secret
    assert row.base_url == row.base_url.rstrip("/")
    assert all(prefix == prefix.lower() for prefix in row.forwards)
    assert not row.models or row.models.startswith("/")


@pytest.mark.parametrize("row", REMOTE, ids=_named)
def test_a_vendor_is_called_over_tls_with_a_key(row: ProviderRow) -> None:
    """A vendor's URL is https, its key is needed, its documentation is linked and its placement is `api`."""
    assert row.base_url.startswith("https://")
    assert row.needs_key
    assert urlsplit(row.docs).scheme == "https"
    assert row.placement is Placement.API


@pytest.mark.parametrize("row", REMOTE, ids=_named)
def test_a_vendors_key_alone_wakes_it(row: ProviderRow) -> None:
    """With the first of its variables set a vendor is ready and signs its calls; with none it is off and says which."""
    without = {one.name: one for one in bind(Written(), {})}[row.name]
    awake = {one.name: one for one in bind(Written(), {row.secret[0]: "k3y"})}[row.name]

    assert (without.state, awake.state) == ("off", "ready")
    assert row.secret[0] in without.why
    assert any(b"k3y" in value for _, value in awake.headers())
    assert "k3y" not in repr(awake)


@pytest.mark.parametrize("row", LOCAL, ids=_named)
def test_a_local_server_is_looked_for_on_this_machine(row: ProviderRow) -> None:
    """A local server is on loopback, ours, movable by a variable, and needs no key."""
    moved = {one.name: one for one in bind(Written(), {row.base_url_env[0]: "box:1"})}[row.name]

    assert urlsplit(row.base_url).hostname == "127.0.0.1"
    assert row.placement is Placement.GPU
    assert not row.needs_key
    assert (moved.state, moved.row.base_url) == ("ready", f"http://box:1{urlsplit(row.base_url).path}")
    assert signed(row, None) == ()
    assert signed(row, "k") == ((b"authorization", b"Bearer k"),)


def test_every_quirk_that_a_row_may_name_changes_something() -> None:
    """Each quirk of a row changes a dialect's manner, its speech, what it is sent, or what is around its upstream."""
    spoken = {"families", "dedicated", "links"}

    assert set(get_args(Quirk)) == {*QUIRKS, *spoken, *(word for word in WRAPPERS if word in get_args(Quirk))}
    assert all(manner_of([quirk]) != manner_of([]) for quirk in QUIRKS)
    assert {quirk for row in ROWS for quirk in row.quirks} == set(get_args(Quirk)) - {"dedicated"}


def test_no_two_rows_share_a_key_or_a_place() -> None:
    """A key set for one provider is never sent to another, and no two rows are one endpoint."""
    secrets = [name for row in ROWS for name in row.secret]
    places = [row.base_url for row in ROWS] + [name for row in ROWS for name in row.base_url_env]

    assert len(secrets) == len(set(secrets))
    assert len(places) == len(set(places))


def test_no_two_families_claim_a_name_alike() -> None:
    """Each pattern stands once, in small letters, with at least two signs of its own."""
    patterns = [pattern for family in families() for pattern in family.match]

    assert len(patterns) == len(set(patterns))
    assert all(pattern == pattern.lower() and weight(pattern) >= 2 for pattern in patterns)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", {"images"}),
        ("gpt-4o-audio-preview", {"audio"}),
        ("openai/gpt-4.1-mini", {"images"}),
        ("o3-mini-2025-01-31", {"reasoning", "images"}),
        ("meta-llama/Llama-3.3-70B-Instruct", {"tools"}),
        ("llama3.2-vision:11b", {"images"}),
        ("nvidia/llama-3.3-nemotron-super-49b-v1", {"reasoning"}),
        ("openai/gpt-oss-20b", {"reasoning"}),
        ("something-of-tomorrow", {capability.value for capability in Capability}),
    ],
)
def test_a_model_is_not_refused_what_it_can_do(model: str, expected: set[str]) -> None:
    """What a family can do is not among what it lacks, under whatever name a provider gives it."""
    known = profile(model)

    assert not expected & known.lacks
    assert Operation.CHAT in known.operations


@pytest.mark.parametrize(
    "model",
    ["text-embedding-3-small", "nvidia/nv-embedqa-e5-v5", "BAAI/bge-m3", "nomic-embed-text:latest", "mistral-embed",
     "Qwen/Qwen3-Embedding-8B", "all-minilm", "intfloat/multilingual-e5-large"],
)  # fmt: skip
def test_embedding_models_only_embed(model: str) -> None:
    """A model that places texts in a space is asked for nothing else."""
    assert profile(model).operations == {Operation.EMBED}


def test_what_nobody_knows_is_tried() -> None:
    """A name of no family lacks nothing."""
    assert profile("acme/brand-new") == ANYTHING == Profile()
