"""
Which engine runs a model: a pure choice from what the model's files are, which programs there are, and whether there is
a GPU. What cannot be is refused with the reason, engine by engine.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from foz.canon.deployment import Form
from foz.canon.fault import BadRequest, Unsupported
from foz.deploy.source import BUILT_IN, OLLAMA, SERVED
from foz.ports.engine import Engine
from foz.ports.weights import Found

FIELD = "engine"
_FORMS = {
    Form.GGUF: "a GGUF file",
    Form.SAFETENSORS: "safetensors",
    Form.OLLAMA: "a model of an Ollama server",
    Form.OPENAI: "a model of a server of OpenAI's dialect",
}


class Candidate(Struct, frozen=True):
    """An engine, as far as the choice goes."""

    name: str
    reads: frozenset[Form]
    missing: str | None = None
    """Why it cannot be used on this machine."""
    on_gpus_only: bool = False


def candidates(engines: Iterable[Engine]) -> tuple[Candidate, ...]:
    """What there is to choose from, the preferred first."""
    return tuple(Candidate(one.name, one.reads, one.missing(), one.on_gpus_only) for one in engines)


def why_not(one: Candidate, gpus: int) -> str | None:
    """Why an engine cannot run on this machine; None where it can."""
    if one.missing is not None:
        return one.missing
    return (
        "this machine has no GPU that can be seen, and it runs on GPUs only" if one.on_gpus_only and not gpus else None
    )


def form_of(source: str) -> Form | None:
    """As what a source has its weights, where its name alone says it."""
    if source.startswith(SERVED):
        return None
    gguf = source.endswith(".gguf") or source.startswith((BUILT_IN, OLLAMA))
    return Form.GGUF if gguf else None


def form_in(found: Found) -> Form | None:
    """As what a model is there, as the names of its files say."""
    if found.source.startswith(SERVED):
        return None
    names = [file.name for file in found.files]
    if any(name.endswith(".safetensors") for name in names):
        return Form.SAFETENSORS
    return Form.GGUF if any(name.endswith(".gguf") for name in names) else None


def check(asked: str, form: Form | None, among: Sequence[Candidate], gpus: int) -> None:
    """
    Whether the engine that was asked for can be. Raises BadRequest for one that there is not, Unsupported with the
    reason. `form` is None where nobody knows it yet.
    """
    if asked:
        _able(_named(asked, among), form, gpus)


def choose(asked: str, form: Form, among: Sequence[Candidate], gpus: int) -> str:
    """The engine's name: the one asked for, else the first that can. Raises BadRequest or Unsupported."""
    if asked:
        return _able(_named(asked, among), form, gpus)
    reading = [one for one in among if form in one.reads]
    for one in reading:
        if why_not(one, gpus) is None:
            return one.name
    whys = "; ".join(f"{one.name}: {why_not(one, gpus)}" for one in reading) or "none is known"
    raise Unsupported(f"No engine on this machine can run {_FORMS[form]}. {whys}.", field=FIELD)


def _named(asked: str, among: Sequence[Candidate]) -> Candidate:
    found = next((one for one in among if one.name == asked), None)
    if found is None:
        there = ", ".join(one.name for one in among)
        raise BadRequest(f"engine: there is no engine {asked[:80]!r}. There are: {there}.", field=FIELD)
    return found


def _able(one: Candidate, form: Form | None, gpus: int) -> str:
    if form is not None and form not in one.reads:
        reads = " and ".join(_FORMS[each] for each in sorted(one.reads))
        raise Unsupported(f"engine: {one.name} cannot run {_FORMS[form]}: it runs {reads}.", field=FIELD)
    why = why_not(one, gpus)
    if why is not None:
        raise Unsupported(f"engine: {one.name} cannot be used here: {why}.", field=FIELD)
    return one.name
