"""Models as the 模型 API shows them: what they are good for, their price, their limits."""

import pytest

from foz.canon.model import Model, Placement, Profile, Standing, Target
from foz.canon.money import FREE, Rates
from foz.canon.request import Operation
from foz.skins.model_api.cards import capabilities, card, detail, pricing

CHATS = Profile(operations=frozenset({Operation.CHAT}), context=1000)
EMBEDS = Profile(operations=frozenset({Operation.EMBED}), context=512)
NO_TOOLS = Profile(operations=frozenset({Operation.CHAT}), lacks=frozenset({"tools"}))


@pytest.mark.parametrize(
    ("profiles", "words"),
    [
        ((Profile(),), ["chat", "completion"]),
        ((Profile(context=8192, lacks=frozenset({"images"})),), ["chat", "completion", "tool_use"]),
        ((CHATS,), ["chat", "completion", "tool_use"]),
        ((NO_TOOLS,), ["chat", "completion"]),
        ((EMBEDS,), ["embedding"]),
        ((Profile(operations=frozenset({Operation.COMPLETE})),), ["completion"]),
        ((EMBEDS, NO_TOOLS), ["chat", "completion", "embedding"]),
    ],
)
def test_a_model_is_good_for_what_its_targets_can_do(profiles: tuple[Profile, ...], words: list[str]) -> None:
    """Known families say it; one of which nobody says what it does chats and completes, and places no texts."""
    model = Model("m", tuple(Target("p", "x", profile=profile) for profile in profiles))

    assert capabilities(model) == words


@pytest.mark.parametrize(
    ("rates", "figures"),
    [
        (Rates(input=30_000_000, output=60_000_000), (0.03, 0.06, "USD")),
        (Rates(input=20_000, output=0, currency="EUR"), (0.00002, 0.0, "EUR")),
        (FREE, (0.0, 0.0, "USD")),
        (Rates(input=1, output=None), (None, None, None)),
        (None, (None, None, None)),
    ],
)
def test_a_price_is_of_a_thousand_tokens(rates: Rates | None, figures: tuple[object, ...]) -> None:
    """Pico-units a token become units of the currency for 1,000 tokens; what is unknown is null, what is free 0."""
    assert tuple(pricing(rates).values()) == figures


def test_what_the_operator_says_comes_first() -> None:
    """Title, description, version and capabilities of the settings are shown as they are; unhealthy is told."""
    said = Model("m", (Target("p", "x"),), description="d", title="t", version="2", capabilities=("code",))
    bare = card(Model("m", (Target("p", "x"),)), healthy=False)

    shown = card(said, healthy=True)
    assert [shown[name] for name in ("name", "description", "version", "capabilities", "status")] == [
        "t", "d", "2", ["code"], "active",
    ]  # fmt: skip
    assert (bare["name"], bare["version"], bare["status"]) == ("m", None, "unhealthy")
    assert bare["description"] == "x, served by p."
    assert "deployment" not in bare


def test_what_is_ours_comes_before_what_is_bought() -> None:
    """The provider is the one that is asked first; a model of our own machines has a deployment."""
    ours = Target("vllm", "x", placement=Placement.GPU, rank=5)

    shown = card(Model("m", (Target("openai", "x"), ours)), healthy=True)
    assert shown["provider"] == "vllm"
    assert shown["deployment"] == {"type": "local", "hardware": None, "quantization": None}


def test_limits_and_figures_are_whole_or_null() -> None:
    """A model that only embeds has no temperature; figures are rounded, and null where no call gives any."""
    embeds = Model("m", (Target("p", "x", profile=EMBEDS),))

    shown = detail(embeds, Standing(12.6, 2 / 3), healthy=True)
    assert shown["parameters"] == {"max_tokens": 512}
    assert shown["stats"] == {"average_latency_ms": 13, "availability": 0.666667}
    unseen = detail(embeds, Standing(None, None), healthy=True)
    assert unseen["stats"] == {"average_latency_ms": None, "availability": None}
