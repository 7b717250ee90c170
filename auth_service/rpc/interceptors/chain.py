"""Puts the interceptors around each method, once, when the method is first called.

One gRPC interceptor, not one each: gRPC asks every interceptor anew on every call.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError

from auth_service.rpc.call import Context, Handler, Interceptor
from auth_service.rpc.errors import MalformedMessage

_MALFORMED = object()
_MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[_MethodHandler | None]]"


class Chain(grpc.aio.ServerInterceptor):
    """`interceptors` from the outermost in. Streaming methods are health's and reflection's, which rule themselves."""

    def __init__(self, interceptors: Sequence[Interceptor]) -> None:
        self._interceptors = interceptors
        self._wrapped: dict[str, _MethodHandler] = {}

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> "_MethodHandler | None":
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is not None:
            return wrapped
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        wrapped = self._wrapped[method] = self._around(method, handler)
        return wrapped

    def _around(self, method: str, handler: _MethodHandler) -> _MethodHandler:
        behaviour, deserialize = handler.unary_unary, handler.request_deserializer
        assert behaviour is not None
        assert deserialize is not None
        answer = _readable(cast("Handler", behaviour))
        for interceptor in reversed(self._interceptors):
            answer = interceptor(method, answer)
        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=_lenient(deserialize),
            response_serializer=handler.response_serializer,
        )


def _lenient(deserialize: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """gRPC answers an unreadable message with UNKNOWN and a traceback in the log; it is the caller's mistake."""

    def read(raw: bytes) -> object:
        try:
            return deserialize(raw)
        except DecodeError:
            return _MALFORMED

    return read


def _readable(handler: Handler) -> Handler:
    async def answer(request: object, context: Context) -> object:
        if request is _MALFORMED:
            raise MalformedMessage
        return await handler(request, context)

    return answer
