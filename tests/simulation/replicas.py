"""A replica of the service: its real use cases and doors, in a process that can be killed at any point."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from auth_api.v1 import trust_pb2
from auth_client import TokenVerifier
from starlette.applications import Starlette
from starlette.types import Message

from auth_service.background import every, in_background
from auth_service.domain.attempts import limits
from auth_service.domain.consumers import EvidencePolicy
from auth_service.domain.errors import Unavailable
from auth_service.domain.keys import KeyPolicy
from auth_service.domain.policy import RolePolicy
from auth_service.domain.presence import PresencePolicy
from auth_service.domain.refresh_tokens import RefreshTokens
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.domain.sessions import SessionPolicy
from auth_service.providers.limits_in_database import LimitsInDatabase
from auth_service.providers.password_hashing import PasswordHashing
from auth_service.providers.password_strength import PasswordRules
from auth_service.rpc.call import Call, current
from auth_service.rpc.trust_servicer import TrustServicer
from auth_service.storage import revocations, signing_keys
from auth_service.storage.database import Database, DatabaseClock
from auth_service.usecases.attempts import Attempts
from auth_service.usecases.canaries import Canaries
from auth_service.usecases.ending import Ending
from auth_service.usecases.issuing import Issuer
from auth_service.usecases.key_consumers import KeyConsumers
from auth_service.usecases.password_change import PasswordChange
from auth_service.usecases.presence import Attendance
from auth_service.usecases.revocation_list import RevocationList
from auth_service.usecases.revoked import RevokedSessions
from auth_service.usecases.sessions import Sessions
from auth_service.usecases.sign_in import SignIn
from auth_service.usecases.signing import SigningKeys
from auth_service.usecases.trust import Trust
from auth_service.web import wellknown
from tests.simulation.database import DatabaseLink, DatabaseServer
from tests.simulation.loop import Process
from tests.usecases.replica import SECRET, TOKEN_POLICY, Facility

DATABASE_BUDGET = timedelta(milliseconds=800)
SHARE_EVERY, SWEEP_EVERY = timedelta(seconds=60), timedelta(minutes=5)
SESSION_POLICY = SessionPolicy(
    idle_lifetime=timedelta(hours=12), absolute_lifetime=timedelta(days=30), replay_window=timedelta(seconds=10)
)
HEARTBEAT_EVERY = timedelta(seconds=15)
EVIDENCE_POLICY = EvidencePolicy(recent_for=timedelta(hours=1), patience=timedelta(minutes=30))
ADDRESS = "192.0.2.1"
"""Where everybody calls from. Verifiers are told apart by their user agents."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Of an HTTP door."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Drifting:
    """A monotonic clock that runs a little fast or slow, and began somewhere."""

    def __init__(self, time: Callable[[], float], *, rate: float, began: float) -> None:
        self._time = time
        self._rate = rate
        self._began = began

    def __call__(self) -> float:
        return self._began + self._time() * self._rate


@dataclass
class Absences:
    """When somebody had no database; of a replica also: when it had crashed. In true seconds."""

    over: list[tuple[float, float]] = field(default_factory=list)
    since: float | None = None

    def note(self, is_away: bool, *, moment: float) -> None:
        if self.since is not None:
            self.over.append((self.since, moment))
        self.since = moment if is_away else None

    def until(self, now: float) -> Iterator[tuple[float, float]]:
        yield from self.over
        if self.since is not None:
            yield self.since, now


@dataclass(eq=False)
class Replica:
    """From the start of a process to its end; who starts again is another one of the same name."""

    name: str
    process: Process
    link: DatabaseLink
    policy: KeyPolicy
    keys: SigningKeys
    revoked: RevokedSessions
    sessions: Sessions
    attendance: Attendance
    sign_in: SignIn
    trust: Trust
    consumers: KeyConsumers
    canaries: Canaries
    verifier: TokenVerifier
    clock: DatabaseClock
    refresh_tokens: RefreshTokens
    servicer: TrustServicer
    web: Starlette
    poll_every: timedelta
    started_at: float = 0.0
    away: Absences = field(default_factory=Absences)

    @property
    def is_ready(self) -> bool:
        """What its health check says, and a load balancer goes by."""
        is_loaded = not self.keys.ring.is_empty and self.revoked.is_loaded
        return not self.process.is_dead and is_loaded and self.keys.has_lease

    async def serve(self, database: Database) -> None:
        """What `app.serving` does beside opening doors; never returns."""
        for step in (self.keys.tick, self.revoked.poll):
            with suppress(Unavailable):
                await step()
        ring_changed, session_ended = asyncio.Event(), asyncio.Event()
        topics = {signing_keys.TOPIC: ring_changed, revocations.TOPIC: session_ended}
        async with in_background(
            every(self.poll_every, self.keys.tick, woken_by=ring_changed),
            every(self.poll_every, self.revoked.poll, woken_by=session_ended),
            every(self.attendance.policy.told_every, self.attendance.tell),
            every(SWEEP_EVERY, self.sessions.sweep),
            every(SWEEP_EVERY, self.attendance.sweep),
            every(SHARE_EVERY, self.consumers.share),
            every(SWEEP_EVERY, self.consumers.sweep),
            self.trust.tell(),
            database.listen(lambda topic: topics[topic].set() if topic in topics else None),
        ):
            await asyncio.Event().wait()

    async def get(self, path: str, headers: Mapping[str, str]) -> Answer:
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "root_path": "",
            "query_string": b"",
            "client": (ADDRESS, 50_000),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        said: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            said.append(message)

        await self.web(scope, receive, send)
        answered = {name.decode(): value.decode() for name, value in said[0]["headers"]}
        return Answer(said[0]["status"], answered, b"".join(each.get("body", b"") for each in said[1:]))

    async def watch_trust(self, request: trust_pb2.WatchTrustRequest, *, consumer: str) -> AsyncIterator[bytes]:
        current.set(Call(request_id="simulated", address=ADDRESS, user_agent=consumer))
        messages: Any = self.servicer.WatchTrust(request, _Context())  # type: ignore[arg-type]  # all that it asks for
        async with aclosing(messages):
            async for message in messages:
                yield message


class _Context:
    """Of a call that brought no metadata."""

    def invocation_metadata(self) -> tuple[()]:
        return ()


def replica(
    name: str,
    *,
    server: DatabaseServer,
    process: Process,
    policy: KeyPolicy,
    monotonic: Callable[[], float],
    poll_every: timedelta,
    facility: Facility,
    workers: ThreadPoolExecutor,
) -> tuple[Replica, Database]:
    """A replica that was just started and has read nothing. `workers` are never used: see SimulatedLoop."""
    link = DatabaseLink(server, process)
    database = Database(link, budget=DATABASE_BUDGET)
    clock, sealing = DatabaseClock(monotonic), KeyEncryptionKeys([SECRET])
    refresh_tokens = RefreshTokens(sealing)
    consumers = KeyConsumers(database, policy=EVIDENCE_POLICY, profiles={}, clock=clock)
    keys = SigningKeys(
        database,
        policy=policy,
        sealing=sealing,
        clock=clock,
        monotonic=monotonic,
        workers=workers,
        consumers=consumers,
    )
    revoked = RevokedSessions(database, clock=clock)
    ending = Ending(revoked, longest_token=keys.longest_token)
    issuer = Issuer(
        keys,
        refresh_tokens=refresh_tokens,
        token_policy=TOKEN_POLICY,
        role_policy=RolePolicy(frozenset()),
        clock=clock,
        workers=workers,
    )
    trust = Trust(
        keys,
        revoked,
        clock=clock,
        heartbeat_every=HEARTBEAT_EVERY,
        most_streams=1000,
        most_streams_from_one=1000,
    )
    routes = wellknown.routes(
        keys=keys,
        consumers=consumers,
        revocations=RevocationList(revoked, keys, monotonic=monotonic),
        issuer=TOKEN_POLICY.issuer,
        endpoints={},
        now=clock.now,
    )
    attendance = Attendance(database, policy=PresencePolicy(SESSION_POLICY.replay_window), clock=clock)
    made = Replica(
        name=name,
        process=process,
        link=link,
        policy=policy,
        keys=keys,
        revoked=revoked,
        sessions=Sessions(
            database,
            refresh_tokens=refresh_tokens,
            issuer=issuer,
            ending=ending,
            providers={facility.name: facility},
            policy=SESSION_POLICY,
            attendance=attendance,
            recheck_after=timedelta(minutes=5),
            clock=clock,
        ),
        attendance=attendance,
        sign_in=SignIn(
            database,
            providers=[facility],
            issuer=issuer,
            session_policy=SESSION_POLICY,
            attempts=Attempts(
                database, tallies=LimitsInDatabase(database), limits=limits(here=4, account=6, address=30), clock=clock
            ),
            password_change=PasswordChange(
                hashing=PasswordHashing(), password_rules=PasswordRules(shortest=15), ending=ending
            ),
            ending=ending,
            clock=clock,
        ),
        trust=trust,
        consumers=consumers,
        canaries=Canaries(database, keys=keys, token_policy=TOKEN_POLICY),
        verifier=TokenVerifier(
            issuer=TOKEN_POLICY.issuer,
            audience=TOKEN_POLICY.audience,
            keys=keys.verifying,
            is_revoked=revoked.holds,
            leeway=policy.clock_skew,
            cache_size=1000,
            clock=clock.timestamp,
        ),
        clock=clock,
        refresh_tokens=refresh_tokens,
        servicer=TrustServicer(trust=trust, keys=keys, consumers=consumers),
        web=Starlette(routes=routes),
        poll_every=poll_every,
    )
    return made, database
