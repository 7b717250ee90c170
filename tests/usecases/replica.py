"""One replica's use cases on a given database, with a clock that tests turn."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from auth_client import TokenVerifier

from auth_service.domain.attempts import limits
from auth_service.domain.audit import Origin
from auth_service.domain.consumers import EvidencePolicy
from auth_service.domain.errors import BadCredentials, ProviderUnavailable
from auth_service.domain.keys import KeyPolicy
from auth_service.domain.people import Identity, IdentityProvider, Person
from auth_service.domain.policy import RolePolicy
from auth_service.domain.presence import PresencePolicy
from auth_service.domain.refresh_tokens import RefreshTokens
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.domain.sessions import SessionPolicy
from auth_service.domain.tokens import TokenPolicy
from auth_service.providers.limits_in_database import LimitsInDatabase
from auth_service.providers.password_hashing import PasswordHashing
from auth_service.providers.password_strength import PasswordRules
from auth_service.storage.database import Database, DatabaseClock
from auth_service.storage.opening import open_database
from auth_service.usecases.attempts import Attempts
from auth_service.usecases.ending import Ending
from auth_service.usecases.issuing import Issuer
from auth_service.usecases.key_consumers import KeyConsumers
from auth_service.usecases.password_change import PasswordChange
from auth_service.usecases.presence import Attendance
from auth_service.usecases.revoked import RevokedSessions
from auth_service.usecases.sessions import RECHECK_WITHIN, Sessions
from auth_service.usecases.sign_in import SignIn
from auth_service.usecases.signing import SigningKeys
from tests.conftest import BUDGET
from tests.domain.rings import POLICY

KEY_POLICY = POLICY
EVIDENCE_POLICY = EvidencePolicy(recent_for=timedelta(hours=48), patience=timedelta(hours=24))
SESSION_POLICY = SessionPolicy(
    idle_lifetime=timedelta(hours=12), absolute_lifetime=timedelta(days=30), replay_window=timedelta(seconds=10)
)
TOKEN_POLICY = TokenPolicy(
    issuer="https://auth.example", audience="https://api.example", lifetime=timedelta(minutes=10), client_id="web"
)
STAFF_ROLE = "ISIS Instrument Scientist"
SECRET = b"k" * 32


class Ticker:
    """A monotonic clock that stands still until it is turned."""

    def __init__(self) -> None:
        self._now = 1000.0

    def __call__(self) -> float:
        return self._now

    def turn(self, by: timedelta) -> None:
        self._now += by.total_seconds()


@dataclass
class Facility:
    """The identity provider of the far side: everybody's password is `right`."""

    name: str = "uows"
    roles: dict[str, frozenset[str]] = field(default_factory=dict)
    is_away: bool = False
    is_hanging: bool = False
    asked: int = 0

    async def authenticate(self, *, username: str, password: str) -> Identity:
        if password != "right":
            raise BadCredentials
        number = 17 + len(username)
        return Identity(self.name, username, username, username.title(), number, self._roles_of(username))

    async def current_roles(self, person: Person) -> frozenset[str]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_hanging:
            await asyncio.Event().wait()
        return self._roles_of(person.provider_subject)

    def _roles_of(self, subject: str) -> frozenset[str]:
        if self.is_away:
            raise ProviderUnavailable("the facility did not answer")
        return self.roles.get(subject, frozenset())

    async def close(self) -> None:
        pass


@dataclass(frozen=True)
class Replica:
    database: Database
    ticker: Ticker
    clock: DatabaseClock
    keys: SigningKeys
    revoked: RevokedSessions
    sign_in: SignIn
    sessions: Sessions
    verifier: TokenVerifier
    refresh_tokens: RefreshTokens
    attendance: Attendance

    async def login(self, username: str = "ada") -> str:
        """The refresh token of a new session."""
        return (await self.sign_in.login(username=username, password="right", origin=Origin())).refresh_token


@contextmanager
def signing_threads() -> Iterator[Executor]:
    workers = ThreadPoolExecutor(2)
    try:
        yield workers
    finally:
        workers.shutdown()


def signing_keys(
    database: Database,
    workers: Executor,
    *,
    policy: KeyPolicy = KEY_POLICY,
    sealing: KeyEncryptionKeys | None = None,
    ticker: Ticker | None = None,
    clock: DatabaseClock | None = None,
    consumers: KeyConsumers | None = None,
) -> SigningKeys:
    """`clock` is that of `consumers`, where there are any."""
    ticker = ticker or Ticker()
    clock = clock or DatabaseClock(ticker)
    if consumers is None:
        consumers = KeyConsumers(database, policy=EVIDENCE_POLICY, profiles={}, clock=clock)
    return SigningKeys(
        database,
        policy=policy,
        sealing=sealing or KeyEncryptionKeys([SECRET]),
        clock=clock,
        monotonic=ticker,
        workers=workers,
        consumers=consumers,
    )


@asynccontextmanager
async def replica(
    url: str,
    *,
    facility: IdentityProvider | None = None,
    session_policy: SessionPolicy = SESSION_POLICY,
    recheck_after: timedelta = timedelta(minutes=5),
    recheck_within: timedelta = RECHECK_WITHIN,
    signer_lease: timedelta = timedelta(days=365),
) -> AsyncIterator[Replica]:
    """Started: it holds the ring. Its lease is long, so that turning the clock ends sessions and not the signing."""
    ticker, facility = Ticker(), facility or Facility()
    clock, sealing = DatabaseClock(ticker), KeyEncryptionKeys([SECRET])
    refresh_tokens = RefreshTokens(sealing)
    database = open_database(url, budget=BUDGET)
    policy = replace(KEY_POLICY, signer_lease=signer_lease)
    with signing_threads() as workers:
        keys = signing_keys(database, workers, policy=policy, sealing=sealing, ticker=ticker, clock=clock)
        await keys.tick()
        revoked = RevokedSessions(database, clock=clock)
        await revoked.poll()
        ending = Ending(revoked, longest_token=lambda: timedelta(minutes=12))
        issuer = Issuer(
            keys,
            refresh_tokens=refresh_tokens,
            token_policy=TOKEN_POLICY,
            role_policy=RolePolicy(frozenset({STAFF_ROLE})),
            clock=clock,
            workers=workers,
        )
        attendance = Attendance(database, policy=PresencePolicy(session_policy.replay_window), clock=clock)
        yield Replica(
            database=database,
            ticker=ticker,
            clock=clock,
            keys=keys,
            revoked=revoked,
            sign_in=SignIn(
                database,
                providers=[facility],
                issuer=issuer,
                session_policy=session_policy,
                attempts=Attempts(
                    database,
                    tallies=LimitsInDatabase(database),
                    limits=limits(here=4, account=6, address=30),
                    clock=clock,
                ),
                password_change=PasswordChange(
                    hashing=PasswordHashing(), password_rules=PasswordRules(shortest=15), ending=ending
                ),
                ending=ending,
                clock=clock,
            ),
            sessions=Sessions(
                database,
                refresh_tokens=refresh_tokens,
                issuer=issuer,
                ending=ending,
                providers={facility.name: facility},
                policy=session_policy,
                attendance=attendance,
                recheck_after=recheck_after,
                recheck_within=recheck_within,
                clock=clock,
            ),
            verifier=TokenVerifier(
                issuer=TOKEN_POLICY.issuer,
                audience=str(TOKEN_POLICY.audience),
                keys=keys.verifying,
                is_revoked=revoked.holds,
                clock=clock.timestamp,
            ),
            refresh_tokens=refresh_tokens,
            attendance=attendance,
        )
        await database.close()
