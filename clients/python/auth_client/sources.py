"""Where a verifier gets its keys from."""

from typing import Protocol, runtime_checkable

from .keys import KeySet
from .token import VerifiedToken


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
