"""Puts the session's token on each call of a channel, and sends a call once more where that may help."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

import grpc

from .client import error_from

if TYPE_CHECKING:
    from .session import Session

_Continuation = Callable[[grpc.ClientCallDetails, Any], Any]


@dataclass(frozen=True, slots=True)
class _Details(grpc.ClientCallDetails):
    """gRPC has no class of its own for whoever changes the details of a call."""

    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str | bytes], ...]
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class SignedIn(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, session: "Session") -> None:
        self._session = session

    def intercept_unary_unary(
        self, continuation: _Continuation, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        began = monotonic()
        token = self._session.token(within=client_call_details.timeout)
        call = continuation(_carrying(token, client_call_details, began), request)
        if not self._session.is_worth_repeating(error_from(call), token):
            return call
        token = self._session.token(within=_left(client_call_details, began))
        return continuation(_carrying(token, client_call_details, began), request)

    def intercept_unary_stream(
        self, continuation: _Continuation, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        began = monotonic()

        def begin() -> tuple[Any, str]:
            token = self._session.token(within=_left(client_call_details, began))
            return continuation(_carrying(token, client_call_details, began), request), token

        return _Answers(self._session, begin)

    def intercept_stream_unary(
        self, continuation: _Continuation, client_call_details: grpc.ClientCallDetails, request_iterator: Any
    ) -> Any:
        return self._noting(continuation, client_call_details, request_iterator)

    def intercept_stream_stream(
        self, continuation: _Continuation, client_call_details: grpc.ClientCallDetails, request_iterator: Any
    ) -> Any:
        return self._noting(continuation, client_call_details, request_iterator)

    def _noting(self, continuation: _Continuation, details: grpc.ClientCallDetails, requests: Any) -> Any:
        """A stream of requests cannot be sent again, but the next call gets a better token."""
        began = monotonic()
        token = self._session.token(within=details.timeout)
        call = continuation(_carrying(token, details, began), requests)
        call.add_done_callback(lambda over: self._session.is_worth_repeating(error_from(over), token))
        return call


class _Answers:
    """The call of a stream of answers, begun again if it is refused before the first: its caller cannot tell."""

    def __init__(self, session: "Session", begin: Callable[[], tuple[Any, str]]) -> None:
        self._session = session
        self._begin = begin
        self._call, self._token = begin()
        self._may_begin_again = True

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        may_begin_again, self._may_begin_again = self._may_begin_again, False
        try:
            return next(self._call)
        except grpc.RpcError:
            if not may_begin_again or not self._session.is_worth_repeating(error_from(self._call), self._token):
                raise
        self._call, self._token = self._begin()
        return next(self._call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


def _carrying(token: str, details: grpc.ClientCallDetails, began: float) -> _Details:
    """`details` with the token, and with what is left of the time that the caller gave for everything together."""
    others = ((key, value) for key, value in details.metadata or () if key != "authorization")
    return _Details(
        details.method,
        _left(details, began),
        (*others, ("authorization", f"Bearer {token}")),
        details.credentials,
        details.wait_for_ready,
        details.compression,
    )


def _left(details: grpc.ClientCallDetails, began: float) -> float | None:
    return None if details.timeout is None else max(0.0, details.timeout - (monotonic() - began))
