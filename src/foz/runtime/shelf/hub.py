"""
Repositories of Hugging Face: which files are the model, at one commit, and where their bytes are.

The commit is asked once and is part of every address from then on: a repository that changes in the middle of a
download does not change the download.
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import quote

from msgspec import Struct, structs
from typing_extensions import override

from foz.canon.deployment import Form, Quantization
from foz.canon.fault import Down, Fault, Garbled, NotFound, Refused, Timeout, Unsupported
from foz.deploy import source as words
from foz.deploy.choice import Chosen, choose, published
from foz.deploy.source import OnHub
from foz.ports.weights import File
from foz.runtime.shelf import programs
from foz.runtime.shelf.asked import Listed, Listing
from foz.wire.complaint import clean

PUBLIC = "https://huggingface.co"
PROGRAM = "foz.runtime.shelf.hub_program"
SECONDS = 30.0
MOST_FILES = 20_000
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BESIDE = re.compile(r"[^/]+\.json|[^/]+\.jinja|[^/]+\.txt|tokenizer\.model|[^/]+\.tiktoken")
"""What an engine that reads safetensors needs beside them."""


class Hub(Struct, frozen=True):
    """Where the hub is, and who we are there. `own`: the operator named it."""

    endpoint: str = PUBLIC
    token: str | None = None
    own: bool = False

    @override
    def __repr__(self) -> str:
        return f"Hub({self.endpoint})"


class OnHand(Struct, frozen=True):
    """What a repository has of a model."""

    commit: str
    chosen: Chosen
    safetensors: bool = False


def missing() -> str | None:
    """Why the hub cannot be asked."""
    if find_spec("huggingface_hub") is None:
        return "the package huggingface_hub is not installed: pip install 'foz[local]'"
    return None


async def look(
    hub: Hub, place: OnHub, wanted: Quantization | None, environment: Mapping[str, str], form: Form | None = None
) -> OnHand:
    """The files that are wanted, of this form. Raises NotFound, Refused, Unsupported, Garbled, Down or Timeout."""
    why = missing()
    if why is not None:
        raise Unsupported(f"Repositories of Hugging Face cannot be read here: {why}.", field="source")
    where = f"{words.HUB}{place.repo}"
    listed = await _ask(hub, place, environment)
    if listed.fault is not None:
        raise _fault(listed, hub, place)
    if not _COMMIT.fullmatch(listed.commit) or len(listed.files) > MOST_FILES:
        raise Garbled(f"{where} does not say at which commit it is, or has more than {MOST_FILES} files")
    files = [_addressed(file, hub, place.repo, listed.commit) for file in listed.files if _is_plain(file)]
    gguf = form is not Form.SAFETENSORS and any(file.name.endswith(".gguf") for file in files)
    if place.file is None and not gguf:
        return OnHand(listed.commit, Chosen(_safetensors(files, where, wanted)), safetensors=True)
    return OnHand(listed.commit, choose(files, wanted, place.file, where))


async def _ask(hub: Hub, place: OnHub, environment: Mapping[str, str]) -> Listed:
    found: list[Listed] = []
    order = Listing(place.repo, place.revision, hub.endpoint, hub.token, SECONDS)
    extra = {
        "HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }  # fmt: skip
    await programs.run(PROGRAM, order, Listed, found.append, {**environment, **extra}, SECONDS * 2)
    if not found:
        raise Garbled("the client of Hugging Face gave no answer")
    return found[-1]


def _fault(listed: Listed, hub: Hub, place: OnHub) -> Fault:
    where = f"{words.HUB}{place.repo}"
    said = f" It said: {clean(''.join(filter(str.isprintable, listed.message)))}" if listed.message else ""
    match listed.fault:
        case "gated":
            return Refused(
                f"{where} is gated: accept its licence at {hub.endpoint}/{place.repo}, and set HF_TOKEN to a token of "
                f"the account that did.{said}",
                status=403,
            )
        case "unknown":
            return NotFound(
                f"{where} does not exist, or is not open to us: check its name, and HF_TOKEN where it is private."
            )
        case "revision":
            return NotFound(f"{where} has no revision '{place.revision}'.")
        case "timeout":
            return Timeout(f"{hub.endpoint} did not answer in {SECONDS:g} s")
        case "garbled":
            return Garbled(f"what {hub.endpoint} says of {place.repo} cannot be read.{said}")
        case "refused" if listed.status < 500:  # noqa: PLR2004 - the caller's doing
            return Refused(
                f"{hub.endpoint} refused to tell of {place.repo} ({listed.status}).{said}", status=listed.status
            )
        case _:
            return Down(f"{hub.endpoint} cannot be asked now ({listed.status or 'no connection'}).{said}")


def _is_plain(file: File) -> bool:
    """Whether its name can be ours; others are no part of a model."""
    return words.is_safe(file.name) and (file.size is None or file.size >= 0)


def _addressed(file: File, hub: Hub, repo: str, commit: str) -> File:
    checksum = file.sha256 if file.sha256 is not None and _SHA256.fullmatch(file.sha256) else None
    url = f"{hub.endpoint.rstrip('/')}/{repo}/resolve/{commit}/{quote(file.name)}"
    return structs.replace(file, sha256=checksum, url=url)


def _safetensors(files: list[File], where: str, wanted: Quantization | None) -> tuple[File, ...]:
    """A repository as its makers published it, for engines that read it so."""
    names = published([file.name for file in files])
    weights = [file for file in files if file.name in names]
    if not weights or not any(file.name == "config.json" for file in files):
        raise NotFound(f"{where} has no GGUF file with a model, and no safetensors with a config.json.")
    if wanted is Quantization.INT8:
        raise Unsupported(
            f"{where} has safetensors, of which no {wanted} can be made: name a repository with GGUF files, or one "
            "whose safetensors are so and leave quantization out.",
            field="quantization",
        )
    return tuple([file for file in files if _BESIDE.fullmatch(file.name)] + weights)
