"""What `foz unload` says of a model that is gone."""

import pytest

from foz.canon.deployment import Deployment, Seen, Wanted, Wish
from foz.cli.local import LEFT, has_left, told


@pytest.mark.parametrize(
    ("wanted", "files", "asked", "left"),
    [
        (Wanted.PURGED, ("/m/small.gguf",), 3, True),
        (Wanted.PURGED, ("/m/small.gguf",), 4, False),
        (Wanted.PURGED, (), 3, False),
        (Wanted.UNLOADED, ("/m/small.gguf",), 3, False),
    ],
    ids=["could not be removed", "not tried yet", "removed", "to be kept"],
)
def test_files_that_stay_against_ones_will_are_told(
    wanted: Wanted, files: tuple[str, ...], asked: int, left: bool
) -> None:
    """Of a purge whose files could not be removed it is said that they are there, and of no other unloading."""
    seen = Seen(gone=True, files=files, asked=3)
    found = Deployment("d", 0, Wish("small", "small"), "p", wanted=wanted, asked=asked, seen=seen)

    assert has_left(found) is left
    assert told(found) == ("small is unloaded." + (f" {LEFT}" if left else ""))
