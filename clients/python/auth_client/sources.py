"""Where a verifier gets its keys from."""

from typing import Protocol, runtime_checkable

from .keys import KeySet
from .token import VerifiedToken

CONSUMER_NAME = "x-consumer-name"
"""The header, or metadata over gRPC, by which whoever takes the key set says what it is called."""
USER_AGENT = "auth-client (Python)"
"""What it is: so the service knows how often it fetches, and that it meets an unknown key by fetching."""
_LONGEST_NAME = 64


class KeySource(Protocol):
    """Keys in hand, and a way to ask whether there are newer ones."""

    def current(self) -> KeySet:
        """The keys to judge by, at once and without I/O. Raises KeysUnavailable if none can be trusted."""
        ...

    async def look_again(self) -> bool:
        """Called when a token's key is unknown. True if `current` may answer differently than before the call."""
        ...


@runtime_checkable
class Revocations(Protocol):
    """What a key source may know besides: which tokens are no good although their keys are."""

    def is_revoked(self, token: VerifiedToken) -> bool:
        """At once and without I/O, on every verification."""
        ...


class FixedKeys:
    """Keys that change only when their owner says so."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    def replace(self, keys: KeySet) -> None:
        """Holds from the very next verification on, also for tokens that a verifier remembers."""
        self._keys = keys

    def current(self) -> KeySet:
        return self._keys

    async def look_again(self) -> bool:
        return False


def checked_name(consumer_name: str) -> str:
    """What a verifier wants to be called, or nothing. Raises ValueError for what cannot be sent."""
    is_sendable = consumer_name.isascii() and consumer_name.isprintable() and consumer_name == consumer_name.strip()
    if not is_sendable or len(consumer_name) > _LONGEST_NAME:
        raise ValueError(f"consumer_name: expected up to {_LONGEST_NAME} printable characters of ASCII")
    return consumer_name
