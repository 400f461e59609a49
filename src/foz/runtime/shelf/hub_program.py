"""
Hugging Face's own client, asked which files a repository has at which commit, with sizes and checksums.

It is a program because the client loads an HTTP library and half a second of modules, and because what it waits for can
be ended so. Bytes of models do not come through it (docs/adr/022-where-models-come-from.md).
"""

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from foz.ports.weights import File
from foz.runtime.shelf.asked import Listed, Listing
from foz.runtime.shelf.programs import ordered, say


def main() -> None:
    """Asks once."""
    order = ordered(Listing)
    try:
        say(_listed(order))
    except GatedRepoError as error:
        say(_why("gated", error))
    except RepositoryNotFoundError as error:
        say(_why("unknown", error))
    except RevisionNotFoundError as error:
        say(_why("revision", error))
    except HfHubHTTPError as error:
        say(_why("refused", error))
    except (httpx2.TimeoutException, TimeoutError):
        say(Listed(fault="timeout"))
    except (httpx2.HTTPError, OSError) as error:
        say(Listed(fault="down", message=type(error).__name__))
    except (HFValidationError, ValueError, TypeError, KeyError, AttributeError) as error:
        say(Listed(fault="garbled", message=f"{type(error).__name__}: {error}"[:300]))


def _listed(order: Listing) -> Listed:
    hub = HfApi(endpoint=order.endpoint, token=order.token or False, library_name="foz")
    told = hub.model_info(order.repo, revision=order.revision, files_metadata=True, timeout=order.seconds)
    files = tuple(
        File(name=one.rfilename, size=one.size, sha256=one.lfs.sha256 if one.lfs is not None else None)
        for one in told.siblings or ()
    )
    return Listed(commit=told.sha or "", files=files)


def _why(fault: str, error: HfHubHTTPError) -> Listed:
    return Listed(fault=fault, status=error.response.status_code, message=(error.server_message or "")[:300])


if __name__ == "__main__":
    main()
