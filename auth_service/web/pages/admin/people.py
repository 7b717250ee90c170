"""People: found, made, shown and changed. What is done to one of them besides is in `deeds`."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from auth_service.web.methods import Answer
from auth_service.web.pages.admin import audit, deeds, offers
from auth_service.web.pages.admin.sections import endpoint, every_role, query_of
from auth_service.web.pages.forms import mistyped
from auth_service.web.pages.site import Section, Site
from auth_service.web.pages.visits import WEAKEST_ADMINISTRATOR, Visit

PATH = "/admin/people"
PEOPLE_ON_A_PAGE = 50
MOST_SESSIONS, MOST_EVENTS = 50, 10
_FILTERS = ("name", "email", "role", "state")


def routes(site: Site) -> Sequence[BaseRoute]:
    return [
        Route(PATH, endpoint(site, _list)),
        Route(f"{PATH}/new", endpoint(site, _new), methods=["GET", "POST"]),
        Route(f"{PATH}/{{user_id}}", endpoint(site, _show)),
        Route(f"{PATH}/{{user_id}}/edit", endpoint(site, _edit), methods=["GET", "POST"]),
        *deeds.routes(site, PATH),
    ]


async def _list(visit: Visit) -> Response:
    asked = {name: visit.query(name) for name in _FILTERS}
    answer = await visit.page_of(
        "UserService/ListUsers",
        page_size=PEOPLE_ON_A_PAGE,
        username_prefix=asked["name"],
        email_prefix=asked["email"],
        role=asked["role"],
        state=int(asked["state"]) if asked["state"] in ("1", "2", "3") else 0,
    )
    listed = answer.response
    return await visit.page(
        "admin/people.html",
        refused=answer if answer.code != "ok" else None,
        people=listed.users if listed else [],
        next_page=query_of(**asked, page=listed.next_page_token) if listed and listed.next_page_token else "",
        is_first=not visit.query("page"),
        first_page=query_of(**asked),
        roles=await every_role(visit),
        asked=asked,
        is_filtered=any(asked.values()),
    )


async def _show(visit: Visit) -> Response:
    user_id = visit.path("user_id")
    person = (await visit.read("UserService/GetUser", user_id=user_id)).user
    sessions = await visit.read("UserService/ListUserSessions", user_id=user_id, page_size=MOST_SESSIONS)
    # The log is for the strongest only.
    events = await visit.answer("AuditService/ListAuditEvents", subject_id=user_id, page_size=MOST_EVENTS)
    grantable = offers.grantable(visit.me, await every_role(visit))
    return await visit.page(
        "admin/person.html",
        person=person,
        may=offers.deeds(visit.me, person),
        revocable={each.name for each in grantable},
        to_grant=[each for each in grantable if each.name not in person.roles],
        sessions=sessions.sessions,
        has_more_sessions=bool(sessions.next_page_token),
        events=await audit.shown(visit, events.response.events) if events.code == "ok" else None,
    )


async def _new(visit: Visit) -> Response:
    grantable = offers.grantable(visit.me, await every_role(visit))
    refused: Answer | None = None
    if visit.is_post:
        form = visit.form
        refused = mistyped("password", "Expected the same twice.")
        if form["password"] == form["password_again"]:
            refused = await _created(visit)
        if refused.code == "ok":
            made = refused.response.user
            return visit.done(f"{PATH}/{made.user_id}", f"The account of {made.username} is made.")
    typed = visit.form if visit.is_post else {"must_change_password": "yes"}
    ticked = frozenset(visit.form.all_of("roles"))
    return await visit.page(
        "admin/person_new.html", refused=refused, typed=_texts(typed), ticked=ticked, grantable=grantable
    )


async def _created(visit: Visit) -> Answer:
    form = visit.form
    number = form["user_number"].strip()
    if number and not _is_number(number):
        return mistyped("user_number", "Expected a whole number.")
    return await visit.change(
        "UserService/CreateUser",
        username=form["username"],
        password=form["password"],
        display_name=form["display_name"],
        email=form["email"],
        email_verified=bool(form["email_verified"]),
        roles=form.all_of("roles"),
        must_change_password=bool(form["must_change_password"]) and bool(form["password"]),
        **({"user_number": int(number)} if number else {}),
    )


async def _edit(visit: Visit) -> Response:
    user_id = visit.path("user_id")
    person = (await visit.read("UserService/GetUser", user_id=user_id)).user
    refused: Answer | None = None
    if visit.is_post:
        refused = await _changed(visit, person)
        if refused is None or refused.code == "ok":
            return visit.done(f"{PATH}/{user_id}", "Saved." if refused else "Nothing was changed.")
    shown = _as_typed(person)
    typed = visit.form if visit.is_post else shown
    is_self = person.user_id == visit.me.user_id
    return await visit.page(
        "admin/person_edit.html",
        refused=refused,
        person=person,
        typed=_texts(typed),
        was={name: visit.form[f"was_{name}"] for name in shown} if visit.is_post else shown,
        fields=_editable(visit, person),
        is_self=is_self,
    )


async def _changed(visit: Visit, person: Any) -> Answer | None:
    """What the method says; None if nothing differs from what is there."""
    # Against what the form showed: what somebody else changed meanwhile stays.
    before = {name: visit.form[f"was_{name}"] for name in _as_typed(person)}
    wanted = {name: visit.form[name].strip() for name in _editable(visit, person)}
    differing = {name: value for name, value in wanted.items() if value != before[name]}
    if not differing:
        return None
    number = differing.get("user_number", "")
    if number and not _is_number(number):
        return mistyped("user_number", "Expected a whole number, or nothing.")
    values: dict[str, Any] = {name: value for name, value in differing.items() if name != "user_number"}
    values |= {name: bool(values[name]) for name in ("email_verified", "must_change_password") if name in values}
    values |= {"user_number": int(number)} if number else {}
    return await visit.change(
        "UserService/UpdateUser",
        user={"user_id": person.user_id, **values},
        update_mask={"paths": sorted(differing)},
    )


def _editable(visit: Visit, person: Any) -> tuple[str, ...]:
    """Fields that the caller may change of this person."""
    is_local, is_below = person.provider == "local", person.level > visit.me.level
    return (
        *(("username", "display_name") if is_local else ()),
        *(("email", "email_verified") if is_below else ()),
        *(("must_change_password",) if is_local and is_below else ()),
        *(("user_number",) if is_local and visit.me.level == offers.STRONGEST and is_below else ()),
    )


def _as_typed(person: Any) -> Mapping[str, str]:
    return {
        "username": person.username,
        "display_name": person.display_name,
        "email": person.email,
        "email_verified": "yes" if person.email_verified else "",
        "must_change_password": "yes" if person.must_change_password else "",
        "user_number": str(person.user_number) if person.HasField("user_number") else "",
    }


def _texts(typed: Mapping[str, str]) -> Mapping[str, str]:
    """Of every field, so that templates need not ask whether it is there; never a password."""
    names = ("username", "display_name", "email", "email_verified", "must_change_password", "user_number")
    return {name: typed.get(name, "") for name in names}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


SECTION = Section(PATH, "People", WEAKEST_ADMINISTRATOR, routes)
