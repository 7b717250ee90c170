"""Who looks at a page, and what they may make it do.

A change goes through `Visit.change`, which asks for the form's token; everything else only reads. So no page can change
anything by being looked at, or because another site's page said so.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from auth_service.domain.errors import AuthError, Unauthenticated
from auth_service.usecases.browser_sessions import Held
from auth_service.web.asking import ask_for
from auth_service.web.bodies import TooLarge
from auth_service.web.errors import retry_header, status_of
from auth_service.web.methods import Answer
from auth_service.web.pages.forms import NOTHING, TOKEN, Form, NotSent, Unreadable, form_of, is_from_elsewhere
from auth_service.web.pages.site import Endpoint, Site, is_over, problems_of, refusal_of, sentence
from auth_service.web.peers import origin_of

Handler = Callable[["Visit"], Awaitable[Response]]

WEAKEST_ADMINISTRATOR = 100
SAID = "said"
"""The cookie that carries one sentence to the next page."""
_READING = ("Get", "List", "LookUp", "Check")


class Refused(Exception):
    """A method did not answer what the page needs."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of somebody who is signed in. `me` is their account, as GetMe tells it."""

    site: Site
    request: Request
    held: Held
    me: Any
    form: Form = field(repr=False)

    @property
    def is_post(self) -> bool:
        return self.request.method == "POST"

    @property
    def session(self) -> str:
        return self.held.token.session_id

    def path(self, name: str) -> str:
        """What the address has in the place of `name`."""
        value: str = self.request.path_params[name]
        return value

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "")

    async def read(self, method: str, **fields: Any) -> Any:
        """The response of a method that changes nothing, such as `UserService/GetUser`. Raises Refused."""
        answer = await self.answer(method, **fields)
        if answer.code != "ok":
            raise Refused(answer)
        return answer.response

    async def answer(self, method: str, **fields: Any) -> Answer:
        """As `read`, where a refusal has its place on the page."""
        assert method.partition("/")[2].startswith(_READING), "what changes something is for `change`"
        return await ask_for(self.site.methods, self.request, method, bearer=self.held.access_token, **fields)

    async def page_of(self, method: str, **fields: Any) -> Answer:
        """As `answer`, of a list. Raises Refused for a page that there is not, which no form on it could mend."""
        answer = await self.answer(method, page_token=self.query("page"), **fields)
        if "page_token" in problems_of(answer.details):
            raise Refused(answer)
        return answer

    async def change(self, method: str, **fields: Any) -> Answer:
        """What a method says to what the person sent by a form of ours. Refused unless it is one of this session."""
        if not self.is_post or not self.site.form_tokens.is_of(self.session, self.form[TOKEN]):
            return NotSent("This page was opened before you signed in anew. Please send it again.")
        return await ask_for(self.site.methods, self.request, method, bearer=self.held.access_token, **fields)

    async def page(self, template: str, *, refused: Answer | None = None, **values: Any) -> Response:
        """`refused` is what a method said to the form that the page shows once more."""
        if refused is not None and is_over(refused):
            return _sent_to_sign_in(self.site, self.request)
        layout: dict[str, Any] = {
            "me": self.me,
            "here": self.request.url.path,
            "form_token": self.site.form_tokens.write(self.session),
            "said": self.site.form_tokens.read(self.request.cookies.get(SAID, ""), session=self.session),
        }
        refusal = refusal_of(refused) if refused is not None else {}
        response = await self.site.page(template, **(layout | refusal | values))
        if layout["said"]:
            response.headers.append("Set-Cookie", self._said("", seconds=0))
        return response

    def done(self, path: str, said: str) -> Response:
        """On to `path`, which says what was done."""
        response = self.site.redirect(path)
        note = self.site.form_tokens.signed(said, session=self.session)
        response.headers.append("Set-Cookie", self._said(note, seconds=60))
        return response

    def left(self, why: str) -> Response:
        """To sign-in, which says `why`; the browser forgets the session."""
        response = self.site.redirect(f"/sign-in?{why}=1")
        for cookie in self.site.browsers.cookies.taken_away:
            response.headers.append("Set-Cookie", cookie)
        return response

    async def refused(self, answer: Answer) -> Response:
        return await self.site.refused(answer, me=self.me, form_token=self.site.form_tokens.write(self.session))

    async def error(self, status: int, message: str = "") -> Response:
        return await self.site.error(
            status, message=message, me=self.me, form_token=self.site.form_tokens.write(self.session)
        )

    def _said(self, note: str, *, seconds: int) -> str:
        secure = "; Secure" if self.site.is_secure else ""
        return f"{SAID}={note}; Max-Age={seconds}; Path={self.site.url('') or '/'}; HttpOnly; SameSite=Lax{secure}"


def signed_in(site: Site, handler: Handler, *, level: int | None = None) -> Endpoint:
    """`handler` for people who are signed in, and of `level` or stronger; the others are told where to, or no."""

    async def endpoint(request: Request) -> Response:
        if is_from_elsewhere(request, issuer=site.issuer):
            return await site.from_elsewhere()
        try:
            held = await site.browsers.held(
                request.headers.getlist("cookie"), origin=origin_of(request, trusted_proxies=site.trusted_proxies)
            )
        except Unauthenticated:
            return _sent_to_sign_in(site, request)
        except AuthError as error:
            return await site.error(
                status_of(error),
                message=sentence(str(error)),
                headers=retry_header(error),
                was_sent=request.method == "POST",
            )
        response = await _answered(site, request, held, handler, level)
        for cookie in held.set_cookies:
            # First, so that a page which ends the session has the last word.
            response.raw_headers.insert(0, (b"set-cookie", cookie.encode("latin-1")))
        return response

    return endpoint


async def _answered(site: Site, request: Request, held: Held, handler: Handler, level: int | None) -> Response:
    told = await ask_for(site.methods, request, "UserService/GetMe", bearer=held.access_token)
    if told.code == "unauthenticated":
        return _sent_to_sign_in(site, request)
    if told.code != "ok":
        return await site.refused(told, was_sent=request.method == "POST")
    visit = Visit(site, request, held, told.response.user, NOTHING)
    if level is not None and visit.me.level > level:
        return await visit.error(
            403, f"This page is for administrators of level {level} or stronger. Your level is {visit.me.level}."
        )
    try:
        if visit.is_post:
            visit = Visit(site, request, held, visit.me, await form_of(request))
        return await handler(visit)
    except Unreadable as error:
        return await visit.error(400, str(error))
    except TooLarge as error:
        return await visit.error(413, sentence(str(error)))
    except Refused as refused:
        if refused.answer.code == "unauthenticated":
            return _sent_to_sign_in(site, request)
        if refused.answer.code in ("invalid_argument", "not_found"):
            # What the address names is not there, or is no name of anything.
            return await visit.error(404)
        return await visit.refused(refused.answer)


def _sent_to_sign_in(site: Site, request: Request) -> Response:
    path = request.url.path
    target = site.url(path) + (f"?{request.url.query}" if request.url.query else "")
    where = f"/sign-in?next={quote(target, safe='')}"
    if request.method == "POST":
        where += "&over=1"
    if path == "/sign-out":
        # Pressed twice, most likely. What led here by a link may have left a session behind.
        where = "/sign-in?signed-out=1" if request.method == "POST" else "/sign-in"
    response = site.redirect(where)
    cookies = site.browsers.cookies
    # Only if they came: a link on another site's page leaves those that are `SameSite=Strict` behind.
    if {cookies.access.name, cookies.refresh.name} & request.cookies.keys():
        for cookie in cookies.taken_away:
            response.headers.append("Set-Cookie", cookie)
    return response
