"""Bugs to be found: rules of ours that are replaced, in the simulated world only, by ones that somebody might write."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from auth_client.trust import told

from auth_service.domain import keys, sessions
from auth_service.domain.keys import KeyPolicy, KeyRing, SigningKey, State
from auth_service.domain.presence import Absence
from auth_service.storage.database import Connection
from auth_service.storage.revocations import Revocation
from auth_service.usecases import sessions as usecases
from auth_service.usecases.ending import Ending
from auth_service.usecases.presence import Attendance
from auth_service.usecases.signing import SigningKeys
from tests.simulation.world import swapped

Plant = Callable[[ExitStack], None]


def publishes_and_signs_at_once(stack: ExitStack) -> None:
    """A rotation signs with the key that it makes, and keeps the standby for later."""
    rotated = keys.rotated

    def planted(ring: KeyRing, *, fresh: SigningKey, now: datetime, policy: KeyPolicy) -> KeyRing:
        new = rotated(ring, fresh=fresh, now=now, policy=policy)
        hasty = replace(fresh, state=State.ACTIVE, activated_at=now)
        return replace(new.with_keys(hasty, ring.standby), version=new.version)

    stack.enter_context(swapped(keys, "rotated", planted))


def forks_successors(stack: ExitStack) -> None:
    """A refresh that is repeated gets a new successor, and not the one whose answer was lost."""
    judge = sessions.judge

    def planted(session: sessions.Session, **named: Any) -> sessions.Verdict:
        match judge(session, **named):
            case sessions.Replay(unused):
                return sessions.Rotate(sessions.succeeded(unused, now=named["now"], policy=named["policy"]))
            case verdict:
                return verdict

    stack.enter_context(swapped(sessions, "judge", planted))


def wipes_too_early(stack: ExitStack) -> None:
    """A key loses its private half with its demotion, while others may still sign with it."""
    demoted = SigningKey.demoted

    def planted(key: SigningKey, *, now: datetime, policy: KeyPolicy) -> SigningKey:
        return replace(demoted(key, now=now, policy=policy), sealed_private=None)

    stack.enter_context(swapped(SigningKey, "demoted", planted))


def forgets_the_lease_and_the_skew(stack: ExitStack) -> None:
    """A demoted key is published for a token's lifetime and no longer."""
    demoted = SigningKey.demoted

    def planted(key: SigningKey, *, now: datetime, policy: KeyPolicy) -> SigningKey:
        return replace(demoted(key, now=now, policy=policy), verifies_until=now + key.covers_lifetime)

    stack.enter_context(swapped(SigningKey, "demoted", planted))


def drops_revocations_early(stack: ExitStack) -> None:
    """That a session ended is forgotten before the last of its access tokens is over."""
    revocation = Ending.revocation

    def planted(ending: Ending, session_id: Any, *, now: datetime) -> Revocation:
        made = revocation(ending, session_id, now=now)
        return replace(made, expires_at=now + (made.expires_at - now) / 3)

    stack.enter_context(swapped(Ending, "revocation", planted))


def verifier_drops_revocations_early(stack: ExitStack) -> None:
    """The client forgets an ended session two minutes after it was told."""
    kind = told.Told
    forget = kind._forget

    def planted(trusted: Any, now: datetime) -> None:
        forget(trusted, now + timedelta(minutes=13))

    stack.enter_context(swapped(kind, "_forget", planted))


def counts_absences_against_people(stack: ExitStack) -> None:
    """The replay window goes on while the database is away, as it did before decision 7."""
    judge = sessions.judge

    def planted(session: sessions.Session, **named: Any) -> sessions.Verdict:
        return judge(session, **{**named, "absence": timedelta(0)})

    stack.enter_context(swapped(sessions, "judge", planted))


def knows_only_its_own_absences(stack: ExitStack) -> None:
    """A replica that takes a token for stolen does not ask whether the one that spent it was away."""

    async def planted(_attendance: Attendance, _connection: Connection, _replica: UUID, **_named: Any) -> list[Absence]:
        return []

    stack.enter_context(swapped(Attendance, "absences_of", planted))


def waits_for_a_replica_for_ever(stack: ExitStack) -> None:
    """The replay window stays open for as long as the replica that spent the token is away."""
    stack.enter_context(swapped(usecases, "LONGEST_ABSENCE", timedelta(days=1)))


def tells_its_age_by_sessions_alone(stack: ExitStack) -> None:
    """The trust stream says that all is up to date when the ended sessions are, whatever became of the key ring."""
    stack.enter_context(swapped(SigningKeys, "read_at", property(lambda keys: keys._clock.now())))


def signs_without_a_lease(stack: ExitStack) -> None:
    """A replica that has lost its database goes on signing with what it knows."""

    def has_lease(keys: SigningKeys) -> bool:
        return keys._signer is not None

    stack.enter_context(swapped(SigningKeys, "has_lease", property(has_lease)))


PLANTS: dict[Plant, tuple[frozenset[str], int]] = {
    publishes_and_signs_at_once: (frozenset({"refused"}), 3),
    forks_successors: (frozenset({"successor", "logged out"}), 1),
    wipes_too_early: (frozenset({"private"}), 1),
    forgets_the_lease_and_the_skew: (frozenset({"refused"}), 4),
    drops_revocations_early: (frozenset({"accepted"}), 4),
    verifier_drops_revocations_early: (frozenset({"accepted"}), 4),
    counts_absences_against_people: (frozenset({"logged out"}), 774904),
    knows_only_its_own_absences: (frozenset({"logged out"}), 5),
    waits_for_a_replica_for_ever: (frozenset({"replayed"}), 1),
    tells_its_age_by_sessions_alone: (frozenset({"accepted"}), 1),
    signs_without_a_lease: (frozenset({"signing", "private"}), 2),
}
"""Each with the promises of which it breaks one first, and a seed to begin with."""
