"""A session goes on, or ends."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from auth_service.domain import sessions as rules
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.errors import (
    Overloaded,
    ProviderUnavailable,
    RefreshTokenAhead,
    RefreshTokenExpired,
    RefreshTokenInvalid,
    RefreshTokenReused,
    RefreshTokenRevoked,
)
from auth_service.domain.people import IdentityProvider, Person
from auth_service.domain.presence import Absence, together
from auth_service.domain.refresh_tokens import RefreshTokens, SpentGeneration
from auth_service.domain.sessions import EndReason, Session, SessionPolicy
from auth_service.storage import audit, people, revocations, sessions
from auth_service.storage.database import Connection, Database, DatabaseClock
from auth_service.usecases.ending import Ending
from auth_service.usecases.issuing import Issuer, TokenPair
from auth_service.usecases.presence import LONGEST_ABSENCE, Attendance
from auth_service.usecases.sweeping import swept

log = structlog.get_logger()

ANYBODY = Origin()
"""Who calls is not known, and does not matter: the refresh token decides."""

_MOST_LOST_RACES = 5
"""Losing one shows that somebody won, and then the next reading decides; more than a few means something is wrong."""

SWEPT_AFTER = timedelta(days=1)
"""How long a dead session stays readable, so that its late bearers hear why."""

RECHECK_WITHIN = timedelta(seconds=1)
"""A provider that hangs must not use up the time that clients give a refresh (decision 4)."""
ROLES_HOLD_FOR = timedelta(hours=24)
"""How long after the last check roles are trusted while their provider is away (decision 4)."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """A session as a refresh found it. `is_rotated` once this refresh has spent its generation."""

    session: Session
    person: Person
    verdict: rules.Verdict
    is_rotated: bool


class Sessions:
    """Refresh, logout, and the sweeping of what is over."""

    def __init__(
        self,
        database: Database,
        *,
        refresh_tokens: RefreshTokens,
        issuer: Issuer,
        ending: Ending,
        providers: Mapping[str, IdentityProvider],
        policy: SessionPolicy,
        attendance: Attendance,
        recheck_after: timedelta,
        clock: DatabaseClock,
        recheck_within: timedelta = RECHECK_WITHIN,
    ) -> None:
        self._database = database
        self._refresh_tokens = refresh_tokens
        self._issuer = issuer
        self._ending = ending
        self._providers = providers
        self._policy = policy
        self._attendance = attendance
        self._recheck_after = recheck_after
        self._recheck_within = recheck_within
        self._clock = clock

    async def refresh(self, refresh_token: str, *, origin: Origin = ANYBODY) -> TokenPair:
        """Spend `refresh_token` and issue its successor (RFC 9700 section 4.14.2).

        Raises one of RefreshTokenRefused, Unavailable, Overloaded. A reused token ends its session before it raises.
        """
        spent = self._refresh_tokens.read(refresh_token)
        self._issuer.check_can_sign()
        self._attendance.uses()
        for _ in range(_MOST_LOST_RACES):
            reading = await self._database.autocommit(lambda connection: self._read(connection, spent))
            if reading is None:
                raise RefreshTokenExpired
            session, person, is_rotated = reading.session, reading.person, reading.is_rotated
            if not person.may_sign_in:
                await self._end(session.id, reason="person", origin=origin)
                raise RefreshTokenRevoked
            match reading.verdict:
                case rules.Rotate(successor):
                    if not is_rotated and self._is_long_unchecked(person):
                        person = await self._as_of_now(person)
                        # The provider took its time: the replay window begins when the token is spent.
                        successor = rules.succeeded(session, now=self._clock.now(), policy=self._policy)
                        is_rotated = await self._rotate(successor)
                    # One statement decides; whoever loses reads again and finds the winner's successor.
                    if is_rotated:
                        log.info("refresh", session=str(session.id), generation=successor.generation)
                        return await self._issuer.pair(person, successor)
                case rules.Replay(unused):
                    log.info("refresh.replayed", session=str(session.id), generation=unused.generation)
                    return await self._issuer.pair(person, unused)
                case rules.Reused():
                    # Ended and committed before raising: an error inside the step would roll the ending back.
                    await self._end(session.id, reason="reuse", origin=origin)
                    log.warning("refresh.reused", session=str(session.id), generation=spent.generation)
                    raise RefreshTokenReused
                case rules.Ahead():
                    log.error("refresh.ahead", session=str(session.id), generation=spent.generation)
                    raise RefreshTokenAhead
                case rules.Expired():
                    raise RefreshTokenExpired
                case rules.Ended():
                    raise RefreshTokenRevoked
        raise Overloaded("refresh_token: too many calls are spending it at once")

    async def logout(self, refresh_token: str, *, origin: Origin = ANYBODY) -> None:
        """End the session. A token that is not ours, or of a session that is over, is fine (RFC 7009 section 2.2).

        Raises RefreshTokenMissing, DatabaseUnavailable.
        """
        try:
            spent = self._refresh_tokens.read(refresh_token)
        except RefreshTokenInvalid:
            return
        await self._end(spent.session_id, reason="logout", origin=origin)

    async def sweep(self) -> int:
        """Delete sessions and revocations that nobody can ask for any more; how many."""
        now = self._clock.now()
        return await swept(
            self._database,
            lambda connection, most: sessions.sweep(connection, before=now - SWEPT_AFTER, most=most),
            lambda connection, most: revocations.sweep(connection, before=now, most=most),
        )

    async def _rotate(self, successor: Session) -> bool:
        return await self._database.autocommit(
            lambda connection: sessions.rotate(connection, successor, by=self._attendance.replica)
        )

    async def _end(self, session_id: UUID, *, reason: EndReason, origin: Origin) -> None:
        now = self._clock.now()
        revocation = self._ending.revocation(session_id, now=now)

        async def step(connection: Connection) -> bool:
            person_id = await sessions.end(connection, session_id, reason=reason, now=now)
            if person_id is None:
                return False
            if reason == "reuse":
                alarm = happened(
                    EventType.SESSION_REUSED, origin=origin, now=now, on=person_id, session_id=str(session_id)
                )
                await audit.add(connection, alarm)
            # Who holds the refresh token logs out; anybody may hold one that was spent.
            by = person_id if reason == "logout" else None
            await self._ending.written(connection, [revocation], person_id, reason=reason, origin=origin, by=by)
            return True

        has_ended = await self._database.transaction(step)
        # Also if it had ended before: the caller who ended it may have gone away before this replica learnt of it.
        self._ending.take_effect([revocation])
        if has_ended:
            log.info("session.ended", session=str(session_id), reason=reason)

    async def _read(self, connection: Connection, spent: SpentGeneration) -> _Reading | None:
        """What `spent` buys, and, unless the provider has to be asked first, bought in the same step.

        One step, because a connection from the pool costs as much as the statement that it is for.
        """
        found = await sessions.find(connection, spent.session_id)
        if found is None:
            return None
        session, person = found
        verdict = await self._judged(connection, session, generation=spent.generation, now=self._clock.now())
        is_rotated = False
        if isinstance(verdict, rules.Rotate) and person.may_sign_in and not self._is_long_unchecked(person):
            is_rotated = await sessions.rotate(connection, verdict.successor, by=self._attendance.replica)
        return _Reading(session, person, verdict, is_rotated)

    async def _judged(
        self, connection: Connection, session: Session, *, generation: int, now: datetime
    ) -> rules.Verdict:
        """An answer that was lost when the database went away can only be asked for again when it is back."""
        since = session.rotated_at

        def judged(absent: Iterable[Absence]) -> rules.Verdict:
            absence = min(together(absent, since=since, now=now), LONGEST_ABSENCE)
            return rules.judge(session, generation=generation, now=now, policy=self._policy, absence=absence)

        own = self._attendance.own_absences(since=since, now=now)
        verdict, spender = judged(own), session.rotated_by
        if not isinstance(verdict, rules.Reused) or spender is None or spender == self._attendance.replica:
            return verdict
        is_too_late_anyway = isinstance(judged([Absence(since, now)]), rules.Reused)
        if is_too_late_anyway:
            return verdict
        # Before it is taken for theft: the replica that spent it may have been away, and this one does not know.
        return judged([*own, *await self._attendance.absences_of(connection, spender, since=since, now=now)])

    def _is_long_unchecked(self, person: Person) -> bool:
        return person.provider in self._providers and self._clock.now() >= (
            person.provider_checked_at + self._recheck_after
        )

    async def _as_of_now(self, person: Person) -> Person:
        """`person` with the roles that their provider gives them now.

        A provider that is away promotes and demotes nobody: what it said last holds for ROLES_HOLD_FOR. Raises
        ProviderUnavailable after that.
        """
        provider, now = self._providers[person.provider], self._clock.now()
        try:
            roles = await self._current_roles(provider, person)
        except ProviderUnavailable:
            log.warning("refresh.provider_unavailable", person=str(person.id), provider=person.provider)
            if now - person.provider_checked_at >= ROLES_HOLD_FOR:
                raise
            return person
        await self._database.autocommit(
            lambda connection: people.set_provider_roles(connection, person.id, roles, now=now)
        )
        return replace(person, provider_roles=roles, provider_checked_at=now)

    async def _current_roles(self, provider: IdentityProvider, person: Person) -> frozenset[str]:
        try:
            async with asyncio.timeout(self._recheck_within.total_seconds()):
                return await provider.current_roles(person)
        except TimeoutError:
            raise ProviderUnavailable(f"{provider.name} did not answer in time") from None
