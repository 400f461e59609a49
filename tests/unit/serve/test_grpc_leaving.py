"""What gRPC's library complains of where a caller leaves in the last moment."""

import asyncio
import logging

import grpc
import pytest
from grpc import aio
from typing_extensions import override

from foz.serve.grpc.server import hush

(_LEFT,) = [one for one in aio.InternalError.__subclasses__() if one.__name__ == "ExecuteBatchError"]


class _Failing(grpc.GenericRpcHandler):
    """Each call fails of this."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        async def fails(message: bytes, context: "aio.ServicerContext[bytes, bytes]") -> bytes:
            raise self._error

        return grpc.unary_unary_rpc_method_handler(fails)


async def _asked(error: Exception) -> None:
    server = aio.server(handlers=(_Failing(error),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/a/b")
            with pytest.raises(aio.AioRpcError):
                await ask(b"", timeout=5)
    finally:
        await server.stop(0)


@pytest.mark.parametrize(
    ("error", "told"),
    [(aio.InternalError('Failed "execute_batch"'), []), (ValueError("a defect"), [logging.ERROR])],
)
def test_a_caller_who_leaves_in_the_last_moment_is_no_error(
    caplog: pytest.LogCaptureFixture, error: Exception, told: list[int]
) -> None:
    """That an answer's end reached nobody is not complained of; a defect of a method is."""
    hush()
    asyncio.run(_asked(error))
    assert [record.levelno for record in caplog.records if record.name.startswith("grpc")] == told
