"""What is told of the running service: whether it is ready, and its gauges."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import structlog
from auth_client.policy import Verdict

from auth_service.app.core import Core, key_policy
from auth_service.app.stories import Stories
from auth_service.domain.keys import rotation_due_at
from auth_service.providers.limits_with_fallback import LimitsWithFallback
from auth_service.rpc import server as rpc
from auth_service.rpc.interceptors.observation import Observe
from auth_service.settings import Settings
from auth_service.telemetry import Metrics
from auth_service.usecases.admission import Admission
from auth_service.usecases.old_tokens import OldTokens
from auth_service.usecases.publishing import COUNTED, Publishing
from auth_service.usecases.revoked import RevokedSessions

log = structlog.get_logger()


def readiness(base: Core, revoked: RevokedSessions, leaving: asyncio.Event) -> Callable[[], Awaitable[str]]:
    async def missing() -> str:
        if leaving.is_set():
            return "the service is stopping"
        if base.keys.ring.is_empty:
            return "no key ring was loaded yet"
        if not revoked.is_loaded:
            return "the ended sessions were not read yet"
        if base.keys.is_sealed:
            return "the signing key cannot be opened: its key-encryption key is not configured"
        if not base.keys.has_lease:
            return "no signing key may be used: the database was last reached too long ago"
        return ""

    return missing


async def tell_health(server: rpc.GrpcServer, is_ready: Callable[[], Awaitable[str]], pause: timedelta) -> None:
    said: bool | None = None
    while True:
        missing = await is_ready()
        if said != (not missing):
            said = not missing
            await server.say(serving=said)
            log.info("serving" if said else "not_serving", missing=missing)
        await asyncio.sleep(pause.total_seconds())


def observing(metrics: Metrics, admission: Admission) -> Observe:
    """Every call goes to the metrics; and whoever lets sign-ins in hears that there are others to answer."""

    def observe(method: str, code: str, seconds: float, reason: str) -> None:
        metrics.observe(method, code, seconds, reason)
        if not method.endswith("/Login"):
            admission.others_call()

    return observe


def watch(metrics: Metrics, base: Core, stories: Stories, settings: Settings) -> None:
    def active_age() -> float:
        ring = base.keys.ring
        if ring.is_empty or ring.active.activated_at is None:
            return 0.0
        return (base.clock.now() - ring.active.activated_at).total_seconds()

    metrics.gauge("auth_key_ring_version", "Version of the key ring in memory.", lambda: base.keys.ring.version)
    metrics.gauge("auth_key_active_age_seconds", "How long the active key has signed.", active_age)
    metrics.gauge(
        "auth_key_rotation_due_seconds",
        "Seconds until the active key should be rotated; negative when late.",
        lambda: settings.key_rotate_every.total_seconds() - active_age(),
    )
    metrics.gauge(
        "auth_key_consumers_behind",
        "Recent consumers of the key set, at all replicas, that do not hold the standby.",
        lambda: base.consumers.behind,
    )
    metrics.gauge(
        "auth_key_consumers_unrecorded",
        "How often somebody took the key set here whom there was no room to note, since the start.",
        lambda: base.consumers.unrecorded,
    )
    metrics.gauge(
        "auth_key_rotation_deadline_seconds",
        "Seconds until the standby signs whoever holds it; infinite before there is a ring.",
        lambda: rotation_deadline(base, settings),
    )
    metrics.gauge("auth_signer_lease", "1 while this replica may sign.", lambda: float(base.keys.has_lease))
    metrics.gauge("auth_api_keys", "API keys in memory, those that expired included.", lambda: len(stories.api_keys))
    metrics.gauge("auth_revoked_sessions", "Ended sessions whose tokens may be about.", lambda: len(stories.revoked))
    metrics.gauge("auth_trust_streams", "Verifiers that follow what is trusted.", lambda: stories.trust.streams)
    metrics.gauge("auth_policy_rules", "Of the policy in force.", lambda: len(stories.gate.policy.rules))
    metrics.gauge(
        "auth_policy_is_current",
        "0 while the policy's file holds what is no policy, and the one before stays in force.",
        lambda: float(stories.policies.is_current),
    )
    for verdict in Verdict:
        metrics.counter(
            f"auth_gate_{verdict.name.lower()}",
            f"Requests of which a gateway was told: {verdict.value}.",
            partial(stories.gate.told, verdict),
        )
    metrics.gauge(
        "auth_audit_followers", "Streams that follow the audit log.", lambda: stories.admin.audit_log.followers
    )


def rotation_deadline(base: Core, settings: Settings) -> float:
    ring = base.keys.ring
    if ring.is_empty:
        return math.inf
    due_at = rotation_due_at(ring, policy=key_policy(settings))
    return (due_at + base.consumers.policy.patience - base.clock.now()).total_seconds()


def watch_streams(metrics: Metrics, server: rpc.GrpcServer) -> None:
    metrics.gauge(
        "auth_streams_unread",
        "Streams that were turned away because they are read too slowly, and have not taken that yet.",
        lambda: server.streams.unread,
    )


def watch_old_tokens(metrics: Metrics, old_tokens: OldTokens | None) -> None:
    if old_tokens is None:
        return
    metrics.counter(
        "auth_hs256_accepted", "Tokens of the service before that Verify took.", lambda: old_tokens.accepted
    )
    metrics.gauge(
        "auth_hs256_last_seen_timestamp_seconds",
        "When Verify last took one; 0 if not since the start.",
        lambda: old_tokens.last_seen_at.timestamp() if old_tokens.last_seen_at else 0.0,
    )


def watch_limits(metrics: Metrics, base: Core) -> None:
    limits = base.limits
    if not isinstance(limits, LimitsWithFallback):
        return
    metrics.gauge(
        "auth_limits_shared",
        "0 while Valkey is away: failed attempts go to the database, and each replica counts calls by itself.",
        lambda: float(not limits.is_away),
    )
    metrics.counter("auth_limits_absences", "How often Valkey went away.", lambda: limits.absences)


def watch_publishing(metrics: Metrics, publishing: Publishing | None) -> None:
    if publishing is None:
        return
    metrics.gauge("auth_events_waiting", f"For the broker; counts to {COUNTED}.", lambda: publishing.waiting)
    metrics.gauge("auth_events_published", "Taken by the broker since the start.", lambda: publishing.published)
    metrics.gauge("auth_events_unwanted", "Of those: for which no queue was bound.", lambda: publishing.unwanted)
    metrics.gauge(
        "auth_events_last_published_timestamp_seconds",
        "When the broker last took some; 0 if not since the start.",
        lambda: publishing.last_published_at.timestamp() if publishing.last_published_at else 0.0,
    )
