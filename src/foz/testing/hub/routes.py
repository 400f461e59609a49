"""
A hub of models in a folder: Hugging Face's and Ollama's ways of telling what there is and where its bytes are.

    hf/<org>/<repo>/...            a repository; large files lie at another host, as theirs do
    ollama/<space>/<name>/<tag>    a GGUF file

What is under `hf/gated/` wants an accepted licence, what is under `hf/private/` the token `hf_good`. At `/_mischief`
(POST, a list) one says what is to go wrong with the next files, at `/_asked` what was asked is told.
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

import msgspec
from typing_extensions import override

from foz.testing.hub.files import Answer, Asked, FileServer, Mischief
from foz.wire import json

TOKEN = "hf_good"  # noqa: S105 - of a fake
LARGE = 32 * 1024
"""From so many bytes on a file is not in the repository itself."""
_API = re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?")
_TREE = re.compile(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)")
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_MANIFEST = re.compile(r"/v2/([^/]+)/([^/]+)/manifests/([^/]+)")
_BLOB = re.compile(r"/v2/([^/]+)/([^/]+)/blobs/sha256:([0-9a-f]{64})")
_CDN = re.compile(r"/cdn/([0-9a-f]{64})")


class FakeHub(FileServer):
    """Serves what a folder holds when it is asked."""

    def __init__(self, folder: Path, pace: float = 0.0) -> None:
        super().__init__(pace)
        self.folder = folder
        self._configs: dict[str, bytes] = {}

    @override
    def answer(self, asked: Asked) -> Answer:
        path = unquote(asked.path.partition("?")[0])
        if path == "/_mischief":
            self.mischief.extend(msgspec.json.decode(asked.body, type=list[Mischief]))
            return Answer(204)
        if path == "/_asked":
            return _json([{"method": one.method, "path": one.path, "headers": one.headers} for one in self.asked])
        for pattern, answer in (
            (_API, self._repo), (_TREE, self._tree), (_FILE, self._resolved), (_MANIFEST, self._manifest),
            (_BLOB, self._blob), (_CDN, self._cdn),
        ):  # fmt: skip
            if found := pattern.fullmatch(path):
                return answer(asked, *(group or "" for group in found.groups()))
        return Answer(404, body=b"nothing here")

    # -- Hugging Face ------------------------------------------------------

    def _repo(self, asked: Asked, repo: str, revision: str) -> Answer:
        refused = self._refused(asked, repo, revision)
        if refused is not None:
            return refused
        files = self._files(repo)
        return _json(
            {
                "_id": "1", "id": repo, "modelId": repo, "sha": self.commit(repo), "private": False, "gated": False,
                "disabled": False, "downloads": 0, "likes": 0, "tags": [],
                "siblings": [_sibling(name, path) for name, path in files.items()],
            }
        )  # fmt: skip

    def _tree(self, asked: Asked, repo: str, revision: str) -> Answer:
        refused = self._refused(asked, repo, revision)
        if refused is not None:
            return refused
        return _json([_entry(name, path) for name, path in self._files(repo).items()])

    def _resolved(self, asked: Asked, repo: str, revision: str, name: str) -> Answer:
        refused = self._refused(asked, repo, revision)
        if refused is not None:
            return refused
        path = self._files(repo).get(name)
        if path is None:
            return _wrong(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": self.commit(repo), "X-Linked-Size": str(path.stat().st_size)}
        if path.stat().st_size < LARGE:
            return Answer(headers=headers, file=path)
        sha256 = _sum(path)
        there = f"http://localhost:{self.port}/cdn/{sha256}"
        return Answer(302, {**headers, "X-Linked-Etag": f'"{sha256}"', "ETag": f'"{sha256}"', "Location": there})

    def _refused(self, asked: Asked, repo: str, revision: str) -> Answer | None:
        if repo.startswith("gated/"):
            return _wrong(403, "GatedRepo", "Access to this model is restricted; you must accept its licence.")
        token = asked.headers.get("authorization", "")
        if token not in {"", f"Bearer {TOKEN}"}:
            return _wrong(401, "", "Invalid username or password.")
        if not self._files(repo) or (repo.startswith("private/") and not token):
            return _wrong(401, "RepoNotFound", "Repository not found")
        if revision not in {"", "main", self.commit(repo)}:
            return _wrong(404, "RevisionNotFound", "Invalid rev id")
        return None

    def commit(self, repo: str) -> str:
        """At which commit a repository is: another one when any of its files is."""
        told = "\n".join(f"{name} {_sum(path)}" for name, path in self._files(repo).items())
        return hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()

    def _files(self, repo: str) -> dict[str, Path]:
        root = self.folder / "hf" / repo
        return {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}

    # -- Ollama ------------------------------------------------------------

    def _manifest(self, asked: Asked, namespace: str, name: str, tag: str) -> Answer:
        del asked
        path = self.folder / "ollama" / namespace / name / tag
        if not path.is_file():
            return _json({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}, 404)
        config = json.encode({"model_format": "gguf", "file_type": _stored(tag)})
        digest = hashlib.sha256(config).hexdigest()
        self._configs[digest] = config
        size = path.stat().st_size
        layers = [
            {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{_sum(path)}", "size": size},
            {"mediaType": "application/vnd.ollama.image.license", "digest": f"sha256:{'0' * 64}", "size": 12},
        ]
        own = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": f"sha256:{digest}"}
        return _json({"schemaVersion": 2, "config": {**own, "size": len(config)}, "layers": layers})

    def _blob(self, asked: Asked, namespace: str, name: str, sha256: str) -> Answer:
        del asked
        if sha256 in self._configs:
            return Answer(body=self._configs[sha256])
        root = self.folder / "ollama" / namespace / name
        if not any(_sum(path) == sha256 for path in root.iterdir()):
            return Answer(404, body=b"{}")
        return Answer(307, {"Location": f"http://localhost:{self.port}/cdn/{sha256}"})

    # -- both --------------------------------------------------------------

    def _cdn(self, asked: Asked, sha256: str) -> Answer:
        if "authorization" in asked.headers:
            return Answer(400, body=b"this is another's storage: it wants no token")
        for path in (path for path in sorted(self.folder.rglob("*")) if path.is_file()):
            if _sum(path) == sha256:
                return Answer(file=path)
        return Answer(404, body=b"nothing here")


def _stored(tag: str) -> str:
    """What a tag such as `1b-q8_0` says of how its model is stored."""
    found = re.search(r"(?i)(q\d_\w+|f16)$", tag)
    return found[1].upper() if found else "Q4_K_M"


def _sibling(name: str, path: Path) -> dict[str, object]:
    size = path.stat().st_size
    told: dict[str, object] = {"rfilename": name, "size": size, "blobId": _sum(path)[:40]}
    return {**told, "lfs": {"sha256": _sum(path), "size": size, "pointerSize": 134}} if size >= LARGE else told


def _entry(name: str, path: Path) -> dict[str, object]:
    size = path.stat().st_size
    told: dict[str, object] = {"type": "file", "path": name, "size": size, "oid": _sum(path)[:40]}
    return {**told, "lfs": {"oid": _sum(path), "size": size, "pointerSize": 134}} if size >= LARGE else told


def _sum(path: Path) -> str:
    stat = path.stat()
    return _summed(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1000)
def _summed(path: Path, size: int, changed: int) -> str:
    del size, changed  # another file than before has other ones
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.encode(value))


def _wrong(status: int, code: str, message: str) -> Answer:
    headers = {"X-Error-Message": message, "Content-Type": "application/json"}
    return Answer(status, {**headers, "X-Error-Code": code} if code else headers, json.encode({"error": message}))
