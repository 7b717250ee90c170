"""Finds the route of a request by its path. Starlette asks one route after another, and there are many here."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send


class ByPath(Router):
    """A route whose path has no parameters is looked up, and comes before those that have some."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        # Not to another address, which would be made of whatever Host the caller sent.
        super().__init__(routes, redirect_slashes=False)
        self._known: dict[str, list[Route]] = defaultdict(list)
        for route in routes:
            if isinstance(route, Route) and not route.param_convertors:
                self._known[route.path].append(route)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises HTTPException for a method that none of the path's routes takes, and a path that has two readings."""
        if b"%2f" in scope["raw_path"].lower():
            # It is a slash here, and was none to a gateway that looked whether strangers may have what is behind it.
            raise HTTPException(404)
        known = self._known.get(scope["path"])
        if known is None:
            await super().app(scope, receive, send)
            return
        for route in known:
            if route.methods is None or scope["method"] in route.methods:
                scope.update(router=self, route=route, endpoint=route.endpoint, path_params={})
                await route.app(scope, receive, send)
                return
        allowed = sorted(set(chain.from_iterable(route.methods or () for route in known)))
        raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
