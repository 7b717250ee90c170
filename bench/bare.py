"""`python -m bench.bare PORT DSN FACILITY`: the floors as a server, with our interceptors and nothing else of ours.

`GetServerInfo` does nothing. `Refresh` does what no refresh can do without: one `SELECT` by key, one
`UPDATE … RETURNING`, one RSA-2048 signature. `Login`: the three requests to the facility, the signature, one `INSERT`.
All bare: asyncpg without a pool, aiohttp as it comes, the signature in line.
"""

import asyncio
import os
import sys
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
from auth_api.v1 import (
    audit_pb2_grpc,
    auth_pb2,
    keys_pb2_grpc,
    maintenance_pb2_grpc,
    roles_pb2_grpc,
    service_accounts_pb2_grpc,
    trust_pb2_grpc,
    users_pb2_grpc,
)
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from auth_service.rpc import server as rpc
from auth_service.rpc.auth_servicer import AuthServicer
from auth_service.rpc.call import Context
from auth_service.telemetry import Metrics
from bench.facility import API_KEY
from bench.load import IN_FLIGHT

_SELECT = "SELECT * FROM session WHERE id = $1"
_UPDATE = "UPDATE session SET generation = generation + 1, rotated_at = now() WHERE id = $1 RETURNING id"
_INSERT = """
INSERT INTO session (id, person_id, generation, started_at, rotated_at, expires_at, absolute_expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


class Floors(AuthServicer):
    """A refresh token is a session's id here."""

    def __init__(self, connections: list[Any], http: aiohttp.ClientSession, facility: str, session: Any) -> None:
        self._connections = connections
        self._http = http
        self._facility = facility
        self._session = session
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._message = os.urandom(600)

    async def GetServerInfo(  # noqa: N802 -- gRPC's names, here and below
        self, request: auth_pb2.GetServerInfoRequest, context: Context
    ) -> auth_pb2.GetServerInfoResponse:
        return auth_pb2.GetServerInfoResponse(name="bare")

    async def Refresh(self, request: auth_pb2.RefreshRequest, context: Context) -> auth_pb2.RefreshResponse:  # noqa: N802
        session_id = UUID(request.refresh_token)
        connection = self._connections.pop()
        await connection.fetchrow(_SELECT, session_id)
        await connection.fetchrow(_UPDATE, session_id)
        self._connections.append(connection)
        self._sign()
        return auth_pb2.RefreshResponse(token_type="Bearer")

    async def Login(self, request: auth_pb2.LoginRequest, context: Context) -> auth_pb2.LoginResponse:  # noqa: N802
        credentials = {"username": request.username, "password": request.password}
        async with self._http.post(f"{self._facility}/v1/sessions", json=credentials) as response:
            number = (await response.json())["userId"]
        await asyncio.gather(
            self._get(f"/v1/basic-person-details?userNumbers={number}"), self._get(f"/v1/role/{number}")
        )
        connection = self._connections.pop()
        await connection.execute(_INSERT, uuid4(), *self._session)
        self._connections.append(connection)
        self._sign()
        return auth_pb2.LoginResponse(token_type="Bearer")

    async def _get(self, path: str) -> object:
        async with self._http.get(self._facility + path, headers={"Authorization": f"Api-key {API_KEY}"}) as response:
            return await response.json()

    def _sign(self) -> None:
        self._key.sign(self._message, padding.PKCS1v15(), SHA256())


async def _serve(port: str, dsn: str, facility: str) -> None:
    connections = [await asyncpg.connect(dsn) for _ in range(IN_FLIGHT)]
    session = await connections[0].fetchrow(
        "SELECT person_id, generation, started_at, rotated_at, expires_at, absolute_expires_at FROM session LIMIT 1"
    )
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as http:
        nobody_asks: Any = None
        nobody_calls: dict[str, Any] = {
            "users": users_pb2_grpc.UserServiceServicer,
            "roles": roles_pb2_grpc.RoleServiceServicer,
            "service_accounts": service_accounts_pb2_grpc.ServiceAccountServiceServicer,
            "keys": keys_pb2_grpc.KeyServiceServicer,
            "audit": audit_pb2_grpc.AuditServiceServicer,
            "trust": trust_pb2_grpc.TrustServiceServicer,
            "maintenance": maintenance_pb2_grpc.MaintenanceServiceServicer,
        }
        server = rpc.build(
            auth=Floors(connections, http, facility, session),
            known_caller=nobody_asks,
            level_of=nobody_asks,
            observe=Metrics().observe,
            outermost=(),
            longest_call=timedelta(seconds=10),
            slowest_reader=timedelta(seconds=30),
            rights_asked_every=timedelta(seconds=5),
            reflects=False,
            **{name: servicer() for name, servicer in nobody_calls.items()},
        )
        server.bind(f"127.0.0.1:{port}", None)
        await server.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:4]))
