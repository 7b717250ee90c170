"""Where people make accounts of their own, where the deployment lets them."""

from starlette.responses import Response
from starlette.routing import Route

from auth_service.web.methods import Answer
from auth_service.web.pages.forms import mistyped
from auth_service.web.pages.guests import Guest, open_to_all
from auth_service.web.pages.site import Site

_KEPT = ("username", "display_name", "email")


def routes(site: Site) -> list[Route]:
    return [Route("/register", open_to_all(site, _register), methods=["GET", "POST"])]


async def _register(guest: Guest) -> Response:
    if not guest.site.lets_people_register:
        return await guest.site.error(404, message="People do not make accounts of their own here.")
    form = guest.form
    refused: Answer | None = None
    if guest.is_post:
        refused = mistyped("password", "Expected the same twice.")
        if form["password"] == form["password_again"]:
            values = {name: form[name].strip() for name in _KEPT}
            refused = await guest.change("UserService/Register", password=form["password"], **values)
        if refused.code == "ok":
            return await guest.page("registered.html", user=refused.response.user)
    return await guest.page("register.html", refused=refused, typed={name: form[name] for name in _KEPT})
