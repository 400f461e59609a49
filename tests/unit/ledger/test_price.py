"""Prices: which one holds, and that the built-in table charges as `genai-prices` does."""

from datetime import UTC, datetime, time
from decimal import Decimal

import pytest
from genai_prices import types
from genai_prices.data import providers as known
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.money import FREE, PICO, Rates, charge
from foz.canon.usage import Usage
from foz.ledger.price import BuiltIn, Match, Row, Table, built_in, rates
from scripts import prices

DAY = "2026-11-01"
TABLE = Table(built_in(), DAY)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)

MODELS = [
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-4.1"),
    ("openai", "o3-mini"),
    ("openai", "gpt-5"),
    ("openai", "text-embedding-3-small"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-3-5-haiku-latest"),
    ("google", "gemini-2.5-pro"),
    ("google", "gemini-2.5-flash"),
    ("mistral", "mistral-large-latest"),
    ("groq", "llama-3.3-70b-versatile"),
    ("openrouter", "qwen/qwen3-coder-flash"),
    ("openrouter", "qwen/qwen3.7-flash"),
    ("x-ai", "grok-3"),
    ("x-ai", "grok-4"),
    ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    ("azure", "gpt-4o"),
]
USAGES = [
    Usage(input=10, output=0),
    Usage(input=1_000, output=500, cached=0),
    Usage(input=1_000, output=500, cached=400),
    Usage(input=90_000, output=5_000, cached=60_000, cache_written=10_000),
    Usage(input=150_000, output=7, cached=1),
    Usage(input=300_000, output=9_000, cached=250_000),
    Usage(input=200_000, output=9_000),
    Usage(input=200_001, output=9_000),
]
OURS = {"x-ai": "xai"}


def _theirs(provider: str, model: str, usage: Usage) -> Decimal:
    """What `genai-prices` itself calculates, in whole units."""
    row = next(one for one in known if one.id == provider)
    found = row.find_model(model, all_providers=known)
    assert found is not None, model
    counted = types.Usage(
        input_tokens=usage.input,
        output_tokens=usage.output,
        cache_read_tokens=usage.cached,
        cache_write_tokens=usage.cache_written,
    )
    return found.calc_price(counted, row, genai_request_timestamp=NOON).total_price


@pytest.mark.parametrize(("provider", "model"), MODELS)
def test_the_table_charges_as_genai_prices_does(provider: str, model: str) -> None:
    """Plain, cached, written and tiered calls cost to the pico-unit what `genai-prices` calculates."""
    found = rates(OURS.get(provider, provider), model, TABLE)

    assert found is not None
    assert found.version.startswith("genai-prices ")
    for usage in USAGES:
        assert charge(found, usage) == _theirs(provider, model, usage) * PICO, usage


def test_every_model_that_genai_prices_prices_by_the_token_is_priced_alike() -> None:
    """Of all models with plain token prices, a call of 10,000 and 1,000 tokens costs what `genai-prices` says."""
    usage, checked, wrong = Usage(input=10_000, output=1_000), 0, []
    for provider in known:
        for model in provider.models:
            held = model.get_prices(NOON)
            by_hour = isinstance(model.prices, list) and any(
                isinstance(one.constraint, types.TimeOfDateConstraint) for one in model.prices
            )
            other = {key for key, value in vars(held).items() if value is not None} - {
                "input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok",
                "web_searches_kcount", "storage_searches_kcount",
            }  # fmt: skip
            if by_hour or other or held.input_mtok is None or provider.id.startswith("huggingface_"):
                continue
            if provider.find_model(model.id) is not model:
                continue
            checked += 1
            found = rates(OURS.get(provider.id, provider.id), model.id, TABLE)
            theirs = round(held.calc_price(types.Usage(input_tokens=10_000, output_tokens=1_000))["total_price"] * PICO)
            if charge(found, usage) != theirs:
                wrong.append((provider.id, model.id, charge(found, usage), theirs))

    assert checked > 1_000
    assert wrong == []


def test_a_price_by_the_hour_is_the_dearest() -> None:
    """DeepSeek's hourly prices become one that no hour exceeds and some hour reaches."""
    usage = Usage(input=1_000, output=1_000)
    row = next(one for one in known if one.id == "deepseek")
    model = row.find_model("deepseek-chat")
    assert model is not None
    counted = types.Usage(input_tokens=1_000, output_tokens=1_000)
    hours = [
        model.calc_price(counted, row, genai_request_timestamp=datetime.combine(NOON, time(hour), UTC)).total_price
        for hour in range(24)
    ]

    assert charge(rates("deepseek", "deepseek-chat", TABLE), usage) == max(hours) * PICO


def test_a_router_suffix_chooses_the_price() -> None:
    """Behind Hugging Face's router a model has a price where the caller names who serves it, else none."""
    found = built_in().shelf("huggingface")
    assert found is not None
    names = [part.text for priced in found[0].models for part in priced.match.of]
    named = next(name for name in names if name.endswith(":groq"))

    assert rates("huggingface", named.upper(), TABLE) is not None
    assert rates("huggingface", named.removesuffix(":groq"), TABLE) is None


def test_the_first_model_that_is_meant_is_taken() -> None:
    """The index finds, for every name in the table and near it, the first model whose clause holds."""
    for provider in ("openai", "anthropic", "google", "openrouter", "aws"):
        found = built_in().shelf(provider)
        assert found is not None
        shelf, index = found
        names = {part.text for priced in shelf.models for part in (priced.match, *priced.match.of)}
        for name in {variant for one in names for variant in (one, f"{one}-x", f"x-{one}", one[:-1])}:
            assert index.find(name) == next((priced for priced in shelf.models if priced.match.holds(name)), None), name


def test_prices_hold_from_their_first_day() -> None:
    """Before its first day a price does not hold; of several the last that began does."""
    table = BuiltIn(b'{"version":"v","providers":{"p":[[[["is","m",[]],[["2026-01-01",1,1],["2026-02-01",2,2]]]],[]]}}')

    assert rates("p", "m", Table(table, "2025-12-31")) is None
    assert (rates("p", "m", Table(table, "2026-01-31")) or FREE).input == 1
    assert (rates("p", "m", Table(table, "2026-02-01")) or FREE).input == 2


def test_settings_come_first_then_ours_then_the_table() -> None:
    """A `[[price]]` row beats all, the first that matches wins, what we serve is free, the rest is unknown."""
    mine = Row("openai", "gpt-4o*", Rates(1, 2, version="foz.toml"))
    every = Row("*", "*", Rates(7, 7, version="foz.toml"))
    table = Table(built_in(), DAY, (mine,), frozenset({"vllm", "openai"}))

    assert rates("openai", "GPT-4o-mini", table) == mine.rates
    assert rates("openai", "gpt-4.1", table) == FREE
    assert rates("vllm", "anything", table) == FREE
    assert rates("mistral", "no-such-model", table) is None
    assert rates("nobody", "gpt-4o", table) is None
    assert rates("nobody", "x", Table(built_in(), DAY, (mine, every))) == every.rates


@given(st.text(max_size=300), st.text("a*?[.", max_size=8))
def test_patterns_know_only_the_star(name: str, pattern: str) -> None:
    """A pattern without a star means itself alone, whatever signs it holds; a star alone means all."""
    row = Row("*", pattern, FREE)

    assert Row("*", "*", FREE).means("p", name)
    if "*" not in pattern:
        assert row.means("p", name) == (name.lower() == pattern)


@pytest.mark.parametrize(
    ("clause", "name", "expected"),
    [
        (Match("is", "ab"), "ab", True),
        (Match("is", "ab"), "abc", False),
        (Match("starts", "ab"), "abc", True),
        (Match("ends", "bc"), "abc", True),
        (Match("has", "b"), "abc", True),
        (Match("regex", "^a.c$"), "abc", True),
        (Match("any", of=(Match("is", "x"), Match("has", "b"))), "abc", True),
        (Match("all", of=(Match("is", "x"), Match("has", "b"))), "abc", False),
    ],
)
def test_clauses(clause: Match, name: str, expected: bool) -> None:
    """Each kind of clause holds for what it says and for nothing else."""
    assert clause.holds(name) is expected


def test_thinking_may_have_its_own_price() -> None:
    """Where reasoning has a price its tokens are charged by it, the rest of the output by the output's."""
    usage = Usage(input=0, output=10, reasoning=4)

    assert charge(Rates(input=0, output=3, reasoning=5), usage) == 6 * 3 + 4 * 5
    assert charge(Rates(input=0, output=3), usage) == 30
    assert charge(Rates(input=0, output=3, reasoning=5), Usage(input=0, output=2, reasoning=9)) == 10


def test_a_name_without_end_is_not_looked_up() -> None:
    """A name longer than any model's has no price, and costs no search."""
    assert rates("openai", "gpt-4o" * 1_000, TABLE) is None


def test_the_file_is_what_the_script_makes() -> None:
    """`prices.json` is, byte for byte, what `scripts/prices.py` makes of the installed `genai-prices`."""
    assert prices.made() == prices.FILE.read_bytes()


def test_figures_are_whole() -> None:
    """A price of six decimals a million is whole pico-units a token."""
    found = rates("deepseek", "deepseek-v4-pro", Table(built_in(), "2026-08-01"))

    assert isinstance(found, Rates)
    assert found.cached == 3_625
