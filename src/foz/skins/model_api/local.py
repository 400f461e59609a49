"""
The 模型 API's local models: how a deployment is asked for, and how models and deployments are shown.

Sizes and durations are written as the document writes them: `28GB`, `5m`, `10s`. What nobody knows is null.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from foz.canon.amount import moment, size, span
from foz.canon.deployment import (
    Deployment,
    DeploymentStatus,
    Line,
    ModelStatus,
    Options,
    Quantization,
    Replica,
    Report,
    Stage,
    StageState,
    Wanted,
    Wish,
)
from foz.canon.fault import BadRequest
from foz.ports.skin import WHOLE
from foz.skins.model_api.cards import Run
from foz.skins.model_api.envelope import wrap
from foz.wire import json, sse
from foz.wire.http import Reply

Wire = dict[str, object]
_QUANTIZATIONS = {"F16": "fp16", "BF16": "fp16", "Q8_0": "int8"}
SEVERAL = 2
_INT4 = ("Q4_", "IQ4_", "MXFP4")


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """`deployment_config`."""

    max_batch_size: int = Options().max_batch_size
    use_flash_attention: bool | None = None
    use_kv_cache: bool = True
    tensor_parallel_size: int = 1
    cpu_offload: bool = False
    context: int | None = None


class DeployBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be deployed: `POST /models/local/deploy`."""

    model_type: str
    model_size: str = ""
    quantization: Quantization | None = None
    target_nodes: tuple[str, ...] = ()
    deployment_config: Config = Config()
    source: str | None = None
    model_id: str | None = None
    engine: str | None = None


_BODY = msgspec.json.Decoder(DeployBody)


class Performance(Struct, frozen=True):
    """How a model did of late, by the ledger. Milliseconds."""

    tokens_per_second: float | None = None
    average: float | None = None
    p50: float | None = None
    p95: float | None = None
    first_token: float | None = None


class Way(Struct, frozen=True):
    """How a deployment stands on its way, as `deploy/` judges it."""

    progress: int
    current: Stage
    percents: Mapping[Stage, int | None]
    estimate: int | None


def read_deploy(body: bytes) -> Wish:
    """The wish. Raises BadRequest, naming the field."""
    try:
        asked = _BODY.decode(body)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        field = where.rstrip("`").lstrip(".") or None
        raise BadRequest(
            f"The body is not a deployment: {what}{f' (at {field})' if field else ''}.", field=field
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    config = asked.deployment_config
    return Wish(
        model_id=asked.model_id or "",
        model_type=asked.model_type,
        model_size=asked.model_size,
        quantization=asked.quantization,
        source=asked.source or "",
        nodes=asked.target_nodes,
        options=Options(
            max_batch_size=config.max_batch_size,
            use_flash_attention=config.use_flash_attention,
            use_kv_cache=config.use_kv_cache,
            tensor_parallel_size=config.tensor_parallel_size,
            cpu_offload=config.cpu_offload,
            context=config.context,
        ),
        engine=asked.engine or "",
    )


def _reply(data: Wire, request_id: str) -> Reply:
    return Reply(200, WHOLE, wrap(json.encode(data), request_id))


def say_deployed(deployment: Deployment, way: Way, now: int, request_id: str) -> Reply:
    """A deployment was accepted, or was there."""
    said: Wire = {
        "deployment_id": deployment.id,
        "status": deployment.seen.status.value,
        "model_id": deployment.wish.model_id,
        "estimated_time": None if way.estimate is None else span(max(way.estimate - now, 0)),
        "progress_url": f"/models/local/deployments/{deployment.id}",
    }
    return _reply(said, request_id)


def say_deployment(deployment: Deployment, way: Way, lines: Sequence[Line], request_id: str) -> Reply:
    """How a deployment stands, with its log."""
    return _reply({**_deployment(deployment, way), "logs": [_line(line) for line in lines], **_end(way)}, request_id)


def _end(way: Way) -> Wire:
    return {"estimated_completion": None if way.estimate is None else moment(way.estimate)}


def say_deployments(found: Sequence[tuple[Deployment, Way]], request_id: str) -> Reply:
    """All deployments, without their logs."""
    return _reply({"deployments": [{**_deployment(one, way), **_end(way)} for one, way in found]}, request_id)


def _deployment(deployment: Deployment, way: Way) -> Wire:
    seen = deployment.seen
    said: Wire = {
        "deployment_id": deployment.id,
        "model_id": deployment.wish.model_id,
        "status": seen.status.value,
        "progress": way.progress,
        "current_stage": way.current.value,
        "stages": [_stage(report, way.percents[report.stage]) for report in seen.stages],
    }
    if seen.trouble is not None:
        said["error"] = seen.trouble
    if seen.again is not None:
        said["next_try"] = moment(seen.again)
    return said


def _stage(report: Report, percent: int | None) -> Wire:
    said: Wire = {"name": report.stage.value, "status": report.state.value}
    if report.duration is not None:
        said["duration"] = span(report.duration)
    if report.state is StageState.IN_PROGRESS and percent is not None:
        said["progress"] = percent
    return said


def _line(line: Line) -> Wire:
    return {"timestamp": moment(line.at), "level": line.level.value, "message": line.message}


def say_line(line: Line, request_id: str) -> bytes:
    """A line of a log as an event; its id is what a follower sends back to go on after it."""
    return b"id: %d\n%b" % (line.number, sse.encode(wrap(json.encode(_line(line)), request_id)))


def say_models(found: Sequence[tuple[Deployment, Performance]], request_id: str) -> Reply:
    """The local models: those that are deployed, were, or failed to be."""
    return _reply({"models": [_model(one, did) for one, did in found if _shown(one)]}, request_id)


def say_model(deployment: Deployment, did: Performance, request_id: str) -> Reply:
    """One of them."""
    return _reply(_model(deployment, did), request_id)


def say_unloading(deployment: Deployment, nodes: Sequence[str], request_id: str) -> Reply:
    """It is being unloaded."""
    said: Wire = {
        "model_id": deployment.wish.model_id,
        "status": ModelStatus.UNLOADING.value,
        "nodes": list(deployment.wish.nodes or nodes),
    }
    return _reply(said, request_id)


def say_nodes(nodes: Sequence[Wire], request_id: str) -> Reply:
    """The nodes that models can be deployed on."""
    return _reply({"nodes": list(nodes)}, request_id)


def _shown(deployment: Deployment) -> bool:
    """Not while it comes for the first time: it is no model yet."""
    seen = deployment.seen
    comes = seen.status is DeploymentStatus.IN_PROGRESS and not seen.served and not seen.replicas
    return not comes or deployment.wanted is not Wanted.RUNNING


def status_of(deployment: Deployment) -> ModelStatus:
    """How a model stands."""
    seen = deployment.seen
    if deployment.wanted is not Wanted.RUNNING:
        return ModelStatus.UNLOADING
    if any(replica.healthy for replica in seen.replicas):
        return ModelStatus.ACTIVE
    never = seen.status is DeploymentStatus.FAILED and not seen.served
    return ModelStatus.FAILED if never else ModelStatus.UNHEALTHY


def _model(deployment: Deployment, did: Performance) -> Wire:
    wish, seen = deployment.wish, deployment.seen
    replica = seen.replicas[0] if seen.replicas else None
    weights = seen.weights
    return {
        "id": wish.model_id,
        "name": (weights.title if weights else None) or wish.model_id,
        "version": weights.version if weights else None,
        "status": status_of(deployment).value,
        "deployment": {
            "node_id": replica.node if replica else (wish.nodes[0] if wish.nodes else None),
            "hardware": replica.hardware if replica else None,
            "memory_usage": _memory(seen.replicas),
            "quantization": _quantization(deployment),
            "loaded_at": moment(replica.loaded_at) if replica else None,
            "health": _health(is_whole(deployment)),
            "deployment_id": deployment.id,
            "engine": replica.engine if replica else None,
            **_replicas(deployment),
        },
        "performance": {
            "tokens_per_second": _rounded(did.tokens_per_second, 1),
            "avg_latency_ms": _rounded(did.average),
            "max_batch_size": wish.options.max_batch_size,
            "p50_latency_ms": _rounded(did.p50),
            "p95_latency_ms": _rounded(did.p95),
            "first_token_ms": _rounded(did.first_token),
        },
    }


def is_whole(deployment: Deployment) -> bool:
    """Whether every engine that it should have answers."""
    well = {replica.node for replica in deployment.seen.replicas if replica.healthy}
    return bool(well) and well.issuperset(deployment.wish.nodes)


def _health(well: bool) -> str:
    return "healthy" if well else "unhealthy"


def _memory(replicas: Sequence[Replica]) -> str | None:
    """Of all of them."""
    known = [replica.memory for replica in replicas if replica.memory is not None]
    return size(sum(known)) if known else None


def _replicas(deployment: Deployment) -> Wire:
    """Each of several nodes, also those where nothing runs just now."""
    if len(deployment.wish.nodes) < SEVERAL:
        return {}
    there = {replica.node: replica for replica in deployment.seen.replicas}
    return {"replicas": [_placement(node, there.get(node)) for node in deployment.wish.nodes]}


def _placement(node: str, replica: Replica | None) -> Wire:
    return {
        "node_id": node,
        "health": _health(replica is not None and replica.healthy),
        "hardware": replica.hardware if replica else None,
        "memory_usage": _memory((replica,)) if replica else None,
        "loaded_at": moment(replica.loaded_at) if replica else None,
    }


def _quantization(deployment: Deployment) -> str | None:
    """Of its weights, where somebody knows it; else what was wanted."""
    weights = deployment.seen.weights
    return quantization(weights.quantization) if weights and weights.quantization else deployment.wish.quantization


def _rounded(figure: float | None, places: int | None = None) -> float | None:
    return None if figure is None else round(figure, places)


def run_of(deployment: Deployment) -> Run:
    """On what it runs, for the list of all models."""
    seen = deployment.seen
    return Run(
        hardware=seen.replicas[0].hardware if seen.replicas else None,
        quantization=_quantization(deployment),
    )


def quantization(word: str) -> str:
    """A file's own word in the API's: `int8` of Q8_0; what it has no word for stays as it is."""
    if word.startswith(_INT4) or word.endswith("-int4"):
        return "int4"
    return "int8" if word.endswith("-int8") else _QUANTIZATIONS.get(word, word)
