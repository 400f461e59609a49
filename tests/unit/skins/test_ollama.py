"""Ollama's face: its list of models, one of them shown, names with their tags, and where callers put their keys."""

from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from foz.canon.deployment import Deployment, Replica, Seen, Weights, Wish
from foz.canon.model import Model, Placement, Profile, Target
from foz.canon.request import Operation
from foz.ports.skin import Skin, Visit
from foz.skins.ollama.cards import capabilities, say_loaded, tagged
from foz.skins.ollama.skin import OllamaSkin
from foz.wire.http import Call
from tests.strategies import NAMES

SKIN: Skin = OllamaSkin()
TAGS = SKIN.routes[-1]
CHATS = Profile(operations=frozenset({Operation.CHAT}), lacks=frozenset({"images", "reasoning"}), context=4096)
EMBEDS = Profile(operations=frozenset({Operation.EMBED}))


def _visit() -> Visit:
    return Visit(TAGS, Call(TAGS.method, TAGS.path), "req-1")


def _model(name: str, *profiles: Profile, created: int = 0) -> Model:
    return Model(name, tuple(Target("house", "x", profile=profile) for profile in profiles), created)


def _listed(*models: Model) -> list[Any]:
    rows: list[Any] = msgspec.json.decode(SKIN.list_models(list(models), _visit()).body)["models"]
    return rows


def test_a_list_has_what_ollamas_programs_read() -> None:
    """A row has a name with its tag, a time, a digest of 64 digits, and details; what is unknown is 0 or no text."""
    first, second = _listed(_model("gpt-4o", CHATS, created=1_764_000_000), _model("bge-m3", EMBEDS))

    assert (first["name"], first["model"]) == ("gpt-4o:latest", "gpt-4o:latest")
    assert datetime.fromisoformat(first["modified_at"]).timestamp() == 1_764_000_000
    assert len(first["digest"]) == 64
    assert first["digest"] != second["digest"]
    assert first["size"] == 0
    assert (first["details"]["family"], first["details"]["quantization_level"]) == ("house", "")
    assert (first["capabilities"], second["capabilities"]) == (["completion", "tools"], ["embedding"])
    assert _listed() == []


@given(st.frozensets(NAMES | st.sampled_from(["a", "a:latest", "a:8b", "x/a"]), max_size=6))
def test_every_listed_name_is_one_models_own(names: frozenset[str]) -> None:
    """No two models are listed by one name, and each name is the model's own, with or without `:latest`."""
    told = [tagged(name, names) for name in names]

    assert len(set(told)) == len(names)
    assert all(one in {name, f"{name}:latest"} for one, name in zip(told, names, strict=True))
    assert all(":" in one or f"{one}:latest" in names for one in told)


@pytest.mark.parametrize(
    ("profiles", "words"),
    [
        ((Profile(),), ["completion", "tools", "vision"]),
        ((Profile(context=1),), ["completion", "tools", "vision", "thinking"]),
        ((CHATS,), ["completion", "tools"]),
        ((EMBEDS,), ["embedding"]),
        ((EMBEDS, CHATS), ["completion", "tools", "embedding"]),
        ((Profile(operations=frozenset({Operation.COMPLETE})),), ["completion"]),
    ],
)
def test_a_model_can_do_what_its_targets_do_not_lack(profiles: tuple[Profile, ...], words: list[str]) -> None:
    """What of a family is known to fail is left out; of which nobody knows it, it chats, and thinks not."""
    assert capabilities(_model("m", *profiles)) == words


def test_a_model_is_shown() -> None:
    """Its context stands where programs look: under the architecture that it says. Who is ours is asked first."""
    far = Target("far", "x", profile=Profile(context=8))
    near = Target("near", "x", Placement.GPU, rank=1, profile=CHATS)
    told = msgspec.json.decode(SKIN.show_model(Model("m", (far, near)), _visit()).body)

    about = told["model_info"]
    assert about[f"{about['general.architecture']}.context_length"] == 4096
    assert told["details"]["family"] == "near"
    assert told["modelfile"] == "FROM m\n"


@pytest.mark.parametrize(
    ("header", "key"),
    [((b"authorization", b"Bearer sk-1"), "sk-1"), ((b"x-api-key", b"sk-2"), "sk-2"), ((b"x", b"y"), None)],
)
def test_a_key_is_a_bearer(header: tuple[bytes, bytes], key: str | None) -> None:
    """`OLLAMA_API_KEY` comes as a bearer; a header of its own will do too."""
    assert SKIN.key(Call("GET", "/api/tags", (header,))) == key


@pytest.mark.parametrize(
    ("parameters", "told"), [(None, ""), (8_030_000_000, "8.0B"), (270_000_000, "270M"), (900, "900")]
)
def test_what_we_run_is_loaded(parameters: int | None, told: str) -> None:
    """A model whose engine is well is listed once, as its file is; one that is on its way, or ailing, is not."""
    weights = Weights("x.gguf", 12_000, "llama", "Q8_0", parameters)
    well = Replica("here", "http://127.0.0.1:1", "secret", 1, 0, context=4096)
    ailing = structs.replace(well, healthy=False)
    rows = msgspec.json.decode(
        say_loaded(
            [
                Deployment("1", 0, Wish("small", "small"), "p", seen=Seen(replicas=(well, well), weights=weights)),
                Deployment("2", 0, Wish("ill", "ill"), "p", seen=Seen(replicas=(ailing,))),
                Deployment("3", 0, Wish("new", "new"), "p"),
            ]
        )
    )["models"]

    (row,) = rows
    assert (row["name"], row["size"], row["context_length"]) == ("small:latest", 12_000, 4096)
    assert row["details"]["quantization_level"] == "Q8_0"
    assert (row["details"]["family"], row["details"]["parameter_size"]) == ("llama", told)
    assert "secret" not in str(rows)
    assert datetime.fromisoformat(row["expires_at"]).year > 2300
