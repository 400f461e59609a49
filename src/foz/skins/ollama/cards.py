"""
Models as Ollama lists and shows them.

Every name has a tag with Ollama, and `latest` is the one that need not be said: a name without a tag is listed with
it, unless another model is called just so. What Foz does not know of a model (its size, its quantization) is said as
nothing is there: 0, or no text. A digest stands for the name, for there are no files that it could be of.
"""

import hashlib
from collections.abc import Sequence

from foz.canon.deployment import Deployment, Replica
from foz.canon.model import Capability, Model, Placement, Profile, Target
from foz.canon.request import Operation
from foz.dialects.ollama.telling import moment
from foz.wire import json

Wire = dict[str, object]

LATEST = ":latest"
NEVER = "2318-01-01T00:00:00Z"
"""When a model is unloaded that nobody unloads, as Ollama has it."""
_UNKNOWN = Profile()
_TALKS = frozenset({Operation.CHAT, Operation.COMPLETE})
_NEEDED = (
    (Capability.TOOLS, "tools"),
    (Capability.IMAGES, "vision"),
)


def tagged(name: str, names: frozenset[str]) -> str:
    """The name with its tag, unless another of these names is that."""
    full = name if ":" in name else name + LATEST
    return name if full != name and full in names else full


def say_tags(models: Sequence[Model]) -> bytes:
    """The answer of `/api/tags`."""
    names = frozenset(model.name for model in models)
    return json.encode({"models": [_row(model, tagged(model.name, names)) for model in models]})


def _row(model: Model, name: str) -> Wire:
    return {
        "name": name,
        "model": name,
        "modified_at": moment(model.created),
        "size": 0,
        "digest": hashlib.sha256(name.encode()).hexdigest(),
        "details": _details(model),
        "capabilities": capabilities(model),
    }


def say_loaded(deployments: Sequence[Deployment]) -> bytes:
    """The answer of `/api/ps`: what we run ourselves and serves. It stays until its operator unloads it."""
    serving = [(one, replica) for one in deployments for replica in one.seen.replicas[:1] if replica.healthy]
    names = frozenset(one.wish.model_id for one, _ in serving)
    return json.encode({"models": [_loaded(one, replica, names) for one, replica in serving]})


def _loaded(deployment: Deployment, replica: Replica, names: frozenset[str]) -> Wire:
    name, weights = tagged(deployment.wish.model_id, names), deployment.seen.weights
    architecture = "" if weights is None else weights.architecture
    return {
        "name": name,
        "model": name,
        "size": 0 if weights is None else weights.size,
        "digest": hashlib.sha256(name.encode()).hexdigest(),
        "details": {
            "parent_model": "",
            "format": "gguf" if weights is not None else "",
            "family": architecture,
            "families": [architecture],
            "parameter_size": "" if weights is None else _parameters(weights.parameters),
            "quantization_level": "" if weights is None else weights.quantization,
        },
        "expires_at": NEVER,
        "size_vram": 0,
        "context_length": replica.context,
    }


def _parameters(count: int | None) -> str:
    """As Ollama writes them: `8.0B`, `270M`."""
    if not count:
        return ""
    return f"{count / 1e9:.1f}B" if count >= 10**9 else f"{count / 1e6:.0f}M" if count >= 10**6 else str(count)


def say_model(model: Model) -> bytes:
    """The answer of `/api/show`."""
    family = _family(model)
    context = _first(model).profile.context
    about: Wire = {"general.architecture": family, "general.basename": model.title or model.name}
    if context is not None:
        about[f"{family}.context_length"] = context
    return json.encode(
        {
            "license": "",
            "modelfile": f"FROM {model.name}\n",
            "parameters": "",
            "template": "{{ .Prompt }}",
            "system": "",
            "details": _details(model),
            "model_info": about,
            "capabilities": capabilities(model),
            "modified_at": moment(model.created),
        }
    )


def capabilities(model: Model) -> list[str]:
    """
    What its targets can do, in Ollama's words. What of a family is known to fail is left out, no more; but to think is
    said of known families only, for Ollama's programs ask whoever can to do so.
    """
    profiles = [target.profile for target in model.targets]
    can: set[Operation] = set()
    for profile in profiles:
        can |= _TALKS if profile.operations == _UNKNOWN.operations else profile.operations
    words = ["completion"] if can & _TALKS else []
    if Operation.CHAT in can:
        chats = [profile for profile in profiles if Operation.CHAT in profile.operations]
        words += [word for need, word in _NEEDED if any(need not in profile.lacks for profile in chats)]
        if any(Capability.REASONING not in profile.lacks for profile in chats if profile.is_told):
            words.append("thinking")
    if Operation.EMBED in can:
        words.append("embedding")
    return words


def _details(model: Model) -> Wire:
    family = _family(model)
    return {
        "parent_model": "",
        "format": "",
        "family": family,
        "families": [family],
        "parameter_size": "",
        "quantization_level": "",
    }


def _family(model: Model) -> str:
    """Whose it is: nobody tells what family it is of."""
    return _first(model).provider


def _first(model: Model) -> Target:
    """Who is asked first: what is ours before what is bought, then by rank."""
    return min(model.targets, key=lambda target: (target.placement is not Placement.GPU, target.rank))
