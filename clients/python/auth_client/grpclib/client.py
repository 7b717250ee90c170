"""Calling the service over grpclib."""

import ssl
from datetime import timedelta
from typing import Any

from google.protobuf.message import Message
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from .. import calls
from ..async_client import AsyncClient
from ..details import error_of, unpacked
from ..errors import AuthError, Code

# As calls.CHANNEL_OPTIONS: left to itself grpclib never asks whether a connection is alive, and goes on calling over a
# dead one. An underscore of grpclib's means that a name may change, not that it is not for us.
_KEEPALIVE = Configuration(
    _keepalive_time=90,
    _keepalive_timeout=20,
    _keepalive_permit_without_calls=True,
    _http2_max_pings_without_data=0,
    _http2_min_sent_ping_interval_without_data=60,
)


class _Details(StatusDetailsCodecBase):
    """grpclib's own codec fails the call where details are broken, and its status is lost."""

    def encode(self, status: Status, message: str | None, details: object) -> bytes:
        raise NotImplementedError("clients do not send details")

    def decode(self, status: Status, message: str | None, data: bytes) -> list[Message]:
        return unpacked(data)


class AuthClient(AsyncClient):
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
        super().__init__(deadline=deadline)
        if plaintext and ssl_context is not None:
            raise ValueError("expected either ssl_context or plaintext, not both")
        host, port = _host_and_port(target)
        tls = None if plaintext else ssl_context or True
        self._channel = Channel(host, port, ssl=tls, status_details_codec=_Details(), config=_KEEPALIVE)
        self._is_closed = False

    async def close(self) -> None:
        self._is_closed = True
        self._channel.close()

    async def _send(self, call: calls.Call[Any], *, timeout: float) -> Any:
        if self._is_closed:
            # Or grpclib would connect anew, also for another attempt of a call that was under way: nobody closes that.
            raise calls.closed()
        send = UnaryUnaryMethod(self._channel, call.path, type(call.request), call.reply)
        try:
            return await send(call.request, timeout=timeout, metadata=call.metadata)
        except CALL_ERRORS as error:
            raise error_from(error) from error


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
