"""Sessions: one row each, a generation number that only grows, and an end.

A refresh token of generation g buys generation g + 1, once. Presented again at once it buys the same successor, because
the answer may have been lost; presented later it is taken for theft.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

EndReason = Literal["logout", "reuse", "person", "password", "disabled", "deleted", "asked"]
"""`person`: may not sign in any more; `password`: it was changed; `asked`: by the person, or by an administrator."""


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How long sessions live, and how long a lost answer may be asked for again."""

    idle_lifetime: timedelta
    absolute_lifetime: timedelta
    replay_window: timedelta


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in of one person with one client. `rotated_at` is the last use: sign-in or refresh.

    `expires_at` is when the session ends if nobody uses it, never past `absolute_expires_at`. `address` and
    `user_agent` tell the person which of their sessions it is. `rotated_by` is the replica of the last refresh.
    """

    id: UUID
    person_id: UUID
    generation: int
    started_at: datetime
    rotated_at: datetime
    expires_at: datetime
    absolute_expires_at: datetime
    ended_at: datetime | None = None
    address: str = ""
    user_agent: str = ""
    rotated_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Rotate:
    """The token is the session's newest: spend it. `successor` is the session one generation on."""

    successor: Session


@dataclass(frozen=True, slots=True)
class Replay:
    """The token was spent a moment ago and its successor is unused: the answer was lost, give the same one."""

    session: Session


@dataclass(frozen=True, slots=True)
class Reused:
    """The token was spent before: end the session."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """The token is newer than the row: the database was restored from an older backup. Not theft."""


@dataclass(frozen=True, slots=True)
class Expired:
    """Idle for too long, or past the absolute lifetime."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The session was ended before."""


Verdict = Rotate | Replay | Reused | Ahead | Expired | Ended


def start(person_id: UUID, *, now: datetime, policy: SessionPolicy, address: str = "", user_agent: str = "") -> Session:
    """A new session at generation 1."""
    absolute_expires_at = now + policy.absolute_lifetime
    return Session(
        id=uuid4(),
        person_id=person_id,
        generation=1,
        started_at=now,
        rotated_at=now,
        expires_at=min(now + policy.idle_lifetime, absolute_expires_at),
        absolute_expires_at=absolute_expires_at,
        address=address,
        user_agent=user_agent,
    )


def succeeded(session: Session, *, now: datetime, policy: SessionPolicy) -> Session:
    """The session one generation on, used at `now`. Never longer than its absolute lifetime."""
    expires_at = min(now + policy.idle_lifetime, session.absolute_expires_at)
    return replace(session, generation=session.generation + 1, rotated_at=now, expires_at=expires_at)


def judge(
    session: Session,
    *,
    generation: int,
    now: datetime,
    policy: SessionPolicy,
    absence: timedelta = timedelta(0),
) -> Verdict:
    """What a refresh token of `generation` buys at `now` (RFC 9700 section 4.14.2).

    `absence` is for how long since the last use nobody could refresh: a replay window, if there is one, stood still.
    """
    if session.ended_at is not None:
        return Ended()
    if now >= session.expires_at:
        return Expired()
    if generation == session.generation:
        return Rotate(succeeded(session, now=now, policy=policy))
    if generation > session.generation:
        return Ahead()
    # Only the generation just before the newest may be replayed: a newer use proves that the successor arrived.
    window = policy.replay_window + absence if policy.replay_window else timedelta(0)
    if generation + 1 == session.generation and now < session.rotated_at + window:
        return Replay(session)
    return Reused()
