"""Calls of our own methods from within this process: through every interceptor, without a socket.

So whatever another door answers, permission, limits, audit and errors are those of gRPC.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NoReturn, TypeAlias, cast

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2

from auth_service.domain.errors import AuthError
from auth_service.rpc import json_messages
from auth_service.rpc.errors import DETAILS, MalformedMessage
from auth_service.rpc.interceptors.chain import Chain

_MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Metadata = Sequence[tuple[str, str]]
_POOL = descriptor_pool.Default()


@dataclass(frozen=True, slots=True)
class Detail:
    """One of the details of a refusal: its type's full name, its bytes, and what they say."""

    type: str
    value: bytes
    says: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method answered: a response, or a refusal.

    `code` is gRPC's in lower case, such as `ok` or `permission_denied`; `trailers` hold the request's id. `response`
    is a message, for those who need not know of which class; None in a refusal.
    """

    code: str
    response: Any = field(default=None, repr=False)
    message: str = ""
    details: tuple[Detail, ...] = ()
    trailers: Metadata = ()

    @property
    def reason(self) -> str:
        """As in `ErrorReason`, such as `BAD_CREDENTIALS`; empty for a response."""
        return next((str(each.says["reason"]) for each in self.details if "reason" in each.says), "")

    def encoded(self, *, is_json: bool) -> bytes:
        """The response, in JSON or in protobuf's binary form."""
        encoded: bytes = json_messages.written(self.response) if is_json else self.response.SerializeToString()
        return encoded


class LocalCalls:
    """The methods that answer once, by their full names such as `/auth_api.v1.AuthService/Verify`."""

    def __init__(self) -> None:
        self._handlers: dict[str, _MethodHandler] = {}
        self._services: list[str] = []

    def add_generic_rpc_handlers(self, _handlers: object) -> None:
        """Generated code tells a server this way, too; what it says the other way is easier to read."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, _MethodHandler]) -> None:
        """As generated code calls it."""
        self._services.append(service)
        self._handlers |= {f"/{service}/{name}": each for name, each in handlers.items() if each.unary_unary}

    def go_through(self, chain: Chain) -> None:
        """Put the interceptors around every method that was added."""
        self._handlers = {method: chain.around(method, handler) for method, handler in self._handlers.items()}

    def __contains__(self, method: str) -> bool:
        return method in self._handlers

    @property
    def services(self) -> Sequence[str]:
        """By their full names, such as `auth_api.v1.AuthService`; those of nothing but streams as well."""
        return self._services

    async def call(
        self,
        method: str,
        body: bytes,
        *,
        is_json: bool,
        metadata: Metadata = (),
        peer: str = "",
        timeout: float | None = None,
    ) -> Answer:
        """Answer `method`, one of those in here. `body` is its request, in JSON or in protobuf's binary form.

        `metadata` are a gRPC call's, names in lower case; `peer` is spelt as gRPC does, `timeout` in seconds.
        """
        # An unreadable request goes through the interceptors as well: it counts, and is written to the log.
        request = _read(body, _request_class(method)(), is_json=is_json)
        return await self._answer(method, request, _LocalContext(metadata, peer=peer, timeout=timeout))

    async def ask(self, method: str, fields: Mapping[str, Any], *, metadata: Metadata = (), peer: str = "") -> Answer:
        """As `call`, of a request with these `fields`, which are of the right types."""
        request: Message | AuthError
        try:
            request = _request_class(method)(**fields)
        except ValueError:
            # A number beyond 64 bits, or half of a surrogate pair.
            request = MalformedMessage("values that the method's fields can hold")
        return await self._answer(method, request, _LocalContext(metadata, peer=peer, timeout=None))

    async def _answer(self, method: str, request: Message | AuthError, context: "_LocalContext") -> Answer:
        answer = cast("Any", self._handlers[method].unary_unary)
        try:
            return Answer("ok", await answer(request, context), trailers=context.trailers)
        except grpc.aio.AbortError:
            return context.refusal()


def _read(body: bytes, request: Message, *, is_json: bool) -> Message | AuthError:
    """The request, or why it is none."""
    try:
        if is_json:
            json_messages.read(body, request)
        else:
            request.ParseFromString(body)
    except DecodeError:
        return MalformedMessage()
    except AuthError as error:
        return error
    return request


@cache
def _request_class(method: str) -> type[Message]:
    service, _, name = method.strip("/").partition("/")
    return GetMessageClass(_POOL.FindServiceByName(service).methods_by_name[name].input_type)


class _LocalContext:
    """As much of a ServicerContext as interceptors and servicers of methods that answer once ask for."""

    def __init__(self, metadata: Metadata, *, peer: str, timeout: float | None) -> None:
        self._metadata = tuple(metadata)
        self._peer = peer
        self._ends = None if timeout is None else time.monotonic() + timeout
        self._code = grpc.StatusCode.OK
        self._message = ""
        self.trailers: Metadata = ()

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def peer(self) -> str:
        return self._peer

    def time_remaining(self) -> float | None:
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        self.trailers = trailing_metadata

    def code(self) -> grpc.StatusCode:
        return self._code

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:
        self._code, self._message, self.trailers = code, details, trailing_metadata
        raise grpc.aio.AbortError

    def refusal(self) -> Answer:
        """Once it was aborted."""
        trailers = dict(self.trailers)
        status = status_pb2.Status.FromString(cast("bytes", trailers.pop(DETAILS, b"")))
        return Answer(
            self._code.name.lower(),
            message=self._message,
            details=tuple(_detail(each) for each in status.details),
            trailers=tuple(trailers.items()),
        )


def _detail(packed: Any) -> Detail:
    name = packed.TypeName()
    message = GetMessageClass(_POOL.FindMessageTypeByName(name)).FromString(packed.value)
    return Detail(name, packed.value, MessageToDict(message))
