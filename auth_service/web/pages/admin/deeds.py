"""What is done to a person: each deed is a page that says what will happen, and does it when that is confirmed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from auth_service.web.methods import Answer
from auth_service.web.pages.admin import offers
from auth_service.web.pages.admin.sections import endpoint, every_role
from auth_service.web.pages.forms import mistyped
from auth_service.web.pages.site import Site
from auth_service.web.pages.visits import Handler, Visit


@dataclass(frozen=True, slots=True)
class Deed:
    """`fields` are the method's, beside `user_id`. `says` are the sentences on the page; `{name}` is the person's."""

    name: str
    method: str
    title: str
    says: tuple[str, ...]
    button: str
    done: str
    fields: Callable[[Visit], Mapping[str, Any]] = lambda _visit: {}
    is_danger: bool = True
    asks_reason: bool = False
    leaves_person: bool = True


DEEDS = (
    Deed(
        "disable",
        "UserService/DisableUser",
        "Disable {name}?",
        (
            "Every session of {name} ends at once, and no sign-in succeeds until somebody enables the account again.",
            "Nothing is deleted: roles, address and history stay.",
        ),
        "Disable",
        "{name} is disabled.",
        fields=lambda visit: {"reason": visit.form["reason"]},
        asks_reason=True,
    ),
    Deed(
        "enable",
        "UserService/EnableUser",
        "Enable {name}?",
        ("{name} may sign in again. Failed attempts are forgotten.",),
        "Enable",
        "{name} is enabled.",
        is_danger=False,
    ),
    Deed(
        "sessions",
        "UserService/EndUserSessions",
        "End every session of {name}?",
        ("{name} has to sign in again, everywhere.",),
        "End them",
        "Every session of {name} has ended.",
    ),
    Deed(
        "delete",
        "UserService/DeleteUser",
        "Delete {name}?",
        (
            "Every session of {name} ends at once, and nobody signs in to this account any more.",
            "The user name and the verified address stay reserved. There is no way back; the rest may be erased.",
        ),
        "Delete",
        "{name} is deleted.",
    ),
    Deed(
        "purge",
        "UserService/PurgeUser",
        "Erase {name}?",
        (
            "Everything that is known about {name} is erased. In the audit log an id and network addresses are left.",
            "The user name and the address become free for others. There is no way back.",
        ),
        "Erase for good",
        "{name} is erased.",
        leaves_person=False,
    ),
)


def routes(site: Site, path: str) -> list[Route]:
    """Below `path`, which is where people are."""

    def route(tail: str, handler: Handler) -> Route:
        return Route(f"{path}/{{user_id}}/{tail}", endpoint(site, handler), methods=["GET", "POST"])

    return [
        *(route(each.name, _confirmed(each, path)) for each in DEEDS),
        route("sessions/{session_id}/end", _session_ended(path)),
        route("roles/{role}/revoke", _revoked(path)),
        route("roles", _granted(path)),
        route("password", _password(path)),
    ]


def _confirmed(deed: Deed, path: str) -> Handler:
    async def handler(visit: Visit) -> Response:
        person = await _person(visit)
        refused = None
        if visit.is_post:
            refused = await visit.change(deed.method, user_id=person.user_id, **deed.fields(visit))
            if refused.code == "ok":
                onward = f"{path}/{person.user_id}" if deed.leaves_person else path
                return visit.done(onward, deed.done.format(name=person.username))
        return await _ask(
            visit,
            person,
            path,
            refused=refused,
            title=deed.title.format(name=person.username),
            says=[each.format(name=person.username) for each in deed.says],
            button=deed.button,
            is_danger=deed.is_danger,
            asks_reason=deed.asks_reason,
            is_allowed=deed.name in offers.deeds(visit.me, person) or visit.is_post,
        )

    return handler


def _session_ended(path: str) -> Handler:
    async def handler(visit: Visit) -> Response:
        person = await _person(visit)
        refused = None
        if visit.is_post:
            refused = await visit.change(
                "UserService/EndUserSessions", user_id=person.user_id, session_id=visit.path("session_id")
            )
            if refused.code == "ok":
                return visit.done(f"{path}/{person.user_id}", "The session has ended.")
        says = ["Whoever uses it has to sign in again. Other sessions go on."]
        return await _ask(visit, person, path, refused, title="End this session?", says=says, button="End it")

    return handler


def _revoked(path: str) -> Handler:
    async def handler(visit: Visit) -> Response:
        person, role = await _person(visit), visit.path("role")
        refused = None
        ends_sessions = bool(visit.form["end_sessions"])
        if visit.is_post:
            refused = await visit.change(
                "RoleService/RevokeRole", user_id=person.user_id, role=role, end_sessions=ends_sessions
            )
            if refused.code == "ok":
                return visit.done(f"{path}/{person.user_id}", f"{person.username} no longer has the role {role}.")
        says = [
            f"{person.username} may no longer do what the role allows: here at once, elsewhere with the next access"
            " token."
        ]
        title = f"Take the role {role} from {person.username}?"
        box = {
            "name": "end_sessions",
            "label": "End every session too",
            "hint": f"Then it counts within a second elsewhere as well, and {person.username} has to sign in again.",
            "is_ticked": ends_sessions,
        }
        return await _ask(visit, person, path, refused, title=title, says=says, box=box, button="Take it away")

    return handler


def _granted(path: str) -> Handler:
    async def handler(visit: Visit) -> Response:
        person = await _person(visit)
        refused = None
        if visit.is_post:
            refused = await visit.change("RoleService/GrantRole", user_id=person.user_id, role=visit.form["role"])
            if refused.code == "ok":
                said = f"{person.username} has the role {visit.form['role']}."
                return visit.done(f"{path}/{person.user_id}", said)
        grantable = offers.grantable(visit.me, await every_role(visit))
        to_grant = [each for each in grantable if each.name not in person.roles]
        return await visit.page(
            "admin/grant.html", refused=refused, person=person, to_grant=to_grant, role=visit.form["role"]
        )

    return handler


def _password(path: str) -> Handler:
    async def handler(visit: Visit) -> Response:
        person = await _person(visit)
        refused: Answer | None = None
        if visit.is_post:
            refused = mistyped("new_password", "Expected the same twice.")
            if visit.form["new_password"] == visit.form["password_again"]:
                refused = await visit.change(
                    "UserService/SetPassword",
                    user_id=person.user_id,
                    new_password=visit.form["new_password"],
                    must_change_password=bool(visit.form["must_change_password"]),
                )
            if refused.code == "ok":
                return visit.done(f"{path}/{person.user_id}", f"{person.username} has a new password.")
        return await visit.page(
            "admin/person_password.html",
            refused=refused,
            person=person,
            must_change=not visit.is_post or bool(visit.form["must_change_password"]),
        )

    return handler


async def _person(visit: Visit) -> Any:
    return (await visit.read("UserService/GetUser", user_id=visit.path("user_id"))).user


async def _ask(
    visit: Visit, person: Any, path: str, refused: Answer | None, *, is_allowed: bool = True, **values: Any
) -> Response:
    if not is_allowed:
        return await visit.error(403, "Your level, or the state of this account, does not allow this.")
    texts = {
        "is_danger": True,
        "asks_reason": False,
        "reason": visit.form["reason"],
        "back": f"{path}/{person.user_id}",
    }
    return await visit.page("admin/confirm.html", refused=refused, **(texts | values))
