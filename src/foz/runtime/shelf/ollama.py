"""
Models of Ollama: by the manifest, in its store on this machine or in its registry.

A manifest names layers by their digests; one of them is the model. What lies in the store is used where it lies. A
model that is not there comes from the registry, as Ollama would fetch it.
"""

import re
from pathlib import Path
from urllib.parse import quote

import msgspec
from msgspec import Struct

from foz.canon.deployment import Quantization
from foz.canon.fault import Garbled, NotFound, Unsupported
from foz.canon.model import Patience
from foz.deploy import source as words
from foz.deploy.choice import Chosen, as_wanted, way_of
from foz.deploy.source import OnOllama
from foz.ports.weights import File
from foz.runtime.shelf.opening import Reach, Source, ask
from foz.runtime.shelf.threads import aside
from foz.wire.http import Headers

REGISTRY = "https://registry.ollama.ai"
MOST_MANIFEST = 2**20
MODEL = "application/vnd.ollama.image.model"
CALM = Patience(connect=10.0, first_byte=30.0, idle=30.0, total=60.0)
_ACCEPT: Headers = ((b"accept", b"application/vnd.docker.distribution.manifest.v2+json"),)
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class Ollama(Struct, frozen=True):
    """Where its registry is, and its store here where there is one. `own`: the operator named the registry."""

    registry: str = REGISTRY
    store: Path | None = None
    own: bool = False


class _Layer(Struct, frozen=True, rename="camel"):
    digest: str
    size: int
    media_type: str = ""


class _Manifest(Struct, frozen=True):
    layers: tuple[_Layer, ...]
    config: _Layer | None = None


class _Config(Struct, frozen=True):
    """What it says of the model."""

    model_format: str = "gguf"
    file_type: str = ""


def blob(ollama: Ollama, sha256: str) -> Path | None:
    """Where a layer lies in the store."""
    return None if ollama.store is None else ollama.store / "blobs" / f"sha256-{sha256}"


async def look(ollama: Ollama, place: OnOllama, wanted: Quantization | None, reach: Reach) -> Chosen:
    """
    The model's file; without a URL where it lies in the store. Raises NotFound, Unsupported, Refused, Garbled, Down or
    Timeout.
    """
    where = f"{words.OLLAMA}{place.namespace}/{place.name}:{place.tag}"
    here = await aside(_here, ollama, place)
    manifest = _decoded(await _manifest(ollama, place, where, reach) if here is None else here, where)
    layer = _model(manifest, where)
    sha256 = _hex(layer.digest, where)
    lies = blob(ollama, sha256) if here is not None else None
    there = lies is not None and await aside(lambda: lies.is_file() and lies.stat().st_size == layer.size)
    url = "" if there else f"{ollama.registry.rstrip('/')}{_path(place, 'blobs', layer.digest)}"
    name = f"ollama/{place.namespace}/{place.name}/{place.tag}-{sha256[:12]}.gguf"
    file = File(words.safe(name), layer.size, sha256, url)
    config = await _config(ollama, place, manifest, reach, from_store=here is not None)
    if config.model_format != "gguf":
        raise Unsupported(f"{where} is stored as {config.model_format[:40]!r}, not as GGUF: no engine here reads it.")
    return as_wanted(Chosen((file,), way=way_of(f"-{config.file_type}.gguf")), wanted, where)


async def _manifest(ollama: Ollama, place: OnOllama, where: str, reach: Reach) -> bytes:
    """Of the registry."""
    try:
        return await _get(ollama, _path(place, "manifests", place.tag), reach, _ACCEPT)
    except NotFound as fault:
        raise NotFound(f"There is no model {where} in the registry: {fault.message}") from fault


def _here(ollama: Ollama, place: OnOllama) -> bytes | None:
    """The manifest in the store."""
    if ollama.store is None:
        return None
    path = ollama.store / "manifests" / "registry.ollama.ai" / place.namespace / place.name / place.tag
    return _short(path)


def _short(path: Path) -> bytes | None:
    try:
        with path.open("rb") as opened:
            return opened.read(MOST_MANIFEST)
    except OSError:
        return None


def _path(place: OnOllama, kind: str, what: str) -> str:
    return f"/v2/{quote(place.namespace)}/{quote(place.name)}/{kind}/{quote(what, safe=':')}"


async def _get(ollama: Ollama, path: str, reach: Reach, headers: Headers = ()) -> bytes:
    source = Source(ollama.registry, ollama.own)
    answer = await ask(reach, source, ollama.registry.rstrip("/") + path, headers, CALM)
    try:
        return (await answer.whole(MOST_MANIFEST)).body
    finally:
        answer.close()


def _decoded(raw: bytes, where: str) -> _Manifest:
    try:
        return msgspec.json.decode(raw, type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Garbled(f"the manifest of {where} cannot be read: {wrong}") from wrong


def _model(manifest: _Manifest, where: str) -> _Layer:
    models = [layer for layer in manifest.layers if layer.media_type == MODEL]
    if len(models) != 1 or models[0].size < 1:
        raise Unsupported(f"{where} has {len(models)} layers that are models; one was expected.")
    return models[0]


def _hex(digest: str, where: str) -> str:
    found = _DIGEST.fullmatch(digest)
    if found is None:
        raise Garbled(f"the manifest of {where} names a layer that is no SHA-256")
    return found[1]


async def _config(ollama: Ollama, place: OnOllama, manifest: _Manifest, reach: Reach, *, from_store: bool) -> _Config:
    """What the manifest's config says; nothing where there is none."""
    if manifest.config is None or manifest.config.size > MOST_MANIFEST:
        return _Config()
    where = f"{words.OLLAMA}{place.namespace}/{place.name}:{place.tag}"
    sha256 = _hex(manifest.config.digest, where)
    path = blob(ollama, sha256) if from_store else None
    raw = await aside(_short, path) if path is not None else None
    if raw is None:
        try:
            raw = await _get(ollama, _path(place, "blobs", manifest.config.digest), reach)
        except NotFound:
            return _Config()
    try:
        return msgspec.json.decode(raw, type=_Config)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Garbled(f"the description of {where} cannot be read: {wrong}") from wrong
