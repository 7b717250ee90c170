"""What the parts of the admin page share."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from auth_service.web.pages.site import Endpoint, Site
from auth_service.web.pages.visits import WEAKEST_ADMINISTRATOR, Handler, Visit, signed_in

MOST_ROLES = 1000


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
