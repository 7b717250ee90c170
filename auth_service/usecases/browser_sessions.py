"""A browser's session: its tokens are in cookies, and the next ones are had on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from auth_client import VerifiedToken

from auth_service.domain.audit import Origin
from auth_service.domain.cookies import SessionCookies
from auth_service.domain.errors import AccessTokenRefused
from auth_service.usecases.sessions import Sessions
from auth_service.usecases.verification import Verification


@dataclass(frozen=True, slots=True)
class Held:
    """A good access token, and what the browser is to keep from now on: nothing unless it is new."""

    token: VerifiedToken
    access_token: str = field(repr=False)
    set_cookies: tuple[str, ...] = field(default=(), repr=False)


class BrowserSessions:
    """Answers from memory; only a browser whose access token is over costs a look at the database."""

    def __init__(self, *, verification: Verification, sessions: Sessions, cookies: SessionCookies) -> None:
        self._verification = verification
        self._sessions = sessions
        self.cookies = cookies

    async def held(self, cookies: Sequence[str], *, origin: Origin) -> Held:
        """What these `Cookie` values hold, renewed if it is over.

        Raises Unauthenticated, SigningUnavailable, and what `renewed` raises.
        """
        access_token = self.cookies.access.of(cookies)
        try:
            return Held(self._verification.verify(access_token), access_token)
        except AccessTokenRefused:
            return await self.renewed(self.cookies.refresh.of(cookies), origin=origin)

    async def renewed(self, refresh_token: str, *, origin: Origin) -> Held:
        """With the next tokens of the session; all who come with one refresh token at once get the same.

        Raises Unauthenticated for a session that is over, Unavailable, Overloaded.
        """
        pair = await self._sessions.refresh(refresh_token, origin=origin)
        return Held(
            self._verification.verify(pair.access_token),
            pair.access_token,
            self.cookies.given(
                pair.access_token,
                pair.refresh_token,
                seconds=int(pair.expires_in.total_seconds()),
                refresh_seconds=int(pair.refresh_expires_in.total_seconds()),
            ),
        )
