"""
Records of ledgers on their way through Redis (`ports.post.Post`).

What is sent waits in one list. Who receives moves some of it into a list of its own, keeps it, and only then takes it
out of there: whoever dies in between finds it there when it comes again, under the same name.
A script that is run twice sends twice; a record that is kept twice is kept once.
"""

from collections.abc import Sequence

from foz.ports.post import Keep
from foz.scale.line import Answer
from foz.scale.pool import Pool, scripts
from foz.scale.topology import NAME
from foz.scale.trouble import DEADLINE

MOST = 200
_SCRIPTS = scripts("post")


class RedisPost:
    """For one process. `who` is the name of its data directory: no other directory has it."""

    def __init__(self, url: str, who: str, *, deadline: float = DEADLINE, name: str = NAME) -> None:
        self._pool = Pool(url, name, deadline)
        self._who = who

    async def send(self, records: Sequence[bytes]) -> None:
        """On its way. Raises NoCapacity."""
        for start in range(0, len(records), MOST):
            await self._pool.run(_SCRIPTS["send"], *records[start : start + MOST])

    async def receive(self, keep: Keep) -> int:
        """What has come, some of it; how many records. Raises NoCapacity."""
        answer = await self._pool.run(_SCRIPTS["take"], self._who, MOST)
        records = _records(answer)
        if records:
            await keep(records)
            await self._pool.run(_SCRIPTS["kept"], self._who, len(records), records[0], records[-1])
        return len(records)

    async def close(self) -> None:
        """Closes what is open."""
        await self._pool.close()


def _records(answer: Answer) -> list[bytes]:
    return [one for one in answer if isinstance(one, bytes)] if isinstance(answer, list) else []
