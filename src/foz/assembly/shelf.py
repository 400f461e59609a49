"""Where the files of models come from: the folder of models, and whom we ask for what is not there."""

import logging
import ssl
from importlib.resources import files
from pathlib import Path

from foz.assembly.outbound import trusting
from foz.canon.deployment import Form
from foz.config.engines import environment
from foz.config.settings import Settings
from foz.net.outside import Outside
from foz.net.proxy import Proxy, way_out
from foz.ports.clock import Clock
from foz.ports.engine import VLLM
from foz.ports.watch import Watch
from foz.ports.weights import Shelf
from foz.runtime.llamacpp import engine as llamacpp
from foz.runtime.served.shelf import Shelves
from foz.runtime.shelf.fetching import Manners
from foz.runtime.shelf.folders import Folders
from foz.runtime.shelf.hub import Hub
from foz.runtime.shelf.ollama import Ollama
from foz.runtime.shelf.shelf import DiskShelf, Shops
from foz.runtime.vllm import engine as vllm

log = logging.getLogger("foz.local")

FOLDER = "models"
HUB = "huggingface"
WEEK = 7 * 86_400.0
_STORES = ("/usr/share/ollama/.ollama/models", "/var/lib/ollama/.ollama/models")
"""Where Ollama's own service keeps its models."""


def outside(settings: Settings, watch: Watch) -> Outside:
    """The way to servers that nobody configured one by one."""
    given = settings.outbound

    def way(scheme: str, host: str) -> Proxy | None:
        proxy = given.https_proxy if scheme == "https" else given.http_proxy
        return way_out(host, proxy.get_secret_value() if proxy else None, given.no_proxy)

    def tls() -> ssl.SSLContext:
        return trusting(given.ca_file)

    return Outside(watch, way, tls)


def shelf(settings: Settings, reach: Outside, clock: Clock) -> DiskShelf:
    """All sources of these settings."""
    local = settings.local
    seen = environment()
    store = local.ollama_models or _store(Path(seen.get("HOME", "/")))
    others = [*map(Path, local.folders), *([] if store is None else [store])]
    key = next((one.key for one in settings.providers if one.name == HUB), None)
    shops = Shops(
        hub=Hub(local.hub, key.get_secret_value() if key else None, own="local.hub" in settings.sources),
        ollama=Ollama(local.ollama_registry, store, own="local.ollama_registry" in settings.sources),
        named=local.sources,
        built_in=built_in(),
        prefers=prefers(settings),
    )
    folders = Folders(local.models or settings.data / FOLDER, others)
    manners = Manners(stall=local.stall, margin=local.keep_free)
    return DiskShelf(folders, shops, reach, clock, {**seen, **_ways_out(settings)}, manners)


def prefers(settings: Settings) -> Form:
    """As what a model is taken, where it is there in more than one form: as the preferred engine reads it."""
    local = settings.local
    only_vllm = (
        llamacpp.missing() is not None and vllm.missing(vllm.Installed(local.vllm), environment().get("PATH")) is None
    )
    return Form.SAFETENSORS if local.engine == VLLM or (not local.engine and only_vllm) else Form.GGUF


async def sweep(kept: Shelf) -> None:
    """Takes away parts of files that nobody went on with for a week."""
    if not isinstance(kept, DiskShelf | Shelves):
        return
    try:
        freed = await kept.sweep(WEEK)
    except OSError as error:
        log.warning("parts of abandoned downloads could not be taken away: %s", error)
        return
    if freed:
        log.info("parts of abandoned downloads were taken away: %d bytes", freed)


def _store(home: Path) -> Path | None:
    """Ollama's, where it has one here."""
    return next((path for path in (home / ".ollama/models", *map(Path, _STORES)) if _is_there(path)), None)


def _is_there(path: Path) -> bool:
    try:
        return (path / "manifests").is_dir()
    except OSError:  # another user's, closed to us
        return False


def built_in() -> dict[str, Path]:
    """Models that come with Foz, by their names."""
    folder = Path(str(files("foz.runtime"))) / "tiny"
    return {path.name.removesuffix(".gguf"): path for path in sorted(folder.glob("*.gguf"))}


def _ways_out(settings: Settings) -> dict[str, str]:
    """As programs read them."""
    given = settings.outbound
    told = {"NO_PROXY": ",".join(given.no_proxy)}
    for name, proxy in (("HTTPS_PROXY", given.https_proxy), ("HTTP_PROXY", given.http_proxy)):
        if proxy is not None:
            told[name] = proxy.get_secret_value()
    if given.ca_file is not None:
        told["SSL_CERT_FILE"] = str(given.ca_file)
    return told
