"""A person's own account: who they are here, where they are signed in, their address, their password, and its end.

A person of the facility has their name and password there. Pages that change those are no pages of theirs.
"""

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from auth_service.web.methods import Answer
from auth_service.web.pages.site import Site, is_over
from auth_service.web.pages.visits import Handler, Visit, signed_in

ACCOUNT = "/account"
_MOST_SESSIONS = 100


def routes(site: Site) -> list[Route]:
    return [
        Route(ACCOUNT, signed_in(site, _account)),
        Route(f"{ACCOUNT}/name", signed_in(site, _of_ours(_name)), methods=["GET", "POST"]),
        Route(f"{ACCOUNT}/email", signed_in(site, _of_ours(_email)), methods=["GET", "POST"]),
        Route(f"{ACCOUNT}/email/verify", signed_in(site, _verify), methods=["GET", "POST"]),
        Route(f"{ACCOUNT}/password", signed_in(site, _of_ours(_password)), methods=["GET", "POST"]),
        Route(f"{ACCOUNT}/delete", signed_in(site, _delete), methods=["GET", "POST"]),
        Route(f"{ACCOUNT}/sessions/end", signed_in(site, _end_others), methods=["GET", "POST"]),
        Route(f"{ACCOUNT}/sessions/{{session_id}}/end", signed_in(site, _end), methods=["GET", "POST"]),
    ]


async def _account(visit: Visit) -> Response:
    listed = await visit.read("UserService/ListMySessions", page_size=_MOST_SESSIONS)
    return await visit.page("account.html", sessions=listed.sessions, has_more_sessions=bool(listed.next_page_token))


def _of_ours(handler: Handler) -> Handler:
    async def unless_kept_elsewhere(visit: Visit) -> Response:
        if visit.me.provider != "local":
            return await visit.error(403, "Your name and your password are not kept here: change them where they are.")
        return await handler(visit)

    return unless_kept_elsewhere


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
            return visit.done(ACCOUNT, _said_of_email(visit, refused.response.user))
    typed = visit.form["email"] if visit.is_post else visit.me.email
    return await visit.page("account_email.html", refused=refused, email=typed, **_of_wrong_password(refused))


def _said_of_email(visit: Visit, changed: Any) -> str:
    if not changed.email:
        return "You have no address any more." if visit.me.email else "You have no address."
    if changed.email == visit.me.email:
        return "That was your address already."
    return "Your address is changed." + (" A mail asks you to show that it is yours." if visit.site.sends_mail else "")


async def _verify(visit: Visit) -> Response:
    if not visit.me.email or visit.me.email_verified:
        return visit.done(ACCOUNT, "There is no address to verify.")
    if not visit.site.sends_mail:
        return await visit.error(404, "This service sends no mail, so it verifies no address.")
    refused = None
    if visit.is_post:
        refused = await visit.change("UserService/RequestEmailVerification", email=visit.me.email)
        if refused.code == "ok":
            return visit.done(ACCOUNT, f"A mail to {visit.me.email} is on its way. It may take a few minutes.")
    return await visit.page("account_verify.html", refused=refused)


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


async def _delete(visit: Visit) -> Response:
    refused: Answer | None = None
    if visit.is_post:
        refused = await visit.change("UserService/DeleteMe", password=visit.form["password"])
        if refused.code == "ok":
            return visit.left("deleted")
        if is_over(refused):
            # Pressed twice, most likely: what was sent first may have done it.
            return visit.left("signed-out")
    return await visit.page("account_delete.html", refused=refused, **_of_wrong_password(refused))


async def _end_others(visit: Visit) -> Response:
    refused = None
    if visit.is_post:
        refused = await visit.change("UserService/EndMyOtherSessions")
        if refused.code == "ok":
            ended = refused.response.ended_sessions
            return visit.done(ACCOUNT, f"{ended} other {'session has' if ended == 1 else 'sessions have'} ended.")
    return await visit.page("account_end.html", refused=refused, session_id="")


async def _end(visit: Visit) -> Response:
    session_id = visit.path("session_id")
    refused = None
    if visit.is_post:
        refused = await visit.change("UserService/EndMySession", session_id=session_id)
        if refused.code in ("ok", "not_found"):
            return visit.done(ACCOUNT, "The session has ended.")
        if refused.code == "invalid_argument":
            return await visit.error(404)
    return await visit.page("account_end.html", refused=refused, session_id=session_id)


def _of_wrong_password(refused: Answer | None) -> dict[str, str]:
    is_wrong = refused is not None and refused.reason == "BAD_CREDENTIALS"
    return {"refusal": "Your present password is wrong."} if is_wrong else {}
