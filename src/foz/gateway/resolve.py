"""
From a model's name to what serves it. One immutable snapshot, swapped whole when settings or discoveries change.

A name is, in this order:

1. a public name, exactly: a model of the settings, one that we run, or one that a provider says it has. The public
   name of a discovered model is its bare id where one provider has it and no other model is called so, else
   `provider/id`;
2. a name that the caller's dialect means a provider's own model by (`source`), where that provider knows the whole of
   it: a Hugging Face id where Hugging Face's own API is spoken, say;
3. `provider/rest`, where the provider is configured;
4. nothing: `closest` says what it may have been meant to be, `hint` who would have it.

In test mode every name is answered by the one target that is made for it, but for what stands `apart`. Names longer
than `LONGEST` are nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from msgspec import Struct, structs

from foz.canon.fault import Down
from foz.canon.model import Model, Placement, Target
from foz.gateway.likeness import Likeness
from foz.ports.line import Line

LONGEST = 256
MOST_DISCOVERED = 20_000
"""Models of one provider that are kept."""
MOST_OWN = 32
"""Models of a family that stand behind its name."""
LATEST = ":latest"
_KEPT = 1_024

Cast = Callable[[str, str], Target]
"""The target for a provider and what it calls the model: placement, profile, rates and patience."""

Knows = Callable[[str, frozenset[str]], str | None]
"""What a provider calls the model of this name, given what it lists; None where it knows none."""


def _nobody(_: str) -> str | None:
    return None


class Gathered(Struct, frozen=True):
    """
    A name for whatever is of a family: all that we serve ourselves and that is called so, then what is bought. It is a
    public name while any of that may be asked.
    """

    name: str
    family: str
    """A word in the names of its models, in small letters."""
    bought: tuple[Target, ...] = ()
    stand_in: Target | None = None
    """Who answers to it, in both placements, while there is nothing else at all."""


class Listing(Struct, frozen=True):
    """What a snapshot is made of, besides its lines."""

    configured: tuple[Model, ...] = ()
    """The models of the settings."""
    deployed: tuple[Model, ...] = ()
    """Those that we run ourselves. Where a name is of the settings too, theirs is `provider/name` only."""
    gathered: Gathered | None = None
    discovered: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What each provider says that it has."""
    everything: Target | None = None
    """In test mode: the target of every name."""
    apart: frozenset[str] = frozenset()
    """In test mode: the providers whose models keep their targets, being simulated themselves."""
    fallback: Model | None = None
    """Listed only while there is nothing else."""
    unconfigured: Callable[[str], str | None] = _nobody
    """The provider that a name is of, where it is known and not configured."""
    sources: Mapping[str, Knows] = {}
    """Which names each provider knows, for those who mean its models."""
    tagged: frozenset[str] = frozenset()
    """Of these, those whose callers write `name:latest` for any model that has no tag."""


def _fit(names: Iterable[str]) -> Iterator[str]:
    """Names that can be written in a request and a terminal; the rest of a hostile list is left out."""
    return (name for name in names if 0 < len(name) <= LONGEST and name.isprintable() and name == name.strip())


def _gathered(listing: Listing, cast: Cast) -> Model | None:
    """The model of a family, with what there is of it now."""
    family = listing.gathered
    if family is None:
        return None
    called = [(one, name) for one, names in listing.discovered for name in names if family.family in name.lower()]
    run = [target for model in listing.deployed for target in model.targets if family.family in model.name.lower()]
    own = [target for target in (*run, *(cast(*pair) for pair in called)) if target.placement is Placement.GPU]
    ranked = [structs.replace(target, rank=rank) for rank, target in enumerate((*own[:MOST_OWN], *family.bought))]
    return Model(family.name, tuple(ranked))


def _public(listing: Listing, cast: Cast) -> dict[str, Model]:
    """All public models by their names, in the order of names."""
    found = {model.name: model for model in listing.configured}
    for model in listing.deployed:
        found.setdefault(model.name, model)
    gathered = _gathered(listing, cast)
    if gathered is not None and listing.everything is None and not all(one.barred for one in gathered.targets):
        found.setdefault(gathered.name, gathered)
    counts = Counter(name for _, names in listing.discovered for name in names)
    doubled: list[tuple[str, str]] = []
    for provider, names in listing.discovered:
        for name in names:
            if counts[name] > 1 or name in found:
                doubled.append((provider, name))
            else:
                found[name] = Model(name, (cast(provider, name),), owner=provider)
    for provider, name in doubled:
        full = f"{provider}/{name}"
        if full not in found:
            found[full] = Model(full, (cast(provider, name),), owner=provider)
    return {name: found[name] for name in sorted(found)}


class Snapshot:
    """Implements `ports.line.Directory`."""

    def __init__(self, listing: Listing, lines: Mapping[str, Line], cast: Cast) -> None:
        self._listing = listing
        self._lines = lines
        self._cast = cast
        self._models = _public(listing, cast)
        if listing.everything is not None:
            self._models = self._replaced(listing.everything)
        if listing.fallback is not None and not self._models:
            self._models = {listing.fallback.name: listing.fallback}
        self._listed = tuple(model for model in self._models.values() if any(not t.barred for t in model.targets))
        self._has = {provider: frozenset(names) for provider, names in listing.discovered}
        self._run = {f"{one.owner}/{one.name}": one for one in listing.deployed}
        self._passing: dict[str, Model] = {}
        self._likeness: Likeness | None = None

    def _replaced(self, target: Target) -> dict[str, Model]:
        """The same names, served by one target but for those that stand apart, and that target's own name."""
        own = Model(target.provider, (target,))
        apart = self._listing.apart
        models = {
            name: model
            if any(one.provider in apart for one in model.targets)
            else structs.replace(model, targets=(target,))
            for name, model in self._models.items()
        }
        return dict(sorted({own.name: own, **models}.items()))

    def find(self, name: str, source: str = "") -> Model | None:
        """A model by its public name, else one of `source`, else `provider/rest` where the provider is configured."""
        found = self._models.get(name) or (self._sourced(name, source) if source else None)
        if found is None and source in self._listing.tagged:
            found = self._otherwise(name, source)
        return found or self._passing.get(name) or self._other(name)

    def _otherwise(self, name: str, source: str) -> Model | None:
        """A model by its name with the tag that means none, or without; of the source's own names the source knows."""
        if name.startswith(f"{source}/"):
            return None
        bare = name.removesuffix(LATEST)
        if bare == name:
            return self._models.get(name + LATEST)
        return self._models.get(bare) or self._other(bare)

    def _sourced(self, name: str, source: str) -> Model | None:
        """A model of that provider: its public one where it is listed, else `provider/...`; keys are given by that."""
        known = self._known(name, source)
        if known is None or source not in self._lines or self._listing.everything is not None:
            return None
        public = self._models.get(known)
        if public is not None and public.owner == source:
            return public
        return Model(f"{source}/{known}", (self._cast(source, known),), owner=source)

    def _known(self, name: str, source: str) -> str | None:
        knows = self._listing.sources.get(source)
        return None if knows is None or len(name) > LONGEST else knows(name, self._has.get(source, frozenset()))

    def _other(self, name: str) -> Model | None:
        """A model that is not listed but may be named."""
        if len(name) > LONGEST:
            return None
        everything, fallback, gathered = self._listing.everything, self._listing.fallback, self._listing.gathered
        if gathered is not None and name == gathered.name:
            return self._of_nobody(gathered)
        provider, _, rest = name.partition("/")
        if everything is not None and not (rest and provider in self._listing.apart):
            model = Model(name, (everything,))
        elif name in self._run:
            return self._run[name]
        elif rest and provider in self._lines:
            model = Model(name, (self._cast(provider, rest),), owner=provider)
        elif fallback is not None and name == fallback.name:
            model = fallback
        else:
            return None
        if len(self._passing) >= _KEPT:
            self._passing.clear()
        self._passing[name] = model
        return model

    def _of_nobody(self, family: Gathered) -> Model:
        """The model of a family of which there is none: its stand-in's, or one that says what is missing."""
        target, fallback = family.stand_in, self._listing.fallback
        own = {"" if fallback is None else fallback.name, "" if target is None else target.model}
        others = self._models.keys() - own
        if target is None or (others and self._listing.everything is None):
            return _gathered(self._listing, self._cast) or Model(family.name, ())
        both = [structs.replace(target, placement=place, rank=rank) for rank, place in enumerate(Placement)]
        return Model(family.name, tuple(both))

    def closest(self, name: str) -> Sequence[str]:
        """Up to three public names like this one."""
        if len(name) > LONGEST:
            return ()
        if self._likeness is None:
            self._likeness = Likeness([model.name for model in self._listed])
        return self._likeness.closest(name)

    def hint(self, name: str, source: str = "") -> str:
        """A sentence for callers on why a name is nothing; empty where nothing is known about it."""
        provider = self._listing.unconfigured(name) if len(name) <= LONGEST else None
        if self._known(name, source) is not None:
            provider = source
        return f"The provider {provider} is not configured here." if provider else ""

    def models(self) -> Sequence[Model]:
        """All public models that have a target to ask, by name."""
        return self._listed

    def all_models(self) -> Sequence[Model]:
        """Also those of the settings whose targets are all barred: for people who ask why."""
        return tuple(self._models.values())

    def line(self, target: Target) -> Line:
        """How to reach a target. Raises Down where it is gone since it was chosen."""
        line = self._lines.get(target.name) or self._lines.get(target.provider)
        if line is None:
            raise Down(f"{target.name} does not run any more", sent=False)
        return line

    def with_discovered(self, provider: str, names: Iterable[str]) -> "Snapshot":
        """A new snapshot in which this provider has these models, and no other."""
        if provider not in self._lines:
            raise ValueError(f"'{provider}' is no configured provider, so it has no models")
        kept = tuple(dict.fromkeys(islice(_fit(names), MOST_DISCOVERED)))
        others = tuple(pair for pair in self._listing.discovered if pair[0] != provider)
        discovered = tuple(sorted((*others, (provider, kept))))
        return Snapshot(structs.replace(self._listing, discovered=discovered), self._lines, self._cast)
