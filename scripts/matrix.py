"""
`docs/reference/matrix.md`: what each face can ask of each provider.

`tests/contract/test_matrix.py` proves each cell, so the page is what its results are.
"""

from collections.abc import Iterable, Iterator

from foz.testing.matrix.cases import CASES, feature
from foz.testing.matrix.cells import CELLS, loss
from foz.testing.matrix.faces import FACES, Face
from foz.testing.matrix.losses import Loss
from foz.testing.matrix.voices import VOICES

_WORDS = {"unsayable": "no words", "refused": "refused", "left out": "left out"}
_HEAD = """# Every face, every provider

Each face in front of each provider, case by case, over real sockets: {count} cells, all proven by
`tests/contract/test_matrix.py`. A case is run as many ways as it has (whole, streamed).

* **yes**: it is asked, reaches the provider, and comes back as it should.
* **refused**: the caller is told that this cannot be done; nothing is sent.
* **left out**: an answer comes, without it.
* **no words**: callers of this face have no way to say it.

`upstream_...` are the provider's own refusals (by status), its silence, and an answer that is cut: each is told in the
words of the face, and a stream that was cut never looks finished.
"""


def _rows(face: Face) -> Iterator[str]:
    names = [voice.name for voice in VOICES]
    yield f"| | {' | '.join(f'`{name}`' for name in names)} |"
    yield "|---" * (len(names) + 1) + "|"
    seen: set[str] = set()
    for case in CASES:
        name = feature(case)
        if name in seen:
            continue
        seen.add(name)
        found = [loss(face, voice, case) for voice in VOICES]
        cells = ["yes" if one is None else _WORDS[one.happens] for one in found]
        yield f"| {name} | {' | '.join(cells)} |"


def _why(row: Loss, voices: Iterable[str]) -> str:
    where = "callers" if row.where == "in" else ", ".join(f"`{name}`" for name in voices)
    return f"* {row.case}, {where}: {row.why}."


def _section(face: Face) -> str:
    lost: dict[Loss, dict[str, None]] = {}
    for cell in CELLS:
        if cell.face is face and cell.loss is not None:
            lost.setdefault(cell.loss, {})[cell.voice.name] = None
    return "\n".join((f"## `{face.name}`", "", *_rows(face), "", *(_why(*each) for each in lost.items()), ""))


def matrix() -> str:
    """The page."""
    proven = sum(1 for cell in CELLS if cell.loss is None or cell.loss.happens != "unsayable")
    return "\n".join((_HEAD.format(count=f"{proven:,}"), *map(_section, FACES))).rstrip("\n") + "\n"
