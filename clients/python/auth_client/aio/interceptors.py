"""Puts the session's token on each call of a channel, and sends a call once more where that may help.

Four classes, because grpc.aio takes each interceptor for one kind of call only.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic
from typing import Any, TypeAlias

import grpc.aio

from ..async_session import AsyncSession
from ..details import auth_error
from ..errors import AuthError, Code
from .client import error_from

_Details: TypeAlias = grpc.aio.ClientCallDetails
_Continuation: TypeAlias = Callable[[_Details, Any], Awaitable[Any]]


def signed_in(session: AsyncSession) -> tuple[grpc.aio.ClientInterceptor, ...]:
    return _UnaryUnary(session), _UnaryStream(session), _StreamUnary(session), _StreamStream(session)


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def intercept_unary_unary(
        self, continuation: _Continuation, client_call_details: _Details, request: Any
    ) -> Any:
        began = monotonic()
        token = await self._session.token(within=client_call_details.timeout)
        call = await continuation(_carrying(token, client_call_details, began), request)
        if not self._session.is_worth_repeating(await _outcome(call), token):
            return call
        token = await self._session.token(within=_left(client_call_details, began))
        return await continuation(_carrying(token, client_call_details, began), request)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    """The call begins, for its caller, with its first answer: only before that can it be sent again unnoticed."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def intercept_unary_stream(
        self, continuation: _Continuation, client_call_details: _Details, request: Any
    ) -> AsyncIterator[Any]:
        began = monotonic()
        token = await self._session.token(within=client_call_details.timeout)
        call = await continuation(_carrying(token, client_call_details, began), request)
        try:
            return _from(await _first(call), call)
        except grpc.aio.AioRpcError as error:
            if not self._session.is_worth_repeating(error_from(error), token):
                raise
        token = await self._session.token(within=_left(client_call_details, began))
        call = await continuation(_carrying(token, client_call_details, began), request)
        return _from(await _first(call), call)


class _Noting:
    """For calls whose requests are a stream: they cannot be sent again, but the next one gets a better token."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._notes: set[asyncio.Task[None]] = set()

    async def _begin(self, continuation: _Continuation, details: _Details, requests: Any) -> Any:
        began = monotonic()
        token = await self._session.token(within=details.timeout)
        call = await continuation(_carrying(token, details, began), requests)
        call.add_done_callback(lambda over: self._note(over, token))
        return call

    def _note(self, call: Any, token: str) -> None:
        async def note() -> None:
            self._session.is_worth_repeating(await _outcome(call), token)

        task = asyncio.get_running_loop().create_task(note())
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)


class _StreamUnary(_Noting, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: _Continuation, client_call_details: _Details, request_iterator: Any
    ) -> Any:
        return await self._begin(continuation, client_call_details, request_iterator)


class _StreamStream(_Noting, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: _Continuation, client_call_details: _Details, request_iterator: Any
    ) -> Any:
        return await self._begin(continuation, client_call_details, request_iterator)


def _carrying(token: str, details: _Details, began: float) -> _Details:
    """`details` with the token, and with what is left of the time that the caller gave for everything together."""
    others = ((key, value) for key, value in details.metadata or () if key != "authorization")
    metadata = grpc.aio.Metadata(*others, ("authorization", f"Bearer {token}"))
    left = _left(details, began)
    return grpc.aio.ClientCallDetails(details.method, left, metadata, details.credentials, details.wait_for_ready)


def _left(details: _Details, began: float) -> float | None:
    return None if details.timeout is None else max(0.0, details.timeout - (monotonic() - began))


async def _outcome(call: Any) -> AuthError:
    """How a call ended, once it has; good ones with Code.OK."""
    code = Code((await call.code()).value[0])
    if code is not Code.UNAUTHENTICATED:
        return AuthError(code, "", "")
    return auth_error(code, await call.details() or "", await call.trailing_metadata() or ())


async def _first(call: Any) -> Any:
    try:
        return await call.read()
    except asyncio.CancelledError:
        call.cancel()
        raise


async def _from(answer: Any, call: Any) -> AsyncIterator[Any]:
    while answer is not grpc.aio.EOF:
        yield answer
        answer = await call.read()
