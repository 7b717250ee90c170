"""Lets through whom the permission table lets through. Deny by default: no row, no answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from auth_service.domain.errors import PermissionDenied, Unavailable
from auth_service.domain.policy import Caller, PersonCalling, Right
from auth_service.rpc.call import Context, Handler, Interceptor, current

KnownCaller = Callable[[tuple[str, ...]], Awaitable[Caller]]
"""Who sent these `authorization` values. Raises CredentialsMissing, CredentialsInvalid, AccessTokenRefused."""
LevelOf = Callable[[PersonCalling], Awaitable[int]]
"""The person's level now, from the database."""


def permission(
    permissions: Mapping[str, Right],
    *,
    known_caller: KnownCaller,
    level_of: LevelOf,
    again_every: timedelta | None = None,
) -> Interceptor:
    """Finds out who calls, where the method's row asks, from one `authorization` value and nothing else.

    For streams: asks `again_every` so often, and ends the stream of a caller who may no longer listen.
    """

    def guarded(method: str, handler: Handler) -> Handler:
        right = permissions[method]
        if right.is_public:
            return handler

        async def answer(request: object, context: Context) -> object:
            await check(right, request, context)
            return await handler(request, context)

        async def lasting(request: object, context: Context) -> None:
            await check(right, request, context)
            await _first_of(handler(request, context), check_again(right, request, context))

        return answer if again_every is None else lasting

    async def check(right: Right, request: object, context: Context) -> None:
        metadata = context.invocation_metadata() or ()
        given = tuple(str(value) for key, value in metadata if key == "authorization")
        caller = await known_caller(given)
        current.get().caller = caller
        if not right.admits(caller, named=_named(request, right)):
            await _check_level(right, caller)

    async def check_again(right: Right, request: object, context: Context) -> None:
        assert again_every is not None
        while True:
            await asyncio.sleep(again_every.total_seconds())
            try:
                await check(right, request, context)
            except Unavailable:
                # Nobody can be asked at the moment; the stream itself may go on for as long as it has something to say.
                continue

    async def _check_level(right: Right, caller: Caller) -> None:
        if isinstance(caller, PersonCalling) and right.level is not None and await level_of(caller) <= right.level:
            return
        raise PermissionDenied(right.expectation)

    return guarded


def _named(request: object, right: Right) -> object:
    return getattr(request, right.self_field, None) if right.self_field else None


async def _first_of(*turns: Awaitable[Any]) -> None:
    """Until the first of `turns` is over; the others are cancelled. Raises what it raised."""
    tasks = [asyncio.ensure_future(turn) for turn in turns]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
