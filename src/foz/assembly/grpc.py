"""The door for gRPC of a process: the same core, keys, ledger and limits as an HTTP worker's."""

from foz.assembly.books import Books
from foz.canon.identity import Identities
from foz.config.settings import Settings
from foz.deploy.intake import Intake
from foz.gateway.pipeline import Gateway
from foz.ports.clock import Clock
from foz.ports.watch import Watch
from foz.serve.grpc.calls import House
from foz.serve.grpc.server import GrpcServer, Manner
from foz.serve.grpc.vouching import Vouching
from foz.serve.http.desk import Desk
from foz.serve.http.guard import Guard
from foz.skins.model_grpc.skin import ModelGrpcSkin
from foz.store.reader import SqliteReports


def grpc_server(
    settings: Settings,
    place: str,
    inner: str,
    *,
    gateway: Gateway,
    books: Books,
    clock: Clock,
    watch: Watch,
    identities: Identities,
    deployments: Intake,
) -> GrpcServer:
    """Listens at `place` once it is told to, and for those who called before at `inner`."""
    limits, said, server = settings.limits, settings.grpc, settings.server
    house = House(
        desk=Desk(gateway, SqliteReports(settings.data), books.content, clock, books.files, deployments=deployments),
        guard=Guard(books.keys, frozenset(settings.auth.open_skins)),
        watch=watch,
        identities=identities,
        skin=ModelGrpcSkin(),
        vouching=Vouching(said.vouched, books.keys.named),
        write_timeout=limits.write_timeout,
        body_timeout=limits.body_timeout,
        max_calls=limits.max_connections,
    )
    manner = Manner(
        place=place,
        inner=inner,
        max_message=limits.max_body,
        max_metadata=limits.max_header,
        max_streams=said.max_streams,
        max_connections=limits.max_connections,
        header_timeout=limits.header_timeout,
        idle=said.idle,
        keepalive=said.keepalive,
        cert=server.tls_cert,
        key=server.tls_key,
        client_ca=said.client_ca,
    )
    return GrpcServer(house, manner)
