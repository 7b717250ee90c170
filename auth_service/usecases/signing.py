"""The key ring as this replica holds it: what signs, what verifies, and the changes that come due.

Reading the ring gives a lease: for that long this replica may sign from memory, so a short absence of the database
stops no login. Publishing and verifying need no lease.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from auth_client import KeySet, KeysUnavailable
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from auth_service.domain import keys as rules
from auth_service.domain.audit import SYSTEM, AuditEvent, EventType, Origin, happened
from auth_service.domain.errors import KeyState, RingChanged, SigningUnavailable
from auth_service.domain.keys import KeyPolicy, KeyRing, SigningKey
from auth_service.domain.policy import OperatorCalling, PersonCalling, ServiceCalling
from auth_service.domain.sealing import KeyEncryptionKeys, SealBroken
from auth_service.providers.threads import threads_that_step_back
from auth_service.storage import audit, signing_keys
from auth_service.storage.database import Connection, Database, DatabaseClock

log = structlog.get_logger()

LATER = 10
"""The niceness of the thread that makes a key."""

CAREFUL_FOR = timedelta(hours=1)
"""How long after a revocation verifiers are asked to look again soon."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The key that signs now. What it signs must not live longer than `lifetime`."""

    kid: str
    private_key: RSAPrivateKey
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """What verifiers are told, made once for each version of the ring."""

    version: int
    keys: tuple[SigningKey, ...]
    revoked_kids: tuple[str, ...]
    document: bytes
    etag: str
    last_revoked_at: datetime | None

    def is_careful(self, now: datetime) -> bool:
        """Whether a key was revoked so lately that verifiers should hold this for a short time only."""
        return self.last_revoked_at is not None and now < self.last_revoked_at + CAREFUL_FOR


class VerifyingKeys:
    """The published keys as a verifier asks for them. Until the ring was read no token is good, and none is bad."""

    def __init__(self) -> None:
        self._keys: KeySet | None = None

    def follow(self, ring: KeyRing, *, revoked: frozenset[str]) -> None:
        """Hold what `ring` publishes. Reading a key takes 15 µs of every other call's time: each is read once."""
        held = self._keys or KeySet()
        new = KeySet.from_jwks(rules.jwks(key for key in ring.published if key.kid not in held))
        known = {kid: key for each in (held, new) for kid in each if (key := each.get(kid))}
        keys = {key.kid: known[key.kid] for key in ring.published if key.kid in known}
        self._keys = KeySet(keys, version=str(ring.version), revoked=revoked)

    def current(self) -> KeySet:
        """Raises KeysUnavailable."""
        if self._keys is None:
            raise KeysUnavailable("the key ring was not read yet")
        return self._keys

    async def look_again(self) -> bool:
        return False


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
    ) -> None:
        self._database = database
        self._policy = policy
        self._sealing = sealing
        self._clock = clock
        self._monotonic = monotonic
        self._workers = workers
        self._ring = KeyRing(version=0)
        self._published: PublishedKeys | None = None
        self._signer: Signer | None = None
        self._lease_ends = 0.0
        self._changing = asyncio.Lock()
        self._heard: Callable[[], None] | None = None
        self.verifying = VerifyingKeys()

    @property
    def ring(self) -> KeyRing:
        """Every key, as last read."""
        return self._ring

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
            if rules.should_rotate(self._ring, now=self._clock.now(), policy=self._policy):
                new = self._rotated(fresh=await self._fresh())
                await self._swap(new, self._tells_of_rotation(new, origin=SYSTEM))
            await self._swap(rules.tidied(self._ring, now=self._clock.now(), policy=self._policy))

    async def rotate(
        self, *, origin: Origin, ring_version: int | None = None, require_published_ahead: bool = False
    ) -> KeyRing:
        """Let the standby sign from now on. Raises RingChanged, KeyState, DatabaseUnavailable."""
        async with self._changing:
            await self._read_expecting(ring_version)
            now = self._clock.now()
            if require_published_ahead and not rules.is_published_ahead(self._ring, now=now, policy=self._policy):
                ready_at = self._ring.standby.published_at + self._policy.publish_ahead
                raise KeyState(
                    f"the standby key was published too recently; every verifier holds it at {ready_at:%FT%TZ}"
                )
            new = self._rotated(fresh=await self._fresh())
            await self._swap_or_raise(new, self._tells_of_rotation(new, origin=origin))
            log.info("keys.rotated", by=_named(origin), version=self._ring.version)
            return self._ring

    async def revoke(self, kid: str, *, origin: Origin, ring_version: int | None = None) -> KeyRing:
        """Refuse everything that `kid` signed, from now on. Raises NotFound, RingChanged, DatabaseUnavailable."""
        async with self._changing:
            await self._read_expecting(ring_version)
            self._ring.get(kid)
            fresh = await self._fresh()
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

    async def _read(self) -> None:
        asked_at = self._monotonic()

        async def step(connection: Connection) -> tuple[datetime, KeyRing]:
            if self._ring.version and await signing_keys.version(connection) == self._ring.version:
                return await self._database.time(connection), self._ring
            return await self._database.time(connection), await signing_keys.read(connection)

        moment, ring = await self._database.autocommit(step)
        self._clock.told(moment, asked_at=asked_at)
        await self._take(ring)
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

    def _tells_of_rotation(self, new: KeyRing, *, origin: Origin) -> AuditEvent:
        return happened(
            EventType.SIGNING_KEY_ROTATED,
            origin=origin,
            now=self._clock.now(),
            kid=new.active.kid,
            demoted_kid=self._ring.active.kid,
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
        document = json.dumps(rules.jwks(ring.published), separators=(",", ":")).encode()
        revoked = [key for key in ring.keys if key.state is rules.State.REVOKED]
        self.verifying.follow(ring, revoked=frozenset(key.kid for key in revoked))
        self._published = PublishedKeys(
            version=ring.version,
            keys=ring.published,
            revoked_kids=tuple(key.kid for key in revoked),
            document=document,
            # Not the version alone: a database made anew, or restored, counts through the same versions again.
            etag=f"{ring.version}-{hashlib.sha256(document).hexdigest()[:16]}",
            last_revoked_at=max((key.withdrawn_at for key in revoked if key.withdrawn_at), default=None),
        )
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

    async def _fresh(self) -> SigningKey:
        loop = asyncio.get_running_loop()
        now = self._clock.now()
        maker = threads_that_step_back("key-making", at_most=1, niceness=LATER)
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
