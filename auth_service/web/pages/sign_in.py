"""Where people sign in and out, and where gateways send them to: `/sign-in?next=/where/they/wanted/to/go`.

A sign-in is a new session each time, so there is none that somebody could have planted.
"""

from urllib.parse import quote, urlsplit

from starlette.responses import Response
from starlette.routing import Route

from auth_service.domain.audit import Origin
from auth_service.domain.errors import AuthError
from auth_service.domain.next_address import safe_next
from auth_service.usecases.browser_sessions import Held
from auth_service.web.asking import ask_for
from auth_service.web.methods import Answer
from auth_service.web.pages.guests import Guest, open_to_all
from auth_service.web.pages.site import Site
from auth_service.web.pages.visits import Visit, signed_in
from auth_service.web.peers import origin_of
from auth_service.web.session import cookies_of

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"

_SAYS = {
    "BAD_CREDENTIALS": "User name or password is wrong.",
    # No mistake of theirs: the page says it as a next step.
    "PASSWORD_CHANGE_REQUIRED": "",
    "EMAIL_NOT_VERIFIED": "Please show first that your e-mail address is yours.",
}
"""By reason, where a method's own words are for programs."""


def routes(site: Site) -> list[Route]:
    return [
        Route(SIGN_IN, open_to_all(site, _sign_in), methods=["GET", "POST"]),
        Route(SIGN_OUT, signed_in(site, _sign_out), methods=["GET", "POST"]),
    ]


async def _sign_in(guest: Guest) -> Response:
    target = safe_next(guest.query("next"), origins=guest.site.next_origins, otherwise=guest.site.url("/account"))
    if not guest.is_post:
        held = await _held(guest)
        return await _page(guest, target, known_as=held.token.username if held else "", held=held)
    form = guest.form
    answer = await guest.change(
        "AuthService/Login",
        username=form["username"],
        password=form["password"],
        new_password=form["new_password"],
    )
    if answer.code != "ok":
        return await _page(guest, target, refused=answer)
    await _end_former(guest)
    response = guest.site.leave(target)
    for cookie in cookies_of(answer.response, guest.site.browsers.cookies):
        response.headers.append("Set-Cookie", cookie)
    return response


async def _page(
    guest: Guest, target: str, *, refused: Answer | None = None, known_as: str = "", held: Held | None = None
) -> Response:
    reason = refused.reason if refused is not None else ""
    values = {"refusal": _SAYS[reason]} if reason in _SAYS else {}
    parts = urlsplit(target)
    response = await guest.page(
        "sign_in.html",
        refused=refused,
        leads_to=f"{parts.scheme}://{parts.netloc}" if parts.netloc else "",
        action=f"{guest.site.url(SIGN_IN)}?next={quote(target, safe='')}",
        next=target,
        known_as=known_as,
        username=guest.form["username"],
        chooses_password=reason == "PASSWORD_CHANGE_REQUIRED" or bool(guest.form["new_password"]),
        needs_verification=reason == "EMAIL_NOT_VERIFIED",
        is_over=bool(guest.query("over")) and refused is None,
        is_signed_out=bool(guest.query("signed-out")) and refused is None and not known_as,
        is_deleted=bool(guest.query("deleted")) and refused is None and not known_as,
        **values,
    )
    for cookie in held.set_cookies if held else ():
        response.headers.append("Set-Cookie", cookie)
    return response


async def _held(guest: Guest) -> Held | None:
    """The session that the browser has already, if any. Whoever was sent here by a gateway may have one all the same,
    so nobody is sent back unasked: that could go round for ever."""
    try:
        return await guest.site.browsers.held(guest.request.headers.getlist("cookie"), origin=_origin(guest))
    except AuthError:
        return None


async def _end_former(guest: Guest) -> None:
    """Nobody has its tokens once the cookies are replaced. Ending it is tidy, and may fail."""
    former = guest.site.browsers.cookies.refresh.of(guest.request.headers.getlist("cookie"))
    if former:
        await ask_for(guest.site.methods, guest.request, "AuthService/Logout", refresh_token=former)


async def _sign_out(visit: Visit) -> Response:
    if not visit.is_post:
        return await visit.page("sign_out.html")
    answer = await visit.change("UserService/EndMySession", session_id=visit.session)
    if answer.code not in ("ok", "unauthenticated", "not_found"):
        # The cookies stay as long as somebody could still use what is in them.
        return await visit.page("sign_out.html", refused=answer)
    return visit.left("signed-out")


def _origin(guest: Guest) -> Origin:
    return origin_of(guest.request, trusted_proxies=guest.site.trusted_proxies)
