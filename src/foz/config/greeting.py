"""
What `foz serve` says when it is ready: where it listens, which models it has, and a line to try.

Nothing untrue: a model that cannot be asked is listed with the reason, and the line to try names a model that can
be asked as things stand. That is, in this order: a model of the settings, one that a provider says it has, the
example of a configured provider's row, the simulated one. Where there is none of these, the line lists the models.
"""

from collections.abc import Sequence

from foz.canon.model import Model
from foz.canon.request import Operation
from foz.config.bind import Provider
from foz.config.deployed import DEPLOYING, STARTING
from foz.config.exposure import CA
from foz.config.settings import Settings
from foz.gateway.resolve import Snapshot
from foz.providers.catalog import SIMULATED, catalog
from foz.wire import json

SHOWN = 12


def greeting(settings: Settings, directory: Snapshot, places: Sequence[str], version: str, *, keyed: bool) -> str:
    """All of it, some lines long. `places` are the URLs that we listen on; `keyed`: callers need a key."""
    lines = [f"Foz {version} listens on {' and '.join(places)} (reference: {places[0]}/docs)"]
    lines += _models(settings, directory)
    extra = _trust(settings) + (" -H 'Authorization: Bearer YOUR-KEY'" if keyed else "")
    lines += ["Try:", _curl(places[0], to_try(settings, directory), extra)]
    return "\n".join(lines) + "\n"


def _models(settings: Settings, directory: Snapshot) -> list[str]:
    every = directory.all_models()
    told = [_told(model) for model in every[:SHOWN]]
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    if settings.test_mode:
        return [
            f"Models: {', '.join(told)}{more}",
            "Test mode: every other name is answered by the simulated model too.",
        ]
    passing = [one.name for one in _others(settings)]
    if not passing:
        return [f"Models: {', '.join(told) or 'none'}{more}"]
    named = f"Models: {', '.join(told)}{more}; and e" if told else "Models: e"
    return [f"{named}very model of {', '.join(passing)}, as 'provider/model'"]


def _told(model: Model) -> str:
    """A model's name, and why it cannot be asked where it cannot."""
    if _usable(model):
        return model.name
    whys = dict.fromkeys(target.barred for target in model.targets if target.barred)
    if any(why.startswith((STARTING, DEPLOYING)) for why in whys):
        return f"{model.name} (starting)"
    return f"{model.name} (off: {'; '.join(whys)})"


def _usable(model: Model) -> bool:
    return any(not target.barred for target in model.targets)


def _others(settings: Settings) -> list[Provider]:
    """Who was configured, besides the simulated one."""
    return [one for one in settings.providers if one.state == "ready" and one.name != SIMULATED]


def to_try(settings: Settings, directory: Snapshot) -> str | None:
    """The name of a model that can be asked for a chat now, as far as it is known."""
    named = [model for row in settings.model if (model := directory.find(row.name)) and _chats(model)]
    configured = {one.name for one in _others(settings)} | {SIMULATED}
    sure = [model for model in named if any(not t.barred and t.provider in configured for t in model.targets)]
    if sure or named:
        return (sure or named)[0].name
    examples = [f"{one.name}/{one.row.example}" for one in _others(settings) if _has_example(one)]
    discovered = [model for model in directory.models() if _chats(model)]
    for model in discovered:
        if any(target.name in examples for target in model.targets):
            return model.name
    simulated = directory.find(SIMULATED)
    last = [SIMULATED] if simulated is not None and _chats(simulated) else []
    return next(iter([*(model.name for model in discovered), *examples, *last]), None)


def _has_example(one: Provider) -> bool:
    """Whether its row names a model that it has: what stands in for it elsewhere may have others."""
    return bool(one.row.example) and one.row.base_url == catalog()[one.name].base_url


def _chats(model: Model) -> bool:
    return any(not target.barred and Operation.CHAT in target.profile.operations for target in model.targets)


def _quoted(words: str) -> str:
    """One word of the shell."""
    return "'" + words.replace("'", "'\\''") + "'"


def _trust(settings: Settings) -> str:
    """Whom `curl` must trust, where `foz tls init` made the certificate."""
    certificate = settings.server.tls_cert
    authority = certificate.parent / CA if certificate is not None else None
    return f" --cacert {_quoted(str(authority))}" if authority is not None and authority.exists() else ""


def _curl(place: str, model: str | None, extra: str) -> str:
    if model is None:
        return f"  curl {place}/v1/models{extra}"
    said = json.encode({"model": model, "messages": [{"role": "user", "content": "Hello!"}]}).decode()
    return f"  curl {place}/v1/chat/completions -H 'Content-Type: application/json'{extra} -d {_quoted(said)}"
