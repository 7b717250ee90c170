"""Whether a request may pass a gateway: who shows these tokens, and what the policy says of them there."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from auth_client import VerifiedToken
from auth_client.policy import Policy, Verdict
from auth_client.policy_file import PolicyFile

from auth_service.domain.audit import Origin
from auth_service.domain.cookies import SessionCookies
from auth_service.domain.errors import (
    AccessTokenRefused,
    AuthError,
    CredentialsInvalid,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from auth_service.domain.next_address import safe_next
from auth_service.usecases.browser_sessions import BrowserSessions
from auth_service.usecases.verification import Verification, bearer_of

IDENTITY_HEADERS = (
    "x-auth-subject",
    "x-auth-username",
    "x-auth-roles",
    "x-auth-user-number",
    "x-auth-session",
    "x-auth-client",
    "x-auth-scopes",
)
"""What gateways tell the programs behind them; whatever a client sends by these names is not to get there."""
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_IS_PLAIN = re.compile("[ -$&-~]*").fullmatch
_NO_CHANGE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a gateway asks about. `target` is path and query as they came; empty where that is not known for sure.

    The rest are headers of the request: all values of `Authorization` and of `Cookie`; `Sec-Fetch-Site` and `Origin`,
    by which a browser tells whose page made it send the request; `Accept` and `Sec-Fetch-Mode`, by which it tells
    what for; and `Host`, as the browser sent it.
    """

    method: str
    target: str
    authorization: tuple[str, ...] = field(default=(), repr=False)
    cookies: tuple[str, ...] = field(default=(), repr=False)
    sent_by: str = ""
    page: str = ""
    accept: str = ""
    mode: str = ""
    host: str = ""

    @property
    def is_of_own_page(self) -> bool:
        """Neither another site's page nor a neighbour's made the browser send it, as far as is told."""
        if self.sent_by:
            return self.sent_by in ("same-origin", "none")
        return not (self.page and self.host) or self.page in (f"https://{self.host}", f"http://{self.host}")

    @property
    def may_change_something(self) -> bool:
        """What a WebSocket says once it is open nobody is asked about."""
        # Chromium tells of one by `Origin` alone, and of nothing else that is a GET.
        is_socket = self.mode == "websocket" or bool(self.page and not self.mode and not self.sent_by)
        return is_socket or self.method not in _NO_CHANGE

    @property
    def is_for_a_page(self) -> bool:
        """A browser goes somewhere: neither a script of a page nor a program."""
        wants_html = "text/html" in self.accept and self.mode in ("", "navigate")
        return self.method == "GET" and wants_html and not self.authorization


@dataclass(frozen=True, slots=True)
class Answered:
    """`token` is the one that counted, `refusal` says why the request may not pass.

    `set_cookies` are what a browser is to keep from now on, or to forget; `sign_in` is where it may sign in, and comes
    back from: empty for whoever did not want a page, or is known.
    """

    verdict: Verdict
    token: VerifiedToken | None = None
    refusal: AuthError | None = None
    set_cookies: tuple[str, ...] = ()
    sign_in: str = ""

    @property
    def challenge(self) -> str:
        """What `WWW-Authenticate` tells whoever may not pass (RFC 6750 section 3)."""
        match self.refusal:
            case PermissionDenied():
                return 'Bearer error="insufficient_scope"'
            case AccessTokenRefused() | CredentialsInvalid():
                return f'Bearer error="invalid_token", error_description="{self.refusal}"'
        # Who brought no bearer token may not know that one is needed, so there is no error to name.
        return "Bearer"

    @property
    def identity(self) -> Mapping[str, str]:
        """A value for each of IDENTITY_HEADERS, empty where there is nothing to tell; %-encoded beyond plain ASCII."""
        if self.token is None:
            return dict.fromkeys(IDENTITY_HEADERS, "")
        token = self.token
        number = "" if token.user_number is None else str(token.user_number)
        values = (
            *(token.subject, token.username, ",".join(token.roles), number, token.session_id),
            *(token.client_id, " ".join(token.scopes)),
        )
        return dict(zip(IDENTITY_HEADERS, map(_visible, values), strict=True))


class Gate:
    """Answers from memory; only a browser whose access token is over costs a look at the database.

    Pages of `origins` are let use the cookies, beside those of the site itself. `sign_in_page` is a path.
    """

    def __init__(
        self,
        policies: PolicyFile,
        *,
        verification: Verification,
        browsers: BrowserSessions,
        origins: Sequence[str] = (),
        sign_in_page: str = "/sign-in",
    ) -> None:
        self._policies = policies
        self._verification = verification
        self._browsers = browsers
        self._origins = frozenset(origins)
        self._sign_in_page = sign_in_page
        self._told: Counter[Verdict] = Counter()

    @property
    def cookies(self) -> SessionCookies:
        return self._browsers.cookies

    @property
    def policy(self) -> Policy:
        return self._policies.current

    async def ask(self, asked: Asked, *, origin: Origin) -> Answered:
        """Raises Unavailable where that is not for anybody and nobody can be told apart, DatabaseUnavailable."""
        answered = await self._answer(asked, origin)
        self._told[answered.verdict] += 1
        if answered.verdict is Verdict.NOT_SIGNED_IN and asked.is_for_a_page:
            return replace(answered, sign_in=_back_to(asked.target, by=self._sign_in_page))
        return answered

    def told(self, verdict: Verdict) -> int:
        """How often, since the start."""
        return self._told[verdict]

    async def _answer(self, asked: Asked, origin: Origin) -> Answered:
        try:
            return self._judged(asked, self._verification.verify(self._token_of(asked)))
        except Unauthenticated as error:
            if self._is_public(asked):
                return Answered(Verdict.ADMITTED)
            refusal = error
        except Unavailable:
            if self._is_public(asked):
                return Answered(Verdict.ADMITTED)
            raise
        refresh_token = self.cookies.refresh.of(asked.cookies) if self._takes_cookies(asked) else ""
        if not refresh_token:
            return Answered(Verdict.NOT_SIGNED_IN, refusal=refusal)
        return await self._renewed(asked, refresh_token, origin)

    async def _renewed(self, asked: Asked, refresh_token: str, origin: Origin) -> Answered:
        try:
            held = await self._browsers.renewed(refresh_token, origin=origin)
        except Unauthenticated as error:
            return Answered(Verdict.NOT_SIGNED_IN, refusal=error, set_cookies=self.cookies.taken_away)
        return self._judged(asked, held.token, set_cookies=held.set_cookies)

    def _is_public(self, asked: Asked) -> bool:
        return self.policy.verdict(asked.method, asked.target, None) is Verdict.ADMITTED

    def _judged(self, asked: Asked, token: VerifiedToken, *, set_cookies: tuple[str, ...] = ()) -> Answered:
        policy = self.policy
        verdict = policy.verdict(asked.method, asked.target, policy.holder(token))
        refusal = None if verdict is Verdict.ADMITTED else PermissionDenied("the policy does not let you do this")
        return Answered(verdict, token=token, refusal=refusal, set_cookies=set_cookies)

    def _token_of(self, asked: Asked) -> str:
        """Raises CredentialsMissing, CredentialsInvalid."""
        cookie = self.cookies.access.of(asked.cookies) if self._takes_cookies(asked) else ""
        return cookie or bearer_of(asked.authorization)

    def _takes_cookies(self, asked: Asked) -> bool:
        """Never beside a header, nor where another site's page would change something."""
        if asked.authorization or not asked.cookies:
            return False
        return asked.is_of_own_page or asked.page in self._origins or not asked.may_change_something


def _back_to(target: str, *, by: str) -> str:
    """The sign-in page's address, which leads on to `target`; or to /, where that page would not lead there."""
    return f"{by}?next={quote(safe_next(target, origins=(), otherwise='/'), safe='/')}"


def _visible(value: str) -> str:
    # `quote` looks at each character again for each answer, and there is hardly ever anything to do.
    return value if _IS_PLAIN(value) else quote(value, safe=_PLAIN)
