"""Refuses a caller, or everybody, who asks a route too often. Methods have limits already, however they are asked."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from auth_service.domain.addresses import Network
from auth_service.domain.rates import Rate
from auth_service.usecases.rate_limits import RateLimits
from auth_service.web.peers import address_of


class UnknownRoute(RuntimeError):
    """A limit is for a path that is not served, or that is answered at any time."""


def limited(
    routes: Sequence[BaseRoute], limits: RateLimits, *, always: Sequence[str], trusted_proxies: Sequence[Network] = ()
) -> list[BaseRoute]:
    """`routes`, those counted whose path a limit names.

    Raises UnknownRoute. What is `always` answered has no limits: verifiers must get the key set.
    """

    def counted(route: Route, rates: Sequence[Rate]) -> Route:
        answer: Any = route.endpoint

        async def unless_too_often(request: Request) -> Response:
            limits.check(rates, address=address_of(request, trusted_proxies=trusted_proxies))
            response: Response = await answer(request)
            return response

        return Route(route.path, unless_too_often, methods=sorted(route.methods or ()), name=route.name)

    may_be = {route.path: limits.of(route.path) for route in routes if isinstance(route, Route)}
    if unknown := sorted({rate.method for rate in limits.rates if rate.is_of_route} - (may_be.keys() - set(always))):
        raise UnknownRoute(f"AUTH_RATE_LIMITS: there is no path {', '.join(unknown)} that may be limited")
    return [
        counted(route, may_be[route.path]) if isinstance(route, Route) and may_be[route.path] else route
        for route in routes
    ]
