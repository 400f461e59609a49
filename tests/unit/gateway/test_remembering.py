"""Answers that answer again: what is the same, what is kept, and what a call is that nobody makes."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from foz.canon.content import Message, Text
from foz.canon.entry import State
from foz.canon.fault import BadRequest, Down, Fault, NoCapacity
from foz.canon.model import Model, Placement, Target
from foz.canon.principal import Principal
from foz.canon.request import Attribution, ChatRequest, EmbedRequest, Operation
from foz.canon.response import EmbedResponse, fold
from foz.canon.usage import Usage
from foz.dialects.openai.speech import SPEECH
from foz.gateway.remembering import (
    MOST_EVENTS,
    Headers,
    Kept,
    Wishes,
    key_of,
    packed,
    same,
    scope_of,
    unpacked,
    wishes,
)
from foz.gateway.services import Policy
from foz.ports.cache import MOST
from foz.ports.line import Line
from foz.ports.turn import Duty
from foz.store.content import ContentFiles
from foz.testing.caller import RecordedCaller
from foz.testing.upstream import Scripted
from tests.core import COUNTED, DONE, FINISH, HELLO, PUBLIC, STREAM, STREAMED, UP, WHO, WHOLE, Core, body, piece, run
from tests.strategies import BAGS, chat_requests, event_lists

MODEL = Model(PUBLIC, (UP,), cache_ttl=60)
CHAT = Operation.CHAT
BLUE = scope_of(Principal("key", project="blue"), None)
ASKED = ChatRequest(PUBLIC, (Message("user", (Text("Where do rivers end?"),)),))
EMBED = {"model": PUBLIC, "input": ["a", "b"]}
VECTORS = body(
    {
        "object": "list", "model": "up-1", "usage": {"prompt_tokens": 2, "total_tokens": 2},
        "data": [{"object": "embedding", "index": at, "embedding": [0.25, -at]} for at in range(2)],
    }
)  # fmt: skip
SAID = {"role": "assistant", "content": "Into the"}
CUT_SHORT = {"id": "c", "object": "chat.completion", "created": 1, "model": "up-1"}


class Asked:
    """A core with a cache and what its callers got."""

    def __init__(self, *turns: Scripted | Fault, ttl: float = 60, policy: Policy | None = None) -> None:
        self.core = Core(*turns, cache_ttl=ttl, policy=policy)

    async def ask(
        self,
        asked: object = HELLO,
        *,
        headers: Headers = (),
        principal: Principal = WHO,
        said: str | None = None,
        lane: Placement | None = None,
        operation: Operation = CHAT,
    ) -> RecordedCaller:
        """One call."""
        caller = RecordedCaller()
        turn = structs.replace(
            self.core.turn(body(asked), operation, principal),
            headers=headers,
            attribution=Attribution(project=said),
            duty=None if lane is None else Duty("job", lane),
        )
        await self.core.gateway.serve(turn, caller)
        return caller

    @property
    def calls(self) -> int:
        """How often the target was asked."""
        return len(self.core.upstream.calls)


def marks(*callers: RecordedCaller) -> list[bytes]:
    return [caller.noted[b"x-foz-cache"] for caller in callers]


# What is the same.


@given(chat_requests(), st.booleans(), st.none() | st.text(max_size=3))
def test_how_and_for_whom_it_is_written_makes_no_other_request(
    asked: ChatRequest, stream: bool, user: str | None
) -> None:
    """Whether it is streamed or shows usage, who the user is and how the model was named do not change the key."""
    other = structs.replace(asked, stream=stream, wants_usage=not stream, user=user, model="another name")
    assert key_of(BLUE, MODEL, CHAT, asked) == key_of(BLUE, MODEL, CHAT, other)


@given(chat_requests(), chat_requests())
def test_another_request_has_another_key(one: ChatRequest, other: ChatRequest) -> None:
    """Two requests that are not the same in our words have two keys."""
    assert same(one) == same(other) or key_of(BLUE, MODEL, CHAT, one) != key_of(BLUE, MODEL, CHAT, other)


_CHANGES: dict[str, Callable[[ChatRequest], ChatRequest]] = {
    "a word": lambda asked: structs.replace(asked, messages=(*asked.messages, Message("user", (Text("."),)))),
    "a role": lambda asked: structs.replace(asked, messages=(structs.replace(asked.messages[0], name="x"),)),
    "temperature": lambda asked: structs.replace(asked, sampling=structs.replace(asked.sampling, temperature=0.125)),
    "seed": lambda asked: structs.replace(asked, sampling=structs.replace(asked.sampling, seed=12)),
    "length": lambda asked: structs.replace(asked, max_output=1_000_001),
    "choices": lambda asked: structs.replace(asked, choices=asked.choices + 1),
    "stop": lambda asked: structs.replace(asked, stop=(*asked.stop, "end")),
    "logprobs": lambda asked: structs.replace(asked, logprobs=not asked.logprobs),
    "a vendor's field": lambda asked: structs.replace(asked, vendor={"other": {"x": msgspec.Raw(b"1")}}),
}


@given(chat_requests(), st.sampled_from(sorted(_CHANGES)))
def test_each_change_of_a_request_changes_its_key(asked: ChatRequest, change: str) -> None:
    """A change of words, names, sampling, length, choices, stops, logprobs or a vendor's field is another key."""
    assert key_of(BLUE, MODEL, CHAT, asked) != key_of(BLUE, MODEL, CHAT, _CHANGES[change](asked))


NAMES = st.text(max_size=4)


@given(*([st.none() | NAMES, NAMES, st.none() | NAMES] * 2))
def test_projects_share_and_nobody_else(
    project: str | None, id: str, said: str | None, project_2: str | None, id_2: str, said_2: str | None
) -> None:
    """Two keys have one scope if they have one project, or if it is one key without one that says the same."""
    one, other = scope_of(Principal(id, project=project), said), scope_of(Principal(id_2, project=project_2), said_2)
    shared = project == project_2 if project or project_2 else (id, said or "") == (id_2, said_2 or "")
    assert (one == other) == shared
    keys = [key_of(scope, MODEL, CHAT, ASKED) for scope in (one, other)]
    assert (keys[0] == keys[1]) == shared


def test_another_model_operation_target_or_header_is_another_key() -> None:
    """The key tells models, operations, targets and headers that go along apart."""
    keys = {
        key_of(BLUE, MODEL, CHAT, ASKED),
        key_of(BLUE, structs.replace(MODEL, name="other"), CHAT, ASKED),
        key_of(BLUE, structs.replace(MODEL, targets=(Target("one", "up-2"),)), CHAT, ASKED),
        key_of(BLUE, structs.replace(MODEL, targets=(UP, Target("two", "up-1"))), CHAT, ASKED),
        key_of(BLUE, MODEL, Operation.COMPLETE, ASKED),
        key_of(BLUE, MODEL, CHAT, ASKED, ((b"x-beta", b"1"),)),
        key_of(BLUE, MODEL, CHAT, ASKED, ((b"x-beta", b"2"),)),
    }
    assert len(keys) == 7


def test_how_numbers_are_written_makes_no_other_embedding() -> None:
    """Embeddings as base64 and as numbers have one key; other dimensions another."""
    asked = EmbedRequest(PUBLIC, ("a",))
    keys = [
        key_of(BLUE, MODEL, Operation.EMBED, one)
        for one in (asked, structs.replace(asked, encoding="base64"), structs.replace(asked, dimensions=3))
    ]
    assert keys[0] == keys[1] != keys[2]


@given(chat_requests(), BAGS)
def test_the_order_of_vendors_fields_is_nothing(asked: ChatRequest, bag: dict[str, msgspec.Raw]) -> None:
    """Fields that only one dialect knows have one key in whatever order they came."""
    one = structs.replace(asked, vendor={"openai": bag})
    other = structs.replace(asked, vendor={"openai": dict(reversed(bag.items()))})
    assert key_of(BLUE, MODEL, CHAT, one) == key_of(BLUE, MODEL, CHAT, other)


# What is kept.


@given(event_lists(), st.integers(0, 2**48), st.sampled_from(Placement))
def test_an_answer_comes_back_as_it_was(events: list[object], at: int, placement: Placement) -> None:
    """Packed and unpacked, an answer is equal in all of its fields, those of one dialect too."""
    kept = Kept(at, placement, fold(events))  # type: ignore[arg-type]  # the strategy's list is of events
    assert unpacked(packed(kept)) == kept


@given(st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3).map(tuple), max_size=3))
def test_vectors_come_back_to_the_bit(vectors: list[tuple[float, ...]]) -> None:
    """Packed and unpacked, embeddings are the same numbers."""
    kept = Kept(1, Placement.API, vectors=EmbedResponse("up-1", tuple(vectors), Usage(input=2)))
    found = unpacked(packed(kept))
    assert found == kept
    assert repr(found) == repr(kept)


@given(st.binary(max_size=40))
def test_what_another_foz_kept_is_not_read(data: bytes) -> None:
    """Bytes that are not of this form are nothing, and raise nothing."""
    assert unpacked(data) is None
    assert unpacked(b"\x01" + data) is None
    assert unpacked(b"\x02" + packed(Kept(1, Placement.API))[1:]) is None


@pytest.mark.parametrize(
    ("said", "wished"),
    [
        ([], Wishes()),
        ([b"No-Cache"], Wishes(reads=False)),
        ([b"private, no-store"], Wishes(reads=False, keeps=False)),
        ([b"max-age=30"], Wishes(oldest=30.0)),
        ([b'max-age="0", no-transform'], Wishes(oldest=0.0)),
        ([b"max-age=soon"], Wishes(oldest=0.0)),
        ([b"max-age=\xb2"], Wishes(oldest=0.0)),
        ([b"public", b"no-cache"], Wishes(reads=False)),
    ],
)
def test_the_callers_words_are_heard(said: list[bytes], wished: Wishes) -> None:
    """`Cache-Control` says whether is read, whether is kept, and how old an answer may be, in one line or several."""
    assert wishes(((b"accept", b"no-cache"), *((b"cache-control", value) for value in said))) == wished


# A call that nobody makes.


def test_the_same_request_is_asked_once() -> None:
    """The second call gets the first one's bytes and asks nobody; the first is marked a miss, the second a hit."""

    async def main() -> None:
        asked = Asked(Scripted(WHOLE))
        first, second = await asked.ask(), await asked.ask()
        assert (asked.calls, marks(first, second)) == (1, [b"miss", b"hit"])
        assert first.body == second.body
        assert second.told == ["whole"]

    run(main())


def test_a_hit_is_an_entry_that_took_nothing() -> None:
    """Its entry is complete, its one attempt at `cache`, placed where the answer was made, of no tokens and price 0."""

    async def main() -> None:
        asked = Asked(Scripted(WHOLE))
        core = asked.core
        await asked.ask()
        core.clock.shift(5)
        await asked.ask()
        entries, (_, end) = list(core.ledger.entries.values()), list(core.ledger.ends.values())
        (attempt,) = core.ledger.attempts[entries[1].id]
        assert (attempt.target, attempt.placement, attempt.number) == ("cache", "api", 1)
        assert core.ledger.attempt_states(entries[1].id) == [State.COMPLETE]
        assert structs.replace(entries[1], id=entries[0].id, at=entries[0].at) == entries[0]
        assert (end.state, end.status, end.usage) == (State.COMPLETE, 200, Usage(0, 0))
        assert (end.price, end.currency, end.price_version, end.fault) == (0, "USD", "cache", None)
        assert [(model, target) for model, target, _ in core.meters.ends] == [(PUBLIC, "one/up-1"), (PUBLIC, "cache")]
        assert core.book.settled[1] == (0, Usage(0, 0), 0)
        assert (core.services.in_flight, core.meters.in_flight) == (0, 0)

    run(main())


def test_it_is_settled_before_its_caller_has_it() -> None:
    """The entry of a hit is durable before the answer leaves, and asks the ledger once to wait."""

    async def main() -> None:
        core = Core(Scripted(WHOLE), cache_ttl=60)
        await core.serve()
        core.journal.clear()
        await core.serve()
        assert core.journal[:2] == ["open", "settle complete"]
        assert sorted(core.journal[2:4]) == ["opened", "settled"]
        assert core.journal[4:] == ["whole"]

    run(main())


@pytest.mark.parametrize("first", [HELLO, STREAMED], ids=["whole first", "streamed first"])
def test_a_whole_answer_serves_a_stream_and_back(first: dict[str, object]) -> None:
    """What was answered whole is streamed, and what was streamed is answered whole, with the same words and usage."""

    async def main() -> None:
        asked = Asked(*([Scripted(*STREAM)] if first is STREAMED else [Scripted(WHOLE)]))
        await asked.ask(first)
        whole, stream = await asked.ask(HELLO), await asked.ask({**STREAMED, "stream_options": {"include_usage": True}})
        assert (asked.calls, marks(whole, stream)) == (1, [b"hit", b"hit"])
        told = msgspec.json.decode(whole.body)
        assert told["choices"][0]["message"]["content"] == "Into the sea"
        assert (told["usage"]["prompt_tokens"], told["usage"]["completion_tokens"], told["model"]) == (7, 3, PUBLIC)
        frames = [msgspec.json.decode(line[6:]) for line in stream.body.split(b"\n\n")[:-2]]
        words = "".join(choice["delta"].get("content") or "" for one in frames for choice in one["choices"])
        assert (words, frames[-1]["usage"]["total_tokens"]) == ("Into the sea", 10)
        assert stream.body.endswith(b"data: [DONE]\n\n")
        assert stream.ended

    run(main())


def test_embeddings_answer_again() -> None:
    """Vectors are kept as numbers and written as the next caller wants them."""

    async def main() -> None:
        asked = Asked(Scripted(VECTORS))
        first = await asked.ask(EMBED, operation=Operation.EMBED)
        second = await asked.ask({**EMBED, "encoding_format": "base64"}, operation=Operation.EMBED)
        third = await asked.ask(EMBED, operation=Operation.EMBED)
        assert marks(first, second, third) == [b"miss", b"hit", b"hit"]
        assert first.body == third.body
        assert b'"AACAPgAAAAA="' in second.body

    run(main())


def test_embeddings_that_are_too_large_are_not_kept() -> None:
    """Vectors of more numbers than a kept answer has bytes reach their caller and are asked for again."""

    async def main() -> int:
        numbers = b"[" + b",".join([b"0.5"] * (MOST // 2 + 1)) + b"]"
        asked = Asked(*(Scripted(VECTORS.replace(b"[0.25,0]", numbers)) for _ in range(2)))
        for _ in range(2):
            assert len((await asked.ask(EMBED, operation=Operation.EMBED)).body) > MOST
        return asked.calls

    assert run(main()) == 2


def test_it_answers_while_all_targets_are_down() -> None:
    """A target whose breaker is open is not needed for what is known; what is not known is refused."""

    async def main() -> None:
        asked = Asked(Scripted(WHOLE), *(Down("gone") for _ in range(8)))
        await asked.ask()
        asked.core.services.health.did_fail("one/up-1", 0.0, looking=True)
        while asked.core.services.health.allows("one/up-1", 0.0):
            asked.core.services.health.did_fail("one/up-1", 0.0, looking=False)
        assert marks(await asked.ask()) == [b"hit"]
        with pytest.raises(Fault):
            await asked.ask({**HELLO, "temperature": 0})
        assert asked.calls == 1

    run(main())


def test_it_ends_by_the_clock() -> None:
    """An answer answers until its seconds have passed, then it is asked anew; a shorter `cache_ttl` holds at once."""

    async def main() -> None:
        asked = Asked(Scripted(WHOLE), Scripted(WHOLE), Scripted(WHOLE), ttl=60)
        told = [await asked.ask()]
        asked.core.clock.shift(59.999)
        told.append(await asked.ask())
        asked.core.clock.shift(0.001)
        told.append(await asked.ask())
        asked.core.clock.shift(30)
        directory = asked.core.services.directory
        shorter = structs.replace(MODEL, cache_ttl=30)
        directory._model = shorter  # type: ignore[attr-defined]  # the fake's one model
        told.append(await asked.ask())
        assert marks(*told) == [b"miss", b"hit", b"miss", b"miss"]

    run(main())


def test_the_caller_may_want_it_fresh() -> None:
    """`no-cache` asks anew and keeps, `no-store` asks anew and keeps nothing, `max-age` bounds what is taken."""

    async def main() -> None:
        asked = Asked(*(Scripted(WHOLE) for _ in range(4)))

        async def told(words: bytes) -> bytes:
            return marks(await asked.ask(headers=((b"cache-control", words),)))[0]

        assert [await told(b"no-store"), await told(b"no-cache"), await told(b"max-age=10")] == [
            b"miss",
            b"miss",
            b"hit",
        ]
        asked.core.clock.shift(10)
        assert [await told(b"max-age=11"), await told(b"max-age=10"), await told(b"max-age=1")] == [
            b"hit",
            b"miss",
            b"hit",
        ]
        assert [await told(b"no-store"), asked.calls] == [b"miss", 4]

    run(main())


def test_another_project_is_asked_for_itself() -> None:
    """Keys of a project share; a key without one shares with itself, for each project that its caller says."""

    async def main() -> None:
        asked = Asked(*(Scripted(WHOLE) for _ in range(5)))
        blue, blue_2, red = (Principal(id, project=project) for id, project in (("1", "b"), ("2", "b"), ("3", "r")))
        told = [await asked.ask(principal=who) for who in (blue, blue_2, red)]
        alone, other = Principal("4"), Principal("5")
        told += [await asked.ask(principal=alone, said=said) for said in (None, "b", "b")]
        told += [await asked.ask(principal=other), await asked.ask(principal=blue, said="r")]
        assert marks(*told) == [b"miss", b"hit", b"miss", b"miss", b"miss", b"hit", b"miss", b"hit"]

    run(main())


def test_a_mode_is_kept_to() -> None:
    """What `api` has answered serves `auto` and `api`, and not a request that shall run on `gpu`."""

    async def main() -> None:
        asked = Asked(Scripted(WHOLE))
        await asked.ask()
        assert marks(await asked.ask(lane=Placement.API), await asked.ask()) == [b"hit", b"hit"]
        with pytest.raises(Fault, match="not gpu"):
            await asked.ask(lane=Placement.GPU)

    run(main())


def _ending(reason: str | None) -> bytes:
    return body({**CUT_SHORT, "choices": [{"index": 0, "message": SAID, "finish_reason": reason}]})


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (Scripted(_ending("stop")), True),
        (Scripted(_ending("length")), True),
        (Scripted(_ending("tool_calls")), True),
        (Scripted(_ending("content_filter")), False),
        (Scripted(_ending("odd")), False),
        (Scripted(WHOLE.replace(b"Into the sea", b"x" * (MOST - 700))), True),
        (Scripted(WHOLE.replace(b"Into the sea", b"x" * MOST)), False),
    ],
    ids=["stop", "length", "tool calls", "filtered", "odd", "the most", "too large"],
)
def test_only_what_is_whole_is_kept(answer: Scripted, kept: bool) -> None:
    """An answer that ended for another reason than stop, length or tool calls, or is too large, is not kept."""

    async def main() -> int:
        asked = Asked(answer, answer)
        await asked.ask()
        await asked.ask()
        return asked.calls

    assert run(main()) == (1 if kept else 2)


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        ((piece("a"), FINISH, DONE), True),
        ((piece("a"), piece("b")), False),
        ((COUNTED, DONE), False),
        ((b"".join(piece("a") for _ in range(MOST_EVENTS)), FINISH, COUNTED, DONE), False),
        ((piece("x" * (MOST // 2)), piece("x" * (MOST // 2 + 1)), FINISH, DONE), False),
    ],
    ids=["done", "cut", "no choice", "too many", "too much"],
)
def test_only_a_stream_that_finished_is_kept(pieces: tuple[bytes, ...], kept: bool) -> None:
    """A stream that was cut, or of too many or too large pieces, reaches its caller and is not kept."""

    async def main() -> int:
        asked = Asked(Scripted(*pieces), Scripted(WHOLE))
        first = await asked.ask(STREAMED)
        assert first.told[0] == "start"
        await asked.ask()
        return asked.calls

    assert run(main()) == (1 if kept else 2)


def test_the_attempt_that_answered_is_what_is_kept() -> None:
    """Of a stream that broke before its caller got anything nothing is in what the next attempt leaves."""

    async def main() -> None:
        asked = Asked(Scripted(b": nothing yet\n\n", fault=Down("gone")), Scripted(*STREAM))
        serving = asyncio.ensure_future(asked.ask(STREAMED))
        await asked.core.clock.advance(60)
        await serving
        asked.core.services.cache = asked.core.cache
        told = msgspec.json.decode((await asked.ask()).body)
        assert told["choices"][0]["message"]["content"] == "Into the sea"

    run(main())


def test_files_that_somebody_else_knows_are_not_remembered() -> None:
    """A request that names a file by an id that is not ours is asked each time, and is neither hit nor miss."""

    async def main() -> None:
        asked = Asked(Scripted(WHOLE), Scripted(WHOLE))
        parts = [{"type": "text", "text": "What is this?"}, {"type": "file", "file": {"file_id": "vendors-own-1"}}]
        request = {**HELLO, "messages": [{"role": "user", "content": parts}]}
        told = [await asked.ask(request), await asked.ask(request)]
        assert (asked.calls, [caller.noted for caller in told], asked.core.cache.kept) == (2, [{}, {}], {})

    run(main())


class Agency:
    """Implements `ports.sessions.Agency` as far as it is asked here: not at all."""


def test_agents_are_not_remembered() -> None:
    """A target that keeps sessions is asked each time."""

    async def main() -> None:
        asked = Asked(Scripted(WHOLE), Scripted(WHOLE))
        directory = asked.core.services.directory
        line = Line(asked.core.upstream, SPEECH, agency=Agency())  # type: ignore[arg-type]  # nobody talks to it
        directory._lines["one"] = line  # type: ignore[attr-defined]  # the fake's lines
        await asked.ask()
        await asked.ask()
        assert asked.calls == 2

    run(main())


def test_headers_that_go_along_are_part_of_the_request() -> None:
    """A header that reaches the target tells requests apart, one that does not does not."""

    async def main() -> None:
        asked = Asked(*(Scripted(WHOLE) for _ in range(3)))
        directory = asked.core.services.directory
        directory._lines["one"] = Line(asked.core.upstream, SPEECH, (b"x-beta",))  # type: ignore[attr-defined]  # as above
        alike = [((b"x-beta-one", b"1"), (b"x-other", other)) for other in (b"1", b"2")]
        told = [await asked.ask(headers=headers) for headers in (*alike, ((b"x-beta-one", b"2"),), ())]
        assert marks(*told) == [b"miss", b"hit", b"miss", b"miss"]

    run(main())


def test_a_hit_is_captured_as_any_call(tmp_path: Path) -> None:
    """Where a skin's content is kept, a hit's input and output are kept under its own entry."""

    async def main() -> None:
        asked = Asked(Scripted(WHOLE), policy=Policy(captured=frozenset({"openai"})))
        core = asked.core
        content = core.services.content = ContentFiles(tmp_path, core.clock.now)
        try:
            for _ in range(2):
                await asked.ask()
            _, hit = core.ledger.entries
            kept = await content.read(hit)
        finally:
            content.close()
        assert asked.calls == 1
        assert kept is not None
        assert (kept.output, "Where do rivers end?" in kept.input) == ("Into the sea", True)

    run(main())


def test_without_a_ttl_nothing_is_looked_for() -> None:
    """A model without `cache_ttl` is asked each time, over the relay, and its answers bear no mark."""

    async def main() -> None:
        core = Core(Scripted(WHOLE), Scripted(WHOLE))
        await core.serve()
        await core.serve()
        assert (len(core.upstream.calls), core.caller.noted, core.cache.kept) == (2, {}, {})

    run(main())


def test_a_wrong_request_is_refused_and_not_looked_for() -> None:
    """What cannot be read is a BadRequest, with a cache as without."""

    async def main() -> None:
        asked = Asked()
        with pytest.raises(BadRequest):
            await asked.ask({**HELLO, "messages": "hello"})
        assert asked.core.meters.refusals == ["bad_request"]

    run(main())


def test_a_ledger_that_cannot_write_gives_no_answer() -> None:
    """Where the entry of a hit is not durable its caller gets the fault, and it is counted as failed."""

    async def main() -> None:
        asked = Asked(Scripted(WHOLE))
        await asked.ask()
        asked.core.ledger.fault = NoCapacity("full", retry_after=1)
        with pytest.raises(NoCapacity):
            await asked.ask()
        _, (_, target, end) = asked.core.meters.ends
        assert (target, end.state, end.status) == ("cache", State.FAILED, 503)
        assert asked.core.services.in_flight == 0

    run(main())
