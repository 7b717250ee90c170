"""Services that call us, and their API keys: what a key looks like, what it may do, and until when.

A key is `ak_<name>_<secret><checksum>`, and never holds a dot, which tells it from an access token. The name is shown
ever after; the secret, 256 random bits, is shown once. Only the SHA-256 of the whole is kept: what nobody can guess
needs no slow hash. The checksum lets scanners of leaked secrets, and us, know a key from a word that looks like one.
"""

import hashlib
import re
import string
import unicodedata
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from secrets import choice
from uuid import UUID

from auth_service.domain.errors import FieldViolation, InvalidInput

SCOPES = ("audit:read", "experiments:read", "roles:read", "users:read")
"""Everything that a key can be allowed. A test holds that the methods ask for these and no others."""
SCOPES_OF_SETTINGS = frozenset({"experiments:read"})
"""What keys in the settings may do: what the one key of the service before us did."""
MOST_GOOD_KEYS = 2
"""Of one account: the one in use, and its successor until that is everywhere."""
LONGEST_DESCRIPTION = 1000

_DIGITS = string.digits + string.ascii_letters
_NAME_LENGTH, _SECRET_LENGTH, _CHECKSUM_LENGTH = 8, 43, 6
_KEY = re.compile(
    rf"(ak_[0-9A-Za-z]{{{_NAME_LENGTH}}}_[0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)
_PREFIX_LENGTH = len("ak_") + _NAME_LENGTH
_ACCOUNT_NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}")
_NAME_PREFIX = re.compile(r"[a-z0-9._-]{0,64}")


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service that calls us. `id` is its tokens' `sub`, `name` their `client_id`."""

    id: UUID
    name: str
    description: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. `prefix` is how it begins, empty for one that we did not make.

    `from_settings`: it comes and goes with the settings, until an administrator revokes it for good.
    """

    id: UUID
    account_id: UUID
    prefix: str
    digest: bytes = field(repr=False)
    scopes: frozenset[str]
    from_settings: bool
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def new_secret() -> str:
    """A whole key, never made before."""
    body = f"ak_{_random(_NAME_LENGTH)}_{_random(_SECRET_LENGTH)}"
    return body + _checksum(body)


def is_of_our_form(secret: str) -> bool:
    """Whether we may have made this key; anything else need not be looked up."""
    match = _KEY.fullmatch(secret)
    return match is not None and _checksum(match[1]) == match[2]


def prefix_of(secret: str) -> str:
    """What may be shown of a key; of one that somebody else chose, nothing."""
    return secret[:_PREFIX_LENGTH] if is_of_our_form(secret) else ""


def digest_of(secret: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def valid_account_name(name: str) -> str:
    """`name` itself. Raises InvalidInput."""
    if not _ACCOUNT_NAME.fullmatch(name):
        raise InvalidInput(FieldViolation("name", "expected a letter and up to 63 of a-z 0-9 . _ -"))
    return name


def valid_name_prefix(text: str) -> str:
    """`text` in small letters, as names are. Raises InvalidInput."""
    beginning = text.lower()
    if not _NAME_PREFIX.fullmatch(beginning):
        raise InvalidInput(FieldViolation("name_prefix", "expected up to 64 of a-z 0-9 . _ -"))
    return beginning


def valid_description(text: str) -> str:
    """NFC of `text`. Raises InvalidInput."""
    if len(text) > LONGEST_DESCRIPTION:
        raise InvalidInput(FieldViolation("description", f"expected up to {LONGEST_DESCRIPTION} characters"))
    if any(unicodedata.category(character) in ("Cc", "Cs") and character != "\n" for character in text):
        raise InvalidInput(FieldViolation("description", "expected no control characters"))
    return unicodedata.normalize("NFC", text)


def valid_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """Raises InvalidInput for none, and for any that no method asks for."""
    asked = frozenset(scopes)
    if not asked or not asked <= frozenset(SCOPES):
        raise InvalidInput(FieldViolation("scopes", f"expected some of {', '.join(SCOPES)}"))
    return asked


def valid_expiry(expires_at: datetime | None, *, now: datetime) -> datetime | None:
    """`expires_at` itself. Raises InvalidInput for a moment that is over."""
    if expires_at is not None and expires_at <= now:
        raise InvalidInput(FieldViolation("expires_at", "expected a moment in the future"))
    return expires_at


def _random(length: int) -> str:
    return "".join(choice(_DIGITS) for _ in range(length))


def _checksum(body: str) -> str:
    left, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        left, digit = divmod(left, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
