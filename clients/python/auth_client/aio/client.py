"""Calling the service over grpc.aio."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import count
from time import monotonic
from typing import Self, TypeVar

import grpc.aio

from .. import calls
from ..answers import CheckedToken, Experiment, ServerInfo, ServiceToken, TokenPair
from ..details import auth_error
from ..errors import AuthError, Code
from ..keys import KeySet

_Answer = TypeVar("_Answer")
Options = tuple[tuple[str, str | int], ...]


class AuthClient:
    """One channel to the service; share it. Every method raises AuthError.

    Over TLS, with the roots that gRPC brings unless `credentials` says otherwise; `plaintext=True` is for where nobody
    listens. `deadline` replaces each method's own.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
        deadline: timedelta | None = None,
        options: Options = (),
    ) -> None:
        self._channel = open_channel(
            target, credentials=credentials, plaintext=plaintext, options=(*calls.CHANNEL_OPTIONS, *options)
        )
        self._deadline = deadline

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

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
        send = self._channel.unary_unary(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.reply.FromString,
        )
        ends = monotonic() + (self._deadline or call.deadline).total_seconds()
        for attempt in count(1):
            try:
                return call.unpack(await send(call.request, timeout=ends - monotonic(), metadata=call.metadata))
            except grpc.aio.AioRpcError as error:
                failure = error_from(error)
                wait = calls.pause(call, failure, attempt=attempt, left=ends - monotonic())
                if wait is None:
                    raise failure from error
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")


def open_channel(
    target: str,
    *,
    credentials: grpc.ChannelCredentials | None,
    plaintext: bool,
    options: Options,
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
) -> grpc.aio.Channel:
    check_security(credentials, plaintext=plaintext)
    if plaintext:
        return grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)
    credentials = credentials or grpc.ssl_channel_credentials()
    return grpc.aio.secure_channel(target, credentials, options=options, interceptors=interceptors)


def check_security(credentials: grpc.ChannelCredentials | None, *, plaintext: bool) -> None:
    """For whoever opens a channel later. Raises ValueError."""
    if plaintext and credentials is not None:
        raise ValueError("expected either credentials or plaintext, not both")


def error_from(error: grpc.aio.AioRpcError) -> AuthError:
    code, trailers = Code(error.code().value[0]), error.trailing_metadata() or ()
    return auth_error(code, error.details() or "", ((str(key), value) for key, value in trailers))
