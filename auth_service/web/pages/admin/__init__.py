"""The admin page: `/admin`, for people with a role of level 100 or stronger. Its parts are in `SECTIONS`."""

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from auth_service.web.pages.admin import people, roles, service_accounts, signing_keys
from auth_service.web.pages.admin.sections import Section
from auth_service.web.pages.site import Site
from auth_service.web.pages.visits import WEAKEST_ADMINISTRATOR, Visit, signed_in

SECTIONS: tuple[Section, ...] = (people.SECTION, roles.SECTION, service_accounts.SECTION, signing_keys.SECTION)
"""In the order of the navigation. One more is a line here, a module and its templates."""


def routes(site: Site) -> list[BaseRoute]:
    return [
        Route("/admin", signed_in(site, _first, level=WEAKEST_ADMINISTRATOR)),
        *(route for section in SECTIONS for route in section.routes(site)),
    ]


async def _first(visit: Visit) -> Response:
    """To the first part that the caller may see."""
    return visit.site.redirect(next(each.path for each in SECTIONS if visit.me.level <= each.level))
