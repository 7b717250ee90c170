"""Guarding a grpcio server that answers from threads: nobody gets further than the table of rights says."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread
from typing import Any, Protocol, TypeAlias

import grpc
from grpc import StatusCode

from ..details import TRAILER, packed
from ..errors import AuthClientError
from ..guarding import LINGER, Refusal, current, one_bearer, refusal_of
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

        def guarded(behaviour: _Behaviour) -> _Behaviour:
            def answer(request: Any, context: grpc.ServicerContext) -> Any:
                try:
                    caller = self._admitted(right, context)
                except AuthClientError as error:
                    refusal = refusal_of(error)
                    if handler.request_streaming:
                        _linger(request)
                    context.abort_with_status(_Status(refusal))
                # gRPC gives each call a context of its own, in which its generators run too.
                current.set(caller)
                return behaviour(request, context)

            return answer

        return _around(handler, guarded)

    def _admitted(self, right: Right, context: grpc.ServicerContext) -> VerifiedToken:
        metadata = context.invocation_metadata() or ()
        token = one_bearer([value for key, value in metadata if key == "authorization"])
        caller = self._verifier.verify(token)
        right.check(caller)
        return caller


class _Status(grpc.Status):
    def __init__(self, refusal: Refusal) -> None:
        self.code = _CODES[refusal.code]
        self.details = refusal.message
        self.trailing_metadata = ((TRAILER, packed(refusal)),)


def _linger(requests: Iterator[object]) -> None:
    def read() -> None:
        # It ends with the call at the latest, and how is of no interest.
        with suppress(Exception):
            for _ in requests:
                pass

    reading = Thread(target=read, name="auth-client-refusing", daemon=True)
    reading.start()
    reading.join(LINGER)


def _around(handler: "_Handler", guarded: Callable[[_Behaviour], _Behaviour]) -> "_Handler":
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
