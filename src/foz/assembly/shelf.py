"""Where the files of models come from: the folder of models, and whom we ask for what is not there."""

import ssl

from foz.assembly.outbound import trusting
from foz.config.engines import environment
from foz.config.settings import Settings
from foz.net.outside import Outside
from foz.net.proxy import Proxy, way_out
from foz.ports.clock import Clock
from foz.ports.watch import Watch
from foz.runtime.shelf.folders import Folders
from foz.runtime.shelf.hub import Hub
from foz.runtime.shelf.ollama import Ollama
from foz.runtime.shelf.shelf import DiskShelf, Shops

FOLDER = "models"
HUB = "huggingface"


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
    folders = Folders(
        local.models or settings.data / FOLDER, [] if local.ollama_models is None else [local.ollama_models]
    )
    key = next((one.key for one in settings.providers if one.name == HUB), None)
    shops = Shops(
        hub=Hub(local.hub, key.get_secret_value() if key else None, own="local.hub" in settings.sources),
        ollama=Ollama(local.ollama_registry, local.ollama_models, own="local.ollama_registry" in settings.sources),
        named=local.sources,
    )
    return DiskShelf(folders, shops, reach, clock, environment())
