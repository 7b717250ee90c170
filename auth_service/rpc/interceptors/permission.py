"""Lets through whom the permission table lets through. Deny by default: no row, no answer."""

from collections.abc import Awaitable, Callable, Mapping

from auth_service.domain.errors import PermissionDenied
from auth_service.domain.policy import Caller, PersonCalling, Right
from auth_service.rpc.call import Context, Handler, Interceptor, current

KnownCaller = Callable[[tuple[str, ...]], Awaitable[Caller]]
"""Who sent these `authorization` values. Raises CredentialsMissing, CredentialsInvalid, AccessTokenRefused."""
LevelOf = Callable[[PersonCalling], Awaitable[int]]
"""The person's level now, from the database."""


def permission(permissions: Mapping[str, Right], *, known_caller: KnownCaller, level_of: LevelOf) -> Interceptor:
    """Finds out who calls, where the method's row asks, from one `authorization` value and nothing else."""

    def guarded(method: str, handler: Handler) -> Handler:
        right = permissions[method]
        if right.is_public:
            return handler

        async def answer(request: object, context: Context) -> object:
            metadata = context.invocation_metadata() or ()
            given = tuple(str(value) for key, value in metadata if key == "authorization")
            caller = await known_caller(given)
            current.get().caller = caller
            if not right.admits(caller, named=_named(request, right)):
                await _check_level(right, caller)
            return await handler(request, context)

        return answer

    async def _check_level(right: Right, caller: Caller) -> None:
        if isinstance(caller, PersonCalling) and right.level is not None and await level_of(caller) <= right.level:
            return
        raise PermissionDenied(right.expectation)

    return guarded


def _named(request: object, right: Right) -> object:
    return getattr(request, right.self_field, None) if right.self_field else None
