"""
Where a model comes from, in one word: read, and refused where it could lead elsewhere.

    tiny.gguf, sub/tiny.gguf, /srv/models/tiny.gguf     a file under the folders of models
    hf:org/repo[@revision][/file.gguf]                  a repository of Hugging Face
    ollama:[namespace/]name[:tag]                       a model of Ollama's, in its store here or its registry
    provider:name/model                                 a model of a server that the settings name, and nobody runs here
    foz:foz-tiny                                        what is built in

Names come from callers and from servers alike, and become parts of paths and URLs: only letters, figures and a few
marks are let through, and no part of a name may be one of the words by which paths are walked.
"""

import re

from msgspec import Struct

from foz.canon.fault import BadRequest

HUB, OLLAMA, BUILT_IN, SERVED = "hf:", "ollama:", "foz:", "provider:"
LONGEST = 512
MOST_PARTS = 12
LATEST, MAIN = "latest", "main"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@() -]{0,199}")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_SERVED_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@+/-]{0,255}")
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")


class OnDisk(Struct, frozen=True):
    """A file that an operator put there."""

    path: str


class OnHub(Struct, frozen=True):
    """A repository of Hugging Face."""

    repo: str
    revision: str = MAIN
    file: str | None = None


class OnOllama(Struct, frozen=True):
    """A model as Ollama names it."""

    namespace: str
    name: str
    tag: str = LATEST


class OnServer(Struct, frozen=True):
    """A model of a provider."""

    provider: str
    model: str


class BuiltIn(Struct, frozen=True):
    """A model that comes with Foz."""

    name: str


Place = OnDisk | OnHub | OnOllama | BuiltIn


def read(source: str) -> Place:
    """What a source means. Raises BadRequest."""
    if not source or len(source) > LONGEST or not source.isprintable():
        raise _wrong(source, f"up to {LONGEST} plain characters were expected")
    if source.startswith(HUB):
        return _hub(source)
    if source.startswith(OLLAMA):
        return _ollama(source)
    if source.startswith(BUILT_IN):
        name = source.removeprefix(BUILT_IN)
        if not _MODEL.fullmatch(name) or _walks(name):
            raise _wrong(source, f"'{BUILT_IN}foz-tiny' was expected")
        return BuiltIn(name)
    if "://" in source or re.match(r"[A-Za-z]+:", source):
        raise _wrong(
            source,
            "a path, or one of hf:, ollama:, provider: and foz: was expected; an address of the web is none of them",
        )
    return OnDisk(_path(source))


def served(source: str) -> OnServer | None:
    """The server and the model that a source names, where it names any. Raises BadRequest."""
    if not source.startswith(SERVED):
        return None
    provider, _, model = source.removeprefix(SERVED).partition("/")
    good = _REPO.fullmatch(provider) and _SERVED_MODEL.fullmatch(model) and len(source) <= LONGEST
    if not good or any(_walks(part) or not part for part in re.split(r"[/:]", model)):
        raise _wrong(source, "provider:name/model, with the name of a provider of the settings, was expected")
    return OnServer(provider, model)


def safe(name: str) -> str:
    """A relative path that a server named. Raises BadRequest where it could lead anywhere but under a folder."""
    if not is_safe(name):
        raise _wrong(name, "a plain relative path was expected")
    return name


def is_safe(name: str) -> bool:
    """Whether a relative path leads nowhere but under a folder."""
    parts = name.split("/")
    return len(name) <= LONGEST and len(parts) <= MOST_PARTS and all(_is_part(part) for part in parts)


def outside(source: str) -> BadRequest:
    """A path that leads elsewhere."""
    return BadRequest(
        f"The source '{_shown(source)}' leads out of the folder of models: only what lies under [local] models, or one "
        "of [local] folders, is run.",
        field="source",
    )


def check_model_id(name: str) -> None:
    """The name under which a model is to be served. Raises BadRequest."""
    if not _MODEL_ID.fullmatch(name) or any(_walks(part) or not part for part in re.split(r"[/:]", name)):
        raise BadRequest(
            f"'{_shown(name)}' cannot be the name of a model: letters, figures and - _ . : / were expected, at most "
            "128, without empty or hidden parts.",
            field="model_id",
        )


def _path(source: str) -> str:
    parts = source.removeprefix("/").split("/")
    if "\\" in source or source.startswith("~") or not all(_is_part(part) for part in parts):
        raise _wrong(source, "a plain path under the folder of models was expected, without . and .. in it")
    return source


def _hub(source: str) -> OnHub:
    org, _, rest = source.removeprefix(HUB).partition("/")
    repo, _, file = rest.partition("/")
    repo, at, revision = repo.partition("@")
    named = _is_repo(org) and _is_repo(repo) and (not at or (_REVISION.fullmatch(revision) and not _walks(revision)))
    if not named or (file and not file.endswith(".gguf")) or rest.endswith("/"):
        raise _wrong(source, "hf:org/repo, with @revision and /file.gguf behind it where wanted, was expected")
    return OnHub(f"{org}/{repo}", revision if at else MAIN, safe(file) if file else None)


def _ollama(source: str) -> OnOllama:
    name, colon, tag = source.removeprefix(OLLAMA).partition(":")
    namespace, slash, model = name.rpartition("/")
    good = _MODEL.fullmatch(model) and not _walks(model) and (not slash or _MODEL.fullmatch(namespace))
    if not good or _walks(namespace) or (colon and (not _TAG.fullmatch(tag) or _walks(tag))):
        raise _wrong(source, "ollama:name or ollama:name:tag was expected")
    return OnOllama(namespace or "library", model, tag if colon else LATEST)


def _is_repo(name: str) -> bool:
    return bool(_REPO.fullmatch(name)) and not _walks(name)


def _is_part(part: str) -> bool:
    return bool(_PART.fullmatch(part)) and not _walks(part) and part == part.strip()


def _walks(part: str) -> bool:
    return part.startswith(".") or ".." in part


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:80])


def _wrong(source: str, expected: str) -> BadRequest:
    return BadRequest(f"The source '{_shown(source)}' cannot be: {expected}.", field="source")
