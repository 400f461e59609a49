"""
Hugging Face's own client as a program: `python hub_sdk.py URL FOLDER`, with the client first on the path. It lists and
downloads from the hub at URL. Facts are printed as one JSON object; the test says what they must be.
"""

import hashlib
import sys
from pathlib import Path

import msgspec
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

URL, FOLDER = sys.argv[1], Path(sys.argv[2])
REPO = "someone/Tiny-GGUF"


def refusal(repo: str, file: str = "a.gguf", revision: str | None = None) -> str:
    """The kind of error that a file gives."""
    try:
        hf_hub_download(repo, file, revision=revision, endpoint=URL, cache_dir=FOLDER / "none", token=False)
    except (EntryNotFoundError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        return type(error).__name__
    return "none"


def main() -> None:
    """All of it."""
    hub = HfApi(endpoint=URL, token=False)
    info = hub.model_info(REPO, files_metadata=True)
    files = {one.rfilename: [one.size, one.lfs.sha256 if one.lfs else None] for one in info.siblings or ()}
    large = Path(hf_hub_download(REPO, "tiny-Q8_0.gguf", endpoint=URL, cache_dir=FOLDER / "one", token=False))
    whole = Path(snapshot_download(REPO, revision=info.sha, endpoint=URL, cache_dir=FOLDER / "all", token=False))
    private = hf_hub_download("private/x", "x.gguf", endpoint=URL, cache_dir=FOLDER / "own", token="hf_good")
    facts = {
        "commit": info.sha,
        "files": files,
        "large": hashlib.sha256(large.read_bytes()).hexdigest(),
        "whole": sorted(str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()),
        "private": Path(private).stat().st_size,
        "refusals": {
            "gated": refusal("gated/x"),
            "unknown": refusal("nobody/nothing"),
            "file": refusal(REPO, "other.gguf"),
            "revision": refusal(REPO, "tiny-Q8_0.gguf", "v9"),
        },
    }
    sys.stdout.buffer.write(msgspec.json.encode(facts))


if __name__ == "__main__":
    main()
