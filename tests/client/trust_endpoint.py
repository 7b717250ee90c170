"""A trust stream on loopback that says exactly what a test wants, and a clock that a test turns."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Self

import grpc
from auth_api.v1 import auth_pb2, trust_pb2, trust_pb2_grpc

from tests.client.minting import NOW, jwk

Response = trust_pb2.WatchTrustResponse


class Turned:
    """A monotonic clock."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class TrustEndpoint(trust_pb2_grpc.TrustServiceServicer):
    """Each stream is sent `script`, then what `say` adds, until `cut`. `cursors` are those that were asked with, and
    `metadata` is what came with the last.
    """

    def __init__(self, *script: Response) -> None:
        self.script: Sequence[Response] = script
        self.cursors: list[str] = []
        self.metadata: dict[str, str] = {}
        self.refuses: grpc.StatusCode | None = None
        self._said: asyncio.Queue[Response | None] = asyncio.Queue()

    def say(self, response: Response) -> None:
        self._said.put_nowait(response)

    def cut(self) -> None:
        """End the stream that is open as a lost connection does."""
        self._said.put_nowait(None)

    async def WatchTrust(self, request: trust_pb2.WatchTrustRequest, context: Any) -> Any:
        self.cursors.append(request.cursor)
        self.metadata = dict(context.invocation_metadata())
        if self.refuses is not None:
            await context.abort(self.refuses, "not now")
        for each in self.script:
            yield each
        while (more := await self._said.get()) is not None:
            yield more
        await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server()
        trust_pb2_grpc.add_TrustServiceServicer_to_server(self, self._server)
        self.host_and_port = "127.0.0.1", self._server.add_insecure_port("127.0.0.1:0")
        self.address = "{}:{}".format(*self.host_and_port)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)


def chunk(
    *names: str,
    revoked: Sequence[str] = (),
    last: bool = True,
    cursor: str = "one",
    heartbeat: timedelta = timedelta(seconds=15),
    age: timedelta = timedelta(0),
) -> Response:
    """Of a snapshot, with these keys."""
    response = _message(cursor if last else "", age=age)
    response.snapshot.last = last
    response.snapshot.heartbeat_interval.FromTimedelta(heartbeat)
    response.snapshot.revoked.extend(_groups(revoked))
    if names:
        response.snapshot.keys.CopyFrom(trusted_keys(*names))
    return response


def change(
    *names: str,
    revoked: Sequence[str] = (),
    revoked_kids: Sequence[str] = (),
    cursor: str = "two",
    keys: trust_pb2.TrustedKeys | None = None,
) -> Response:
    response = _message(cursor)
    response.change.revoked.extend(_groups(revoked))
    if names or keys is not None:
        response.change.keys.CopyFrom(keys or trusted_keys(*names, revoked=revoked_kids))
    return response


def heartbeat(
    *, cursor: str = "three", age: timedelta = timedelta(0), later: timedelta = timedelta(0), within: float = 15
) -> Response:
    response = _message(cursor, age=age, later=later)
    response.heartbeat.heartbeat_interval.FromTimedelta(timedelta(seconds=within))
    return response


def trusted_keys(*names: str, revoked: Sequence[str] = (), **members: str) -> trust_pb2.TrustedKeys:
    keys = [auth_pb2.JsonWebKey(**{**jwk(name), **members}) for name in names]  # type: ignore[arg-type]  # all are str
    return trust_pb2.TrustedKeys(keys=keys, ring_version=1, revoked_kids=revoked)


def _message(cursor: str, *, age: timedelta = timedelta(0), later: timedelta = timedelta(0)) -> Response:
    response = Response(cursor=cursor)
    response.now.FromSeconds(NOW + int(later.total_seconds()))
    response.age.FromTimedelta(age)
    return response


def _groups(session_ids: Sequence[str]) -> list[trust_pb2.RevokedSessions]:
    if not session_ids:
        return []
    group = trust_pb2.RevokedSessions(session_ids=session_ids)
    group.until.FromSeconds(NOW + 12 * 60)
    return [group]
