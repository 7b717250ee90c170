"""Tokens of the service that this one replaces: HS256, taken by Verify alone and until a date, where settings say so.

What may be checked against the old secret is fixed here, to the letter, and never asked of a token: its header is one
of two texts, and its claims are the four that the old service wrote. No key of ours is in reach. Everything else goes
to the verifier, which takes RS256 only. Whoever holds the old secret can make such tokens; that is why there is a date.
"""

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
import structlog
from auth_client.checking import LARGEST_TOKEN
from auth_client.strict import from_base64url, json_object

from auth_service.domain.errors import AccessTokenRefused
from auth_service.domain.people import GREATEST_USER_NUMBER

log = structlog.get_logger()

# As PyJWT 2 and PyJWT 1 spell it. Neither has a kid, nor anything else that a token could wish for.
_HEADERS = frozenset(
    base64.urlsafe_b64encode(header).rstrip(b"=")
    for header in (b'{"alg":"HS256","typ":"JWT"}', b'{"typ":"JWT","alg":"HS256"}')
)
LONGEST_LIFE = timedelta(minutes=60)
"""Old tokens do not say when they were issued, so this counts from now. Ours live no longer either."""

TELLS_EVERY = timedelta(minutes=1)


class _Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All four, and no others: the old service's refresh tokens have `exp` alone, under the same secret."""

    # UOWS sent it as a string to some of its versions.
    usernumber: (
        Annotated[int, msgspec.Meta(ge=1, le=GREATEST_USER_NUMBER)]
        | Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,14}\Z")]
    )
    role: Literal["staff", "user"]
    username: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00]*\Z")]
    exp: Annotated[float, msgspec.Meta(ge=0, lt=253_370_764_800)]


@dataclass(frozen=True, slots=True)
class OldToken:
    """What an old token claims. It names no session and no `sub`: a type of its own, so that nothing takes it for a
    caller of ours.
    """

    user_number: int
    role: str
    username: str
    expires_at: datetime


class OldTokens:
    """Checks old tokens, and remembers when it took the last. In memory; safe on one event loop."""

    def __init__(self, *, secret: bytes, until: datetime, leeway: timedelta, clock: Callable[[], datetime]) -> None:
        self._secret = secret
        self._until = until
        self._leeway = leeway
        self._clock = clock
        self._tells_again_at = datetime.min.replace(tzinfo=UTC)
        self.accepted = 0
        self.last_seen_at: datetime | None = None

    def concerns(self, token: str) -> bool:
        """Whether `token` is in the form of an old one, and so none of ours."""
        header, _, _ = token.partition(".")
        return header.encode(errors="replace") in _HEADERS

    def verify(self, token: str) -> OldToken:
        """What a good old token claims. Raises AccessTokenRefused."""
        now = self._clock()
        if now >= self._until:
            raise _invalid("over")
        claims = self._claims(token)
        expires_at = datetime.fromtimestamp(claims.exp, UTC)
        if now >= expires_at + self._leeway:
            raise AccessTokenRefused(reason="TOKEN_EXPIRED", detail="hs256_expired")
        if expires_at > now + LONGEST_LIFE + self._leeway:
            raise _invalid("lifetime")
        self._remember(now)
        return OldToken(int(claims.usernumber), claims.role, claims.username, expires_at)

    def _claims(self, token: str) -> _Claims:
        if len(token) > LARGEST_TOKEN:
            raise _invalid("too_large")
        # The causes are cut off: their texts quote what they choked on.
        try:
            signed, _, signature_text = token.encode("ascii").rpartition(b".")
            signature, payload = from_base64url(signature_text), from_base64url(signed.partition(b".")[2])
        except ValueError:
            raise _invalid("malformed") from None
        if not hmac.compare_digest(hmac.digest(self._secret, signed, "sha256"), signature):
            raise _invalid("signature")
        try:
            return msgspec.convert(json_object(payload), _Claims)
        except ValueError:
            raise _invalid("claim") from None

    def _remember(self, now: datetime) -> None:
        self.accepted += 1
        self.last_seen_at = now
        if now >= self._tells_again_at:
            self._tells_again_at = now + TELLS_EVERY
            log.warning("hs256.accepted", accepted_since_start=self.accepted, until=self._until.isoformat())


def _invalid(detail: str) -> AccessTokenRefused:
    return AccessTokenRefused(reason="TOKEN_INVALID", detail=f"hs256_{detail}")
