"""What the doors and the command line share: the database, its clock, and the ring of signing keys."""

import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import metadata

from auth_service.domain.consumers import EvidencePolicy
from auth_service.domain.keys import KeyPolicy
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.providers.limits_in_database import LimitsInDatabase
from auth_service.providers.limits_in_valkey import LimitsInValkey
from auth_service.providers.limits_with_fallback import LimitsWithFallback
from auth_service.providers.valkey import Valkey, ValkeyAddress
from auth_service.settings import Settings
from auth_service.storage import migrate
from auth_service.storage.database import Database, DatabaseClock
from auth_service.storage.opening import open_database
from auth_service.usecases.key_consumers import KeyConsumers
from auth_service.usecases.signing import SigningKeys

NAME = "auth-service"

SIGNING_THREADS = 4


@dataclass(frozen=True, slots=True)
class Core:
    """What the doors and the command line share."""

    database: Database
    clock: DatabaseClock
    sealing: KeyEncryptionKeys
    keys: SigningKeys
    consumers: KeyConsumers
    limits: LimitsInDatabase | LimitsWithFallback
    workers: ThreadPoolExecutor


def version() -> str:
    return metadata.version(NAME)


@asynccontextmanager
async def core(settings: Settings) -> AsyncIterator[Core]:
    """Database and key ring, for whoever needs no doors. Nothing is read yet."""
    if settings.is_embedded and not await migrate.is_current(settings.database):
        await migrate.upgrade(settings.database)
    sealing = KeyEncryptionKeys(settings.sealing_secrets)
    clock = DatabaseClock(time.monotonic)
    workers = ThreadPoolExecutor(SIGNING_THREADS, thread_name_prefix="signing")
    database = open_database(
        settings.database,
        connections=settings.database_connections,
        caches_statements=settings.database_statement_cache,
        budget=settings.database_timeout,
    )
    consumers = KeyConsumers(database, policy=evidence_policy(settings), profiles=settings.key_consumers, clock=clock)
    keys = SigningKeys(
        database,
        policy=key_policy(settings),
        sealing=sealing,
        clock=clock,
        monotonic=time.monotonic,
        workers=workers,
        consumers=consumers,
    )
    limits = limits_of(settings, database)
    try:
        yield Core(database, clock, sealing, keys, consumers, limits, workers)
    finally:
        await limits.close()
        await database.close()
        workers.shutdown(wait=False)


def limits_of(settings: Settings, database: Database) -> LimitsInDatabase | LimitsWithFallback:
    """Through what replicas share their limits. Nothing is connected yet."""
    in_database = LimitsInDatabase(database)
    if settings.limits_url is None:
        return in_database
    files = (settings.limits_ca_file, settings.limits_certificate_file, settings.limits_key_file)
    address = ValkeyAddress(settings.limits_url.get_secret_value(), *(str(each) if each else None for each in files))
    server = Valkey(address, deadline=settings.limits_timeout)
    return LimitsWithFallback(LimitsInValkey(server, prefix=settings.prefix_of_limits), in_database)


def key_policy(settings: Settings) -> KeyPolicy:
    return KeyPolicy(
        size_bits=settings.key_size,
        rotate_every=settings.key_rotate_every,
        publish_ahead=settings.key_publish_ahead,
        signer_lease=settings.signer_lease,
        token_lifetime=settings.access_token_lifetime,
        clock_skew=settings.clock_skew,
        rollback_within=settings.key_rollback_within,
    )


def evidence_policy(settings: Settings) -> EvidencePolicy:
    return EvidencePolicy(recent_for=settings.key_consumer_window, patience=settings.key_rotation_patience)
