"""
A bare `grpc.aio` server: the same methods and the same messages as Foz's, and nothing else. It answers with bytes that
were made before. Started as `python -m bench.echo PORT EVENTS`.

`python -m bench.echo PORT EVENTS UPSTREAM` asks the upstream on that port once for each whole call, with httpx, before
it gives the same bytes: the least that any gateway does for a call, as most would write it.
"""

import sys
from collections.abc import Awaitable, Callable

import grpc
import httpx2
import uvloop
from grpc import aio
from typing_extensions import override

from bench import bodies
from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc.skin import path_of

WHOLE, STREAM = path_of("CreateChatCompletion"), path_of("CreateChatCompletionStream")


def whole() -> bytes:
    """The answer that `bodies.answer` is over gRPC."""
    said = pb.ChatCompletionResponse(
        id="chatcmpl-bench", object="chat.completion", created=bodies.CREATED, model="bench-mock"
    )
    said.choices.add(message=pb.Message(role="assistant", content=bodies.ANSWER), finish_reason="stop")
    said.usage.prompt_tokens, said.usage.completion_tokens, said.usage.total_tokens = 31, 36, 67
    said.extra["system_fingerprint"] = '"fp_bench"'
    return said.SerializeToString()


def piece() -> bytes:
    """One piece of a stream."""
    said = pb.ChatCompletionChunk(
        id="chatcmpl-bench", object="chat.completion.chunk", created=bodies.CREATED, model="bench-paced-0-200"
    )
    said.choices.add(delta=pb.Delta(content=" token"))
    said.extra["system_fingerprint"] = '"fp_bench"'
    return said.SerializeToString()


class Echo(grpc.GenericRpcHandler):
    """Both methods."""

    def __init__(self, events: int, ask: Callable[[], Awaitable[object]] | None = None) -> None:
        answer, one = whole(), piece()

        async def once(message: bytes, context: object) -> bytes:
            del message, context
            if ask is not None:
                await ask()
            return answer

        async def many(message: bytes, context: "aio.ServicerContext[bytes, bytes]") -> None:
            del message
            for _ in range(events):
                await context.write(one)

        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            WHOLE: grpc.unary_unary_rpc_method_handler(once),
            STREAM: grpc.unary_stream_rpc_method_handler(many),
        }

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._handlers.get(handler_call_details.method)


async def main(port: int, events: int, upstream: int | None = None) -> None:
    """Serves until it is killed."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        body = bodies.request(bodies.UPSTREAM, stream=False)
        headers = {"content-type": "application/json", "authorization": "Bearer sk-upstream"}

        async def ask() -> None:
            told = await client.post(f"http://127.0.0.1:{upstream}{bodies.PATH}", content=body, headers=headers)
            told.raise_for_status()

        handlers = (Echo(events, None if upstream is None else ask),)
        server = aio.server(handlers=handlers, options=[("grpc.max_concurrent_streams", 1000)])
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
