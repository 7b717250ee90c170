"""Refuses a caller, or everybody, who calls a method too often."""

from auth_service.domain.rates import of_nothing
from auth_service.rpc.call import Context, Handler, Interceptor, current
from auth_service.usecases.rate_limits import RateLimits


class UnknownMethod(RuntimeError):
    """A limit is for a method that is not served."""


def rate_limit(limits: RateLimits, served: tuple[str, ...]) -> Interceptor:
    """Raises UnknownMethod unless each limit is for something of `served`."""
    if unknown := of_nothing((each for each in limits.rates if not each.is_of_route), served):
        raise UnknownMethod(f"AUTH_RATE_LIMITS: there is no method {', '.join(unknown)}")

    def limited(method: str, handler: Handler) -> Handler:
        rates = limits.of(method)
        if not rates:
            return handler

        async def answer(request: object, context: Context) -> object:
            limits.check(rates, address=current.get().address)
            return await handler(request, context)

        return answer

    return limited
