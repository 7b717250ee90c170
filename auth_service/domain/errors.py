"""Everything the service refuses with. The doors (`rpc/errors.py`, `web/errors.py`) know what each means on the wire.

AuthError
├── InvalidInput               a field is not as asked; names each
├── Unauthenticated
│   ├── BadCredentials
│   ├── CredentialsMissing
│   ├── CredentialsInvalid
│   ├── ActionTokenInvalid     a mailed token that buys nothing
│   ├── AccessTokenRefused     carries the verifier's own error
│   └── RefreshTokenRefused
│       ├── RefreshTokenMissing, RefreshTokenInvalid, RefreshTokenExpired
│       └── RefreshTokenReused, RefreshTokenRevoked, RefreshTokenAhead
├── PermissionDenied
├── NotFound
├── AlreadyExists
├── RingChanged                compare-and-swap on the key ring lost
├── WrongState                 what is there does not allow it; the message says what would
│   ├── KeyState, WrongAccountState, RoleState, LastAdministrator, TooManyKeys
│   └── PasswordChangeRequired, EmailNotVerified, RegistrationClosed
├── Unavailable                worth trying again after `retry_after`
│   ├── ProviderUnavailable
│   ├── DatabaseUnavailable
│   ├── SigningUnavailable
│   └── ServerLeaving          another replica answers
└── Exhausted                  too much of it; worth trying again after `retry_after`
    ├── Overloaded             the queue is full
    ├── TooManyAttempts        of one account, or from one address
    └── RateLimited            of one method

Messages go to strangers: they name the field and the expectation, never a secret, a host, a library or a statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID


class AuthError(Exception):
    """The root. `reason` is the stable word of `ErrorReason` in the contract, without its prefix."""

    reason = "DEFECT"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """Which field (its name on the wire) and what was expected of it."""

    field: str
    expected: str


class InvalidInput(AuthError):
    """One or more fields are not as their comments in the contract ask."""

    reason = "INVALID_FIELD"

    def __init__(self, *violations: FieldViolation) -> None:
        super().__init__("; ".join(f"{each.field}: {each.expected}" for each in violations))
        self.violations: Sequence[FieldViolation] = violations


class Unauthenticated(AuthError):
    """We do not know who is asking."""


class BadCredentials(Unauthenticated):
    """The same words whether the name is unknown or the password wrong. `person_id` is for the audit log only."""

    reason = "BAD_CREDENTIALS"

    def __init__(self, person_id: UUID | None = None) -> None:
        super().__init__("username or password is wrong")
        self.person_id = person_id


class CredentialsMissing(Unauthenticated):
    reason = "CREDENTIALS_MISSING"

    def __init__(self) -> None:
        super().__init__("this method needs `authorization: Bearer <access token or API key>`")


class CredentialsInvalid(Unauthenticated):
    reason = "CREDENTIALS_INVALID"


class ActionTokenInvalid(Unauthenticated):
    """Unknown, used, expired, or made for another password or address: all in the same words."""

    reason = "ACTION_TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__("token: expected one that was mailed lately, and not used yet")


class AccessTokenRefused(Unauthenticated):
    """`reason` is one of three for strangers; `detail` is the verifier's finer reason, for the log and metrics only."""

    _messages: ClassVar = {
        "TOKEN_INVALID": "the access token is not valid",
        "TOKEN_EXPIRED": "the access token has expired",
        "TOKEN_REVOKED": "the access token was revoked",
    }

    def __init__(self, *, reason: str, detail: str) -> None:
        super().__init__(self._messages[reason])
        self.reason = reason
        self.detail = detail


class RefreshTokenRefused(Unauthenticated):
    """A refresh token that buys nothing; each subclass says why."""


class RefreshTokenMissing(RefreshTokenRefused):
    reason = "REFRESH_TOKEN_MISSING"

    def __init__(self) -> None:
        super().__init__("refresh_token: expected the refresh token that Login or Refresh issued")


class RefreshTokenInvalid(RefreshTokenRefused):
    reason = "REFRESH_TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__("the refresh token is not one of this service's")


class RefreshTokenExpired(RefreshTokenRefused):
    reason = "REFRESH_TOKEN_EXPIRED"

    def __init__(self) -> None:
        super().__init__("the session's lifetime is over; log in again")


class RefreshTokenReused(RefreshTokenRefused):
    reason = "REFRESH_TOKEN_REUSED"

    def __init__(self) -> None:
        super().__init__("the refresh token had been spent before, so its session was ended; log in again")


class RefreshTokenRevoked(RefreshTokenRefused):
    reason = "REFRESH_TOKEN_REVOKED"

    def __init__(self) -> None:
        super().__init__("the session has ended; log in again")


class RefreshTokenAhead(RefreshTokenRefused):
    reason = "REFRESH_TOKEN_AHEAD"

    def __init__(self) -> None:
        super().__init__("the refresh token is newer than this service's records; log in again")


class PermissionDenied(AuthError):
    reason = "PERMISSION_DENIED"


class NotFound(AuthError):
    reason = "NOT_FOUND"


class AlreadyExists(AuthError):
    """The value of a field is another's already."""

    reason = "ALREADY_EXISTS"

    def __init__(self, taken: FieldViolation) -> None:
        super().__init__(f"{taken.field}: {taken.expected}")
        self.violations: Sequence[FieldViolation] = (taken,)


class RingChanged(AuthError):
    """Somebody else changed the key ring first. Within the service: read again. Outside: tell the operator."""

    reason = "RING_CHANGED"

    def __init__(self, *, expected: int, found: int) -> None:
        super().__init__(f"ring_version: the key ring is at version {found}, not at {expected}")


class WrongState(AuthError):
    """The request is in order, and what is there does not allow it: trying again helps only after a change."""


class KeyState(WrongState):
    reason = "KEY_STATE"


class WrongAccountState(WrongState):
    reason = "ACCOUNT_STATE"


class RoleState(WrongState):
    reason = "ROLE_STATE"


class LastAdministrator(WrongState):
    reason = "LAST_ADMINISTRATOR"

    def __init__(self) -> None:
        super().__init__("expected somebody else who may administer; this is the last one")


class TooManyKeys(WrongState):
    reason = "TOO_MANY_KEYS"

    def __init__(self) -> None:
        super().__init__("expected at most one key that is good; revoke one of the two first")


class PasswordChangeRequired(WrongState):
    reason = "PASSWORD_CHANGE_REQUIRED"

    def __init__(self, person_id: UUID) -> None:
        super().__init__("the password has to be changed: sign in with `new_password` as well")
        self.person_id = person_id


class EmailNotVerified(WrongState):
    reason = "EMAIL_NOT_VERIFIED"

    def __init__(self, person_id: UUID) -> None:
        super().__init__("the e-mail address has to be verified first: see RequestEmailVerification")
        self.person_id = person_id


class RegistrationClosed(WrongState):
    reason = "REGISTRATION_CLOSED"

    def __init__(self) -> None:
        super().__init__("people do not register themselves here")


class Unavailable(AuthError):
    """Not the caller's fault and likely to pass: worth the same call again after `retry_after`."""

    def __init__(self, message: str, *, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderUnavailable(Unavailable):
    reason = "PROVIDER_UNAVAILABLE"


class DatabaseUnavailable(Unavailable):
    reason = "DATABASE_UNAVAILABLE"

    def __init__(self, *, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__("the database did not answer in time", retry_after=retry_after)


class SigningUnavailable(Unavailable):
    reason = "SIGNING_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("no signing key may be used now", retry_after=timedelta(seconds=2))


class ServerLeaving(Unavailable):
    reason = "SERVER_LEAVING"

    def __init__(self) -> None:
        super().__init__("this server is about to stop; call again", retry_after=timedelta(milliseconds=100))


class Exhausted(AuthError):
    """Too much of it for now: worth the same call again after `retry_after`."""

    def __init__(self, message: str, *, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(Exhausted):
    reason = "OVERLOADED"


class TooManyAttempts(Exhausted):
    """The same words whether the account is known or not."""

    reason = "TOO_MANY_ATTEMPTS"

    def __init__(self, *, retry_after: timedelta) -> None:
        super().__init__("too many failed attempts; try again later", retry_after=retry_after)


class RateLimited(Exhausted):
    reason = "RATE_LIMITED"

    def __init__(self, *, retry_after: timedelta) -> None:
        super().__init__("this method is called too often; try again later", retry_after=retry_after)
