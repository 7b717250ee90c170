"""Calling the service over grpc.aio."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import grpc.aio

from .. import calls
from ..async_client import AsyncClient
from ..details import auth_error
from ..errors import AuthError, Code

Options = tuple[tuple[str, str | int], ...]


class AuthClient(AsyncClient):
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
        super().__init__(deadline=deadline)
        self._channel = open_channel(
            target, credentials=credentials, plaintext=plaintext, options=(*options, *calls.CHANNEL_OPTIONS)
        )

    async def close(self) -> None:
        await self._channel.close()

    async def _send(self, call: calls.Call[Any], *, timeout: float) -> Any:
        send = self._channel.unary_unary(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.reply.FromString,
        )
        try:
            return await send(call.request, timeout=timeout, metadata=call.metadata)
        except grpc.aio.AioRpcError as error:
            raise error_from(error) from error
        except asyncio.CancelledError:
            # What grpc.aio raises where the channel was closed meanwhile. It must not look like the end of the task to
            # whom nobody cancelled.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise calls.closed() from None


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
