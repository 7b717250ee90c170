"""A person's own account: who they are here, where they are signed in, their address and their password."""

from starlette.responses import Response
from starlette.routing import Route

from auth_service.web.methods import Answer
from auth_service.web.pages.site import Site
from auth_service.web.pages.visits import Visit, signed_in

ACCOUNT = "/account"
_MOST_SESSIONS = 100


def routes(site: Site) -> list[Route]:
    return [
        Route(ACCOUNT, signed_in(site, _account)),
        Route(f"{ACCOUNT}/name", signed_in(site, _name), methods=["GET", "POST"]),
        Route(f"{ACCOUNT}/email", signed_in(site, _email), methods=["GET", "POST"]),
        Route(f"{ACCOUNT}/password", signed_in(site, _password), methods=["GET", "POST"]),
        Route(f"{ACCOUNT}/sessions/end", signed_in(site, _end_others), methods=["GET", "POST"]),
        Route(f"{ACCOUNT}/sessions/{{session_id}}/end", signed_in(site, _end), methods=["GET", "POST"]),
    ]


async def _account(visit: Visit) -> Response:
    listed = await visit.read("UserService/ListMySessions", page_size=_MOST_SESSIONS)
    return await visit.page("account.html", sessions=listed.sessions)


async def _name(visit: Visit) -> Response:
    refused = None
    if visit.is_post:
        name = visit.form["display_name"]
        refused = await visit.change(
            "UserService/UpdateMe", user={"display_name": name}, update_mask={"paths": ["display_name"]}
        )
        if refused.code == "ok":
            return visit.done(ACCOUNT, "Your name is changed.")
    typed = visit.form["display_name"] if visit.is_post else visit.me.display_name
    return await visit.page("account_name.html", refused=refused, display_name=typed)


async def _email(visit: Visit) -> Response:
    refused: Answer | None = None
    if visit.is_post:
        refused = await visit.change(
            "UserService/UpdateMe",
            user={"email": visit.form["email"].strip()},
            update_mask={"paths": ["email"]},
            current_password=visit.form["current_password"],
        )
        if refused.code == "ok":
            return visit.done(ACCOUNT, "Your address is changed. A mail asks you to show that it is yours.")
    typed = visit.form["email"] if visit.is_post else visit.me.email
    return await visit.page("account_email.html", refused=refused, email=typed, **_of_wrong_password(refused))


async def _password(visit: Visit) -> Response:
    refused: Answer | None = None
    if visit.is_post:
        refused = await visit.change(
            "UserService/ChangePassword",
            current_password=visit.form["current_password"],
            new_password=visit.form["new_password"],
        )
        if refused.code == "ok":
            return visit.done(ACCOUNT, "Your password is changed. Your other sessions have ended.")
    return await visit.page("account_password.html", refused=refused, **_of_wrong_password(refused))


async def _end_others(visit: Visit) -> Response:
    refused = None
    if visit.is_post:
        refused = await visit.change("UserService/EndMyOtherSessions")
        if refused.code == "ok":
            return visit.done(ACCOUNT, f"Ended: {refused.response.ended_sessions} other sessions.")
    return await visit.page("account_end.html", refused=refused, session_id="")


async def _end(visit: Visit) -> Response:
    session_id = visit.path("session_id")
    refused = None
    if visit.is_post:
        refused = await visit.change("UserService/EndMySession", session_id=session_id)
        if refused.code in ("ok", "not_found"):
            return visit.done(ACCOUNT, "The session has ended.")
    return await visit.page("account_end.html", refused=refused, session_id=session_id)


def _of_wrong_password(refused: Answer | None) -> dict[str, str]:
    is_wrong = refused is not None and refused.reason == "BAD_CREDENTIALS"
    return {"refusal": "Your present password is wrong."} if is_wrong else {}
