"""Calling the service over grpclib."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from time import monotonic
from typing import Self, TypeVar

from google.protobuf.message import Message
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from .. import calls
from ..answers import CheckedToken, Experiment, ServerInfo, ServiceToken, TokenPair
from ..details import error_of, unpacked
from ..errors import AuthError, Code
from ..keys import KeySet

_Answer = TypeVar("_Answer")


class _Details(StatusDetailsCodecBase):
    """grpclib's own codec fails the call where details are broken, and its status is lost."""

    def encode(self, status: Status, message: str | None, details: object) -> bytes:
        raise NotImplementedError("clients do not send details")

    def decode(self, status: Status, message: str | None, data: bytes) -> list[Message]:
        return unpacked(data)


class AuthClient:
    """One channel to the service; share it. Every method raises AuthError.

    `target` is `host:port`. Over TLS, with the machine's roots unless `ssl_context` (with ALPN `h2`) says otherwise;
    `plaintext=True` is for where nobody listens. `deadline` replaces each method's own.
    """

    def __init__(
        self,
        target: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        plaintext: bool = False,
        deadline: timedelta | None = None,
    ) -> None:
        if plaintext and ssl_context is not None:
            raise ValueError("expected either ssl_context or plaintext, not both")
        host, port = _host_and_port(target)
        tls = None if plaintext else ssl_context or True
        self._channel = Channel(host, port, ssl=tls, status_details_codec=_Details())
        self._deadline = deadline

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._channel.close()

    async def login(self, username: str, password: str, *, new_password: str = "") -> TokenPair:
        """Sign a person in, and change their password if there is a new one. Never sent twice."""
        return await self._call(calls.login(username, password, new_password=new_password))

    async def login_service(self, api_key: str) -> ServiceToken:
        """A short access token for a service. There is nothing to refresh: the key buys the next one."""
        return await self._call(calls.login_service(api_key))

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Spend `refresh_token`. If the answer was lost, repeating the call within seconds gives the same answer."""
        return await self._call(calls.refresh(refresh_token))

    async def logout(self, refresh_token: str) -> None:
        """End the session. Fine to repeat."""
        await self._call(calls.logout(refresh_token))

    async def verify(self, token: str) -> CheckedToken:
        """Ask the service about an access token, which also knows of sessions that ended a moment ago."""
        return await self._call(calls.verify(token))

    async def list_experiments(
        self, user_number: int, *, credential: str, page_size: int = 0
    ) -> AsyncIterator[Experiment]:
        """The person's experiments in ascending order, fetched page by page while you iterate.

        `credential` is an access token or an API key. Each page has its own deadline.
        """
        page_token = ""
        while True:
            page = await self._call(
                calls.experiments_page(user_number, credential=credential, page_size=page_size, page_token=page_token)
            )
            for experiment in page.experiments:
                yield experiment
            page_token = page.next_page_token
            if not page_token:
                return

    async def get_jwks(self) -> KeySet:
        return await self._call(calls.get_jwks())

    async def get_server_info(self) -> ServerInfo:
        return await self._call(calls.get_server_info())

    async def _call(self, call: calls.Call[_Answer]) -> _Answer:
        send = UnaryUnaryMethod(self._channel, call.path, type(call.request), call.reply)
        ends = monotonic() + (self._deadline or call.deadline).total_seconds()
        for attempt in count(1):
            try:
                return call.unpack(await send(call.request, timeout=ends - monotonic(), metadata=call.metadata))
            except CALL_ERRORS as error:
                failure = error_from(error)
                wait = calls.pause(call, failure, attempt=attempt, left=ends - monotonic())
                if wait is None:
                    raise failure from error
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")


CALL_ERRORS = (GRPCError, StreamTerminatedError, ProtocolError, OSError, TimeoutError)
"""What grpclib raises when a call fails."""


def error_from(error: Exception) -> AuthError:
    match error:
        case GRPCError():
            details = error.details if isinstance(error.details, list | tuple) else ()
            return error_of(Code(error.status.value), error.message or "", details)
        case TimeoutError():
            return AuthError(Code.DEADLINE_EXCEEDED, "", "there was no answer in time")
        case _:
            return AuthError(Code.UNAVAILABLE, "", str(error) or type(error).__name__)


def _host_and_port(target: str) -> tuple[str, int]:
    """Of `host:port` or `[address]:port`."""
    host, colon, port = target.rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise ValueError(f"{target}: expected host:port")
    return host.strip("[]"), int(port)
