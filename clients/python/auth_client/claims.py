"""Claims (RFC 7519 section 4.1, RFC 9068 section 2.2): what a signed payload must say before it counts."""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from .errors import TokenExpired, TokenInvalid
from .strict import json_object
from .token import VerifiedToken

_BACKSLASH = ord("\\")
_Text = Annotated[str, msgspec.Meta(max_length=255)]
# Whole or not, from 1970 to before the year 9999. msgspec takes neither a bool nor a string for a number.
_YEAR_9999 = 253_370_764_800
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=_YEAR_9999)] | Annotated[float, msgspec.Meta(ge=0, lt=_YEAR_9999)]


class _Claims(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The shape of a payload, in our issuer's order. Members that it does not name may be anything."""

    iss: object = None
    sub: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    exp: _Seconds
    iat: _Seconds = 0
    nbf: _Seconds = 0
    jti: _Text = ""
    sid: _Text = ""
    client_id: _Text = ""
    aud: str | tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    role: _Text = ""
    username: _Text = ""
    # 0 stands for "none": it is below what a payload may say.
    usernumber: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] = 0
    scope: Annotated[str, msgspec.Meta(max_length=1024)] = ""


_decode = msgspec.json.Decoder(_Claims).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Rules:
    """What is expected of a token. `audience=None` takes tokens meant for anybody; `leeway` is in seconds."""

    issuer: str
    audience: str | None
    leeway: float


def believe(payload: bytes, kid: str, rules: Rules, now: float) -> VerifiedToken:
    """The token of a payload whose signature holds. Raises TokenInvalid or TokenExpired."""
    claims = _read_as_written(payload) or _read(payload)
    if claims.iss != rules.issuer:
        raise TokenInvalid("the token comes from another issuer", reason="issuer")
    audience = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    if rules.audience is not None and rules.audience not in audience:
        raise TokenInvalid("the token is meant for another audience", reason="audience")
    # JSON can only spell NUL as an escape, so a payload without any is cleared at once.
    if _BACKSLASH in payload:
        _refuse_nul(claims)
    token = VerifiedToken(
        claims.sub,
        claims.sid,
        claims.jti,
        rules.issuer,
        audience,
        claims.roles,
        claims.usernumber or None,
        claims.username,
        claims.client_id,
        kid,
        claims.iat,
        claims.nbf,
        claims.exp,
        payload,
        tuple(filter(None, claims.scope.split(" "))) if claims.scope else (),
    )
    check_time(token, rules, now)
    return token


def _read_as_written(payload: bytes) -> _Claims | None:
    """The claims of a payload that our encoder would write byte for byte, as our issuer's are, or None.

    Then it is strict JSON, says nothing twice and has no other members: see `json_object`, which this saves.
    """
    try:
        claims = _decode(payload)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None
    return claims if _encode(claims) == payload else None


def _read(payload: bytes) -> _Claims:
    """Raises TokenInvalid unless the payload is a JSON object whose claims are what they must be."""
    try:
        members = json_object(payload)
    except ValueError:
        raise TokenInvalid("the payload is not a strict JSON object", reason="malformed") from None
    try:
        return msgspec.convert(members, _Claims)
    except msgspec.ValidationError as error:
        # Its text names the claim and the types, never the value.
        raise TokenInvalid(f"a claim is not what it must be: {error}", reason="claim") from None


def check_time(token: VerifiedToken, rules: Rules, now: float) -> None:
    """Raises TokenExpired or TokenInvalid unless `now` lies in the token's time, give or take the leeway."""
    if now >= token.exp + rules.leeway:
        raise TokenExpired("the token has expired", reason="expired")
    latest = now + rules.leeway
    if token.iat > latest or token.nbf > latest:
        raise TokenInvalid("the token is not valid yet", reason="not_yet_valid")


def _refuse_nul(claims: _Claims) -> None:
    """Databases and C libraries would cut a text at NUL, and so take it for another."""
    texts = (claims.sub, claims.sid, claims.jti, claims.client_id, claims.username, claims.scope, *claims.roles)
    if any("\0" in text for text in texts):
        raise TokenInvalid("a claim contains NUL", reason="claim")
