"""The key ring as this replica holds it: what signs, what verifies, and the changes that come due.

Reading the ring gives a lease: for that long this replica may sign from memory, so a short absence of the database
stops no login. Publishing and verifying need no lease.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from auth_service.domain import consumers
from auth_service.domain import keys as rules
from auth_service.domain.audit import SYSTEM, AuditEvent, EventType, Origin, happened
from auth_service.domain.consumers import Due, NotDue, Sighting, Waiting, activation, named_in_short
from auth_service.domain.errors import KeyState, RingChanged, SigningUnavailable
from auth_service.domain.keys import KeyPolicy, KeyRing, SigningKey
from auth_service.domain.policy import OperatorCalling, PersonCalling, ServiceCalling
from auth_service.domain.sealing import KeyEncryptionKeys, SealBroken
from auth_service.providers.threads import threads_that_step_back
from auth_service.storage import audit, signing_keys
from auth_service.storage.database import Connection, Database, DatabaseClock
from auth_service.usecases.key_consumers import KeyConsumers
from auth_service.usecases.published_keys import PublishedKeys, VerifyingKeys

log = structlog.get_logger()

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
LATER, AT_ONCE = 10, 0
"""The niceness of the thread that makes a key. A key that leaked is not waited for."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The key that signs now. What it signs must not live longer than `lifetime`."""

    kid: str
    private_key: RSAPrivateKey
    lifetime: timedelta


class SigningKeys:
    """This replica's view of the ring. `tick` keeps it fresh; `verifying` follows it at once."""

    def __init__(
        self,
        database: Database,
        *,
        policy: KeyPolicy,
        sealing: KeyEncryptionKeys,
        clock: DatabaseClock,
        monotonic: Callable[[], float],
        workers: Executor,
        consumers: KeyConsumers,
    ) -> None:
        self._database = database
        self._policy = policy
        self._sealing = sealing
        self._clock = clock
        self._monotonic = monotonic
        self._workers = workers
        self._consumers = consumers
        self._waits_for = ""
        self._ring = KeyRing(version=0)
        self._published: PublishedKeys | None = None
        self._signer: Signer | None = None
        self._lease_ends = 0.0
        self._read_at = _EVER
        self._changing = asyncio.Lock()
        self._heard: Callable[[], None] | None = None
        self.verifying = VerifyingKeys()

    @property
    def ring(self) -> KeyRing:
        """Every key, as last read."""
        return self._ring

    @property
    def read_at(self) -> datetime:
        """As of when the ring is so."""
        return self._read_at

    @property
    def has_lease(self) -> bool:
        return self._signer is not None and self._monotonic() < self._lease_ends

    @property
    def is_sealed(self) -> bool:
        """Whether the active key is one that this replica cannot open."""
        return self._signer is None and not self._ring.is_empty

    def follow(self, heard: Callable[[], None]) -> None:
        """Call `heard` whenever the ring has changed, as soon as it is what this replica goes by."""
        self._heard = heard

    def longest_token(self) -> timedelta:
        """How long a token lives that any replica signs now: while an upgrade rolls, another's may live longer."""
        lifetimes = (key.covers_lifetime for key in self._ring.published)
        return max(lifetimes, default=self._policy.token_lifetime) + 2 * self._policy.clock_skew

    def signer(self) -> Signer:
        """The key to sign with. Raises SigningUnavailable if the ring was last read too long ago."""
        if self._signer is None or not self.has_lease:
            raise SigningUnavailable
        return self._signer

    def published(self) -> PublishedKeys:
        """The key set; never empty. Raises SigningUnavailable until there is one."""
        if self._published is None:
            raise SigningUnavailable
        return self._published

    async def read(self) -> KeyRing:
        """The ring as it is in the database, with nothing brought about. Raises DatabaseUnavailable."""
        async with self._changing:
            await self._read()
            return self._ring

    async def tick(self) -> None:
        """Read the ring and bring about what is due. Raises DatabaseUnavailable; then the lease runs on."""
        async with self._changing:
            await self._read()
            if self._ring.is_empty:
                await self._begin()
            match await self._activation():
                case Due(behind):
                    new = self._rotated(fresh=await self._fresh())
                    await self._swap(new, self._tells_of_rotation(new, origin=SYSTEM, behind=behind))
                    if behind:
                        log.warning("keys.rotated_without", behind=len(behind), names=named_in_short(behind))
                case Waiting() as waiting:
                    self._tell_of_waiting(waiting)
            await self._swap(rules.tidied(self._ring, now=self._clock.now(), policy=self._policy))

    async def rotate(
        self, *, origin: Origin, ring_version: int | None = None, require_published_ahead: bool = False
    ) -> KeyRing:
        """Let the standby sign from now on. Raises RingChanged, KeyState, DatabaseUnavailable."""
        async with self._changing:
            await self._read_expecting(ring_version)
            if require_published_ahead:
                await self._check_published_ahead()
            new = self._rotated(fresh=await self._fresh())
            await self._swap_or_raise(new, self._tells_of_rotation(new, origin=origin))
            log.info("keys.rotated", by=_named(origin), version=self._ring.version)
            return self._ring

    async def roll_back(self, *, origin: Origin, ring_version: int | None = None) -> KeyRing:
        """Let the key that signed before sign again. Raises KeyState, RingChanged, DatabaseUnavailable."""
        async with self._changing:
            await self._read_expecting(ring_version)
            now = self._clock.now()
            new = rules.rolled_back(self._ring, now=now, policy=self._policy)
            if await self._opened(new.active) is None:
                # Better the key that verifiers do not know yet than one that nobody can sign with.
                raise KeyState(f"the private half of {new.active.kid} cannot be opened here")
            event = happened(
                EventType.SIGNING_KEY_ROLLED_BACK,
                origin=origin,
                now=now,
                kid=new.active.kid,
                demoted_kid=self._ring.active.kid,
            )
            await self._swap_or_raise(new, event)
            log.info("keys.rolled_back", by=_named(origin), version=self._ring.version)
            return self._ring

    async def revoke(self, kid: str, *, origin: Origin, ring_version: int | None = None) -> KeyRing:
        """Refuse everything that `kid` signed, from now on. Raises NotFound, RingChanged, DatabaseUnavailable."""
        async with self._changing:
            await self._read_expecting(ring_version)
            self._ring.get(kid)
            fresh = await self._fresh(niceness=AT_ONCE)
            now = self._clock.now()
            event = happened(EventType.SIGNING_KEY_REVOKED, origin=origin, now=now, kid=kid)
            await self._swap_or_raise(rules.without(self._ring, kid, fresh=fresh, now=now), event)
            log.info("keys.revoked", by=_named(origin), kid=kid, version=self._ring.version)
            return self._ring

    async def rewrap(self) -> int:
        """Seal every private half with the first key-encryption key; how many were resealed. Raises SealBroken."""
        async with self._changing:
            await self._read_expecting(None)
            before = {key.kid: key.sealed_private for key in self._ring.keys}
            await self._swap_or_raise(rules.rewrapped(self._ring, sealing=self._sealing))
            return sum(before[key.kid] != key.sealed_private for key in self._ring.keys)

    async def standby_signer(self) -> Signer:
        """The key that signs next. Raises SigningUnavailable without a lease, or if the key cannot be opened here."""
        self.signer()
        signer = await self._opened(self._ring.standby)
        if signer is None:
            raise SigningUnavailable
        return signer

    async def _activation(self) -> NotDue | Waiting | Due:
        now = self._clock.now()
        is_due = rules.should_rotate(self._ring, now=now, policy=self._policy)
        # Twice a second, for weeks: nobody is asked before it matters.
        lacking = await self._consumers.lacking_standby_of(self._ring) if is_due else ()
        return activation(
            self._ring,
            lacking,
            now=now,
            keys=self._policy,
            policy=self._consumers.policy,
            is_complete=self._consumers.is_complete(),
        )

    def _tell_of_waiting(self, waiting: Waiting) -> None:
        names = named_in_short(waiting.behind)
        if names != self._waits_for:
            log.warning("keys.rotation_waits", until=waiting.until.isoformat(), behind=len(waiting.behind), names=names)
        self._waits_for = names

    async def _check_published_ahead(self) -> None:
        if not rules.is_published_ahead(self._ring, now=self._clock.now(), policy=self._policy):
            ready_at = self._ring.standby.published_at + self._policy.publish_ahead
            raise KeyState(f"the standby key was published too recently; every verifier holds it at {ready_at:%FT%TZ}")
        lacking = await self._consumers.lacking_standby_of(self._ring)
        if behind := consumers.behind(lacking, ring=self._ring, now=self._clock.now(), policy=self._consumers.policy):
            raise KeyState(f"{len(behind)} recent consumers do not hold the standby key: {named_in_short(behind)}")

    async def _read(self) -> None:
        asked_at = self._monotonic()

        async def step(connection: Connection) -> tuple[datetime, KeyRing]:
            if self._ring.version and await signing_keys.version(connection) == self._ring.version:
                return await self._database.time(connection), self._ring
            return await self._database.time(connection), await signing_keys.read(connection)

        moment, ring = await self._database.autocommit(step)
        self._clock.told(moment, asked_at=asked_at)
        await self._take(ring)
        self._read_at = self._clock.now() - timedelta(seconds=self._monotonic() - asked_at)
        leases = [key.covers_lease for key in ring.keys if key.state is rules.State.ACTIVE]
        self._lease_ends = asked_at + min([self._policy.signer_lease, *leases]).total_seconds()

    async def _read_expecting(self, ring_version: int | None) -> None:
        await self._read()
        if self._ring.is_empty:
            raise SigningUnavailable
        if ring_version is not None and ring_version != self._ring.version:
            raise RingChanged(expected=ring_version, found=self._ring.version)

    async def _begin(self) -> None:
        active, standby = await asyncio.gather(self._fresh(), self._fresh())
        await self._swap(rules.first_ring(self._ring, active=active, standby=standby, now=self._clock.now()))

    def _rotated(self, *, fresh: SigningKey) -> KeyRing:
        # The moment of the demotion, not of the decision: the others go on signing while the new key is made.
        return rules.rotated(self._ring, fresh=fresh, now=self._clock.now(), policy=self._policy)

    def _tells_of_rotation(self, new: KeyRing, *, origin: Origin, behind: Sequence[Sighting] = ()) -> AuditEvent:
        now, kid, demoted_kid = self._clock.now(), new.active.kid, self._ring.active.kid
        if not behind:
            return happened(EventType.SIGNING_KEY_ROTATED, origin=origin, now=now, kid=kid, demoted_kid=demoted_kid)
        return happened(
            EventType.SIGNING_KEY_ROTATED,
            origin=origin,
            now=now,
            kid=kid,
            demoted_kid=demoted_kid,
            behind=str(len(behind)),
            behind_consumers=named_in_short(behind),
        )

    async def _swap(self, new: KeyRing, event: AuditEvent | None = None) -> None:
        """Make `new` the ring, unless another replica was faster: then take the ring that it made."""
        try:
            await self._swap_or_raise(new, event)
        except RingChanged:
            await self._read()

    async def _swap_or_raise(self, new: KeyRing, event: AuditEvent | None = None) -> None:
        old = self._ring
        if new.version == old.version:
            return

        async def step(connection: Connection) -> None:
            await signing_keys.swap(connection, old=old, new=new)
            if event is not None:
                await audit.add(connection, event)

        await self._database.transaction(step)
        log.info("keys.ring_changed", version=new.version, states=_states(new))
        await self._take(new)

    async def _take(self, ring: KeyRing) -> None:
        """Publish `ring` and sign with it."""
        if ring.version == self._ring.version:
            return
        # The last thing that waits: whoever is cancelled here leaves the former ring, whole, for the next tick to
        # replace, and never a new ring with the former signer.
        signer = await self._opened(ring.active)
        published = PublishedKeys.of(ring)
        self.verifying.follow(ring, revoked=frozenset(published.revoked_kids))
        self._published = published
        self._ring, self._signer = ring, signer
        if self._heard is not None:
            self._heard()

    async def _opened(self, key: SigningKey) -> Signer | None:
        lifetime = min(self._policy.token_lifetime, key.covers_lifetime)
        if self._signer is not None and self._signer.kid == key.kid:
            return Signer(key.kid, self._signer.private_key, lifetime)
        loop = asyncio.get_running_loop()
        try:
            private_key = await loop.run_in_executor(self._workers, lambda: rules.opened(key, sealing=self._sealing))
        except SealBroken as error:
            log.error("keys.cannot_open", kid=key.kid, cause=str(error))
            return None
        return Signer(key.kid, private_key, lifetime)

    async def _fresh(self, *, niceness: int = LATER) -> SigningKey:
        loop = asyncio.get_running_loop()
        now = self._clock.now()
        maker = threads_that_step_back("key-making", at_most=1, niceness=niceness)
        try:
            return await loop.run_in_executor(
                maker, lambda: rules.generate(now=now, policy=self._policy, sealing=self._sealing)
            )
        finally:
            maker.shutdown(wait=False)


def _named(origin: Origin) -> str:
    match origin.caller:
        case PersonCalling(person_id=person_id):
            return str(person_id)
        case ServiceCalling(name=name):
            return name
        case OperatorCalling():
            return "operator"
        case None:
            return "system"


def _states(ring: KeyRing) -> dict[str, str]:
    return {key.kid[:8]: key.state.value for key in ring.keys if key.is_published}
