"""Guarding a grpcio server that answers from threads: nobody gets further than the table of rights says."""

from collections.abc import Callable
from typing import Any, Never, Protocol, TypeAlias

import grpc
from grpc import StatusCode

from ..details import TRAILER, packed
from ..errors import AuthClientError
from ..guarding import Refusal, current, one_bearer, refusal_of
from ..rights import Right, Rights
from ..token import VerifiedToken

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Behaviour = Callable[[Any, grpc.ServicerContext], Any]
_CODES = {code.value[0]: code for code in StatusCode}


class Verifies(Protocol):
    """A BlockingVerifier."""

    def verify(self, token: str, /) -> VerifiedToken: ...


class Guard(grpc.ServerInterceptor):
    """For `grpc.server(..., interceptors=[...])`. Behind it, `caller()` says who calls.

    The token is checked in the thread of the call, and for a stream only when it begins: one that goes on past its
    token's end is yours to bound.
    """

    def __init__(self, verifier: Verifies, rights: Rights) -> None:
        self._verifier = verifier
        self._rights = rights

    def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], _Handler | None]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "_Handler | None":
        handler = continuation(handler_call_details)
        right = self._rights[handler_call_details.method]
        if handler is None or right.is_public:
            return handler
        return _around(handler, lambda context: self._admit(right, context))

    def _admit(self, right: Right, context: grpc.ServicerContext) -> None:
        try:
            metadata = context.invocation_metadata() or ()
            token = one_bearer([value for key, value in metadata if key == "authorization"])
            caller = self._verifier.verify(token)
            right.check(caller)
        except AuthClientError as error:
            _refuse(refusal_of(error), context)
        # gRPC gives each call a context of its own, in which its generators run too.
        current.set(caller)


class _Status(grpc.Status):
    def __init__(self, refusal: Refusal) -> None:
        self.code = _CODES[refusal.code]
        self.details = refusal.message
        self.trailing_metadata = ((TRAILER, packed(refusal)),)


def _refuse(refusal: Refusal, context: grpc.ServicerContext) -> Never:
    context.abort_with_status(_Status(refusal))


def _around(handler: "_Handler", admit: Callable[[grpc.ServicerContext], None]) -> "_Handler":
    def guarded(behaviour: _Behaviour) -> _Behaviour:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            admit(context)
            return behaviour(request, context)

        return answer

    kinds: tuple[tuple[_Behaviour | None, Callable[..., _Handler]], ...] = (
        (handler.unary_unary, grpc.unary_unary_rpc_method_handler),
        (handler.unary_stream, grpc.unary_stream_rpc_method_handler),
        (handler.stream_unary, grpc.stream_unary_rpc_method_handler),
        (handler.stream_stream, grpc.stream_stream_rpc_method_handler),
    )
    ((behaviour, kind),) = ((behaviour, kind) for behaviour, kind in kinds if behaviour is not None)
    return kind(
        guarded(behaviour),
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
