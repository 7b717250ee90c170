"""The gRPC server: its services, its interceptors in their order, and its limits."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, cast

import grpc
from auth_api.v1 import (
    audit_pb2_grpc,
    auth_pb2_grpc,
    keys_pb2_grpc,
    maintenance_pb2_grpc,
    roles_pb2_grpc,
    service_accounts_pb2_grpc,
    trust_pb2_grpc,
    users_pb2_grpc,
)
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.internal import api_implementation
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from auth_service.domain.addresses import Network
from auth_service.domain.policy import Right
from auth_service.rpc.audit_servicer import AuditServicer
from auth_service.rpc.auth_servicer import AuthServicer
from auth_service.rpc.call import Interceptor
from auth_service.rpc.errors import translated
from auth_service.rpc.ext_authz import CHECK
from auth_service.rpc.ext_authz import servicer as ext_authz
from auth_service.rpc.health import Health
from auth_service.rpc.interceptors.chain import Chain
from auth_service.rpc.interceptors.deadline import deadline
from auth_service.rpc.interceptors.observation import Observe, observation
from auth_service.rpc.interceptors.permission import KnownCaller, LevelOf, permission
from auth_service.rpc.interceptors.rate_limit import rate_limit
from auth_service.rpc.interceptors.request_id import request_id
from auth_service.rpc.interceptors.streams import Streams
from auth_service.rpc.keys_servicer import KeyServicer
from auth_service.rpc.local_calls import LocalCalls
from auth_service.rpc.maintenance_servicer import MaintenanceServicer
from auth_service.rpc.permissions import OUR_FILES, PERMISSIONS, check_complete
from auth_service.rpc.reflection import add_reflection
from auth_service.rpc.roles_servicer import RoleServicer
from auth_service.rpc.service_accounts_servicer import ServiceAccountServicer
from auth_service.rpc.trust_servicer import TrustServicer
from auth_service.rpc.users_servicer import UserServicer
from auth_service.usecases.gate import Gate
from auth_service.usecases.rate_limits import RateLimits

_MINUTE_MS = 60_000
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.so_reuseport", 0),  # A second process on our port must fail, not share it unseen.
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.max_metadata_size", 8 << 10),
    ("grpc.absolute_max_metadata_size", 16 << 10),
    # 100, as often advised, refuses honest calls on a busy channel. The work is bounded inside, not the streams.
    ("grpc.max_concurrent_streams", 1000),
    # For a connection to say that it speaks HTTP/2. Left to itself gRPC gives two minutes.
    ("grpc.server_handshake_timeout_ms", 20_000),
    # Left to itself gRPC cancels what waits here to be looked at, past the first thousand; we say when to come again.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 30_000),
    ("grpc.keepalive_time_ms", 2 * _MINUTE_MS),
    ("grpc.keepalive_timeout_ms", 20_000),
    # The answer to a ping is waited for by a time of its own, of a minute unless it is set.
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", _MINUTE_MS),
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.max_connection_idle_ms", 15 * _MINUTE_MS),
    ("grpc.max_connection_age_ms", 30 * _MINUTE_MS),
    ("grpc.max_connection_age_grace_ms", _MINUTE_MS),
)


class GrpcServer:
    """`bind`, `start`, `say` that it serves; at the end `say` that it does not, and `stop`."""

    def __init__(self, server: grpc.aio.Server, health_servicer: Health, streams: Streams, local: LocalCalls) -> None:
        self._server = server
        self._health = health_servicer
        self.streams = streams
        self.local = local
        """The same methods for the other doors of this process."""
        self.port = 0
        """0 until it is bound."""

    def bind(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        """The port that it listens on. Raises RuntimeError if the address is taken."""
        if credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, credentials)
        return self.port

    async def start(self) -> None:
        """Take calls. Health is NOT_SERVING until `say`; left alone it would be SERVING from the first moment."""
        await self.say(serving=False)
        await self._server.start()

    async def say(self, *, serving: bool) -> None:
        """Tell health checks, for the server as a whole ("") and for each service."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *service_names()):
            await self._health.set(name, status)

    async def stop(self, grace: timedelta) -> None:
        """Take no more calls, and let those under way end within `grace`."""
        self._health.leave()
        self.streams.leave()
        await self._server.stop(grace.total_seconds())


def build(
    *,
    auth: AuthServicer,
    users: UserServicer,
    roles: RoleServicer,
    service_accounts: ServiceAccountServicer,
    keys: KeyServicer,
    audit: AuditServicer,
    trust: TrustServicer,
    maintenance: MaintenanceServicer,
    known_caller: KnownCaller,
    level_of: LevelOf,
    observe: Observe,
    outermost: Sequence[Interceptor],
    longest_call: timedelta,
    slowest_reader: timedelta,
    rights_asked_every: timedelta,
    reflects: bool,
    trusted_proxies: Sequence[Network] = (),
    rate_limits: RateLimits | None = None,
    gate: Gate | None = None,
    permissions: Mapping[str, Right] = PERMISSIONS,
) -> GrpcServer:
    """A server that is not bound yet. With a `gate` it answers Envoy's questions, too.

    Raises PermissionMissing if a method has no row in `permissions`, UnknownMethod if a limit is for none.
    """
    check_complete(served_methods(), permissions)
    # The pure Python one is far slower and has other limits: better not to start than to crawl.
    if api_implementation.Type() != "upb":
        raise RuntimeError(f"protobuf runs on {api_implementation.Type()!r}, expected upb")
    limited = (rate_limit(rate_limits, served_methods()),) if rate_limits is not None else ()
    seen = (request_id(trusted_proxies), *outermost, observation(observe), translated, *limited)
    permitted = partial(permission, permissions, known_caller=known_caller, level_of=level_of)
    streams = Streams(patience=slowest_reader)
    chain = Chain(
        unary=(*seen, deadline(longest_call), permitted()),
        streaming=(*seen, permitted(again_every=rights_asked_every)),
        streams=streams,
    )
    server = grpc.aio.server(interceptors=[chain], options=OPTIONS)
    local = LocalCalls()
    for each in (server, cast("grpc.aio.Server", local)):
        auth_pb2_grpc.add_AuthServiceServicer_to_server(auth, each)
        users_pb2_grpc.add_UserServiceServicer_to_server(users, each)
        roles_pb2_grpc.add_RoleServiceServicer_to_server(roles, each)
        service_accounts_pb2_grpc.add_ServiceAccountServiceServicer_to_server(service_accounts, each)
        keys_pb2_grpc.add_KeyServiceServicer_to_server(keys, each)
        audit_pb2_grpc.add_AuditServiceServicer_to_server(audit, each)
        trust_pb2_grpc.add_TrustServiceServicer_to_server(trust, each)
        maintenance_pb2_grpc.add_MaintenanceServiceServicer_to_server(maintenance, each)
    local.go_through(chain)
    if gate is not None:
        ext_authz.add_to_server(gate, server)
    health_servicer = Health()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    if reflects:
        add_reflection(server, (*service_names(), health.SERVICE_NAME))
    return GrpcServer(server, health_servicer, streams, local)


def service_names() -> tuple[str, ...]:
    """Our own services, by their full names."""
    return tuple(service.full_name for file in OUR_FILES for service in file.services_by_name.values())


def served_methods() -> tuple[str, ...]:
    """Every method that the server can answer, with health, reflection and what Envoy asks."""
    files = (*OUR_FILES, _standard(health_pb2), _standard(reflection_pb2))
    described = (
        f"/{service.full_name}/{method.name}"
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    )
    return (*described, CHECK)


def _standard(module: Any) -> FileDescriptor:
    """The descriptor of a module whose stubs do not name its type."""
    descriptor: FileDescriptor = module.DESCRIPTOR
    return descriptor
