"""From names to models: the order of names, discoveries, test mode, and names that are like a name."""

import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.fault import Down
from foz.canon.model import Model, Patience, Target
from foz.gateway.likeness import Likeness
from foz.gateway.resolve import LONGEST, MOST_DISCOVERED, Listing, Snapshot
from foz.ports.line import Line
from foz.ports.upstream import UpstreamAnswer
from foz.wire.http import Call, Headers


class _Nowhere:
    """An endpoint that nobody reaches."""

    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> UpstreamAnswer:
        raise Down("nowhere", sent=False)

    async def close(self) -> None:
        pass


LINES: Mapping[str, Line] = {name: Line(_Nowhere(), {}) for name in ("openai", "groq", "ollama", "simulated")}
SIMULATED = Target(provider="simulated", model="simulated")


def _cast(provider: str, model: str) -> Target:
    return Target(provider=provider, model=model)


def _model(name: str, *targets: Target) -> Model:
    return Model(name, targets or (Target("openai", "x"),))


def _snapshot(*configured: Model, everything: Target | None = None, fallback: Model | None = None) -> Snapshot:
    return Snapshot(Listing(configured, everything=everything, fallback=fallback), LINES, _cast)


def _names(snapshot: Snapshot) -> list[str]:
    return [model.name for model in snapshot.models()]


def test_a_public_name_beats_a_provider() -> None:
    """A model called like `provider/rest` is that model; another rest goes to the provider."""
    snapshot = _snapshot(_model("openai/gpt-4o", Target("groq", "other")))

    assert [t.name for t in (snapshot.find("openai/gpt-4o") or _model("")).targets] == ["groq/other"]
    assert [t.name for t in (snapshot.find("openai/gpt-4.1") or _model("")).targets] == ["openai/gpt-4.1"]


def _sourced(*configured: Model) -> Snapshot:
    def knows(name: str, listed: frozenset[str]) -> str | None:
        return name.upper() if "/" in name or name in listed else None

    listing = Listing(
        configured, discovered=(("ollama", ("tiny",)), ("openai", ("tiny",))), sources={"ollama": knows, "far": knows}
    )
    return Snapshot(listing, LINES, _cast)


def test_a_dialects_own_source_beats_a_provider() -> None:
    """Who means a provider's models gets them by their bare names, after public names and before `provider/rest`."""
    snapshot = _sourced(_model("groq/mine"))

    def asked(name: str, source: str = "") -> list[str]:
        found = snapshot.find(name, source)
        return [] if found is None else [found.name, *(target.name for target in found.targets)]

    assert asked("openai/gpt-4o", "ollama") == ["ollama/OPENAI/GPT-4O", "ollama/OPENAI/GPT-4O"]
    assert asked("openai/gpt-4o") == ["openai/gpt-4o", "openai/gpt-4o"]
    assert asked("groq/mine", "ollama") == ["groq/mine", "openai/x"]
    assert asked("tiny", "ollama") == ["ollama/TINY", "ollama/TINY"]
    assert asked("tiny") == asked("other", "ollama") == asked("a/b", "far") == []
    assert asked("a/" + "b" * LONGEST, "ollama") == []


def test_a_listed_model_of_a_source_is_the_public_one() -> None:
    """A short name of a listed model means the model that everybody is shown, so that keys for it fit."""

    def knows(name: str, listed: frozenset[str]) -> str | None:
        return f"{name}:latest" if f"{name}:latest" in listed else None

    found = {"discovered": (("ollama", ("big:latest", "ours:latest")),), "sources": {"ollama": knows}}
    snapshot = Snapshot(Listing((_model("ours:latest"),), **found), LINES, _cast)  # type: ignore[arg-type]  # as named

    assert snapshot.find("big", "ollama") is snapshot.find("big:latest")
    assert (snapshot.find("ours", "ollama") or _model("")).name == "ollama/ours:latest"


def test_a_source_that_is_not_configured_is_named() -> None:
    """Who means the models of a provider that is off is told so."""
    assert _sourced().hint("org/name", "far") == "The provider far is not configured here."
    assert _sourced().hint("org/name") == ""


def test_the_rest_may_hold_slashes_and_colons() -> None:
    """What follows the provider is the upstream's name, whole."""
    found = _snapshot().find("groq/openai/gpt-oss:20b")

    assert found is not None
    assert (found.name, found.owner) == ("groq/openai/gpt-oss:20b", "groq")
    assert found.targets == (Target("groq", "openai/gpt-oss:20b"),)


@pytest.mark.parametrize(
    "name", ["", "x", "openai", "openai/", "/x", "mistral/x", "OpenAI/x", "openai/" + "x" * LONGEST]
)
def test_other_names_are_nothing(name: str) -> None:
    """No name, a bare unknown one, a provider alone or not configured, and a name without end are not found."""
    assert _snapshot().find(name) is None


def test_a_discovered_model_has_its_bare_name_where_nobody_else_has_it() -> None:
    """One provider's id is public as it is; two providers' id, or one of the settings, gets the provider before it."""
    snapshot = (
        _snapshot(_model("mine"))
        .with_discovered("openai", ["gpt-4o", "both", "mine"])
        .with_discovered("groq", ["both", "org/model"])
    )

    assert _names(snapshot) == ["gpt-4o", "groq/both", "mine", "openai/both", "openai/mine", "org/model"]
    assert snapshot.find("both") is None
    assert set(snapshot.closest("both")) == {"groq/both", "openai/both"}
    assert (snapshot.find("org/model") or _model("")).targets == (Target("groq", "org/model"),)


def test_a_second_discovery_replaces_the_first() -> None:
    """A provider has the models that it said last; the snapshot before is unchanged."""
    first = _snapshot().with_discovered("ollama", ["a", "b"])
    second = first.with_discovered("ollama", ["b", "c"])

    assert _names(first) == ["a", "b"]
    assert _names(second) == ["b", "c"]


def test_nobody_discovers_for_a_provider_that_is_not_there() -> None:
    """A discovery for a provider without a line is refused by its name."""
    with pytest.raises(ValueError, match="mistral"):
        _snapshot().with_discovered("mistral", ["x"])


@given(st.lists(st.text(max_size=300), max_size=20))
def test_a_hostile_list_of_models_does_no_harm(names: list[str]) -> None:
    """Of whatever a provider lists, only printable names of 1 to 256 characters become models."""
    for name in _names(_snapshot().with_discovered("groq", names)):
        assert 0 < len(name) <= LONGEST + len("groq/")
        assert name.isprintable()


def test_a_list_without_end_is_cut() -> None:
    """A provider has at most so many models, however many it lists."""
    assert len(_snapshot().with_discovered("groq", (f"m{n}" for n in range(10**6))).models()) == MOST_DISCOVERED


def test_in_test_mode_every_name_is_simulated() -> None:
    """Known, unknown and provider's names have the one simulated target; the settings' names stay listed."""
    snapshot = _snapshot(_model("mine"), everything=SIMULATED).with_discovered("groq", ["found"])

    for name in ("mine", "gpt-4o", "openai/gpt-4o", "anything at all", "simulated"):
        assert (snapshot.find(name) or _model("")) == Model(name, (SIMULATED,))
    assert _names(snapshot) == ["found", "mine", "simulated"]
    assert all(model.targets == (SIMULATED,) for model in snapshot.models())
    assert snapshot.find("x" * (LONGEST + 1)) is None


def test_in_test_mode_what_is_simulated_itself_stands_apart() -> None:
    """A model of a provider that stands apart keeps its target, and its other models can be named."""
    agent = _model("agent", Target("groq", "a"))
    listing = Listing((agent, _model("mine")), everything=SIMULATED, apart=frozenset({"groq"}))
    snapshot = Snapshot(listing, LINES, _cast)

    assert snapshot.find("agent") == agent
    assert (snapshot.find("mine") or agent).targets == (SIMULATED,)
    assert [one.name for one in (snapshot.find("groq/other") or agent).targets] == ["groq/other"]
    assert (snapshot.find("openai/other") or agent).targets == (SIMULATED,)


def test_the_fallback_is_listed_while_nothing_else_is() -> None:
    """With nothing else the simulated model is listed; once something is discovered it only answers to its name."""
    fallback = Model("simulated", (SIMULATED,))
    alone = _snapshot(fallback=fallback)
    joined = alone.with_discovered("ollama", ["llama3"])

    assert _names(alone) == ["simulated"]
    assert _names(joined) == ["llama3"]
    assert joined.find("simulated") == fallback


def test_a_barred_model_is_known_but_not_listed() -> None:
    """A model whose targets are all barred is found, so that its fault can say why, and is not listed."""
    barred = _model("dead", Target("mistral", "x", barred="mistral is off: no key"))
    half = _model("half", Target("mistral", "x", barred="no key"), Target("openai", "x"))
    snapshot = _snapshot(barred, half)

    assert snapshot.find("dead") == barred
    assert _names(snapshot) == ["half"]
    assert [model.name for model in snapshot.all_models()] == ["dead", "half"]


def test_a_target_leads_to_its_line() -> None:
    """A target's line is its provider's."""
    assert _snapshot().line(Target("groq", "x")) is LINES["groq"]


def test_many_names_of_a_provider_are_not_kept_for_ever() -> None:
    """However many names callers make up after a provider's, only a bounded number is remembered."""
    snapshot = _snapshot()
    for number in range(5_000):
        assert snapshot.find(f"groq/{number}") is not None

    assert len(snapshot._passing) <= 1_024


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("gpt4o", "gpt-4o"),
        ("GPT-4O", "gpt-4o"),
        ("gpt-4o-minni", "gpt-4o-mini"),
        ("gpt-oss-20b", "openai/gpt-oss-20b"),
        ("llama-3.3-70b", "llama-3.3-70b-versatile"),
    ],
)
def test_a_mistyped_name_finds_the_meant_one(asked: str, expected: str) -> None:
    """The first of the closest names is the one that was meant."""
    names = ["gpt-4o", "gpt-4o-mini", "openai/gpt-oss-20b", "llama-3.3-70b-versatile", "mistral-large", "whisper-1"]

    assert _snapshot(*map(_model, names)).closest(asked)[0] == expected


def test_nothing_is_like_nonsense() -> None:
    """A name that shares nothing with any, an empty one and one without end have no closest names."""
    snapshot = _snapshot(_model("gpt-4o"))

    assert [tuple(snapshot.closest(name)) for name in ("zzzzzzzz", "", "gpt-4o" * 100)] == [(), (), ()]


@given(st.lists(st.text(max_size=30), max_size=12), st.text(max_size=40))
def test_likeness_gives_at_most_three_that_exist(names: list[str], asked: str) -> None:
    """Closest names are at most three, each one of the given; a name is among its own, but for three as like."""
    likeness = Likeness(names)
    found = likeness.closest(asked)

    assert len(found) <= 3
    assert set(found) <= set(names)
    for name in names:
        own = likeness.closest(name)
        assert name.lower() in {one.lower() for one in own} or len(own) == 3


def test_a_hostile_name_costs_little() -> None:
    """Among 5,000 long names the dearest question of 256 characters can be answered in 50 ms of CPU."""
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
    likeness = Likeness([f"org-{n % 50}/model-{n}-" + alphabet for n in range(5_000)])
    asked = (alphabet * 8)[:LONGEST]
    took = []
    for _ in range(5):
        began = time.process_time()
        likeness.closest(asked)
        took.append(time.process_time() - began)

    assert min(took) < 0.05


def test_a_tag_that_means_none_need_not_be_said() -> None:
    """Where `:latest` means no tag, a model without one answers to both names; one that is called so stays itself."""
    models = (_model("gpt", Target("groq", "g")), _model("llama:latest", Target("groq", "l")))
    twins = (_model("x", Target("groq", "bare")), _model("x:latest", Target("groq", "tagged")))
    sources = {"ollama": lambda name, listed: f"{name}:latest" if f"{name}:latest" in listed else None}
    listing = Listing((*models, *twins), sources=sources, tagged=frozenset({"ollama"}))
    snapshot = Snapshot(listing, LINES, _cast).with_discovered("ollama", ["own:latest"])

    def found(name: str, source: str = "ollama") -> str | None:
        model = snapshot.find(name, source)
        return None if model is None else model.targets[0].name

    assert (found("gpt:latest"), found("gpt"), found("gpt:8b")) == ("groq/g", "groq/g", None)
    assert (found("llama"), found("llama:latest")) == ("groq/l", "groq/l")
    assert (found("x"), found("x:latest")) == ("groq/bare", "groq/tagged")
    assert (found("own"), found("own:latest")) == ("ollama/own:latest", "ollama/own:latest")
    assert found("openai/gpt-4o:latest") == "openai/gpt-4o"
    assert found("ollama/new:latest") == "ollama/new:latest"
    assert found("gpt:latest", "") is None
