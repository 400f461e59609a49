"""Models that a gateway under test runs: how it is asked for them, and what is seen of their engines from outside."""

import os
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from foz.testing.process import Served, wait_until
from foz.testing.raw import RawConnection
from foz.wire.http import Headers

JSON: Headers = ((b"content-type", b"application/json"),)
_FIGURE = re.compile(rb"^llamacpp:(\w+) ([0-9.e+]+)$", re.MULTILINE)


class Batched(NamedTuple):
    """What an engine has counted so far, by itself."""

    decodes: float
    """Steps of the whole batch."""
    busy: float
    """Slots that were busy in them, all steps together."""


def call(server: Served, method: str, path: str, body: object = None, headers: Headers = JSON) -> tuple[int, Any]:
    """One request on a connection of its own: its status, and its JSON or else its bytes."""
    with server.connect(60) as connection:
        reply = connection.call(method, path, b"" if body is None else msgspec.json.encode(body), headers)
    kind = dict(reply.headers).get(b"content-type", b"")
    return reply.status, msgspec.json.decode(reply.body) if kind.startswith(b"application/json") else reply.body


def data(gateway: Served, method: str, path: str, body: object = None) -> Any:
    """The data of a good answer of the 模型 API."""
    status, said = call(gateway, method, path, body)
    assert status == 200, said
    return said["data"]


def deployed(gateway: Served, body: object, within: float = 60) -> tuple[dict[str, Any], list[int]]:
    """Deploys, and looks until that is over: how it stands then, and each other percentage that was seen on the way."""
    told = data(gateway, "POST", "/models/local/deploy", body)
    found: dict[str, Any] = {}
    seen: list[int] = []

    def over() -> bool:
        found.update(data(gateway, "GET", told["progress_url"]))
        if found["progress"] not in seen[-1:]:
            seen.append(int(found["progress"]))
        return str(found["status"]) != "in_progress"

    gateway.wait_for(over, "the deployment to be over", within)
    return found, seen


def unloaded(gateway: Served, *names: str, within: float = 30, purge: bool = True) -> None:
    """Unloads them and their files, and looks until they are gone."""
    for name in names:
        data(gateway, "DELETE", f"/models/local/{name}?purge={str(purge).lower()}")
    gateway.wait_for(lambda: not {*names} & {*_names(gateway)}, "the models to be gone", within)


def _names(gateway: Served) -> list[str]:
    return [one["id"] for one in data(gateway, "GET", "/models/local")["models"]]


def chat(gateway: Served, model: str, tokens: int) -> int:
    """Tokens of an answer."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": tokens}
    status, said = call(gateway, "POST", "/v1/chat/completions", body)
    assert status == 200, said
    made: int = said["usage"]["completion_tokens"]
    return made


def serves(gateway: Served, model: str) -> bool:
    """Whether it answers, now."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    return call(gateway, "POST", "/v1/chat/completions", body)[0] == 200


def engines(gateway: Served) -> list[int]:
    """The processes of llama.cpp that this gateway, or any before it in its folder, has started."""
    return [pid for pid, command in programs(gateway).items() if b"foz.runtime.llamacpp.child" in command]


def programs(gateway: Served) -> dict[int, bytes]:
    """All that it has started to run models with, or to find and make them, and that still runs: their commands."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, seen = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"foz.runtime." in command and f"HOME={gateway.folder}".encode() in seen:
            found[int(folder.name)] = command
    return found


def memory(*pids: int) -> int:
    """Bytes that these processes hold together."""
    held = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                held += int(line.split()[1]) * 1024
    return held


def spent(pid: int) -> float:
    """Seconds of a processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def batched(gateway: Served, model: str) -> Batched:
    """What llama.cpp counts of its own batches, asked directly: the store knows where it is and its key."""
    query = "SELECT seen FROM deployments WHERE model = ? AND wanted = 'running'"
    with closing(sqlite3.connect(f"file:{gateway.folder / 'data' / 'foz.db'}?mode=ro", uri=True)) as store:
        (replica,) = msgspec.json.decode(store.execute(query, (model,)).fetchone()[0])["replicas"]
    key = ((b"authorization", f"Bearer {replica['key']}".encode()),)
    with RawConnection(int(replica["url"].rpartition(":")[2])) as engine:
        said = engine.call("GET", "/metrics", b"", key)
    figures = {name: float(figure) for name, figure in _FIGURE.findall(said.body)}
    decodes = figures[b"n_decode_total"]
    return Batched(decodes, figures[b"n_busy_slots_per_decode"] * decodes)


def kept(gateway: Served) -> list[str]:
    """What is in the folder of models, but for notes of what was found where."""
    root = gateway.folder / "data" / "models"
    return sorted(path.name for path in root.rglob("*") if path.is_file() and ".found" not in path.parts)


def no_orphan(gateway: Served, within: float = 2) -> float:
    """Seconds until nothing is left of what it has started."""
    began = time.monotonic()
    wait_until(lambda: not programs(gateway), "the last of its programs to be gone", within)
    return time.monotonic() - began
