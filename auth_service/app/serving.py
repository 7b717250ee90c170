"""The whole service: doors around the stories, and what goes on in the background.

Start: database and key ring as far as they are there, then the doors, then SERVING. The service starts without its
database: it answers what it can, and becomes ready when the database comes.
Stop: NOT_SERVING, a pause in which load balancers notice, the doors, then what stands behind them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog

from auth_service.app.core import Core, core
from auth_service.app.doors import grpc_door, http_door
from auth_service.app.outside import grpc_tls, mail_turns, publishing_of, traces_of
from auth_service.app.stories import stories
from auth_service.app.watching import (
    observing,
    readiness,
    tell_health,
    watch,
    watch_limits,
    watch_old_tokens,
    watch_publishing,
    watch_streams,
)
from auth_service.background import every, in_background
from auth_service.domain.errors import AuthError, Unavailable
from auth_service.providers.limits_with_fallback import LimitsWithFallback
from auth_service.providers.valkey import ValkeyUnfit
from auth_service.rpc import server as rpc
from auth_service.rpc.interceptors.tracing import tracing
from auth_service.settings import Address, Settings
from auth_service.storage import api_keys, mail, notices, revocations, signing_keys
from auth_service.storage.private_file import UnsafeFile
from auth_service.telemetry import Metrics
from auth_service.web.server import HttpServer

log = structlog.get_logger()

SWEEP_EVERY = timedelta(seconds=60)

COUNTS_SHARED_EVERY = timedelta(milliseconds=200)

LIMITS_WATCHED_EVERY = timedelta(seconds=1)

CONSUMERS_TOLD_EVERY = 20
"""In polls: of those who took the key set."""

API_KEYS_READ_EVERY = 10
"""In polls; of at most 60 s, so well within `REMEMBERED_FOR`."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where the service listens; and whether somebody may administer, which asks the database."""

    grpc: Address
    http: Address
    has_administrator: Callable[[], Awaitable[bool]]


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """The whole service, answering from entry to exit.

    Raises OSError if an address is taken, UnsafeFile, ValkeyUnfit.
    """
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(core(settings))
        told = await stack.enter_async_context(stories(settings, base))
        metrics, traces = Metrics(), traces_of(settings, stack)
        publishing = publishing_of(settings, base)
        leaving = asyncio.Event()
        is_ready = readiness(base, told.revoked, leaving)
        watch(metrics, base, told, settings)
        watch_old_tokens(metrics, told.old_tokens)
        watch_publishing(metrics, publishing)
        watch_limits(metrics, base)
        outermost = (tracing(traces.tracer),) if traces else ()
        grpc_server = grpc_door(
            settings, base, told, observe=observing(metrics, told.sign_in.admission), outermost=outermost
        )
        watch_streams(metrics, grpc_server)
        http_server = http_door(
            settings, base, told, grpc_server=grpc_server, is_ready=is_ready, exposition=metrics.exposition
        )

        stack.callback(http_server.release)
        with named("AUTH_GRPC_ADDRESS", settings.grpc_address):
            grpc_port = grpc_server.bind(str(settings.grpc_address), grpc_tls(settings))
        with named("AUTH_HTTP_ADDRESS", settings.http_address):
            http_port = http_server.bind(settings.http_address.host, settings.http_address.port)

        await asyncio.to_thread(told.policies.load)
        await _limits_checked(base)
        await _once(base.keys.tick)
        await _once(told.revoked.poll)
        await _once(told.api_keys.poll)
        await _once(told.admin.notices.poll)

        stack.push_async_callback(_last_words, base.consumers.share)
        stack.push_async_callback(_last_words, told.attendance.leave)

        # Until the last call is answered this replica goes on learning which keys and sessions are good.
        async def take_stock() -> None:
            await base.consumers.take_stock(base.keys.ring)

        ring_changed, session_ended, api_key_changed, notice_changed = (asyncio.Event() for _ in range(4))
        topics = {
            signing_keys.TOPIC: ring_changed,
            revocations.TOPIC: session_ended,
            api_keys.TOPIC: api_key_changed,
            notices.TOPIC: notice_changed,
            mail.TOPIC: told.mail_queued,
        }
        await stack.enter_async_context(
            in_background(
                every(settings.poll_every, base.keys.tick, woken_by=ring_changed),
                every(settings.poll_every, told.revoked.poll, woken_by=session_ended),
                # Seldom: of a revoked key `revoked` tells, and an unknown key is worth a reading by itself.
                every(API_KEYS_READ_EVERY * settings.poll_every, told.api_keys.poll, woken_by=api_key_changed),
                every(settings.poll_every, told.admin.audit_log.poll),
                every(settings.poll_every, told.admin.notices.poll, woken_by=notice_changed),
                *([every(settings.poll_every, told.policies.poll)] if settings.policy_file else []),
                told.trust.tell(),
                *((publishing.run(),) if publishing else ()),
                every(COUNTS_SHARED_EVERY, told.rate_limits.share),
                *(
                    [every(LIMITS_WATCHED_EVERY, base.limits.watch)]
                    if isinstance(base.limits, LimitsWithFallback)
                    else []
                ),
                every(CONSUMERS_TOLD_EVERY * settings.poll_every, take_stock),
                *(
                    [every(told.attendance.policy.told_every, told.attendance.tell)]
                    if settings.refresh_replay_window
                    else []
                ),
                every(SWEEP_EVERY, told.sessions.sweep),
                every(SWEEP_EVERY, told.attendance.sweep),
                every(SWEEP_EVERY, told.attempts.sweep),
                every(SWEEP_EVERY, told.mailed_tokens.sweep),
                every(SWEEP_EVERY, told.rate_limits.sweep),
                every(SWEEP_EVERY, base.consumers.sweep),
                *mail_turns(settings, base, told.sender, queued=told.mail_queued),
                base.database.listen(lambda topic: topics[topic].set() if topic in topics else None),
            )
        )
        stack.push_async_callback(_close_doors, grpc_server, http_server, grace=settings.grace)
        await grpc_server.start()
        await http_server.start()
        stack.push_async_callback(told.trust.leave)
        stack.push_async_callback(_leave, grpc_server, leaving, settings.drain)
        await stack.enter_async_context(in_background(tell_health(grpc_server, is_ready, settings.poll_every)))
        yield Running(
            grpc=Address(settings.grpc_address.host, grpc_port),
            http=Address(settings.http_address.host, http_port),
            has_administrator=lambda: base.database.autocommit(told.admin.levels.has_administrator),
        )


@contextlib.contextmanager
def named(variable: str, address: Address) -> Iterator[None]:
    """An address that cannot be had, by the name of its setting."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise OSError(f"{variable}: cannot listen on {address}: is it taken?") from error


async def _once(step: Callable[[], Awaitable[object]]) -> None:
    """At the start: what cannot be had yet comes with the next turn in the background."""
    try:
        await step()
    except UnsafeFile:
        raise
    except Unavailable as error:
        log.warning("start.without", cause=str(error))
    except Exception as error:  # noqa: BLE001 -- the next turn meets it again, and then says all there is to say
        # Most likely a database without our tables, which a migration may be making at this moment.
        log.error("start.without", cause=type(error).__name__, hint="has `auth-service migrate` run?")


async def _limits_checked(base: Core) -> None:
    """Raises ValkeyUnfit, which names the setting."""
    try:
        if isinstance(base.limits, LimitsWithFallback):
            await base.limits.check()
    except ValkeyUnfit as error:
        raise ValkeyUnfit(f"AUTH_LIMITS_URL: {error}") from error


async def _last_words(step: Callable[[], Awaitable[object]]) -> None:
    """At the end: what the database was not told yet, if it listens."""
    with contextlib.suppress(AuthError):
        await step()


async def _leave(server: rpc.GrpcServer, leaving: asyncio.Event, drain: timedelta) -> None:
    leaving.set()
    await server.say(serving=False)
    log.info("not_serving", missing="stopping")
    await asyncio.sleep(drain.total_seconds())


async def _close_doors(grpc_server: rpc.GrpcServer, http_server: HttpServer, *, grace: timedelta) -> None:
    """Both at once, so that what hangs at one does not use up the other's time."""
    await asyncio.gather(grpc_server.stop(grace), http_server.stop(grace))
