"""Guarding a grpc.aio server: nobody gets further than the table of rights says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import grpc.aio

from ..details import TRAILER, packed
from ..errors import AuthClientError
from ..guarding import LINGER, current, one_bearer, refusal_of
from ..rights import Rights
from ..verifier import TokenVerifier

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Guard(grpc.aio.ServerInterceptor):
    """For `grpc.aio.server(interceptors=[...])`. Behind it, `caller()` says who calls.

    The token is checked before the request is read, and for a stream only then: one that goes on past its token's end
    is yours to bound.
    """

    def __init__(self, verifier: TokenVerifier, rights: Rights) -> None:
        self._verifier = verifier
        self._rights = rights

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> "_Handler | None":
        handler = await continuation(handler_call_details)
        right = self._rights[handler_call_details.method]
        if handler is None or right.is_public:
            return handler
        try:
            metadata = handler_call_details.invocation_metadata or ()
            token = one_bearer([value for key, value in metadata if key == "authorization"])
            caller = await self._verifier.verify(token)
            right.check(caller)
        except AuthClientError as error:
            return _refusing(error, lingers=handler.request_streaming)
        # The handler runs in the same context.
        current.set(caller)
        return handler


def _refusing(error: AuthClientError, *, lingers: bool) -> "_Handler":
    refusal = refusal_of(error)

    async def refuse(requests: AsyncIterator[object], context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        if lingers:
            # Not cancelled when its time is over, because grpc.aio would leak what it was about to read.
            await asyncio.wait((asyncio.create_task(_read(requests)),), timeout=LINGER)
        await context.abort(_CODES[refusal.code], refusal.message, trailing_metadata=((TRAILER, packed(refusal)),))

    # As a stream, whatever the method is: so the answer does not wait for a request that may never come.
    return grpc.stream_stream_rpc_method_handler(refuse)


async def _read(requests: AsyncIterator[object]) -> None:
    """Until they end, or the call does."""
    with suppress(grpc.aio.AbortError, grpc.aio.UsageError, grpc.aio.InternalError):
        async for _ in requests:
            pass
