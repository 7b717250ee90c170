"""Claims (RFC 7519 section 4.1, RFC 9068 section 2.2): what a signed payload must say before it counts.

Types are compared with `is`, because to isinstance a bool is an int, and JSON makes no subclasses.
"""

from dataclasses import dataclass
from typing import NoReturn

from .errors import TokenExpired, TokenInvalid
from .strict import json_object
from .token import VerifiedToken

_LONGEST_TEXT = 255
_YEAR_9999 = 253_370_764_800
_LARGEST_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Rules:
    """What is expected of a token. `audience=None` takes tokens meant for anybody; `leeway` is in seconds."""

    issuer: str
    audience: str | None
    leeway: float


def believe(payload: bytes, kid: str, rules: Rules, now: float) -> VerifiedToken:
    """The token of a payload whose signature holds. Raises TokenInvalid or TokenExpired."""
    try:
        claims = json_object(payload)
    except ValueError:
        raise TokenInvalid("the payload is not a strict JSON object", reason="malformed") from None
    issuer = claims.get("iss")
    if type(issuer) is not str or issuer != rules.issuer:
        raise TokenInvalid("the token comes from another issuer", reason="issuer")
    audience = _audience(claims.get("aud", []))
    if rules.audience is not None and rules.audience not in audience:
        raise TokenInvalid("the token is meant for another audience", reason="audience")
    if "exp" not in claims:
        _refuse("exp")
    subject = _text(claims, "sub")
    if not subject:
        _refuse("sub")
    token = VerifiedToken(
        subject,
        _text(claims, "sid"),
        _text(claims, "jti"),
        issuer,
        audience,
        _strings(claims.get("roles", []), "roles"),
        _user_number(claims),
        _text(claims, "username"),
        _text(claims, "client_id"),
        kid,
        _seconds(claims, "iat"),
        _seconds(claims, "nbf"),
        _seconds(claims, "exp"),
        payload,
    )
    check_time(token, rules, now)
    return token


def check_time(token: VerifiedToken, rules: Rules, now: float) -> None:
    """Raises TokenExpired or TokenInvalid unless `now` lies in the token's time, give or take the leeway."""
    if now >= token.exp + rules.leeway:
        raise TokenExpired("the token has expired", reason="expired")
    latest = now + rules.leeway
    if token.iat > latest or token.nbf > latest:
        raise TokenInvalid("the token is not valid yet", reason="not_yet_valid")


def _refuse(claim: str) -> NoReturn:
    raise TokenInvalid(f"claim {claim} is missing or not what it must be", reason="claim")


def _audience(value: object) -> tuple[str, ...]:
    return (value,) if type(value) is str else _strings(value, "aud")


def _strings(value: object, claim: str) -> tuple[str, ...]:
    if type(value) is not list:
        _refuse(claim)
    for item in value:
        if type(item) is not str:
            _refuse(claim)
    return tuple(value)


def _text(claims: dict[str, object], claim: str) -> str:
    """An optional string; empty if absent. NUL is refused because databases and C libraries would cut there."""
    value = claims.get(claim, "")
    if type(value) is not str or len(value) > _LONGEST_TEXT or "\0" in value:
        _refuse(claim)
    return value


def _seconds(claims: dict[str, object], claim: str) -> float:
    """An optional time before the year 9999; 0 if absent. The comparison also refuses NaN and infinity."""
    value = claims.get(claim, 0)
    if (type(value) is not int and type(value) is not float) or not 0 <= value < _YEAR_9999:
        _refuse(claim)
    return value


def _user_number(claims: dict[str, object]) -> int | None:
    if "usernumber" not in claims:
        return None
    value = claims["usernumber"]
    if type(value) is not int or not 0 < value <= _LARGEST_NUMBER:
        _refuse("usernumber")
    return value
