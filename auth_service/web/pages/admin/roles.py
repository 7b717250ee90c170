"""Roles and their levels: listed, made, changed and deleted; and who has one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from auth_service.web.methods import Answer
from auth_service.web.pages.admin import offers
from auth_service.web.pages.admin.sections import endpoint, query_of
from auth_service.web.pages.forms import mistyped
from auth_service.web.pages.site import Section, Site
from auth_service.web.pages.visits import WEAKEST_ADMINISTRATOR, Visit

PATH = "/admin/roles"
ROLES_ON_A_PAGE = 200
BEARERS_ON_A_PAGE = 50


def routes(site: Site) -> Sequence[BaseRoute]:
    return [
        Route(PATH, endpoint(site, _list)),
        Route(f"{PATH}/new", endpoint(site, _new), methods=["GET", "POST"]),
        Route(f"{PATH}/{{name}}", endpoint(site, _show)),
        Route(f"{PATH}/{{name}}/edit", endpoint(site, _edit), methods=["GET", "POST"]),
        Route(f"{PATH}/{{name}}/delete", endpoint(site, _delete), methods=["GET", "POST"]),
    ]


async def _list(visit: Visit) -> Response:
    listed = await visit.read("RoleService/ListRoles", page_size=ROLES_ON_A_PAGE, page_token=visit.query("page"))
    return await visit.page(
        "admin/roles.html",
        roles=listed.roles,
        next_page=query_of(page=listed.next_page_token),
        is_first=not visit.query("page"),
    )


async def _show(visit: Visit) -> Response:
    role = await _role(visit)
    users, next_token = ((), "") if role.name in offers.FOLLOWING else await _bearers(visit, role)
    return await visit.page(
        "admin/role.html",
        role=role,
        may_change=_may_change(visit, role),
        bearers=users,
        next_page=query_of(page=next_token),
        is_first=not visit.query("page"),
    )


async def _bearers(visit: Visit, role: Any) -> tuple[Sequence[Any], str]:
    """A page of them, and the token of the next one."""
    listed = await visit.read(
        "RoleService/ListRoleUsers", name=role.name, page_size=BEARERS_ON_A_PAGE, page_token=visit.query("page")
    )
    return listed.users, listed.next_page_token


async def _new(visit: Visit) -> Response:
    refused: Answer | None = None
    if visit.is_post:
        refused = await _with_level(visit, "RoleService/CreateRole", _created)
        if refused.code == "ok":
            name = refused.response.role.name
            return visit.done(f"{PATH}/{name}", f"The role {name} is made.")
    typed = {name: visit.form[name] for name in ("name", "level", "description")}
    return await visit.page("admin/role_form.html", refused=refused, role=None, typed=typed)


async def _edit(visit: Visit) -> Response:
    role = await _role(visit)
    if not _may_change(visit, role):
        return await visit.error(403, f"The role {role.name} is built in, or not below you.")
    refused: Answer | None = None
    if visit.is_post:
        refused = await _with_level(visit, "RoleService/UpdateRole", lambda form: _changed(role.name, form))
        if refused.code == "ok":
            return visit.done(f"{PATH}/{role.name}", "Saved.")
    typed = {"name": role.name, "level": str(role.level), "description": role.description}
    if visit.is_post:
        typed |= {name: visit.form[name] for name in ("level", "description")}
    return await visit.page("admin/role_form.html", refused=refused, role=role, typed=typed)


async def _delete(visit: Visit) -> Response:
    role = await _role(visit)
    if not _may_change(visit, role):
        return await visit.error(403, f"The role {role.name} is built in, or not below you.")
    refused = None
    if visit.is_post:
        refused = await visit.change("RoleService/DeleteRole", name=role.name)
        if refused.code == "ok":
            return visit.done(PATH, f"The role {role.name} is deleted.")
    return await visit.page(
        "admin/confirm.html",
        refused=refused,
        title=f"Delete the role {role.name}?",
        says=["It can be deleted once nobody has it. Policies that name it let nobody in by it any more."],
        button="Delete",
        is_danger=True,
        asks_reason=False,
        back=f"{PATH}/{role.name}",
    )


async def _role(visit: Visit) -> Any:
    return (await visit.read("RoleService/GetRole", name=visit.path("name"))).role


def _may_change(visit: Visit, role: Any) -> bool:
    return not role.built_in and role.level > visit.me.level


async def _with_level(visit: Visit, method: str, fields: Callable[[Mapping[str, str]], Mapping[str, Any]]) -> Answer:
    level = visit.form["level"].strip()
    if not (level.isascii() and level.isdigit() and len(level) <= 4):
        return mistyped("level", "Expected a whole number, 0 to 1000.")
    return await visit.change(method, **fields(visit.form))


def _created(form: Mapping[str, str]) -> Mapping[str, Any]:
    return {"name": form["name"].strip(), "level": int(form["level"]), "description": form["description"]}


def _changed(name: str, form: Mapping[str, str]) -> Mapping[str, Any]:
    role = {"name": name, "level": int(form["level"]), "description": form["description"]}
    return {"role": role, "update_mask": {"paths": ["level", "description"]}}


SECTION = Section(PATH, "Roles", WEAKEST_ADMINISTRATOR, routes)
