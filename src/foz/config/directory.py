"""
From settings to the first snapshot of models: rows, profiles and prices meet in targets.

`ready` and `probe` providers have lines, made by assembly; a target of any other is barred and says why.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache, partial

import msgspec

from foz.canon.deployment import HERE, TINY
from foz.canon.model import Model, Placement, Target
from foz.canon.money import FREE, Rates
from foz.config.bind import NO_KEY, Provider
from foz.config.genai import Bound
from foz.config.rows import HigherPrice, ModelRow, PriceRow, TargetFields
from foz.config.sections import Written
from foz.config.settings import Settings
from foz.gateway.resolve import Cast, Gathered, Listing, Snapshot
from foz.ledger.price import Row, Table, built_in, rates
from foz.ports.line import Line
from foz.providers import naming
from foz.providers.catalog import SIMULATED, SIMULATED_AGENT
from foz.providers.profile import profile, staying
from foz.skins.nemotron.skin import MODEL

KEPT = 8_192
"""Targets remembered while discoveries come in: each makes the list of models anew."""
NVIDIA, NEMOTRON = "nvidia", "nvidia/llama-3.3-nemotron-super-49b-v1.5"
"""What is bought where a Nemotron is asked for and none is run here."""
SIMULATED_MODEL = Model(
    name=SIMULATED,
    targets=(),
    description="Not a model: answers by rule, for trying out. It is listed while nothing else is configured.",
)


def _pico(per_million: Decimal | None) -> int | None:
    return None if per_million is None else int(per_million * 10**6)


def _rates(row: PriceRow) -> Rates:
    base = Rates(
        input=int(row.input * 10**6),
        output=int(row.output * 10**6),
        cached=_pico(row.cached),
        cache_written=_pico(row.cache_written),
        request=int(row.request * 10**12),
        currency=row.currency,
        version="foz.toml",
        above=row.above,
    )
    if row.higher is None:
        return base
    given = {name: _pico(getattr(row.higher, name)) for name in HigherPrice.model_fields}
    said = {name: value for name, value in given.items() if value is not None}
    return msgspec.structs.replace(base, higher=msgspec.structs.replace(base, above=None, **said))


def price_table(settings: Settings, day: str) -> Table:
    """Everything that says a price, as of a day (`2026-10-12`, UTC)."""
    return Table(
        built_in=built_in(),
        day=day,
        rows=tuple(Row(row.provider, row.model, _rates(row)) for row in settings.price),
        free=frozenset(one.name for one in settings.providers if one.row.placement is Placement.GPU),
    )


def _barred(bound: Provider) -> str | None:
    """Why nobody is asked there, for whoever runs the gateway."""
    if bound.state != "off":
        return None
    return f"{bound.name} has {bound.why}" if bound.why.startswith(NO_KEY) else f"{bound.name}: {bound.why}"


def casting(settings: Settings, table: Table, deployed: Sequence[Model] = ()) -> Cast:
    """How a provider and what it calls a model become a target."""
    known = {one.name: one for one in settings.providers}
    run = {model.name: model.targets[0] for model in deployed}

    @lru_cache(KEPT)
    def cast(provider: str, model: str) -> Target:
        if provider == SIMULATED_AGENT:
            return Target(provider, model, Placement.GPU, rates=FREE)
        if provider == HERE and (model in run or provider not in known):
            return run.get(model) or Target(provider, model, Placement.GPU, rates=FREE, barred="is not deployed")
        bound = known[provider]
        return Target(
            provider=provider,
            model=model,
            placement=bound.row.placement,
            profile=profile(model) if bound.row.may_look_around else staying(profile(model)),
            rates=rates(provider, model, table),
            patience=bound.patience,
            resend=bound.row.resend,
            barred=_barred(bound),
        )

    return cast


def _standings(targets: tuple[TargetFields, ...]) -> list[int]:
    """The rank of each: its own, or its place in the list; neighbours with a weight share the first one's place."""
    ranks: list[int] = []
    for place, target in enumerate(targets):
        shares = place > 0 and target.weight is not None and targets[place - 1].weight is not None
        if target.rank is not None:
            ranks.append(target.rank)
        elif shares and targets[place - 1].rank is None:
            ranks.append(ranks[-1])
        else:
            ranks.append(place)
    return ranks


def _model(row: ModelRow, cast: Cast) -> Model:
    targets = []
    for given, rank in zip(row.targets, _standings(row.targets), strict=True):
        target = cast(given.provider, given.model)
        targets.append(
            msgspec.structs.replace(
                target,
                rank=rank,
                weight=1.0 if given.weight is None else given.weight,
                placement=Placement(given.placement) if given.placement else target.placement,
            )
        )
    return Model(
        name=row.name,
        targets=tuple(targets),
        owner=row.owner,
        description=row.description,
        title=row.title,
        version=row.version,
        capabilities=row.capabilities,
        cache_ttl=row.cache_ttl,
    )


def configured(written: Written, cast: Cast) -> tuple[Model, ...]:
    """The models of `[[model]]` rows."""
    return tuple(_model(row, cast) for row in written.model)


def listed(settings: Settings, cast: Cast) -> tuple[Model, ...]:
    """The models and agents of `llm_models.json`; in test mode the agents are simulated ones, which keep sessions."""

    def provider(one: Bound) -> str:
        return SIMULATED_AGENT if settings.test_mode and one.kind == "agent" else one.provider

    return tuple(
        Model(one.name, (cast(provider(one), one.model),), owner="oracle", title=one.row.name)
        for one in settings.llm_models
    )


def nemotron(settings: Settings, cast: Cast, stand_in: Target | None) -> Gathered:
    """What answers to the name `nemotron` where no `[[model]]` is called so."""
    known = {one.name for one in settings.providers}
    bought = (cast(NVIDIA, NEMOTRON),) if NVIDIA in known else ()
    return Gathered(MODEL, MODEL, bought, stand_in)


def unconfigured(settings: Settings, day: str) -> Callable[[str], str | None]:
    """
    Whose a name is, among the providers that are off: by its prefix, else by whom the built-in prices know it from.
    """
    off = [one.name for one in settings.providers if one.state == "off"]
    known = Table(built_in=built_in(), day=day)

    def whose(name: str) -> str | None:
        prefix = name.partition("/")[0]
        if prefix in off:
            return prefix
        return next((one for one in off if rates(one, name, known) is not None), None)

    return whose


def alone(settings: Settings) -> bool:
    """Whether nobody is configured who could answer, but for the simulated model."""
    return not any(one.state == "ready" for one in settings.providers if one.name != SIMULATED)


def _stand_in(settings: Settings, simulated: Target, deployed: Sequence[Model]) -> Target | None:
    """Who answers where nobody is configured: the model that comes with Foz, if it runs, else the simulated one."""
    if not alone(settings):
        return None
    tiny = [target for model in deployed if model.name == TINY for target in model.targets if not target.barred]
    return tiny[0] if tiny else simulated


def listing(settings: Settings, cast: Cast, day: str, deployed: Sequence[Model] = ()) -> Listing:
    """What the snapshot is made of before anything is discovered."""
    states = {one.name: one.state for one in settings.providers}
    simulated = cast(SIMULATED, SIMULATED)
    models = configured(settings, cast) + listed(settings, cast)
    family = nemotron(settings, cast, simulated if settings.test_mode else _stand_in(settings, simulated, deployed))
    if settings.test_mode:
        return Listing(
            models, tuple(deployed), gathered=family, everything=simulated, apart=frozenset({SIMULATED_AGENT})
        )
    sources = {one.name: partial(naming.known, one.row) for one in settings.providers}
    fallback = None
    if states.get(SIMULATED) != "off":
        fallback = msgspec.structs.replace(SIMULATED_MODEL, targets=(simulated,))
    return Listing(
        models,
        tuple(deployed),
        gathered=family,
        fallback=fallback,
        unconfigured=unconfigured(settings, day),
        sources=sources,
        tagged=frozenset(one.name for one in settings.providers if one.row.knows == "name:latest"),
    )


def snapshot(settings: Settings, lines: Mapping[str, Line], day: str, deployed: Sequence[Model] = ()) -> Snapshot:
    """
    The directory of models. `lines` by the names of the providers that are `ready` or `probe`, and of the targets that
    we run ourselves; `deployed` are the models that we run.
    """
    cast = casting(settings, price_table(settings, day), deployed)
    return Snapshot(listing(settings, cast, day, deployed), lines, cast)
