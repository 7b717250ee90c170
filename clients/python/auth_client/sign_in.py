"""How a session keeps a good access token: when to renew it, by what, and when to give up. No I/O, clock or thread.

nothing held                    sign in
the last fifth of its life      renew ahead; until it comes the old token goes on being used
expired, or refused elsewhere   renew first; everybody waits for the one renewal
the refresh token is refused    sign in again, where we know a password; otherwise it is over: SignInRefused
the sign-in is refused          SignInRefused, and at most one more try a minute: a wrong password is counted
the service is away             AuthError, and no other try before the time it names, or a second
"""

from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from typing import Protocol, TypeAlias, TypeVar

from .answers import ServiceToken, TokenPair
from .errors import AuthError, Code, SignInRefused

# Renewing ahead begins at this part of a token's life; this many seconds before its end it is no longer sent, because
# clocks differ and calls take time. A short life leaves a tenth.
_AHEAD, _MARGIN, _SHORT = 0.8, 10.0, 0.1
_PAUSE, _PAUSE_WHEN_REFUSED = 1.0, 60.0
# A service that refuses whatever we bring causes one renewal in this many seconds, not one for each call; fewer where a
# new token may be no better.
_PAUSE_WHEN_REJECTED, _PAUSE_WHEN_IN_DOUBT = 10.0, 60.0
_REFUSED = {Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION}
_ENDED = {"TOKEN_EXPIRED", "TOKEN_REVOKED"}
# These may be of a token whose key was revoked: whoever fetches keys does not know that one and says TOKEN_INVALID, and
# most gateways give no reason at all. Any other reason is of something else than the token, such as a wrong password.
_IN_DOUBT = {"TOKEN_INVALID", ""}

_Answer_co = TypeVar("_Answer_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Password:
    """Sign in as a person."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """Go on with a session that a person began. Each renewal spends the token: see `Session.refresh_token`."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Sign in as a service."""

    key: str = field(repr=False)


SignIn: TypeAlias = Password | RefreshToken | ApiKey


def no_token_in_time() -> AuthError:
    """For a caller whose own time is over."""
    return AuthError(Code.DEADLINE_EXCEEDED, "", "there was no access token in time")


class Asks(Protocol[_Answer_co]):
    """An AuthClient of whichever stack; one that awaits has awaitable answers."""

    def login(self, username: str, password: str, /) -> _Answer_co: ...
    def login_service(self, api_key: str, /) -> _Answer_co: ...
    def refresh(self, refresh_token: str, /) -> _Answer_co: ...


class Keeper:
    """The state of one session. Times are seconds of any clock that never jumps.

    `ask`, `brought` and `failed` are for whoever renews, one at a time; the others may come from any thread.
    """

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in
        self.refresh_token = sign_in.token if isinstance(sign_in, RefreshToken) else ""
        self._token = ""
        self._renew_at = self._good_until = self._not_before = -inf
        self._rejected = ""
        self._rejected_at = -inf
        self._failure: AuthError | None = None

    def is_due(self, now: float) -> bool:
        """Whether to renew now. Who has a `usable` token need not wait for it."""
        return now >= self._not_before and (now >= self._renew_at or self.usable(now) is None)

    def usable(self, now: float) -> str | None:
        token = self._token
        return token if now < self._good_until and token != self._rejected else None

    def token(self, now: float) -> str:
        """The usable token. Raises why there is none: AuthError or SignInRefused."""
        token = self.usable(now)
        if token is not None:
            return token
        if self._failure is None:
            raise AuthError(Code.CANCELLED, "", "the session was closed before it had a token")
        raise self._failure.with_traceback(None)

    def ask(self, auth: Asks[_Answer_co]) -> _Answer_co:
        """Whatever brings the next token."""
        match self._sign_in:
            case ApiKey(key):
                return auth.login_service(key)
            case Password(username, password) if not self.refresh_token:
                return auth.login(username, password)
            case _:
                return auth.refresh(self.refresh_token)

    def brought(self, answer: TokenPair | ServiceToken, now: float) -> None:
        life = answer.expires_in.total_seconds()
        self._token = answer.access_token
        self._renew_at = now + life * _AHEAD
        self._good_until = now + life - min(_MARGIN, life * _SHORT)
        self._not_before, self._failure = -inf, None
        if isinstance(answer, TokenPair):
            self.refresh_token = answer.refresh_token

    def failed(self, error: AuthError, now: float) -> bool:
        """What `ask` met. True if asking again at once is another matter: a password instead of a refresh token."""
        if error.code not in _REFUSED:
            wait = error.retry_after or timedelta(seconds=_PAUSE)
            self._not_before, self._failure = now + wait.total_seconds(), error
            return False
        if isinstance(self._sign_in, Password) and self.refresh_token:
            self.refresh_token = ""
            return True
        self._failure = SignInRefused(error.code, error.reason, error.message)
        self._not_before = inf if isinstance(self._sign_in, RefreshToken) else now + _PAUSE_WHEN_REFUSED
        return False

    def is_worth_repeating(self, error: AuthError, token: str, now: float) -> bool:
        """Whether a call that another service refused with `error` may succeed with what there is to be had now.

        To be asked once a call: what the second attempt meets is the outcome.
        """
        if error.code is not Code.UNAUTHENTICATED or error.reason not in _ENDED | _IN_DOUBT:
            return False
        if token == self._token and token != self._rejected:
            pause = _PAUSE_WHEN_REJECTED if error.reason in _ENDED else _PAUSE_WHEN_IN_DOUBT
            if now - self._rejected_at < pause:
                return False
            self._rejected, self._rejected_at = token, now
        return True
