"""Where the links in our mails lead, and where such a mail is asked for.

The token is in the address behind `#`, which browsers send to nobody; a script puts it into the form. Opening a link
uses nothing up, for some mail systems do that by themselves: it takes a click.
"""

from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.routing import Route

from auth_service.web.methods import Answer
from auth_service.web.pages.forms import Form, mistyped
from auth_service.web.pages.guests import Guest, open_to_all
from auth_service.web.pages.site import Site

_UNUSABLE = (
    "This link is of no use any more: it was used, it is too old, or it was cut. If you used it just now, it has"
    " worked; else ask for another."
)


def routes(site: Site) -> list[Route]:
    def route(path: str, handler: Callable[[Guest], Awaitable[Response]]) -> Route:
        return Route(path, open_to_all(site, handler), methods=["GET", "POST"])

    return [
        route("/forgotten-password", _forgotten),
        route("/reset-password", _reset),
        route("/verify-email", _verify),
        route("/verify-email/again", _verify_again),
    ]


async def _forgotten(guest: Guest) -> Response:
    return await _mail_asked_for(
        guest, "forgotten_password.html", "UserService/RequestPasswordReset", is_of_use=guest.site.keeps_passwords
    )


async def _verify_again(guest: Guest) -> Response:
    return await _mail_asked_for(guest, "verify_again.html", "UserService/RequestEmailVerification")


async def _mail_asked_for(guest: Guest, template: str, method: str, *, is_of_use: bool = True) -> Response:
    refused, email = None, guest.form["email"].strip()
    if guest.is_post and is_of_use and guest.site.sends_mail:
        refused = await guest.change(method, email=email)
        if refused.code == "ok":
            return await guest.page(template, is_sent=True, email=email)
    return await guest.page(template, refused=refused, is_sent=False, email=email)


async def _reset(guest: Guest) -> Response:
    form = guest.form
    refused: Answer | None = None
    if guest.is_post:
        refused = mistyped("new_password", "Expected the same twice.")
        if form["new_password"] == form["password_again"]:
            refused = await guest.change(
                "UserService/ResetPassword", token=_token(form), new_password=form["new_password"]
            )
        if refused.code == "ok":
            return await guest.page("reset_password.html", is_done=True, token="")
    is_unusable = refused is not None and refused.reason == "ACTION_TOKEN_INVALID"
    # The token is good once and only for what the person is doing; without it they would have to open the mail again.
    return await guest.page(
        "reset_password.html",
        refused=refused,
        is_done=False,
        token="" if is_unusable else form["token"],
        **({"refusal": _UNUSABLE} if is_unusable else {}),
    )


async def _verify(guest: Guest) -> Response:
    refused = None
    if guest.is_post:
        refused = await guest.change("UserService/VerifyEmail", token=_token(guest.form))
        if refused.code == "ok":
            return await guest.page("verify_email.html", is_done=True, token="")
    is_unusable = refused is not None and refused.reason == "ACTION_TOKEN_INVALID"
    return await guest.page(
        "verify_email.html",
        refused=refused,
        is_done=False,
        token="" if is_unusable else guest.form["token"],
        **({"refusal": _UNUSABLE} if is_unusable else {}),
    )


def _token(form: Form) -> str:
    """Of what was typed: the token, or the link that ends with it."""
    return form["token"].strip().rpartition("token=")[2]
