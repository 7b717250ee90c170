"""People: found, made, changed, locked out, deleted and erased."""

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from auth_service.web.pages.admin.sections import Section
from auth_service.web.pages.site import Site
from auth_service.web.pages.visits import WEAKEST_ADMINISTRATOR, Visit, signed_in

PATH = "/admin/people"


def routes(site: Site) -> Sequence[BaseRoute]:
    return [Route(PATH, signed_in(site, _list, level=WEAKEST_ADMINISTRATOR))]


async def _list(visit: Visit) -> Response:
    listed = await visit.read("UserService/ListUsers", page_size=50, page_token=visit.query("page"))
    return await visit.page("admin/people.html", people=listed.users)


SECTION = Section(PATH, "People", WEAKEST_ADMINISTRATOR, routes)
