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
    try:
        yield Core(database, clock, sealing, keys, consumers, workers)
    finally:
        await database.close()
        workers.shutdown(wait=False)


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
