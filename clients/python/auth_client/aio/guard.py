"""Guarding a grpc.aio server: nobody gets further than the table of rights says."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc.aio

from ..details import TRAILER, packed
from ..errors import AuthClientError
from ..guarding import current, one_bearer, refusal_of
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
            return _refusing(error)
        # The handler runs in the same context.
        current.set(caller)
        return handler


def _refusing(error: AuthClientError) -> "_Handler":
    refusal = refusal_of(error)

    async def refuse(_requests: object, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        await context.abort(_CODES[refusal.code], refusal.message, trailing_metadata=((TRAILER, packed(refusal)),))

    # As a stream, whatever the method is: so the answer does not wait for a request that may never come.
    return grpc.stream_stream_rpc_method_handler(refuse)
