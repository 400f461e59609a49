"""
Every face against every provider: one cell for each case that both sides can say.

What one side cannot say stands in its LOSSES.md and is held against that: what is refused is refused before anything is
sent, what is left out is answered without. Only what callers have no words for is not asked.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from foz.assembly.faces import faces
from foz.assembly.tongues import TONGUES
from foz.config.settings import Settings
from foz.skins.model_grpc.skin import NAME
from foz.testing.matrix import service
from foz.testing.matrix.cases import CASES, Case, feature
from foz.testing.matrix.cells import CELLS, Cell
from foz.testing.matrix.faces import FACES, Face
from foz.testing.matrix.losses import losses
from foz.testing.matrix.told import Streamed, Told
from foz.testing.matrix.voices import ENVIRONMENT, VOICES, Choir, Voice, singing
from foz.testing.process import Served, free_port, start_gateway, wait_until
from foz.testing.raw import request
from foz.wire.http import Headers, Reply

_NUMBERS = itertools.count()


ASKED = [cell for cell in CELLS if cell.loss is None or cell.loss.happens != "unsayable"]


@pytest.fixture(scope="module")
def choir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Choir]:
    with singing(tmp_path_factory.mktemp("fakes")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, choir: Choir) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "credentials.conf").write_text(choir.credentials)
    with start_gateway(folder, config=choir.config, environment=ENVIRONMENT, grpc_port=free_port()) as running:
        yield running


def asked(gateway: Served, face: Face, voice: Voice, case: Case, id: str) -> tuple[Reply, Told]:
    """One call, and what the caller heard; a stream is read until it ends or the connection does."""
    path, body = face.say(case.request, voice.public(hasty=case.refused == 0))
    simulated = tuple((f"x-simulate-{name}".encode(), value.encode()) for name, value in case.simulate)
    headers: Headers = ((b"x-request-id", id.encode()), (b"connection", b"close"), *simulated)
    if face.called:
        return service.call(gateway.grpc_port, path, body, headers[:1] + headers[2:])
    if face.follows:
        return _followed(
            gateway, face, case, request("POST", path, msgspec.json.encode(body), headers[:1] + headers[2:])
        )
    with gateway.connect() as connection:
        connection.send(request("POST", path, msgspec.json.encode(body), headers))
        head = connection.head()
        if head.header(b"transfer-encoding") == b"chunked":
            return head, face.hear_stream(_streamed(connection.rest()))
        reply = Reply(head.status, head.headers, connection.exactly(int(head.header(b"content-length") or 0)))
    return reply, face.hear(reply)


def _followed(gateway: Served, face: Face, case: Case, sent: bytes) -> tuple[Reply, Told]:
    """The same of a face that answers with a job: it is followed to its end."""
    with gateway.connect() as connection:
        connection.send(sent)
        reply = connection.reply()
        if reply.status != 202:
            return reply, face.hear(reply)
        id = msgspec.json.decode(reply.body)["job_id"]
        while not case.request.stream:
            reply = connection.call("GET", f"{face.follows}/status/{id}?wait=10")
            if msgspec.json.decode(reply.body).get("result", 1) is not None:
                break
        connection.send(_following(face, id))
        head = connection.head()
        events = face.hear_stream(_streamed(connection.rest()))
    if case.request.stream:
        return head, events
    told = face.hear(reply)
    told.thoughts = events.thoughts
    assert (told.text, told.whole, told.error) == (events.text if told.whole else "", events.whole, events.error)
    return reply, told


def _following(face: Face, id: str) -> bytes:
    return request("GET", f"{face.follows}/stream/{id}", b"", ((b"connection", b"close"),))


def _streamed(left: bytes) -> Streamed:
    """The chunks of a body, as far as it came."""
    chunks: list[bytes] = []
    while left:
        size, _, left = left.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return Streamed(chunks, ended=True)
        chunks.append(left[:length])
        left = left[length + 2 :]
    return Streamed(chunks, ended=False)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def _reached(texts: tuple[str, ...], body: bytes, *, ordered: bool) -> bool:
    """Whether all that is said to the upstream holds these texts, one behind the other."""
    said = "\n".join(_strings(msgspec.json.decode(body)))
    places = [said.find(text) for text in texts]
    return -1 not in places and (not ordered or places == sorted(places))


def _well(told: Told, face: Face, voice: Voice, case: Case) -> None:
    """Asserts the answer that the case wants."""
    assert (told.error, told.whole) == (None, True)
    assert told.text.startswith((voice.begins or case.begins) if case.begins else "")
    assert case.holds in told.text
    if case.exactly is not None:
        assert told.text.strip() == case.exactly
    if case.words is not None:
        assert len(told.text.split()) <= case.words
    if case.keys:
        assert tuple(msgspec.json.decode(told.text)) == case.keys
    if case.request.stream and case.begins:
        assert told.pieces > 1
    assert [msgspec.json.decode(arguments) for _, _, arguments in told.calls] == [{"city": city} for city in case.calls]
    assert len({id for id, _, _ in told.calls}) == len(case.calls)
    assert {name for _, name, _ in told.calls} <= {"weather"}
    if case.thinks:
        assert told.thoughts
        assert told.thoughts not in told.text
    assert told.reason == (case.reason if face.reasons else None)


@pytest.mark.parametrize("cell", ASKED, ids=lambda cell: cell.name)
def test_a_cell(gateway: Served, choir: Choir, cell: Cell) -> None:
    """Through this face this provider does what the case wants, or what its LOSSES.md says."""
    face, voice, case = cell.face, cell.voice, cell.case
    loss = None if cell.loss is None else cell.loss.happens
    id = f"cell-{next(_NUMBERS)}"
    reply, told = asked(gateway, face, voice, case, id)

    if loss == "refused":
        assert reply.status in ({422, 200} if face.follows else {400})
        assert id not in choir.heard
        assert told.error
        return
    wait_until(lambda: id in choir.heard, "the provider to be asked")  # who lost patience may have, before it was
    heard = [body for body in choir.heard[id] if body]
    assert sum(_reached(case.heard, body, ordered=voice.ordered) for body in heard) == 1
    if case.refused is not None:
        assert reply.status == face.statuses(case.refused)
        assert told.error
    elif case.broken:
        assert (reply.status, told.whole) == (200, False)
        assert told.text
        assert bool(told.error) != face.breaks_silently
    elif loss == "left out":
        assert (reply.status, told.error, told.whole, told.calls) == (200, None, True, [])
        assert told.text.startswith(voice.begins)
    else:
        assert reply.status == 200, reply.body
        _well(told, face, voice, case)


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
def test_a_stream_comes_as_it_is_made(gateway: Served, choir: Choir, face: Face, voice: Voice) -> None:
    """Each word is at the caller's before the provider has sent the next one; then the answer comes to its end."""
    (case,) = (case for case in CASES if case.name == "stream")
    id = f"held-{next(_NUMBERS)}"
    path, body = face.say(case.request, voice.public())
    choir.hold(id, b"rivers")
    if face.called:
        pieces = service.begin(gateway.grpc_port, path, body, ((b"x-request-id", id.encode()),))
        messages = [next(pieces)]
        while messages[-1].choices[0].delta.content != " do":
            messages.append(next(pieces))
        choir.release(id)
        told = service.told([*messages, *pieces])
        assert told.text.startswith(voice.begins or case.begins)
        assert "Where do rivers end?" in told.text
        return
    with gateway.connect() as connection:
        connection.send(request("POST", path, msgspec.json.encode(body), ((b"x-request-id", id.encode()),)))
        if face.follows:
            connection.send(_following(face, msgspec.json.decode(connection.reply().body)["job_id"]))
        assert connection.head().status == 200
        chunks = [connection.chunk()]
        while b" do" not in chunks[-1]:
            chunks.append(connection.chunk())
        choir.release(id)
        chunks += iter(connection.chunk, b"")

    told = face.hear_stream(Streamed(chunks, ended=True))
    assert (told.error, told.whole) == (None, True)
    assert told.text.startswith(voice.begins or case.begins)
    assert "Where do rivers end?" in told.text


@pytest.mark.parametrize(
    "page", sorted({page for face in FACES for page in face.losses} | {one.page for one in VOICES})
)
def test_losses_are_of_the_matrix(page: str) -> None:
    """Each row under `Contract matrix` names a case, and a side or a provider, that the matrix has."""
    names, places = {feature(case) for case in CASES}, {"in", "out", *(voice.name for voice in VOICES)}

    assert {row.case for row in losses(page)} <= names
    assert {row.where for row in losses(page)} <= places
    assert all(row.why and (row.happens == "unsayable") == (row.where == "in") for row in losses(page))


def test_every_face_and_every_dialect_is_in_the_matrix() -> None:
    """A skin that callers find, and a dialect that a provider's row may name, has its place in the matrix."""
    assert {face.name.partition(".")[0] for face in FACES} == {face.skin.name for face in faces(Settings())} | {NAME}
    assert {voice.dialect for voice in VOICES} == set(TONGUES)


def test_every_case_says_what_must_be_heard() -> None:
    """No case is proven by what comes back alone: each names words that must have reached the provider."""
    assert not [case.name for case in CASES if not case.heard]
