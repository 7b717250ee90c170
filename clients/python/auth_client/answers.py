"""What the service answers, as plain values."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a session holds. Both tokens are secrets, so neither shows in the repr."""

    access_token: str
    refresh_token: str
    expires_in: timedelta
    refresh_expires_in: timedelta
    session_id: str

    def __repr__(self) -> str:
        return f"TokenPair(session_id={self.session_id!r}, expires_in={self.expires_in})"


@dataclass(frozen=True, slots=True)
class ServiceToken:
    """What an API key buys. The token is a secret, so it does not show in the repr."""

    access_token: str
    expires_in: timedelta

    def __repr__(self) -> str:
        return f"ServiceToken(expires_in={self.expires_in})"


@dataclass(frozen=True, slots=True)
class CheckedToken:
    """What the service says of an access token. `TokenVerifier` says the same without a call."""

    subject: str
    session_id: str
    issuer: str
    audience: tuple[str, ...]
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    user_number: int | None
    username: str
    client_id: str
    key_id: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Experiment:
    rb_number: int


@dataclass(frozen=True, slots=True)
class ServerInfo:
    name: str
    version: str
    build: str
    issuer: str
