"""People who are not signed in, and the forms that they are given: those are guarded as well.

Without that another site could sign a person in, to an account of its own (login CSRF). A cookie that only says which
browser it is takes the place of the session.
"""

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from auth_service.web.asking import ask_for
from auth_service.web.bodies import TooLarge
from auth_service.web.methods import Answer
from auth_service.web.pages.forms import NOTHING, TOKEN, Form, NotSent, Unreadable, form_of, is_from_elsewhere
from auth_service.web.pages.site import Endpoint, Site, refusal_of, sentence


@dataclass(frozen=True, slots=True)
class Guest:
    """A request of a browser that has no session, or whose session does not matter here. `browser` names it."""

    site: Site
    request: Request
    browser: str = field(repr=False)
    form: Form = field(repr=False)

    @property
    def is_post(self) -> bool:
        return self.request.method == "POST"

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "")

    async def change(self, method: str, **fields: Any) -> Answer:
        """What a method says to what a form of ours sent, in this browser."""
        if not self.is_post or not self.site.form_tokens.is_of(self.browser, self.form[TOKEN]):
            return NotSent("This page was open for too long, or this browser keeps no cookies. Please send it again.")
        return await ask_for(self.site.methods, self.request, method, **fields)

    async def page(self, template: str, *, refused: Answer | None = None, **values: Any) -> Response:
        """`refused` is what a method said to the form that the page shows once more."""
        refusal = refusal_of(refused) if refused is not None else {}
        token = self.site.form_tokens.write(self.browser)
        response = await self.site.page(template, **({"guest_token": token} | refusal | values))
        response.headers.append("Set-Cookie", _kept(self.site, self.browser))
        return response


def open_to_all(site: Site, handler: Callable[[Guest], Awaitable[Response]]) -> Endpoint:
    """`handler` for whoever comes, with GET or with a form of ours."""

    async def endpoint(request: Request) -> Response:
        is_post = request.method == "POST"
        if is_from_elsewhere(request, issuer=site.issuer):
            return await site.from_elsewhere()
        held = request.cookies.get(_cookie(site), "")
        browser = held if re.fullmatch(r"[A-Za-z0-9_-]{22}", held) else secrets.token_urlsafe(16)
        try:
            return await handler(Guest(site, request, browser, await form_of(request) if is_post else NOTHING))
        except Unreadable as error:
            return await site.error(400, message=str(error))
        except TooLarge as error:
            return await site.error(413, message=sentence(str(error)))

    return endpoint


def _cookie(site: Site) -> str:
    return "__Host-browser" if site.is_secure else "browser"


def _kept(site: Site, browser: str) -> str:
    return f"{_cookie(site)}={browser}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if site.is_secure else ''}"
