"""Access tokens: what they claim and how they are signed (RFC 9068, RS256)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from auth_service.domain.people import Person
from auth_service.domain.policy import STAFF, USER
from auth_service.domain.sessions import Session

ALGORITHM = "RS256"
TYPE = "at+jwt"


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """Who issues, for whom, and for how long. `audience` None leaves `aud` out, for consumers that expect none."""

    issuer: str
    audience: str | None
    lifetime: timedelta
    client_id: str


def claims_for(
    person: Person, session: Session, *, roles: tuple[str, ...], now: datetime, lifetime: timedelta, policy: TokenPolicy
) -> dict[str, Any]:
    """The claims of keys-and-sessions §3. `lifetime` is at most the policy's; the signing key may cover less.

    `usernumber`, `role` and `username` are for today's consumers. No `nbf`: under clock skew it refuses fresh tokens.
    """
    issued_at = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": policy.issuer,
        "sub": str(person.id),
        "exp": issued_at + int(lifetime.total_seconds()),
        "iat": issued_at,
        "jti": str(uuid4()),
        "sid": str(session.id),
        "client_id": policy.client_id,
        "roles": list(roles),
        "role": STAFF if STAFF in roles else USER,
        "username": person.display_name or person.username,
    }
    if policy.audience is not None:
        claims["aud"] = policy.audience
    if person.user_number is not None:
        claims["usernumber"] = person.user_number
    return claims


def mint(claims: dict[str, Any], *, kid: str, private_key: RSAPrivateKey) -> str:
    """The signed token. Costs about half a millisecond of RSA: run it off the event loop."""
    return jwt.encode(claims, private_key, algorithm=ALGORITHM, headers={"typ": TYPE, "kid": kid})
