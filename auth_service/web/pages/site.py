"""What all pages share: how one is written, which headers it carries, and how a browser is sent on."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from auth_service.domain.addresses import Network
from auth_service.domain.form_tokens import FormTokens
from auth_service.usecases.browser_sessions import BrowserSessions
from auth_service.web.errors import status_of_code
from auth_service.web.methods import Answer, Detail, Methods, retry_after
from auth_service.web.pages.assets import Asset, assets
from auth_service.web.pages.templates import Templates, span

Endpoint = Callable[[Request], Awaitable[Response]]

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    # Not `no-referrer`: browsers then call the origin of our own forms `null`.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_LAYOUT: Mapping[str, Any] = {
    "me": None,
    "here": "",
    "said": "",
    "form_token": "",
    "refusal": "",
    "problems": defaultdict(str),
}
MARKED = "Please look at what is marked below."
"""Above a form that shows beside its fields what is wrong."""
_WORDS = {
    "LAST_ADMINISTRATOR": (
        "Nobody would be left who administers this service. Whoever runs it has to make another administrator first."
    ),
    "PROVIDER_UNAVAILABLE": "The system that knows your password does not answer. Your password may well be right.",
}
"""By reason, where a method's own words are for programs."""
_MISTYPED = ("BAD_CREDENTIALS", "ACTION_TOKEN_INVALID")
_SOON = timedelta(seconds=5)
_SAYS = {
    400: ("That was not understood", "What your browser sent is not what this page takes."),
    401: ("Please sign in", "This page is for people who are signed in."),
    403: ("This is not for you", "You are signed in, and you may not do this."),
    404: ("There is no such page", "The address may be misspelt, or what was here is gone."),
    405: ("That cannot be done here", "This address does not take what your browser sent."),
    413: ("That is too much", "What your browser sent is larger than this page takes."),
    429: ("Too often", "Please wait a moment, then try again."),
    500: (
        "Something went wrong",
        "The fault is ours. Please try again; if it stays so, tell whoever runs this service.",
    ),
    503: ("Not now", "Something that this page needs does not answer. Please try again in a moment."),
}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the admin page, for `level` and stronger. `routes` has every path that begins with `path`."""

    path: str
    title: str
    level: int
    routes: Callable[["Site"], Sequence[BaseRoute]]


@dataclass(frozen=True)
class Site:
    """`path_prefix` is in front of every address; `issuer` is the public one; sign-in may lead to `next_origins`.

    `sections` are what is served of the admin page, in the order of its navigation. `keeps_passwords` where there may
    be accounts of our own, `asks_facility` where the facility's people sign in. `shortest_password` is in characters.
    """

    methods: Methods
    browsers: BrowserSessions
    form_tokens: FormTokens
    version: str
    issuer: str
    sections: Sequence[Section]
    shortest_password: int
    path_prefix: str = ""
    trusted_proxies: Sequence[Network] = ()
    next_origins: Collection[str] = ()
    lets_people_register: bool = False
    sends_mail: bool = True
    keeps_passwords: bool = True
    asks_facility: bool = False

    @cached_property
    def assets(self) -> Mapping[str, Asset]:
        return assets()

    @cached_property
    def templates(self) -> Templates:
        return Templates(
            url=self.url,
            asset=lambda name: self.url(self.assets[name].path),
            host=urlsplit(self.issuer).hostname or "",
            version=self.version,
            sections=self.sections,
            shortest_password=self.shortest_password,
            lets_people_register=self.lets_people_register,
            sends_mail=self.sends_mail,
            keeps_passwords=self.keeps_passwords,
            asks_facility=self.asks_facility,
        )

    @property
    def is_secure(self) -> bool:
        """Whether browsers keep a cookie that is only for TLS."""
        return self.browsers.cookies.refresh.is_secure

    def url(self, path: str) -> str:
        """Where browsers find what this service has at `path`."""
        return self.path_prefix + path

    async def page(
        self,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        leads_to: str = "",
        is_long: bool = False,
        **values: Any,
    ) -> Response:
        """`values` are for the template, beside those of its layout; a form on it may lead to the origin `leads_to`."""
        render = self.templates.render_long if is_long else self.templates.render
        body = await render(template, **{**_LAYOUT, **values})
        response = Response(body, status, media_type="text/html", headers={**(headers or {}), **SECURITY_HEADERS})
        if leads_to:
            policy = SECURITY_HEADERS["Content-Security-Policy"]
            # Browsers hold what a form is answered with, a redirect, to the same rule as the form.
            response.headers["Content-Security-Policy"] = policy.replace(
                "form-action 'self'", f"form-action 'self' {leads_to}"
            )
        return response

    def redirect(self, path: str) -> Response:
        """To a page of ours, which is then asked for by GET."""
        return self.leave(self.url(path))

    def leave(self, address: str) -> Response:
        """To an address that has been judged, as `safe_next` does."""
        return Response(status_code=303, headers={**SECURITY_HEADERS, "Location": address})

    async def error(
        self,
        status: int,
        *,
        message: str = "",
        headers: Mapping[str, str] | None = None,
        was_sent: bool = False,
        **values: Any,
    ) -> Response:
        """The page that says why there is none. `message` is for people; there is a text of ours where it is empty.

        `was_sent` where somebody had filled in a form, of which nothing was done.
        """
        title, says = _SAYS.get(status, (HTTPStatus(status).phrase, ""))
        return await self.page(
            "error.html",
            status=status,
            headers=headers or {},
            title=title,
            says=f"{message}{_when_again(headers)}" if message else says,
            may_pass=status in (429, 503),
            was_sent=was_sent,
            **values,
        )

    async def from_elsewhere(self) -> Response:
        return await self.error(403, message="Another site sent this. Please open the page here, and send it again.")

    async def refused(self, answer: Answer, **values: Any) -> Response:
        """What a method refused, as a page of its own."""
        status = status_of_code(answer.code)
        message = "" if answer.code in ("unauthenticated", "permission_denied", "internal") else _in_words(answer)
        return await self.error(status, message=message, headers=retry_after(answer.details), **values)


def problems_of(details: Sequence[Detail]) -> Mapping[str, str]:
    """What is wrong with which field, by the last part of its name: `username` for `user.username`."""
    found: defaultdict[str, str] = defaultdict(str)
    for each in (each for detail in details for each in detail.says.get("fieldViolations", ())):
        name = str(each["field"]).rpartition(".")[2]
        found[name] = f"{found[name]} {sentence(str(each.get('description', '')))}".strip()
    return found


def refusal_of(answer: Answer) -> dict[str, Any]:
    """For `Site.page`: a page that shows a form once more, and what a method said to it."""
    # A wrong password is a form that was filled in wrongly: nothing that a challenge of HTTP's could mend.
    return {
        "status": 422 if answer.reason in _MISTYPED else status_of_code(answer.code),
        "headers": retry_after(answer.details),
        "refusal": _refusal(answer),
        "problems": problems_of(answer.details),
    }


def is_over(answer: Answer) -> bool:
    """Whether a method refused because the session has ended meanwhile."""
    return answer.code == "unauthenticated" and answer.reason not in _MISTYPED


def _refusal(answer: Answer) -> str:
    if answer.code == "internal":
        return _SAYS[500][1]
    if problems_of(answer.details):
        return MARKED
    return _in_words(answer) + _when_again(retry_after(answer.details))


def _in_words(answer: Answer) -> str:
    return _WORDS.get(answer.reason) or sentence(answer.message)


def _when_again(headers: Mapping[str, str] | None) -> str:
    wait = timedelta(seconds=int((headers or {}).get("Retry-After", 0)))
    if not wait:
        return ""
    return " Please try again in a moment." if wait < _SOON else f" Come again in {span(wait)}."


def sentence(text: str) -> str:
    """As people are told: with a capital at the front, and a full stop."""
    text = text.strip()
    return text and text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
