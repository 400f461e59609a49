"""What the bench hears of a model: whether it counts all tokens, and no answer that is not whole."""

import asyncio

import pytest

from bench.talkers import Talk, talk

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}\n\n'
WORD = b'data: {"choices": [{"delta": {"content": " river"}, "finish_reason": null}]}\r\n\r\n'
END = b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def _chunked(body: bytes, size: int) -> bytes:
    """In chunks of this size, which split events anywhere."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return HEAD + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _heard(answer: bytes, tokens: int, callers: int = 1) -> list[Talk]:
    """What callers hear of a server that always says this."""

    async def main() -> list[Talk]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await talk(port, [b"GET / HTTP/1.1\r\n\r\n"] * callers, tokens, 5.0)

    return asyncio.run(main())


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_tokens_are_counted_however_the_answer_is_cut(size: int) -> None:
    """Each event with words is a token, wherever the answer's chunks are cut and however its lines end."""
    for seen in _heard(_chunked(ROLE + WORD * 5 + END + DONE, size), 5, callers=2):
        assert seen.tokens == 5
        assert seen.began < seen.first <= seen.last


@pytest.mark.parametrize(
    "answer",
    [
        _chunked(ROLE + WORD * 4 + END + DONE, 100),
        _chunked(ROLE + WORD * 5 + STOP + DONE, 100),
        _chunked(ROLE + WORD * 5 + END, 100),
        HEAD + b"5\r\ndata:",
        b'HTTP/1.1 503 Full\r\nContent-Length: 13\r\n\r\n{"error":"x"}',
    ],
    ids=["too few", "ended early", "not done", "cut", "refused"],
)
def test_an_answer_that_is_not_whole_is_an_error(answer: bytes) -> None:
    """Fewer tokens, another end, no end at all: no rate is made of it."""
    with pytest.raises(RuntimeError, match="an answer of 5 tokens was expected"):
        _heard(answer, 5)
