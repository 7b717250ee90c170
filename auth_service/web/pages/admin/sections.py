"""A part of the admin page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute

from auth_service.web.pages.site import Site


@dataclass(frozen=True, slots=True)
class Section:
    """`level` is the weakest that sees it. `routes` has every path that begins with `path`."""

    path: str
    title: str
    level: int
    routes: Callable[[Site], Sequence[BaseRoute]]
