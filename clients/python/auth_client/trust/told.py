"""What the trust stream has told so far, as a verifier needs it. No I/O: a stack reads the messages and hands them in.

a snapshot            its sessions count at once, its keys and its cursor with the last chunk
a change              more sessions, and another key set where there is one
a session             stays refused until no token of it is left, by the service's clock and not by this machine's
a revoked key         stays refused, whatever other replicas still tell
an unusable key set   is left out: the keys that were known stay, less those that it says are revoked
"""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from auth_api.v1 import trust_pb2

from .. import calls
from ..errors import KeySetRefused
from ..keys import KeySet

_LONGEST_LEEWAY = 5 * 60
"""Seconds, of any verifier: a token may be believed for so long after its `exp`."""


class Told:
    """`take` from one task only; `keys` and `names` may be asked from any thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._revoked: dict[str, float] = {}
        self._coming: KeySet | None = None
        self.keys: KeySet | None = None
        self.cursor = ""
        self.true_at = float("-inf")
        """By `clock`: what is known here was all there was to know then."""
        self.heartbeat_interval: float | None = None

    def __len__(self) -> int:
        return len(self._revoked)

    def names(self, session_id: str) -> bool:
        """Whether the session is known to have ended."""
        return session_id in self._revoked

    def take(self, message: trust_pb2.WatchTrustResponse) -> None:
        """Raises KeySetRefused for a key set without a usable key; everything else in the message counts."""
        match message.WhichOneof("what"):
            case "snapshot":
                self._take_chunk(message.snapshot)
            case "change":
                self._refuse(message.change.revoked)
                self._forget(message.now.ToDatetime(tzinfo=UTC))
                if message.change.HasField("keys"):
                    self.keys = self._key_set(message.change.keys)
            case "heartbeat":
                self.heartbeat_interval = message.heartbeat.heartbeat_interval.ToTimedelta().total_seconds()
                self._forget(message.now.ToDatetime(tzinfo=UTC))
            case _:
                # From a newer service. Its cursor would skip what is not understood here.
                return
        if message.cursor:
            self.cursor = message.cursor
            self.true_at = self._clock() - max(0.0, message.age.ToTimedelta().total_seconds())

    def begin(self) -> None:
        """A new stream: what was left of a snapshot that was cut does not count."""
        self._coming = None

    def _take_chunk(self, chunk: trust_pb2.TrustSnapshotChunk) -> None:
        self._refuse(chunk.revoked)
        if chunk.HasField("keys"):
            self._coming = self._key_set(chunk.keys)
        if chunk.last:
            if self._coming is None:
                raise KeySetRefused("the snapshot has no usable key set")
            self.keys, self._coming = self._coming, None
            self.heartbeat_interval = chunk.heartbeat_interval.ToTimedelta().total_seconds()

    def _refuse(self, groups: Iterable[trust_pb2.RevokedSessions]) -> None:
        for group in groups:
            until = group.until.seconds + _LONGEST_LEEWAY
            for session_id in group.session_ids:
                self._revoked[session_id] = max(until, self._revoked.get(session_id, until))

    def _forget(self, now: datetime) -> None:
        # They were told in the order in which they end to matter, give or take: the rest need not be looked at.
        moment = now.timestamp()
        while self._revoked and self._revoked[oldest := next(iter(self._revoked))] <= moment:
            del self._revoked[oldest]

    def _key_set(self, told: trust_pb2.TrustedKeys) -> KeySet:
        keys = calls.key_set(told.keys, ring_version=told.ring_version, revoked_kids=told.revoked_kids)
        if self.keys is not None:
            # The next stream may lead to a replica that has not heard of it yet, and a revoked key never returns.
            keys = keys.without(self.keys.revoked)
            if not keys:
                self.keys = self.keys.without(keys.revoked)
        keys.refuse_if_empty()
        return keys
