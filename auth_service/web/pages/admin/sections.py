"""A part of the admin page, and what the parts share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.routing import BaseRoute

from auth_service.web.pages.guests import Endpoint
from auth_service.web.pages.site import Site
from auth_service.web.pages.visits import WEAKEST_ADMINISTRATOR, Handler, Visit, signed_in

MOST_ROLES = 1000


@dataclass(frozen=True, slots=True)
class Section:
    """`level` is the weakest that sees it. `routes` has every path that begins with `path`."""

    path: str
    title: str
    level: int
    routes: Callable[[Site], Sequence[BaseRoute]]


def endpoint(site: Site, handler: Handler, *, level: int = WEAKEST_ADMINISTRATOR) -> Endpoint:
    """`handler` for administrators of `level` or stronger."""
    return signed_in(site, handler, level=level)


async def every_role(visit: Visit) -> Sequence[Any]:
    """Strongest first. No two have one level, so only the weakest may be left out: `user`, which nobody grants."""
    roles: Sequence[Any] = (await visit.read("RoleService/ListRoles", page_size=MOST_ROLES)).roles
    return roles


def query_of(**values: str) -> str:
    """`?name=value&…` of those that are not empty; empty where all are."""
    text = urlencode({name: value for name, value in values.items() if value})
    return f"?{text}" if text else ""
