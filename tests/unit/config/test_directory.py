"""From settings to targets: ranks, weights, placements, prices, and what is barred."""

from pathlib import Path

import pytest

from foz.canon.model import Model, Placement, Target
from foz.canon.money import FREE, Rates
from foz.config.directory import casting, configured, listing, price_table, snapshot
from foz.config.load import load
from foz.config.settings import Settings

DAY = "2026-11-01"


def _settings(cwd: Path, toml: str = "", **environ: str) -> Settings:
    (cwd / "foz.toml").write_text(toml)
    return load({"HOME": str(cwd), **environ}, cwd)


def _model(cwd: Path, targets: str, **environ: str) -> Model:
    settings = _settings(cwd, f"[[model]]\nname = 'm'\ntargets = {targets}", **environ)
    return configured(settings, casting(settings, price_table(settings, DAY)))[0]


def _cast(settings: Settings, provider: str, model: str) -> Target:
    return casting(settings, price_table(settings, DAY))(provider, model)


@pytest.mark.parametrize(
    ("targets", "ranks"),
    [
        ("['groq/a', 'groq/b', 'groq/c']", [0, 1, 2]),
        ("[{provider='groq', model='a', weight=3}, {provider='groq', model='b', weight=1}, 'groq/c']", [0, 0, 2]),
        ("['groq/a', {provider='groq', model='b', weight=3}, {provider='groq', model='c', weight=1}]", [0, 1, 1]),
        ("[{provider='groq', model='a', rank=5}, 'groq/b', {provider='groq', model='c', rank=0}]", [5, 1, 0]),
        ("[{provider='groq', model='a', weight=1, rank=2}, {provider='groq', model='b', weight=1}]", [2, 1]),
    ],
)
def test_a_list_is_an_order_unless_weights_or_ranks_say_more(tmp_path: Path, targets: str, ranks: list[int]) -> None:
    """Targets rank by their place; neighbours with weights share the first one's; a rank that is said holds."""
    assert [target.rank for target in _model(tmp_path, targets).targets] == ranks


def test_a_target_knows_all_that_the_core_asks(tmp_path: Path) -> None:
    """Placement, profile, prices, patience and resend come from the row, the families and the tables."""
    settings = _settings(tmp_path, "[timeouts]\nidle = 9", OPENAI_API_KEY="k")
    target = _cast(settings, "openai", "gpt-4o")

    assert (target.placement, target.patience.idle, target.resend, target.barred) == (Placement.API, 9, False, None)
    assert "reasoning" in target.profile.lacks
    assert target.rates is not None
    assert target.rates.input == 2_500_000
    assert _cast(settings, "ollama", "llama3").rates == FREE
    assert _cast(settings, "openai", "of-tomorrow").rates is None


def test_a_target_without_key_is_barred_and_says_why(tmp_path: Path) -> None:
    """A model may name a provider that has no key: its target is barred with the variable to set."""
    (target,) = _model(tmp_path, "['mistral/x']").targets

    assert target.barred == "mistral has no key: set MISTRAL_API_KEY"


def test_placement_may_be_said_of_a_target(tmp_path: Path) -> None:
    """A target's own placement holds against its provider's."""
    (target,) = _model(tmp_path, "[{provider='groq', model='x', placement='gpu'}]", GROQ_API_KEY="k").targets

    assert target.placement is Placement.GPU


def test_prices_of_the_file_are_exact(tmp_path: Path) -> None:
    """A `[[price]]` row becomes whole pico-units, its missing higher prices the lower ones."""
    toml = """
        [[price]]
        provider = "groq"
        model = "llama-*"
        input = 0.02
        output = 0.000001
        cached = 0
        request = 0.001
        currency = "BRL"
        above = 1000
        higher = { input = 0.04 }
    """
    found = _cast(_settings(tmp_path, toml, GROQ_API_KEY="k"), "groq", "LLAMA-3").rates
    higher = Rates(input=40_000, output=1, cached=0, request=10**9, currency="BRL", version="foz.toml")

    assert found == Rates(
        input=20_000, output=1, cached=0, request=10**9, currency="BRL", version="foz.toml", above=1000, higher=higher
    )


def test_what_a_bare_machine_lists(tmp_path: Path) -> None:
    """Without keys the simulated model is the fallback; with one it is not; in test mode it is everything."""

    def made(**environ: str) -> tuple[bool, bool]:
        settings = _settings(tmp_path, **environ)
        found = listing(settings, casting(settings, price_table(settings, DAY)), DAY)
        return found.fallback is not None, found.everything is not None

    assert made() == (True, False)
    assert made(GROQ_API_KEY="k") == (False, False)
    assert made(TEST_MODE="1", GROQ_API_KEY="k") == (False, True)


def test_a_bare_machines_snapshot_says_what_it_is(tmp_path: Path) -> None:
    """The one model listed without configuration is `simulated`, and its description says that it is none."""
    (model,) = snapshot(_settings(tmp_path), {}, DAY).models()

    assert model.name == "simulated"
    assert (model.description or "").startswith("Not a model")


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("openai/gpt-4o", "openai"),
        ("gpt-4o", "openai"),
        ("mistral-large-latest", "mistral"),
        ("simulated", "simulated"),
        ("groq/x", None),
        ("nobody/x", None),
        ("", None),
    ],
)
def test_a_name_of_a_provider_that_is_off_is_told_so(tmp_path: Path, name: str, provider: str | None) -> None:
    """The hint names the provider that is off whose model was meant, by prefix or by known name, and no variable."""
    settings = load({"HOME": str(tmp_path), "GROQ_API_KEY": "gsk-1"}, tmp_path)

    expected = f"The provider {provider} is not configured here." if provider else ""
    assert snapshot(settings, {}, "2026-10-12").hint(name) == expected
