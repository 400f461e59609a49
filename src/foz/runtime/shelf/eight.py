"""`int8` where a source has none: a file of eight bits a weight is made here, atomically, and told as it goes."""

import errno
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from foz.canon.fault import Bug, NoCapacity, Unsupported
from foz.ports.clock import Clock
from foz.ports.weights import Told
from foz.runtime.shelf import partial, programs
from foz.runtime.shelf.asked import Halved, Halving
from foz.runtime.shelf.fetching import Manners, Rising, check_room
from foz.runtime.shelf.partial import Mark, Partial
from foz.runtime.shelf.threads import aside

PROGRAM = "foz.runtime.shelf.eight_program"
SHARE = 0.57
"""Of 16 bits, with some room: 34 bytes for 32 weights, and what stays as it is."""
SILENCE = 120.0
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


async def make(
    sources: Sequence[Path], final: Path, told: Told, clock: Clock, manners: Manners, environment: Mapping[str, str]
) -> None:
    """
    The file is at `final`, made by one, whoever else wants it. Raises Unsupported or NoCapacity. Cancelled, or failed,
    it leaves nothing.
    """
    if find_spec("gguf") is None:
        raise Unsupported(
            "int8 cannot be made here: the package gguf is not installed: pip install 'foz[local]'.",
            field="quantization",
        )
    size = sum([(await aside(path.stat)).st_size for path in sources])
    rising = Rising(told, size)
    while not await aside(final.exists):
        part = await aside(Partial.hold, final)
        if part is None:
            rising.at(int(await aside(partial.coming, final) / SHARE))
            await clock.sleep(manners.waiting)
            continue
        try:
            if not await aside(final.exists):
                await aside(part.begin, Mark(str(sources[0])))
                await aside(
                    check_room, final.parent, int(size * SHARE), manners.margin, f"{final.name}, which is made,"
                )
                await _made(sources, part, rising, environment)
        finally:
            await aside(_let_go, part)
    rising.done(size)


async def _made(sources: Sequence[Path], part: Partial, rising: Rising, environment: Mapping[str, str]) -> None:
    trouble = 0

    def heard(line: Halved) -> None:
        nonlocal trouble
        trouble = line.errno
        rising.at(line.done)

    order = Halving(tuple(map(str, sources)), str(part.path))
    code = await programs.run(PROGRAM, order, Halved, heard, environment, SILENCE)
    if trouble in _FULL:
        raise NoCapacity(
            f"the disk is full: {part.final.name} could not be made, and what was made of it was taken away again. "
            "Make room in the folder of models, or name another one."
        )
    if code != 0:
        raise Bug(f"{part.final.name} could not be made: errno {trouble}")
    await aside(part.keep)


def _let_go(part: Partial) -> None:
    """What was not kept cannot be resumed."""
    part.drop_unkept()
    part.close()
