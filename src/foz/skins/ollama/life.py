"""
The life of models in Ollama's words, and what they mean of deployments.

Whoever pulls `llama3.2` wants it to answer by that name: it is deployed from Ollama's registry. A deployment's way is
told in the statuses that Ollama's programs know, each stage once and in order, however seldom somebody looks; the
digest of what is fetched stands for the name, as in the list of models. Names with a slash cannot be deployed by these
programs: names of what is run here have none.
"""

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec import Raw, structs

from foz.canon.deployment import TINY, Deployment, DeploymentStatus, Quantization, Report, Stage, StageState, Wish
from foz.canon.fault import BadRequest, NotFound, Unsupported
from foz.dialects.ollama import bodies
from foz.dialects.ollama.bodies import CreateBody
from foz.skins.ollama.cards import LATEST
from foz.wire import json, ndjson

HUBS = ("hf.co/", "huggingface.co/")
DEPLOYS = "`foz deploy`, or POST /models/local/deploy"
MANIFEST, VERIFYING, LOADING, WRITING, SUCCESS = (
    "pulling manifest", "verifying sha256 digest", "loading model", "writing manifest", "success",
)  # fmt: skip
_SHOWN = 12
_MOST = 256
_EIGHT = frozenset({"q8_0"})
_CREATES = frozenset({"model", "name", "from", "stream", "quantize", "parameters"})
_NOTHING = frozenset({b'""', b"{}", b"[]", b"false"})
_CONTEXT = "num_ctx"
_WHOLE = msgspec.json.Decoder(int)


def named(model: str | None, older: str | None) -> str:
    """The model that a body names, without the tag that need not be said. Raises BadRequest."""
    name = model or older
    if not name:
        raise BadRequest("model is required", field="model", vendor_code="missing_required_parameter")
    return name.removesuffix(LATEST)


def unknown(name: str) -> NotFound:
    """In Ollama's very words."""
    return NotFound(f"model '{name[:_MOST]}' not found")


def elsewhere(name: str, what: str) -> Unsupported:
    """A model of somebody else's, with which this cannot be done."""
    return Unsupported(
        f"'{name[:_MOST]}' is not run by this gateway, so it cannot be {what} here: an operator names the models of "
        "providers in foz.toml",
        field="model",
    )


def wish_of(name: str) -> Wish:
    """What is to be deployed where this is pulled. Raises Unsupported."""
    if name == TINY:
        return Wish(TINY, TINY, source=f"foz:{TINY}")
    hub = next((name.removeprefix(one) for one in HUBS if name.startswith(one)), None)
    if hub is not None or "/" in name:
        source = f"ollama:{name}" if hub is None else f"hf:{hub.partition(':')[0]}"
        raise Unsupported(
            f"'{name[:_MOST]}' cannot be pulled: names of models that are run here have no slash. Deploy it under "
            f"another name ({DEPLOYS}), with the source '{source[:_MOST]}'",
            field="model",
        )
    return Wish(name, name.partition(":")[0], source=f"ollama:{name}")


def asked_of(asked: CreateBody, body: bytes) -> Mapping[str, object]:
    """
    What is to be otherwise than with the model that it is made of: fields of a wish. Raises Unsupported for all that is
    not of the way in which a file is run.
    """
    others = [name for name, raw in bodies.extras(body, _CREATES).items() if bytes(raw).strip() not in _NOTHING]
    others += [f"parameters.{name}" for name in asked.parameters or () if name != _CONTEXT]
    if others:
        raise Unsupported(
            f"Foz runs a model's file as it is: {', '.join(sorted(others))[:_MOST]} cannot be made part of a model. "
            "System messages and parameters are said with each request; a file of your own is deployed by an "
            f"administrator ({DEPLOYS})",
            field=others[0],
        )
    if not asked.origin:
        raise BadRequest("from is required: the model to make it of", field="from")
    made: dict[str, object] = {}
    if asked.quantize:
        if asked.quantize.lower() not in _EIGHT:
            raise Unsupported(
                f"quantize: only q8_0 is made here, found {asked.quantize[:40]!r}; pull a model that is stored so",
                field="quantize",
            )
        made["quantization"] = Quantization.INT8
    context = (asked.parameters or {}).get(_CONTEXT)
    if context is not None:
        made["context"] = _whole(context)
    return made


def _whole(said: Raw) -> int:
    try:
        return _WHOLE.decode(said)
    except msgspec.DecodeError as error:
        raise bodies.wrong(f"parameters.{_CONTEXT}", "expected a whole number") from error


def made_of(origin: Wish, name: str, otherwise: Mapping[str, object]) -> Wish:
    """The wish for a model of the same file under another name."""
    wish = structs.replace(origin, model_id=name)
    if "quantization" in otherwise:
        wish = structs.replace(wish, quantization=Quantization.INT8)
    context = otherwise.get("context")
    return structs.replace(wish, options=structs.replace(wish.options, context=context)) if context else wish


def line(status: str, **more: object) -> bytes:
    """A line of a stream, or all there is to say."""
    return ndjson.encode(json.encode({"status": status, **more}))


class Telling:
    """How a deployment goes, in lines. `over` once nothing more comes; `trouble` says why, where it failed."""

    def __init__(self, name: str) -> None:
        self._digest = hashlib.sha256((name if ":" in name else name + LATEST).encode()).hexdigest()
        self._told: set[Stage] = set()
        self._bytes = -1
        self._latest = b""
        self.over = False
        self.trouble: str | None = None

    def again(self) -> bytes:
        """What was said last: somebody still waits."""
        return self._latest

    def look(self, deployment: Deployment) -> bytes:
        """The lines for what is new; none where nothing is."""
        if self.over:
            return b""
        seen = deployment.seen
        lines = b"".join([self._stage(report) for report in seen.stages if report.state is not StageState.PENDING])
        if seen.gone or seen.status is DeploymentStatus.CANCELLED:
            self.over, self.trouble = True, "it was unloaded before it was there"
        elif seen.status is DeploymentStatus.FAILED:
            self.over, self.trouble = True, seen.trouble or "its deployment failed"
        elif seen.status is DeploymentStatus.COMPLETED:
            self.over = True
            lines += line(SUCCESS)
        self._latest = lines.splitlines(keepends=True)[-1] if lines else self._latest
        return lines

    def _stage(self, report: Report) -> bytes:
        if report.stage is Stage.DOWNLOADING:
            return self._fetching(report)
        if report.stage in self._told:
            return b""
        self._told.add(report.stage)
        match report.stage:
            case Stage.PREPARATION:
                return line(MANIFEST)
            case Stage.INITIALIZATION:
                return line(VERIFYING)
            case Stage.LOADING:
                return line(LOADING)
            case _:
                return line(WRITING)

    def _fetching(self, report: Report) -> bytes:
        if report.done == self._bytes or not report.total:
            return b""
        self._bytes = report.done
        digest = f"sha256:{self._digest}"
        short = self._digest[:_SHOWN]
        return line(f"pulling {short}", digest=digest, total=report.total, completed=report.done)
