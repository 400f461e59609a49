"""Test mode's agents: they keep sessions, within this process."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from foz.assembly.oracle import simulated_agents
from foz.canon.content import Message, Text
from foz.canon.fault import NotFound
from foz.canon.model import Patience
from foz.canon.request import ChatRequest, Operation
from foz.canon.response import Response
from foz.ports.line import Line
from foz.ports.sessions import asking
from foz.providers.catalog import SIMULATED_AGENT
from foz.sessions.keeper import Keeper
from foz.store.disk import Disk
from foz.store.sessions import SqliteSessions
from foz.testing.clock import LoopClock

HIS, HERS = ("key-1", "p"), ("key-2", "p")
AGENT = "my-agent"


def run(folder: Path, work: Callable[[Line], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        disk = Disk(folder)
        lines = simulated_agents(Keeper(SqliteSessions(disk.writer), LoopClock(), os.urandom), LoopClock())
        try:
            await work(lines[SIMULATED_AGENT])
        finally:
            await lines[SIMULATED_AGENT].upstream.close()
            await disk.close()

    asyncio.run(all_of_it())


async def chat(line: Line, text: str, whose: tuple[str, str] = HIS, **fields: str) -> Response:
    bag = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    request = ChatRequest("m", (Message("user", (Text(text),)),), vendor={"oci_agent": bag})
    client = line.speech[Operation.CHAT].client
    assert client is not None
    answer = await line.upstream.send(client.encode_request(request, AGENT), Patience(), asking(*whose))
    reply = await answer.whole(10**6)
    answer.close()
    assert reply.status == 200
    said = client.decode_response(reply)
    assert isinstance(said, Response)
    return said


def test_a_conversation_is_kept_and_told(tmp_path: Path) -> None:
    """Two messages of one conversation share a session, which the answer names; another principal has another."""

    async def work(line: Line) -> None:
        first = await chat(line, "Hello", channel="web", cuid="u")
        second = await chat(line, "Again", channel="web", cuid="u")
        hers = await chat(line, "Hello", HERS, channel="web", cuid="u")
        used = [msgspec.json.decode(one.vendor["oci_agent"]["session"]) for one in (first, second, hers)]

        assert (second.choices[0].text or "").startswith('Turn 2, which began with "Hello"')
        assert used[0]["session"] == used[1]["session"] != used[2]["session"]
        assert [one["reused"] for one in used] == [False, True, False]

    run(tmp_path, work)


def test_a_session_is_opened_used_and_ended_by_name(tmp_path: Path) -> None:
    """A session opened by name is used by its opener until it is ended; it is nothing to another, or afterwards."""

    async def work(line: Line) -> None:
        agency = line.agency
        assert agency is not None
        id = msgspec.json.decode(await agency.open(HIS, AGENT, "mine"))["id"]
        assert (await chat(line, "Hello", sessionId=id)).choices[0].text
        with pytest.raises(NotFound):
            await chat(line, "Hello", HERS, sessionId=id)
        with pytest.raises(NotFound):
            await agency.end(HERS, AGENT, id)
        await agency.end(HIS, AGENT, id)
        with pytest.raises(NotFound):
            await chat(line, "Hello", sessionId=id)

    run(tmp_path, work)


def test_a_chat_of_its_own_leaves_nothing(tmp_path: Path) -> None:
    """A chat that names no conversation begins anew each time."""

    async def work(line: Line) -> None:
        for _ in range(2):
            assert ((await chat(line, "Hello")).choices[0].text or "").startswith("Turn 1")

    run(tmp_path, work)
