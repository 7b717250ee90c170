"""What verifiers elsewhere follow: the key set and the ended sessions, as a snapshot and then as changes.

There is one memory, the one that Verify asks. What is new in it is gathered for a moment, told once, and kept for a
while under a number; a stream is nothing but the number of what it has sent last. So a thousand streams cost one
encoding of a change, and one that falls behind costs no memory: it is turned away and calls again with its cursor.

A cursor names the database, the key set, and a moment before which every revocation was told. That holds at every
replica: what was made later is sent again, and whatever is learnt later is sent anyway. No replica forgets a revocation
that still matters, so a cursor is never too old; one that this database cannot have given is answered by a snapshot.
"""

import asyncio
import hashlib
import re
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from random import uniform

from auth_service.domain.addresses import network_of
from auth_service.domain.errors import Overloaded, ServerLeaving
from auth_service.storage.database import DatabaseClock
from auth_service.usecases.published_keys import PublishedKeys
from auth_service.usecases.revoked import Ended, RevokedSessions, by_minute
from auth_service.usecases.signing import SigningKeys

MOST_BEHIND = 1024
"""Changes that are kept for streams that are slower than others."""
SESSIONS_AT_ONCE = 2500
"""In one message: 100 kB, of which each stream that is not read has one held for it."""
SNAPSHOT_GOOD_FOR = timedelta(seconds=5)
"""For how long streams that begin share one; each is then sent the changes since."""
HEARTBEAT_GOOD_FOR = timedelta(milliseconds=250)
WOKEN_AT_ONCE = 16
"""Streams that write before other calls get their turn."""
GATHERED_FOR = timedelta(milliseconds=20)
LONGEST_REST, REST_PER_STREAM = timedelta(milliseconds=400), timedelta(microseconds=400)
"""After a change: so that telling of changes takes no more than part of this replica's time."""

_CURSOR = re.compile(r"t1\.(?P<database>[0-9a-f]{16})\.(?P<etag>\d{1,19}-[0-9a-f]{16})\.(?P<micros>\d{1,17})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(Enum):
    SNAPSHOT = auto()
    CHANGE = auto()
    HEARTBEAT = auto()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Told:
    """One message; the same object for every stream that it goes to, so that a door encodes it once.

    `now` less `age` is when keys and revocations had both been read. `revoked` are sessions by the moment until which
    they matter.
    """

    kind: Kind
    cursor: str
    now: datetime
    age: timedelta
    keys: PublishedKeys | None = None
    revoked: Mapping[datetime, Sequence[str]] = field(default_factory=dict)
    is_last: bool = True


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """`number` is that of the last change in it."""

    number: int
    taken_at: float
    chunks: Sequence[Told]


class _Stream:
    """Whether there may be something new for it. An asyncio.Event would do, and is 1 kB."""

    __slots__ = ("_waiter", "_was_woken")

    def __init__(self) -> None:
        self._was_woken = False
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        self._was_woken = True
        if self._waiter is not None:
            _release(self._waiter)

    async def is_woken(self, *, within: float) -> bool:
        """Waits until it is; False after so many seconds in which it was not."""
        if not self._was_woken:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(within, _release, self._waiter)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        was_woken, self._was_woken = self._was_woken, False
        return was_woken


def _release(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


class Trust:
    """`tell` has to run for as long as anybody follows. `leave` ends every stream, and lets no more begin."""

    def __init__(
        self,
        keys: SigningKeys,
        revoked: RevokedSessions,
        *,
        clock: DatabaseClock,
        heartbeat_every: timedelta,
        most_streams: int,
        most_streams_from_one: int,
    ) -> None:
        self._keys = keys
        self._revoked = revoked
        self._clock = clock
        self._heartbeat_every = heartbeat_every
        self._most_streams = most_streams
        self._most_streams_from_one = most_streams_from_one
        self._changes: deque[Told] = deque(maxlen=MOST_BEHIND)
        self._number = 0
        self._pending: list[Ended] = []
        self._is_due = asyncio.Event()
        self._told_etag = ""
        self._told_until = _EPOCH
        self._streams: set[_Stream] = set()
        self._from_network = Counter[str]()
        self._snapshot: _Snapshot | None = None
        self._beat: Told | None = None
        self._beat_good_until = 0.0
        self._taking = asyncio.Lock()
        self._nobody_follows = asyncio.Event()
        self._nobody_follows.set()
        self._is_leaving = False
        revoked.follow(self._hear)
        keys.follow(self._is_due.set)

    @property
    def heartbeat_every(self) -> timedelta:
        return self._heartbeat_every

    @property
    def streams(self) -> int:
        return len(self._streams)

    async def follow(self, cursor: str, *, address: str) -> AsyncGenerator[Told, None]:
        """What is trusted now, or what changed since `cursor`; then a heartbeat, and changes and heartbeats for ever.

        Raises Overloaded, ServerLeaving, and until there is something to tell DatabaseUnavailable, SigningUnavailable.
        """
        with self._following(network_of(address)) as stream:
            if not self._told_etag and self._knows:
                # Keys that were read before the sessions were told to nobody; cursors have to name them.
                self._publish()
            missed = self._missed_since(cursor)
            if missed is not None:
                sent, chunks = self._number, missed
            else:
                snapshot = await self._recent_snapshot()
                sent, chunks = snapshot.number, snapshot.chunks
            for chunk in chunks:
                yield chunk
            is_quiet = True
            while True:
                if self._is_leaving:
                    raise ServerLeaving
                if sent < self._number:
                    yield self._change(sent)
                    sent += 1
                    continue
                if is_quiet:
                    yield self._heartbeat()
                is_quiet = not await stream.is_woken(within=self._heartbeat_due_in())

    async def tell(self) -> None:
        """Tell the streams of what is new; never returns."""
        while True:
            await self._is_due.wait()
            await asyncio.sleep(GATHERED_FOR.total_seconds())
            self._is_due.clear()
            if self._knows:
                self._publish()
                await self._wake()
                await asyncio.sleep(min(LONGEST_REST, len(self._streams) * REST_PER_STREAM).total_seconds())

    @property
    def _knows(self) -> bool:
        return self._revoked.is_loaded and not self._keys.ring.is_empty

    async def leave(self) -> None:
        """Returns when every stream has been told, or does not take it within a second."""
        self._is_leaving = True
        await self._wake()
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._nobody_follows.wait()

    def _hear(self, ended: Ended) -> None:
        self._pending.append(ended)
        self._is_due.set()

    def _publish(self) -> None:
        published = self._keys.published()
        keys = published if published.etag != self._told_etag else None
        pending, self._pending = self._pending, []
        if keys is None and not pending:
            return
        self._told_etag = published.etag
        groups = list(_in_messages(pending)) or [{}]
        for position, group in enumerate(groups):
            if position == len(groups) - 1:
                self._told_until = self._revoked.complete_until
            new = self._message(Kind.CHANGE, self._cursor(), keys=keys if position == 0 else None, revoked=group)
            self._changes.append(new)
            self._number += 1

    async def _wake(self) -> None:
        streams = list(self._streams)
        for first in range(0, len(streams), WOKEN_AT_ONCE):
            for stream in streams[first : first + WOKEN_AT_ONCE]:
                stream.wake()
            await asyncio.sleep(0)

    @contextmanager
    def _following(self, network: str) -> Iterator[_Stream]:
        if self._is_leaving:
            raise ServerLeaving
        if len(self._streams) >= self._most_streams:
            raise Overloaded("too many verifiers follow this server at once", retry_after=timedelta(seconds=5))
        if self._from_network[network] >= self._most_streams_from_one:
            # Or one stranger would take the place of everybody's verifiers.
            raise Overloaded("too many verifiers follow this server from one address", retry_after=timedelta(seconds=5))
        stream = _Stream()
        self._streams.add(stream)
        self._from_network[network] += 1
        self._nobody_follows.clear()
        try:
            yield stream
        finally:
            self._streams.discard(stream)
            self._from_network[network] -= 1
            if not self._from_network[network]:
                del self._from_network[network]
            if not self._streams:
                self._nobody_follows.set()

    def _heartbeat_due_in(self) -> float:
        # Not all at one moment, if all began at one.
        return self._heartbeat_every.total_seconds() * uniform(0.8, 1.0)  # noqa: S311 -- jitter, not a secret

    def _change(self, sent: int) -> Told:
        behind = self._number - sent
        if behind > len(self._changes):
            raise Overloaded("this stream is read too slowly: call again with its last cursor")
        return self._changes[-behind]

    def _heartbeat(self) -> Told:
        # One for all that are due: each stream holds on to its last message. An older cursor is as good.
        now = asyncio.get_running_loop().time()
        if self._beat is None or now >= self._beat_good_until:
            if not self._pending:
                self._told_until = self._revoked.complete_until
            self._beat = self._message(Kind.HEARTBEAT, self._cursor())
            self._beat_good_until = now + HEARTBEAT_GOOD_FOR.total_seconds()
        return self._beat

    def _missed_since(self, cursor: str) -> Sequence[Told] | None:
        """None for a cursor that this database cannot have given: then a snapshot is due."""
        published, now = self._keys.published(), self._clock.now()
        found = _CURSOR.fullmatch(cursor)
        if found is None or found["database"] != self._database():
            return None
        until = _EPOCH + timedelta(microseconds=int(found["micros"]))
        if until > now:
            # The clock went back, or it is another database after all.
            return None
        keys = published if found["etag"] != published.etag else None
        missed = list(_in_messages(self._revoked.since(until)))
        if keys is None and not missed:
            return []
        messages = missed or [{}]
        # With the cursor that the caller has: what was told to the others is not all that was told to this one.
        return [
            self._message(Kind.CHANGE, cursor, keys=keys if position == 0 else None, revoked=group)
            for position, group in enumerate(messages)
        ]

    async def _recent_snapshot(self) -> _Snapshot:
        async with self._taking:
            loop = asyncio.get_running_loop()
            held = self._snapshot
            is_recent = held is not None and loop.time() < held.taken_at + SNAPSHOT_GOOD_FOR.total_seconds()
            if held is None or not is_recent or self._number - held.number > MOST_BEHIND // 2:
                held = self._snapshot = await self._taken(loop.time())
            return held

    async def _taken(self, taken_at: float) -> _Snapshot:
        number, published, ended = self._number, self._keys.published(), self._revoked.all()
        cursor = self._cursor(etag=published.etag, until=self._revoked.complete_until)
        parts = [ended[first : first + SESSIONS_AT_ONCE] for first in range(0, len(ended), SESSIONS_AT_ONCE)] or [[]]
        chunks = []
        for position, part in enumerate(parts):
            is_last = position == len(parts) - 1
            chunks.append(
                self._message(
                    Kind.SNAPSHOT,
                    cursor if is_last else "",
                    keys=published if position == 0 else None,
                    revoked=by_minute(part),
                    is_last=is_last,
                )
            )
            await asyncio.sleep(0)
        return _Snapshot(number, taken_at, chunks)

    def _message(
        self,
        kind: Kind,
        cursor: str,
        *,
        keys: PublishedKeys | None = None,
        revoked: Mapping[datetime, Sequence[str]] | None = None,
        is_last: bool = True,
    ) -> Told:
        now = self._clock.now()
        # What is told is as old as its older half: one of the two may have gone unread for long.
        age = max(timedelta(0), now - min(self._revoked.read_at, self._keys.read_at))
        return Told(kind, cursor, now, age, keys=keys, revoked=revoked or {}, is_last=is_last)

    def _cursor(self, *, etag: str | None = None, until: datetime | None = None) -> str:
        micros = ((until or self._told_until) - _EPOCH) // timedelta(microseconds=1)
        return f"t1.{self._database()}.{etag or self._told_etag}.{max(0, micros)}"

    def _database(self) -> str:
        """What tells this database from every other one: the kid of its first key, which it never forgets."""
        first = min(self._keys.ring.keys, key=lambda key: (key.published_at, key.kid))
        return hashlib.sha256(first.kid.encode()).hexdigest()[:16]


def _in_messages(ended: Sequence[Ended]) -> Iterator[Mapping[datetime, Sequence[str]]]:
    for first in range(0, len(ended), SESSIONS_AT_ONCE):
        yield by_minute(ended[first : first + SESSIONS_AT_ONCE])
