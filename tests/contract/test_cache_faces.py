"""
Every face in front of a model whose answers are kept: what is answered again is heard as it was the first time, whole
and streamed. The cases are the matrix's; what a face cannot say is not asked.
"""

import itertools
from collections.abc import Iterator

import msgspec
import pytest
from msgspec import structs

from foz.testing.matrix.cases import CASES, Case
from foz.testing.matrix.cells import loss
from foz.testing.matrix.faces import FACES, Face
from foz.testing.matrix.told import Streamed, Told
from foz.testing.matrix.voices import VOICES
from foz.testing.process import Served, start_gateway, start_upstream
from foz.testing.raw import request
from foz.wire.http import Headers

OPENAI = VOICES[0]
CONFIG = """
[[provider]]
name = "far"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"
models = ""
forwards = ["x-simulate-", "x-cell"]

[[model]]
name = "kept"
cache_ttl = "1h"
targets = ["far/simulated"]
"""
CELLS = [
    (face, case)
    for face in FACES
    for case in CASES
    if loss(face, OPENAI, case) is None
    and case.refused is None
    and not case.broken
    and not face.follows
    and not face.called
]
_PARTS = itertools.count()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as upstream:
        folder = tmp_path_factory.mktemp("gateway")
        with start_gateway(folder, config=CONFIG.format(port=upstream.port)) as running:
            yield running


def asked(gateway: Served, face: Face, case: Case, tag: bytes, *, stream: bool) -> tuple[bytes | None, Told]:
    """The mark of an answer, and what was heard, but for the number of its pieces."""
    path, body = face.say(structs.replace(case.request, stream=stream), "kept")
    simulated = tuple((f"x-simulate-{name}".encode(), value.encode()) for name, value in case.simulate)
    headers: Headers = ((b"connection", b"close"), (b"x-cell", tag), *simulated)
    with gateway.connect() as connection:
        connection.send(request("POST", path, msgspec.json.encode(body), headers))
        reply = connection.reply()
    assert reply.status == 200, reply.body
    chunked = reply.header(b"transfer-encoding") == b"chunked"
    told = face.hear_stream(Streamed([reply.body], ended=True)) if chunked else face.hear(reply)
    return reply.header(b"x-foz-cache"), structs.replace(told, pieces=0)


@pytest.mark.parametrize(("face", "case"), CELLS, ids=[f"{face.name}-{case.name}" for face, case in CELLS])
def test_a_face_is_told_the_same_again(gateway: Served, face: Face, case: Case) -> None:
    """A hit, in the form that was asked first and in the other one, says the same words, thoughts, calls and reason."""
    tag = f"{next(_PARTS)}".encode()
    first, told = asked(gateway, face, case, tag, stream=case.request.stream)
    again, told_again = asked(gateway, face, case, tag, stream=case.request.stream)
    other, told_otherwise = asked(gateway, face, case, tag, stream=not case.request.stream)

    assert (first, again, other) == (b"miss", b"hit", b"hit")
    assert told.whole
    assert (told_again, told_otherwise) == (told, told)
