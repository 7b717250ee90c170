"""Lets through whom the permission table lets through. Deny by default: no row, no answer."""

from collections.abc import Mapping

from auth_service.domain.policy import Right, check_right
from auth_service.rpc.call import Context, Handler, Interceptor, current
from auth_service.usecases.verification import Verification


def permission(permissions: Mapping[str, Right], verification: Verification) -> Interceptor:
    """Finds out who calls, where the method's row asks, from one `authorization` value and nothing else."""

    def guarded(method: str, handler: Handler) -> Handler:
        right = permissions[method]
        if right == "public":
            return handler

        async def answer(request: object, context: Context) -> object:
            metadata = context.invocation_metadata() or ()
            given = tuple(str(value) for key, value in metadata if key == "authorization")
            caller = verification.caller(given)
            current.get().caller = caller
            check_right(right, caller)
            return await handler(request, context)

        return answer

    return guarded
