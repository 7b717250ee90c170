"""That this replica gets through to the database, told to the others while they may have to know it.

Who asks again for the answer to a refresh may ask another replica, or the next one after a crash. That one knows only
its own absences; those of the replica that spent the token are in the database (docs/decisions/0027). Nothing is
written while nothing is refreshed, and nothing is read before a refresh token is about to be taken for stolen.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from auth_service.domain import presence as rules
from auth_service.domain.presence import Absence, Presence, PresencePolicy
from auth_service.storage import presences
from auth_service.storage.database import Connection, Database, DatabaseClock
from auth_service.usecases.sweeping import swept

LONGEST_ABSENCE = timedelta(minutes=5)
"""How much of an absence the replay window waits out (docs/decisions/0007)."""


class Attendance:
    """This replica's: `tell` in the background, `leave` at the end."""

    def __init__(self, database: Database, *, policy: PresencePolicy, clock: DatabaseClock) -> None:
        self.replica = uuid4()
        """Until the process ends: the one after it knows nothing of what this one was asked."""
        self.policy = policy
        self._database = database
        self._clock = clock
        self._used_at: datetime | None = None
        self._told: Presence | None = None

    def uses(self) -> None:
        """A refresh token is about to be spent here, so for a while it matters whether this replica is there.

        Raises DatabaseUnavailable until the database has told its time.
        """
        self._used_at = self._clock.now()

    async def tell(self) -> None:
        """Tell the database, if it matters, that this replica gets through. Raises DatabaseUnavailable."""
        if self._matters():
            await self._put(until=self._clock.now())

    async def leave(self) -> None:
        """Nobody will be looked for here who was not answered: whoever asks from now on asks others.

        Raises DatabaseUnavailable.
        """
        if self._matters():
            await self._put(until=self._clock.now() + self.policy.replay_window)

    async def sweep(self) -> int:
        """Delete what no refresh token is judged by any more; how many rows."""
        before = self._clock.now() - LONGEST_ABSENCE - 2 * self.policy.told_for
        return await swept(
            self._database, lambda connection, most: presences.sweep(connection, before=before, most=most)
        )

    def own_absences(self, *, since: datetime, now: datetime) -> Sequence[Absence]:
        """When between the two moments the database gave no answer here, so far as this replica noticed."""
        ago = self._database.absences_within(now - since)
        return [Absence(now - begun, now - ended) for begun, ended in ago]

    async def absences_of(
        self, connection: Connection, replica: UUID, *, since: datetime, now: datetime
    ) -> Sequence[Absence]:
        """When between the two moments another replica did not get through, so far as it told."""
        told = await presences.of(connection, replica, since=since)
        return rules.absences(told, since=since, now=now, policy=self.policy)

    def _matters(self) -> bool:
        if self._used_at is None or not self.policy.replay_window:
            return False
        past = self._clock.now() - self._used_at
        # A window that stood still ends as much later.
        return past - self._database.absence_within(past) <= self.policy.told_for

    async def _put(self, *, until: datetime) -> None:
        told = self._told
        goes_on = told is not None and until - told.lasts_until <= self.policy.silent_at_most
        new = Presence(told.begun_at if told is not None and goes_on else self._clock.now(), until)
        await self._database.autocommit(lambda connection: presences.put(connection, self.replica, new))
        self._told = new
