"""What a verified access token says."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec


# A msgspec struct, because it is built in C: a frozen dataclass of this size costs a tenth of the signature check.
# gc=False is safe: no field can refer back to the token.
class VerifiedToken(msgspec.Struct, frozen=True, gc=False):
    """A token whose signature and claims were checked. Immutable, and so may be shared and cached."""

    subject: str
    session_id: str
    """Empty if the token names no session."""
    token_id: str
    issuer: str
    audience: tuple[str, ...]
    roles: tuple[str, ...]
    user_number: int | None
    username: str
    client_id: str
    key_id: str
    iat: float
    """Seconds since 1970. 0 if the token does not say, so that any "signed in after" mark refuses it."""
    nbf: float
    exp: float
    payload: bytes
    """The signed JSON, byte for byte."""
    scopes: tuple[str, ...] = ()
    """What a service may do. Empty in a person's token, which has `roles`."""

    @property
    def issued_at(self) -> datetime:
        return datetime.fromtimestamp(self.iat, UTC)

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.exp, UTC)

    @property
    def claims(self) -> Mapping[str, object]:
        """All claims, decoded afresh at each access: whoever changes the answer changes only their own copy."""
        claims: dict[str, object] = json.loads(self.payload.decode("utf-8"))
        return claims

    def __repr__(self) -> str:
        return f"VerifiedToken(subject={self.subject!r}, session_id={self.session_id!r}, expires_at={self.expires_at})"
