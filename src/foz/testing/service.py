"""The ModelService as a program calls it: a channel, a method by its name, an answer or the status it ended with."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from google.protobuf.message import Message
from msgspec import Struct

from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc.skin import path_of

DEADLINE = 20.0
KINDS: dict[str, tuple[type[Message], type[Message]]] = {
    method.name: (
        getattr(pb, method.input_type.name),
        getattr(pb, method.output_type.name),
    )
    for method in pb.DESCRIPTOR.services_by_name["ModelService"].methods
}
"""What each method takes and gives."""
STREAMED = frozenset(
    method.name
    for method in pb.DESCRIPTOR.services_by_name["ModelService"].methods
    if method.server_streaming
)  # fmt: skip


class Ended(Struct):
    """How a call ended."""

    code: grpc.StatusCode
    message: str
    trailers: dict[str, str | bytes]
    answers: list[Message]
    """What came before."""


class Service:
    """One connection. `ca` is the authority that a server's certificate is trusted by; without one it is plain."""

    def __init__(
        self,
        port: int,
        *,
        key: str | None = None,
        ca: Path | None = None,
        pair: tuple[Path, Path] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        place, options = f"{host}:{port}", (("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0))
        if ca is None:
            self.channel = grpc.insecure_channel(place, options)
        else:
            own = (pair[1].read_bytes(), pair[0].read_bytes()) if pair else (None, None)
            self.channel = grpc.secure_channel(
                place, grpc.ssl_channel_credentials(ca.read_bytes(), own[0], own[1]), options
            )
        self._key = key

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()

    def metadata(self, more: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """What goes with a call."""
        return more if self._key is None else (("authorization", f"Bearer {self._key}"), *more)

    def raw(self, method: str, message: bytes, *metadata: tuple[str, str], deadline: float = DEADLINE) -> Ended:
        """A call with these very bytes, to its end."""
        told = self.metadata(metadata)
        if method in STREAMED:
            call = self.channel.unary_stream(path_of(method), bytes, bytes)(message, timeout=deadline, metadata=told)
            return _ended(method, call, call)
        single = self.channel.unary_unary(path_of(method), bytes, bytes).future(
            message, timeout=deadline, metadata=told
        )
        return _ended(method, single, (one for one in (single,) if single.code() is grpc.StatusCode.OK))

    def call(self, method: str, message: Message, *metadata: tuple[str, str], deadline: float = DEADLINE) -> Ended:
        """A call, to its end."""
        return self.raw(method, message.SerializeToString(), *metadata, deadline=deadline)


def _ended(method: str, call: "grpc.Call", pieces: "Iterator[object]") -> Ended:
    kind = KINDS[method][1]
    answers: list[Message] = []
    try:
        for piece in pieces:
            data = piece if isinstance(piece, bytes) else piece.result()  # type: ignore[attr-defined]  # a future
            answers.append(kind.FromString(data))
    except grpc.RpcError:
        pass  # the status says it
    trailers = {pair[0]: pair[1] for pair in call.trailing_metadata() or ()}
    return Ended(call.code(), call.details() or "", trailers, answers)
