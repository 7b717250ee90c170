"""The two notices about maintenance that web pages show above everything else."""

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from auth_service.web.methods import Answer
from auth_service.web.pages.admin.sections import endpoint
from auth_service.web.pages.site import Section, Site
from auth_service.web.pages.visits import WEAKEST_ADMINISTRATOR, Visit

PATH = "/admin/maintenance"
_KINDS = {"maintenance": "There is maintenance now", "scheduled_maintenance": "There will be maintenance"}
"""By the names of the fields of GetNotices."""


def routes(site: Site) -> Sequence[BaseRoute]:
    return [
        Route(PATH, endpoint(site, _notices)),
        Route(f"{PATH}/{{kind}}", endpoint(site, _set), methods=["GET", "POST"]),
    ]


async def _notices(visit: Visit) -> Response:
    return await _page(visit)


async def _set(visit: Visit) -> Response:
    kind = visit.path("kind")
    if kind not in _KINDS:
        return await visit.error(404)
    if not visit.is_post:
        # Whoever had to sign in meanwhile comes back to where their form went.
        return visit.site.redirect(PATH)
    is_shown = visit.form["show"] == "yes"
    answer = await visit.change(
        "MaintenanceService/SetNotice",
        kind=f"NOTICE_KIND_{kind.upper()}",
        show=is_shown,
        message=visit.form[f"{kind}_message"].strip(),
    )
    if answer.code != "ok":
        return await _page(visit, refused=answer, of=kind)
    return visit.done(PATH, f"“{_KINDS[kind]}” is {'shown from now on' if is_shown else 'not shown'}.")


async def _page(visit: Visit, *, refused: Answer | None = None, of: str = "") -> Response:
    """`of` is the notice that was refused: its form is shown as it was sent."""
    told = await visit.read("MaintenanceService/GetNotices")
    notices = [(kind, title, getattr(told, kind)) for kind, title in _KINDS.items()]
    return await visit.page("admin/maintenance.html", refused=refused, notices=notices, form=visit.form, of=of)


SECTION = Section(PATH, "Maintenance", WEAKEST_ADMINISTRATOR, routes)
