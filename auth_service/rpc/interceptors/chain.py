"""Puts the interceptors around each method, once, when the method is first called.

One gRPC interceptor, not one each: gRPC asks every interceptor anew on every call.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError

from auth_service.domain.errors import AuthError
from auth_service.rpc.call import Context, Handler, Interceptor
from auth_service.rpc.errors import MalformedMessage
from auth_service.rpc.interceptors.streams import Stream, Streams

_MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[_MethodHandler | None]]"

_OTHERS = "/grpc."


class Chain(grpc.aio.ServerInterceptor):
    """`unary` and `streaming` are interceptors from the outermost in, for methods that answer once and for streams.

    Others' streams, which are health's and reflection's, rule themselves.
    """

    def __init__(self, *, unary: Sequence[Interceptor], streaming: Sequence[Interceptor], streams: Streams) -> None:
        self._unary = unary
        self._streaming = streaming
        self._streams = streams
        self._wrapped: dict[str, _MethodHandler] = {}

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> "_MethodHandler | None":
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is not None:
            return wrapped
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        wrapped = self.around(method, handler)
        if wrapped is not handler:
            self._wrapped[method] = wrapped
        return wrapped

    def around(self, method: str, handler: _MethodHandler) -> _MethodHandler:
        """`handler` with its interceptors. Instead of a request it may be given the error that it shall answer."""
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _through(self._unary, method, cast("Handler", handler.unary_unary)),
                request_deserializer=_lenient(handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        if handler.unary_stream is not None and not method.startswith(_OTHERS):
            answer = self._streams.answering(cast("Stream", handler.unary_stream))
            return grpc.unary_stream_rpc_method_handler(
                _through(self._streaming, method, answer),
                request_deserializer=_lenient(handler.request_deserializer),
                response_serializer=_unless_encoded(handler.response_serializer),
            )
        return handler


def _through(interceptors: Sequence[Interceptor], method: str, handler: Handler) -> Handler:
    answer = _readable(handler)
    for interceptor in reversed(interceptors):
        answer = interceptor(method, answer)
    return answer


def _lenient(deserialize: Callable[[bytes], object] | None) -> Callable[[bytes], object]:
    """gRPC answers an unreadable message with UNKNOWN and a traceback in the log; it is the caller's mistake."""
    assert deserialize is not None

    def read(raw: bytes) -> object:
        try:
            return deserialize(raw)
        except DecodeError:
            return MalformedMessage()

    return read


def _unless_encoded(serialize: Callable[[Any], bytes] | None) -> Callable[[Any], bytes]:
    """A stream that sends many callers the same message encodes it once, and yields bytes."""
    assert serialize is not None
    return lambda message: message if type(message) is bytes else serialize(message)


def _readable(handler: Handler) -> Handler:
    async def answer(request: object, context: Context) -> object:
        if isinstance(request, AuthError):
            raise request
        return await handler(request, context)

    return answer
