"""What is to be expected of each cell: a face, a provider's voice and a case, by what their LOSSES.md say."""

from functools import cache

from msgspec import Struct

from foz.testing.matrix.cases import CASES, Case, feature
from foz.testing.matrix.faces import FACES, Face
from foz.testing.matrix.losses import Loss, losses
from foz.testing.matrix.voices import VOICES, Voice


class Cell(Struct, frozen=True):
    """One of the matrix. `loss` is None where both sides can say it."""

    face: Face
    voice: Voice
    case: Case
    loss: Loss | None

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.face.name}-{self.voice.name}-{self.case.name}"


@cache
def _page(page: str) -> tuple[Loss, ...]:
    return losses(page)


def loss(face: Face, voice: Voice, case: Case) -> Loss | None:
    """What the face's page says, else the provider's; None where it is said and heard."""
    heard = [row for page in face.losses for row in _page(page) if row.where == "in"]
    said = [row for row in _page(voice.page) if row.where in {"out", voice.name}]
    return next((row for row in (*heard, *said) if row.case == feature(case)), None)


CELLS = tuple(Cell(face, voice, case, loss(face, voice, case)) for face in FACES for voice in VOICES for case in CASES)
