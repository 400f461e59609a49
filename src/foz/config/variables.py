"""
Which environment variable sets what: `FOZ_<SECTION>_<KEY>` for every key of every section,
and short forms for what is set most, some of them the seeds' or everybody's.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

from foz.config.refusal import section
from foz.config.sections import Written

CONFIG = "FOZ_CONFIG"
KEY = "FOZ_KEY"
"""The key that commands show to a gateway which they ask; no setting."""
ROWS = ("provider", "model", "price")

_SHORT: dict[tuple[str, str], tuple[str, ...]] = {
    ("server", "host"): ("FOZ_HOST",),
    ("server", "port"): ("FOZ_PORT",),
    ("server", "listen"): ("FOZ_LISTEN",),
    ("server", "ollama_port"): ("FOZ_OLLAMA_PORT",),
    ("server", "workers"): ("FOZ_WORKERS",),
    ("server", "tls_cert"): ("FOZ_TLS_CERT",),
    ("server", "tls_key"): ("FOZ_TLS_KEY",),
    ("auth", "api_key"): ("FOZ_API_KEY", "API_KEY"),
    ("auth", "admin_key"): ("FOZ_ADMIN_KEY",),
    ("scale", "rabbitmq_url"): ("FOZ_RABBITMQ_URL", "RABBITMQ_URL"),
    ("scale", "redis_url"): ("FOZ_REDIS_URL", "REDIS_URL"),
    ("local", "hub"): ("HF_ENDPOINT",),
    ("local", "ollama_models"): ("OLLAMA_MODELS",),
    ("outbound", "https_proxy"): ("HTTPS_PROXY", "https_proxy"),
    ("outbound", "http_proxy"): ("HTTP_PROXY", "http_proxy"),
    ("outbound", "no_proxy"): ("NO_PROXY", "no_proxy"),
    ("outbound", "ca_file"): ("SSL_CERT_FILE",),
}
_KUBERNETES = re.compile(r"FOZ_(SERVICE_(HOST|PORT).*|PORT_[0-9]+_.*)")
"""What Kubernetes adds to each container where a service is named `foz`."""


def names() -> dict[tuple[str, ...], tuple[str, ...]]:
    """For each setting the variables that set it; the first that is set is taken."""
    table: dict[tuple[str, ...], tuple[str, ...]] = {}
    for name in Written.model_fields:
        inner = section((name,))
        if name in ROWS:
            continue
        if inner is None:
            table[name,] = (f"FOZ_{name.upper()}",)
            continue
        for key in inner.model_fields:
            table[name, key] = (f"FOZ_{name.upper()}_{key.upper()}", *_SHORT.get((name, key), ()))
    table["test_mode",] = ("FOZ_TEST_MODE", "TEST_MODE")
    return table


NAMES = names()


def pick(environ: Mapping[str, str]) -> dict[tuple[str, ...], tuple[str, str]]:
    """Of each setting that a variable sets: the variable's name and value. An empty one is not set."""
    picked = {}
    for path, candidates in NAMES.items():
        for name in candidates:
            value = environ.get(name, "")
            if value.strip() and not is_kubernetes(name, value):
                picked[path] = (name, value)
                break
    return picked


def is_kubernetes(name: str, value: str) -> bool:
    """Whether this is no setting of ours but Kubernetes telling of a service named `foz`."""
    return bool(_KUBERNETES.fullmatch(name)) or (name == "FOZ_PORT" and value.startswith("tcp://"))


def doubtful(environ: Mapping[str, str], used: Iterable[str]) -> list[str]:
    """Warnings: variables that look like ours and set nothing."""
    known = {name for candidates in NAMES.values() for name in candidates} | {CONFIG, KEY} | set(used)
    told = []
    for name in sorted(environ):
        if not name.startswith("FOZ_") or is_kubernetes(name, environ[name]) or name in known:
            continue
        close = difflib.get_close_matches(name[:100], sorted(known), n=1)
        told.append(f"{name} sets nothing" + (f", did you mean {close[0]}?" if close else ""))
    if is_kubernetes("FOZ_PORT", environ.get("FOZ_PORT", "")):
        told.append("FOZ_PORT is Kubernetes' word of a service named foz, not a port: ignored")
    return told
