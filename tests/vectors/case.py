"""A case of the vectors, and tokens to put into it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tests.client.minting import AUDIENCE, ISSUER, NOW, b64, claims, compact, header
from tests.vectors.rsa_keys import RsaKey, rsa_key

FIRST = rsa_key("first")
CODES = {"expired": "TOKEN_EXPIRED", "revoked": "TOKEN_REVOKED", "revoked_key": "TOKEN_REVOKED"}
"""What outsiders hear, by the finer reason; TOKEN_INVALID of all others."""
_PERSON = ("roles", "role", "username", "usernumber")
_ORDER = ("iss", "sub", "exp", "iat", "jti", "sid", "client_id", "aud", *_PERSON, "scope")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """As in README.md. `claims` is None, and `reason` is not, where the token is to be refused."""

    name: str
    about: str
    token: str
    token_repeat: int = 1
    key_set: str = "one"
    issuer: str = ISSUER
    audience: str | None = AUDIENCE
    leeway_seconds: int = 60
    now: int = NOW
    revoked_sessions: tuple[str, ...] = ()
    reason: str | None = None
    claims: Mapping[str, object] | None = None

    def packed(self, section: str) -> dict[str, object]:
        members = asdict(self)
        verdict = {
            "accepted": self.reason is None,
            "code": None if self.reason is None else CODES.get(self.reason, "TOKEN_INVALID"),
            "reason": members.pop("reason"),
            "claims": members.pop("claims"),
        }
        return {"section": section, **members, **verdict}


def refused(name: str, about: str, token: str, reason: str, **where: Any) -> Case:
    """`where` is anything that a case has besides."""
    return Case(name=name, about=about, token=token, reason=reason, **where)


def accepted(
    name: str, about: str, token: str, says: Mapping[str, object] | None = None, *, kid: str = "first", **where: Any
) -> Case:
    """`says` is the payload of the token, if it is not the usual one."""
    return Case(name=name, about=about, token=token, claims=_told(says or claims(), kid), **where)


def sign(head: Mapping[str, object] | bytes, payload: Mapping[str, object] | bytes, *, key: RsaKey = FIRST) -> str:
    """A token with exactly these bytes, or this JSON, and a right RS256 signature."""
    signed = signed_part(head, payload)
    return f"{signed}.{b64(key.pkcs1(signed.encode()))}"


def signed_part(head: Mapping[str, object] | bytes, payload: Mapping[str, object] | bytes) -> str:
    return ".".join(b64(part if isinstance(part, bytes) else compact(part)) for part in (head, payload))


def claiming(**changes: object) -> str:
    """A token whose claims are the usual ones but for `changes`, in our service's order; ABSENT leaves one out."""
    members = claims(**changes)
    ours = {name: members.pop(name) for name in _ORDER if name in members}
    return sign(header(), ours | members)


def headed(**changes: object) -> str:
    """A token whose header is the usual one but for `changes`."""
    return sign(header(**changes), claims())


def shown(value: object) -> str:
    """`value` as part of a case's name."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:12]}... of {len(text)}"


def _told(payload: Mapping[str, Any], kid: str) -> dict[str, object]:
    """What a verifier is to report of `payload`."""
    audience = payload.get("aud", [])
    return {
        "subject": payload["sub"],
        "session_id": payload.get("sid", ""),
        "token_id": payload.get("jti", ""),
        "issuer": payload["iss"],
        "audience": [audience] if isinstance(audience, str) else audience,
        "roles": payload.get("roles", []),
        "scopes": [each for each in payload.get("scope", "").split(" ") if each],
        "user_number": payload.get("usernumber"),
        "username": payload.get("username", ""),
        "client_id": payload.get("client_id", ""),
        "key_id": kid,
        "issued_at": payload.get("iat", 0),
        "not_before": payload.get("nbf", 0),
        "expires_at": payload["exp"],
    }
