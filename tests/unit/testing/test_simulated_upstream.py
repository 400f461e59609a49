"""The simulated model behind the upstream port: it answers, waits and misbehaves as it is told."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import pytest

from foz.canon.fault import Cut, Down, Fault, Garbled, Timeout
from foz.canon.model import Patience
from foz.canon.request import Operation
from foz.dialects.openai.speech import SPEECH
from foz.testing.clock import LoopClock, StillClock
from foz.testing.simulated import mischief
from foz.testing.simulated.upstream import SimulatedAnswer, SimulatedUpstream
from foz.wire import sse
from foz.wire.http import Call, Reply

T = TypeVar("T")
HELLO = b'{"model":"m","messages":[{"role":"user","content":"Hello there"}]}'
STREAM = HELLO[:-1] + b',"stream":true,"stream_options":{"include_usage":true}}'
LIMIT = 1_000_000


def _call(body: bytes = HELLO, path: str = "/chat/completions", **asked: str) -> Call:
    return _asking(asked, body, path)


def _asking(asked: dict[str, str], body: bytes = HELLO, path: str = "/chat/completions") -> Call:
    headers = tuple((f"x-simulate-{name.replace('_', '-')}".encode(), value.encode()) for name, value in asked.items())
    return Call("POST", path, headers, body)


def _upstream(**more: object) -> SimulatedUpstream:
    return SimulatedUpstream(SPEECH, LoopClock(), misbehaves=True, **more)  # type: ignore[arg-type]  # a test's own options


def _reply(call: Call, upstream: SimulatedUpstream | None = None) -> Reply:
    async def run() -> Reply:
        return await (await (upstream or _upstream()).send(call, Patience())).whole(LIMIT)

    return asyncio.run(run())


def _poured(call: Call) -> tuple[list[bytes], Fault | None]:
    """The pieces of a stream, and how it ended."""

    async def run() -> tuple[list[bytes], Fault | None]:
        pieces: list[bytes] = []
        answer = await _upstream().send(call, Patience(idle=0.05))
        try:
            await answer.pour(pieces.append)
        except Fault as fault:
            return pieces, fault
        return pieces, None

    return asyncio.run(run())


def _error(reply: Reply) -> dict[str, object]:
    error: dict[str, object] = msgspec.json.decode(reply.body)["error"]
    return error


def _text(pieces: list[bytes]) -> str:
    decoder = sse.Decoder()
    frames = [frame.data for frame in decoder.feed(b"".join(pieces)) if frame.data != b"[DONE]"]
    chunks = [msgspec.json.decode(frame) for frame in frames]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


# Well.


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize(
    ("path", "body", "object"),
    [
        ("/chat/completions", HELLO, "chat.completion"),
        ("/completions", b'{"model":"m","prompt":"Once"}', "text_completion"),
        ("/embeddings", b'{"model":"m","input":"Once","encoding_format":"float"}', "list"),
    ],
)
def test_each_operation_is_answered(prefix: str, path: str, body: bytes, object: str) -> None:
    """Chat, completions and embeddings answer in the dialect's own shape, with or without /v1."""
    reply = _reply(_call(body, prefix + path))

    assert reply.status == 200
    assert msgspec.json.decode(reply.body)["object"] == object


def test_models_are_listed_and_shown() -> None:
    """The model is listed, and any id, with slashes plain or encoded, is shown."""
    listed = msgspec.json.decode(_reply(Call("GET", "/v1/models")).body)
    shown = msgspec.json.decode(_reply(Call("GET", "/models/org%2Fname:tag")).body)

    assert [row["id"] for row in listed["data"]] == ["simulated"]
    assert shown["id"] == "org/name:tag"


def test_a_stream_says_what_the_whole_answer_says() -> None:
    """The pieces of a stream are the text of the whole answer, and the last is the terminal frame."""
    pieces, fault = _poured(_call(STREAM))

    assert fault is None
    assert pieces[-1] == b"data: [DONE]\n\n"
    assert _text(pieces) == msgspec.json.decode(_reply(_call()).body)["choices"][0]["message"]["content"]


def test_a_known_answer_is_the_same_answer() -> None:
    """What is remembered of an earlier call is what would be said anew."""
    upstream = _upstream()

    assert _reply(_call(), upstream) == _reply(_call(), upstream) == _reply(_call())


@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        (_call(b"{"), 400, ""),
        (_call(b'{"model":"m"}'), 400, "messages"),
        (_call(path="/audio"), 404, "/chat/completions"),
        (Call("GET", "/chat/completions"), 405, "POST"),
        (Call("POST", "/models"), 405, "GET"),
    ],
)
def test_wrong_calls_get_the_dialects_error(call: Call, status: int, words: str) -> None:
    """A wrong body, path or method gets its status and an error object that says what is expected."""
    reply = _reply(call)

    assert reply.status == status
    assert words in str(_error(reply)["message"])


def test_an_operation_the_dialect_lacks_is_not_found() -> None:
    """A dialect that only chats has no embeddings."""
    upstream = SimulatedUpstream({Operation.CHAT: SPEECH[Operation.CHAT]}, LoopClock())

    assert _reply(_call(b'{"model":"m","input":"x"}', "/embeddings"), upstream).status == 404


# Misbehaving.


def test_headers_mean_nothing_outside_test_mode() -> None:
    """Unless it was made to misbehave, it answers well whatever the headers say."""
    upstream = SimulatedUpstream(SPEECH, LoopClock())

    assert _reply(_call(status="500", nonsense="x"), upstream).status == 200


def test_a_status_comes_with_its_error() -> None:
    """The status asked for comes with retry-after, code and an error object, and without our own hint to SDKs."""
    reply = _reply(_call(status="429", retry_after="2", code="slow_down"))

    assert reply.status == 429
    assert reply.header(b"retry-after") == b"2"
    assert reply.header(b"x-should-retry") is None
    assert reply.header(b"content-type") == b"application/json"
    assert "429" in str(_error(reply)["message"])
    assert _error(reply)["code"] == "slow_down"


@pytest.mark.parametrize("status", [400, 401, 402, 404, 422, 500, 503])
def test_a_status_carries_the_code_that_was_asked_for(status: int) -> None:
    """Whatever the status, the error's code is the one asked for."""
    reply = _reply(_call(status=str(status), code="made_up"))

    assert reply.status == status
    assert _error(reply)["code"] == "made_up"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529])
def test_every_status_can_be_had(status: int) -> None:
    """Each status of vendors is answered as such, with an error object."""
    reply = _reply(_call(status=str(status)))

    assert reply.status == status
    assert _error(reply)["message"]


def test_a_status_holds_for_so_many_times() -> None:
    """An id fails as often as asked and then gets its answer; another id is counted by itself."""
    upstream = _upstream()
    first = [_reply(_call(status="503", times="2", id="a"), upstream).status for _ in range(4)]
    other = [_reply(_call(status="503", times="1", id="b"), upstream).status for _ in range(2)]

    assert first == [503, 503, 200, 200]
    assert other == [503, 200]


def test_a_cut_comes_after_so_many_events() -> None:
    """A stream cut after k events has k, and ends with Cut; a whole answer is cut in the middle."""
    for number in (0, 1, 4):
        pieces, fault = _poured(_call(STREAM, cut=str(number)))

        assert len(pieces) == number
        assert isinstance(fault, Cut)
    with pytest.raises(Cut):
        _reply(_call(cut="0"))


def test_a_hang_lasts_as_long_as_the_caller_waits() -> None:
    """A stream that hangs after k events ends with the caller's patience."""
    pieces, fault = _poured(_call(STREAM, hang="3"))

    assert len(pieces) == 3
    assert isinstance(fault, Timeout)


def test_an_event_is_garbled() -> None:
    """The k-th event, and no other, is broken JSON."""
    pieces, fault = _poured(_call(STREAM, garble="2"))
    broken = [number for number, piece in enumerate(pieces, 1) if not _is_json(piece)]

    assert fault is None
    assert broken == [2]
    assert not _is_json(_reply(_call(garble="1")).body)


def _is_json(piece: bytes) -> bool:
    try:
        for line in filter(None, piece.split(b"\n")):
            data = line.removeprefix(b"data: ")
            if data != b"[DONE]":
                msgspec.json.decode(data)
    except msgspec.DecodeError:
        return False
    return True


def test_an_error_comes_in_the_stream() -> None:
    """After k events an error event ends the stream, without the terminal frame; a whole answer is a status 500."""
    pieces, fault = _poured(_call(STREAM, error="2"))

    assert fault is None
    assert len(pieces) == 3
    assert msgspec.json.decode(pieces[-1].removeprefix(b"data: "))["error"]["message"]
    assert _reply(_call(error="0")).status == 500


def test_usage_and_the_end_can_be_missing() -> None:
    """Without usage no event counts tokens; without its end the stream has no terminal frame."""
    no_usage = b"".join(_poured(_call(STREAM, no_usage="1"))[0])
    no_done = b"".join(_poured(_call(STREAM, no_done="1"))[0])

    assert b"prompt_tokens" not in no_usage
    assert b"[DONE]" in no_usage
    assert b"prompt_tokens" in no_done
    assert b"[DONE]" not in no_done
    assert b"prompt_tokens" not in _reply(_call(no_usage="1")).body


def test_an_endless_stream_is_read_as_long_as_one_likes() -> None:
    """It goes on until the reader has enough, and then nothing of it is left."""

    class Enough(Exception):
        pass

    async def run() -> int:
        size = 0

        def sink(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size > 500_000:
                raise Enough

        answer = await _upstream().send(_call(STREAM, endless="1"), Patience())
        with pytest.raises(Enough):
            await answer.pour(sink)
        answer.close()
        assert len(asyncio.all_tasks()) == 1
        return size

    assert asyncio.run(run()) > 500_000


def test_a_giant_frame_is_one_piece() -> None:
    """So many characters come in a single event."""
    pieces, _ = _poured(_call(STREAM, giant="300000"))

    assert max(map(len, pieces)) > 300_000
    assert len(_text(pieces)) > 300_000


def test_an_answer_longer_than_the_limit_is_garbled() -> None:
    """A whole answer beyond the reader's limit is refused."""

    async def run() -> None:
        answer = await _upstream().send(_call(giant="5000"), Patience())
        with pytest.raises(Garbled, match="longer than 1000 bytes"):
            await answer.whole(1000)

    asyncio.run(run())


def test_the_length_is_kept() -> None:
    """So many words are said, streamed or whole."""
    assert len(_text(_poured(_call(STREAM, words="37"))[0]).split()) == 37


def test_closed_before_any_byte_is_down() -> None:
    """Without a socket, a connection that closes before any byte is the fault Down."""
    with pytest.raises(Down):
        _reply(_call(socket="close"))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("status", "200", "from 400 to 599"),
        ("status", "abc", "from 400 to 599"),
        ("cut", "-1", "from 0 to"),
        ("hang", "1.5", "a whole number"),
        ("delay", "nan", "seconds from 0"),
        ("delay", "soon", "seconds from 0"),
        ("pace", "-1", "seconds from 0"),
        ("pace", "1e99", "seconds from 0"),
        ("endless", "yes", "1 or 0"),
        ("id", "", "1 to 200 characters"),
        ("words", "9" * 40, "a whole number from 0 to 1000000"),
        ("socket", "melt", "close, reset, length, chunk"),
        ("socket", "reset", "real socket"),
        ("fragment", "1", "real socket"),
        ("times", "2", "x-simulate-id"),
        ("nonsense", "1", "may stand batch, code, cut"),
    ],
)
def test_a_wrong_header_is_refused(name: str, value: str, expected: str) -> None:
    """A header that cannot be obeyed gets a 400 that says what was expected."""
    reply = _reply(_asking({name: value}))

    assert reply.status == 400
    assert expected in str(_error(reply)["message"])


def test_the_table_names_every_header() -> None:
    """The documentation's table has a row for each header that is obeyed, and for no other."""
    rows = set(re.findall(r"^\| `x-simulate-([a-z-]+)`", mischief.__doc__ or "", re.MULTILINE))

    assert rows == {field.replace("_", "-") for field in mischief.Mischief.__struct_fields__}


# Time.


def _still(body: Callable[[SimulatedUpstream, StillClock], Awaitable[T]], pace: float = 0.0) -> T:
    async def run() -> T:
        clock = StillClock()
        return await body(SimulatedUpstream(SPEECH, clock, pace=pace, misbehaves=True), clock)

    return asyncio.run(run())


def test_the_delay_is_waited() -> None:
    """The head comes when the delay is over, not before."""

    async def body(upstream: SimulatedUpstream, clock: StillClock) -> None:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(upstream.send(_call(delay="2"), Patience()))
            await clock.advance(1.9)
            assert not sending.done()
            await clock.advance(0.1)
            assert sending.result().status == 200

    _still(body)


@pytest.mark.parametrize(
    ("asked", "patience"),
    [
        ({"delay": "3"}, Patience(first_byte=1)),
        ({"hang": "0"}, Patience(first_byte=1)),
        ({"hang": "0"}, Patience(total=1)),
    ],
)
def test_patience_for_the_head_ends(asked: dict[str, str], patience: Patience) -> None:
    """A head that takes longer than the caller has patience is a Timeout, exactly then."""

    async def body(upstream: SimulatedUpstream, clock: StillClock) -> None:
        sending = asyncio.get_running_loop().create_task(upstream.send(_asking(asked), patience))
        await clock.advance(0.99)
        assert not sending.done()
        await clock.advance(0.01)
        assert isinstance(sending.exception(), Timeout)

    _still(body)


def _reading(
    upstream: SimulatedUpstream, call: Call, patience: Patience, pieces: list[bytes]
) -> tuple["asyncio.Task[None]", list[SimulatedAnswer]]:
    answers: list[SimulatedAnswer] = []

    async def read() -> None:
        answers.append(await upstream.send(call, patience))
        await answers[0].pour(pieces.append)

    return asyncio.get_running_loop().create_task(read()), answers


def test_pieces_come_at_their_pace() -> None:
    """One piece at once, and one more each time the pace has passed; the call's pace goes before the upstream's."""

    async def body(upstream: SimulatedUpstream, clock: StillClock) -> None:
        for call, pace in ((_call(STREAM), 0.5), (_call(STREAM, pace="0.25"), 0.25)):
            pieces: list[bytes] = []
            reading, _ = _reading(upstream, call, Patience(), pieces)
            await clock.settle()
            assert len(pieces) == 1
            await clock.advance(pace * 3)
            assert len(pieces) == 4
            await clock.advance(100)
            assert reading.done()

    _still(body, pace=0.5)


@pytest.mark.parametrize(
    ("patience", "after"), [(Patience(idle=0.4), 0.4), (Patience(total=1.2), 1.2), (Patience(idle=0.6), None)]
)
def test_patience_for_pieces_ends(patience: Patience, after: float | None) -> None:
    """A pace slower than the idle patience, or a stream longer than the total, is a Timeout, exactly then."""

    async def body(upstream: SimulatedUpstream, clock: StillClock) -> None:
        reading, _ = _reading(upstream, _call(STREAM), patience, [])
        if after is None:
            await clock.advance(100)
            assert reading.exception() is None
            return
        await clock.advance(after - 0.01)
        assert not reading.done()
        await clock.advance(0.01)
        assert isinstance(reading.exception(), Timeout)

    _still(body, pace=0.5)


def test_a_pause_is_honoured() -> None:
    """While paused nothing is handed out, however long; resumed it goes on where it was."""

    async def body(upstream: SimulatedUpstream, clock: StillClock) -> None:
        pieces: list[bytes] = []
        reading, answers = _reading(upstream, _call(STREAM), Patience(), pieces)
        await clock.advance(1)
        answers[0].pause()
        before = len(pieces)
        await clock.advance(50)
        assert len(pieces) == before
        answers[0].resume()
        await clock.advance(50)
        assert reading.done()
        assert pieces[-1] == b"data: [DONE]\n\n"

    _still(body, pace=0.5)


def test_closing_ends_whoever_reads() -> None:
    """A reader whose answer is closed by another gets Cut at once, and nothing sleeps any more."""

    async def body(upstream: SimulatedUpstream, clock: StillClock) -> None:
        reading, answers = _reading(upstream, _call(STREAM, hang="2"), Patience(), [])
        await clock.settle()
        answers[0].close()
        answers[0].close()
        await clock.settle()
        assert isinstance(reading.exception(), Cut)
        assert clock.sleepers == 0
        with pytest.raises(Cut):
            await answers[0].whole(LIMIT)

    _still(body)


@pytest.mark.parametrize("asked", [{"hang": "0"}, {"hang": "2"}, {"pace": "5"}, {"delay": "5"}])
def test_cancelling_leaves_nothing(asked: dict[str, str]) -> None:
    """A cancelled send or pour is over at once: no task and no sleeper is left."""

    async def body(upstream: SimulatedUpstream, clock: StillClock) -> None:
        reading, _ = _reading(upstream, _asking(asked, STREAM), Patience(), [])
        await clock.settle()
        reading.cancel()
        await clock.settle()
        assert reading.cancelled()
        assert clock.sleepers == 0
        assert len(asyncio.all_tasks()) == 1

    _still(body)
