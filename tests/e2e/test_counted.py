"""
Whether the ledger has exactly the tokens that the providers made: random calls through every face to every provider,
whole, streamed and hung up, several at once, held against what the fakes counted by themselves.

Of an answer that ended the two are the same, and a job's answer ends whoever listens. Of one that was hung up the
ledger has no less than what its caller got, and no more than what was made; it is marked as estimated, unless the
provider's own count had already come. The seed is printed; `FOZ_KILL_SEED` makes the same calls again.
"""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from msgspec import Struct, structs

from foz.canon.content import Message, Text
from foz.canon.request import ChatRequest
from foz.testing.matrix import service
from foz.testing.matrix.cells import CELLS, Cell
from foz.testing.matrix.told import Streamed, Told
from foz.testing.matrix.voices import ENVIRONMENT, Choir, Made, singing
from foz.testing.process import Served, free_port, start_gateway, wait_until
from foz.testing.raw import RawConnection, request
from foz.testing.simulated import words
from foz.wire.http import Headers
from tests.e2e.ground import Ledger, seeds

AT_ONCE = 8
LETTERS = "abcdefghijklmnopqrstuvwxyzáçéñöß"
ANSWERED = [cell for cell in CELLS if cell.loss is None and cell.case.refused is None and not cell.case.broken]


class Plan(Struct, frozen=True):
    """One call. `leaves` is after how many chunks of a stream its caller hangs up; 0 is before any."""

    id: str
    cell: Cell
    request: ChatRequest
    headers: Headers
    hung: bool
    leaves: int
    heard_first: bool
    """Who hangs up before any chunk waits until the provider has been asked."""
    resets: bool

    @property
    def kind(self) -> str:
        """For people."""
        return "hung up" if self.hung else "streamed" if self.request.stream else "whole"


class Row(Struct, frozen=True):
    """What the ledger says of a call."""

    state: str
    input: int | None
    output: int | None
    estimated: int


def plans(seed: int, count: int) -> Iterator[Plan]:
    """Random calls."""
    dice = random.Random(seed)
    for number in range(count):
        kind: Literal["whole", "streamed", "hung"] = dice.choice(("whole", "streamed", "hung"))
        streams = kind == "streamed" or (kind == "hung" and dice.random() < 0.8)
        cell = dice.choice([cell for cell in ANSWERED if cell.case.request.stream == streams])
        asked = cell.case.request
        if cell.case.name in {"plain", "stream"}:
            spoken = ["".join(dice.choices(LETTERS, k=dice.randint(1, 12))) for _ in range(dice.randint(1, 40))]
            asked = structs.replace(asked, messages=(Message("user", (Text(" ".join(spoken)),)),))
        headers = [(f"x-simulate-{name}", value) for name, value in cell.case.simulate if name == "words"]
        if streams and dice.random() < 0.3:
            headers.append(("x-simulate-batch", str(dice.randint(2, 6))))
        if kind == "hung":
            headers.append(("x-simulate-pace", "0.002") if streams else ("x-simulate-delay", "0.02"))
        yield Plan(
            f"call-{number}",
            cell,
            asked,
            tuple((name.encode(), value.encode()) for name, value in headers),
            hung=kind == "hung" and not cell.face.called,
            leaves=dice.randint(0, 15) if streams else 0,
            heard_first=dice.random() < 0.7,
            resets=dice.random() < 0.5,
        )


class Caller:
    """Makes calls one after another, on one connection while nobody hangs up."""

    def __init__(self, gateway: Served, choir: Choir) -> None:
        self._gateway = gateway
        self._choir = choir
        self._connection: RawConnection | None = None

    def close(self) -> None:
        """Done."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def call(self, plan: Plan) -> Told:
        """One call, and what its caller got of the answer."""
        face = plan.cell.face
        path, body = face.say(plan.request, plan.cell.voice.public())
        self._connection = connection = self._connection or self._gateway.connect()
        headers: Headers = ((b"x-request-id", plan.id.encode()), *plan.headers)
        if face.called:  # who hangs up there is seen in its own tests, row by row beside HTTP
            reply, told = service.call(self._gateway.grpc_port, path, body, headers)
            assert reply.status == 200, reply.body
            return told
        if face.follows:
            return self._followed(connection, plan, path, msgspec.json.encode(body), headers)
        connection.send(request("POST", path, msgspec.json.encode(body), headers))
        if plan.hung:
            chunks = self._some(connection, plan)
            (connection.reset if plan.resets else connection.close)()
            self._connection = None
            return face.hear_stream(Streamed(chunks, ended=False))
        reply = connection.reply()
        assert reply.status == 200, reply.body
        return face.hear_stream(Streamed([reply.body], ended=True)) if plan.request.stream else face.hear(reply)

    def _followed(self, connection: RawConnection, plan: Plan, path: str, body: bytes, headers: Headers) -> Told:
        """A job, to its end: it goes on when who listens to its stream hangs up."""
        face = plan.cell.face
        reply = connection.call("POST", path, body, headers)
        assert reply.status == 202, reply.body
        job = msgspec.json.decode(reply.body)["job_id"]
        told = None
        if plan.request.stream:
            with self._gateway.connect() as listening:
                listening.send(request("GET", f"{face.follows}/stream/{job}", b"", ()))
                assert listening.head().status == 200
                chunks = list(islice(iter(listening.chunk, b""), plan.leaves if plan.hung else None))
            told = face.hear_stream(Streamed(chunks, ended=not plan.hung))
        while True:
            reply = connection.call("GET", f"{face.follows}/status/{job}?wait=10")
            if msgspec.json.decode(reply.body).get("result", 1) is not None:
                return told or face.hear(reply)

    def _some(self, connection: RawConnection, plan: Plan) -> list[bytes]:
        """What comes until its caller has enough."""
        if not plan.leaves:
            if plan.heard_first:
                wait_until(lambda: plan.id in self._choir.heard, "the provider to be asked")
            return []
        assert connection.head().status == 200
        return list(islice(iter(connection.chunk, b""), plan.leaves))


def tokens(told: Told) -> int:
    """Those of what a caller got."""
    said = (told.text, told.thoughts, *(arguments for _, _, arguments in told.calls))
    return sum(map(words.count, said))


def verdict(plan: Plan, told: Told, row: Row | None, made: list[Made]) -> str | None:
    """What is wrong with the account of a call; None where nothing is."""
    if row is None:  # its caller was gone before the gateway had read it
        return None if plan.hung and not plan.leaves and not made else "the ledger does not have it"
    if len(made) > 1:
        return "it was answered twice"
    produced = made[0] if made else Made(0, 0, whole=False)
    recorded = (row.input, row.output)
    if row.state == "complete":
        exact = produced.whole and not row.estimated and recorded == (produced.input, produced.output)
        return None if exact else "it ended, and the ledger has other tokens"
    if not plan.hung or row.state != "caller_gone":
        return f"it should not be {row.state}"
    if not row.estimated and recorded != (produced.input, produced.output):
        return "it was hung up, and is not marked as estimated"
    return None if tokens(told) <= (row.output or 0) <= produced.output else "it was hung up, and has other tokens"


def count_calls(folder: Path, seed: int, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Makes so many calls, and holds the ledger against what the fakes made."""
    planned = list(plans(seed, count))
    with singing(folder / "fakes") as choir:
        gateway_folder = folder / "gateway"
        gateway_folder.mkdir()
        (gateway_folder / "credentials.conf").write_text(choir.credentials)
        with start_gateway(
            gateway_folder, config=choir.config, environment=ENVIRONMENT, grpc_port=free_port()
        ) as gateway:
            told = _all_called(gateway, choir, planned)
            ledger = Ledger(gateway.folder)
            query = "SELECT count(*) FROM entries WHERE state = 'open'"
            wait_until(lambda: ledger.rows(query) == [(0,)] and not choir.answering, "all calls to end")
            told_of = "SELECT request_id, state, input, output, estimated FROM entries"
            entries = msgspec.convert(ledger.rows(told_of), list[tuple[str, str, int | None, int | None, int]])
        made = choir.made()

    assert len({row[0] for row in entries}) == len(entries)
    rows = {entry[0]: Row(*entry[1:]) for entry in entries}
    wrong = [
        f"{plan.id} ({plan.cell.name}, {plan.kind}, {plan.headers}): {why}: got {tokens(told[plan.id])}, "
        f"recorded {rows.get(plan.id)}, made {made.get(plan.id)}"
        for plan in planned
        if (why := verdict(plan, told[plan.id], rows.get(plan.id), made.get(plan.id, []))) is not None
    ]
    with capsys.disabled():
        sys.stdout.write(f"\n{figures(seed, planned, told, rows, made)}\n")
    assert not wrong, f"seed {seed}: {len(wrong)} of {count}\n" + "\n".join(wrong[:20])
    assert set(rows) <= {plan.id for plan in planned}


def _all_called(gateway: Served, choir: Choir, planned: list[Plan]) -> dict[str, Told]:
    def some(first: int) -> dict[str, Told]:
        caller = Caller(gateway, choir)
        try:
            return {plan.id: caller.call(plan) for plan in planned[first::AT_ONCE]}
        finally:
            caller.close()

    told: dict[str, Told] = {}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for part in threads.map(some, range(AT_ONCE)):
            told |= part
    return told


def figures(
    seed: int, planned: list[Plan], told: dict[str, Told], rows: dict[str, Row], made: dict[str, list[Made]]
) -> str:
    """What was found, for people."""
    kinds = Counter(plan.kind for plan in planned)
    ended = [id for id, row in rows.items() if row.state == "complete"]
    left = [id for id, row in rows.items() if row.state == "caller_gone"]
    off = sum(abs((rows[id].output or 0) - made[id][0].output) + abs((rows[id].input or 0) - made[id][0].input)
              for id in ended)  # fmt: skip
    got, recorded = sum(tokens(told[id]) for id in left), sum(rows[id].output or 0 for id in left)
    produced = sum(made[id][0].output for id in left if id in made)
    return (
        f"seed {seed}: {len(planned):,} calls ({', '.join(f'{number:,} {kind}' for kind, number in kinds.items())}); "
        f"{len(ended):,} ended, difference {off}; {len(left):,} hung up before the end, tokens forwarded {got:,}, "
        f"recorded {recorded:,}, produced {produced:,}; {len(planned) - len(rows):,} left before they were read"
    )


@pytest.mark.timeout(600)
def test_ten_thousand_calls_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 10,000 random calls the ledger has the tokens that were made; of those hung up no fewer than came."""
    count_calls(tmp_path, seeds(1)[0], 10_000, capsys)
