"""The composition root: every object is built once, in plain sight; the servers start and stop here.

Start: database and key ring as far as they are there, then the doors, then SERVING. The service starts without its
database: it answers what it can, and becomes ready when the database comes.
Stop: NOT_SERVING, a pause in which load balancers notice, the doors, then what stands behind them.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import metadata
from urllib.parse import urlsplit

import grpc
import structlog
from auth_client import TokenVerifier

from auth_service.background import every, in_background
from auth_service.domain.attempts import Limits, limits
from auth_service.domain.errors import Unavailable
from auth_service.domain.keys import KeyPolicy
from auth_service.domain.mail import Sender
from auth_service.domain.pages import PageTokens
from auth_service.domain.people import Experiments, IdentityProvider
from auth_service.domain.policy import RolePolicy
from auth_service.domain.rates import Rate, rate
from auth_service.domain.refresh_tokens import RefreshTokens
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.domain.sessions import SessionPolicy
from auth_service.domain.tokens import TokenPolicy
from auth_service.providers.allocations import Allocations
from auth_service.providers.local_accounts import LocalAccounts
from auth_service.providers.mail_folder import MailFolder
from auth_service.providers.password_hashing import PasswordHashing
from auth_service.providers.password_strength import PasswordRules
from auth_service.providers.rabbitmq import RabbitMq
from auth_service.providers.smtp import Smtp, SmtpTls
from auth_service.providers.uows import Uows
from auth_service.rpc import server as rpc
from auth_service.rpc import tls
from auth_service.rpc.audit_servicer import AuditServicer
from auth_service.rpc.auth_servicer import AuthServicer, ServerInfo
from auth_service.rpc.interceptors.tracing import tracing
from auth_service.rpc.keys_servicer import KeyServicer
from auth_service.rpc.roles_servicer import RoleServicer
from auth_service.rpc.service_accounts_servicer import ServiceAccountServicer
from auth_service.rpc.trust_servicer import TrustServicer
from auth_service.rpc.users_servicer import UserServicer
from auth_service.settings import Address, Settings
from auth_service.storage import api_keys, mail, migrate, revocations, signing_keys
from auth_service.storage.database import Database, DatabaseClock
from auth_service.storage.opening import open_database
from auth_service.storage.private_file import UnsafeFile
from auth_service.telemetry import Metrics, Tracing
from auth_service.usecases.accounts import Accounts
from auth_service.usecases.api_keys import ApiKeys
from auth_service.usecases.attempts import Attempts
from auth_service.usecases.audit_log import AuditLog
from auth_service.usecases.bootstrap import Bootstrap
from auth_service.usecases.ending import Ending
from auth_service.usecases.experiments import ListExperiments
from auth_service.usecases.issuing import Issuer
from auth_service.usecases.levels import Levels
from auth_service.usecases.mail_delivery import MailDelivery
from auth_service.usecases.mailed_tokens import MailedTokens, MailPolicy
from auth_service.usecases.own_account import OwnAccount
from auth_service.usecases.password_again import PasswordAgain
from auth_service.usecases.password_change import PasswordChange
from auth_service.usecases.publishing import COUNTED, Publishing
from auth_service.usecases.rate_limits import RateLimits
from auth_service.usecases.registration import Registration
from auth_service.usecases.revocation_list import RevocationList
from auth_service.usecases.revoked import RevokedSessions
from auth_service.usecases.roles import Roles
from auth_service.usecases.service_accounts import ServiceAccounts
from auth_service.usecases.service_sign_in import ServiceSignIn
from auth_service.usecases.session_lists import SessionLists
from auth_service.usecases.sessions import Sessions
from auth_service.usecases.sign_in import SignIn
from auth_service.usecases.signing import SigningKeys
from auth_service.usecases.staff import StaffList
from auth_service.usecases.standing import Standing
from auth_service.usecases.trust import Trust
from auth_service.usecases.verification import Verification
from auth_service.web import probes, wellknown
from auth_service.web import tls as web_tls
from auth_service.web.server import HttpServer

log = structlog.get_logger()

NAME = "auth-service"
VERIFIED_TOKENS_REMEMBERED = 10_000
SWEEP_EVERY = timedelta(seconds=60)
COUNTS_SHARED_EVERY = timedelta(milliseconds=200)
SIGNING_THREADS = 4
MAIL_LOOKED_FOR_EVERY = 10
"""Turns of polling: who queues mail tells of it."""
MAIL_LEASE_BEYOND_DEADLINE = timedelta(seconds=30)
RIGHTS_ASKED_EVERY = 10
"""In polls: of whoever listens to a stream."""
API_KEYS_READ_EVERY = 10
"""In polls; of at most 60 s, so well within `REMEMBERED_FOR`."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where the service listens; and whether somebody may administer, which asks the database."""

    grpc: Address
    http: Address
    has_administrator: Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Core:
    """What the doors and the command line share."""

    database: Database
    clock: DatabaseClock
    sealing: KeyEncryptionKeys
    keys: SigningKeys
    workers: ThreadPoolExecutor


@dataclass(frozen=True, slots=True)
class Administration:
    """What administrators do, through the doors and on the command line."""

    levels: Levels
    ending: Ending
    password_rules: PasswordRules
    accounts: Accounts
    standing: Standing
    roles: Roles
    session_lists: SessionLists
    staff: StaffList
    service_accounts: ServiceAccounts
    bootstrap: Bootstrap
    audit_log: AuditLog


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
    keys = SigningKeys(
        database,
        policy=key_policy(settings),
        sealing=sealing,
        clock=clock,
        monotonic=time.monotonic,
        workers=workers,
    )
    try:
        yield Core(database, clock, sealing, keys, workers)
    finally:
        await database.close()
        workers.shutdown(wait=False)


@asynccontextmanager
async def administering(settings: Settings) -> AsyncIterator[Administration]:
    """For the command line: what administrators do, without doors."""
    async with core(settings) as base:
        # How long the servers' tokens live is written in the ring.
        await base.keys.read()
        hashing = password_hashing(settings)
        try:
            yield administration(
                settings,
                base,
                revoked=RevokedSessions(base.database, clock=base.clock),
                page_tokens=PageTokens(base.sealing),
                hashing=hashing,
            )
        finally:
            await hashing.close()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """The whole service, answering from entry to exit. Raises OSError if an address is taken, UnsafeFile."""
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(core(settings))
        metrics = Metrics()
        revoked = RevokedSessions(base.database, clock=base.clock)
        refresh_tokens, page_tokens = RefreshTokens(base.sealing), PageTokens(base.sealing)
        hashing = password_hashing(settings)
        stack.push_async_callback(hashing.close)
        providers = _providers(settings, base.database, hashing)
        experiments = _experiments(settings)
        for provider in providers.values():
            stack.push_async_callback(provider.close)
        stack.push_async_callback(experiments.close)
        token_policy = TokenPolicy(
            issuer=settings.token_issuer,
            audience=settings.token_audience,
            lifetime=settings.access_token_lifetime,
            client_id=settings.client_id,
        )
        session_policy = SessionPolicy(
            idle_lifetime=settings.session_idle_lifetime,
            absolute_lifetime=settings.session_absolute_lifetime,
            replay_window=settings.refresh_replay_window,
        )
        known_keys = ApiKeys(
            base.database,
            in_settings={name: secret.get_secret_value() for name, secret in settings.api_keys.items()},
            revoked=revoked,
            longest_token=base.keys.longest_token,
            clock=base.clock,
            monotonic=time.monotonic,
        )
        verification = Verification(
            TokenVerifier(
                issuer=settings.token_issuer,
                audience=settings.token_audience,
                keys=base.keys.verifying,
                is_revoked=revoked.holds,
                leeway=settings.clock_skew,
                cache_size=VERIFIED_TOKENS_REMEMBERED,
                clock=base.clock.timestamp,
            ),
            api_keys=known_keys,
        )
        admin = administration(settings, base, revoked=revoked, page_tokens=page_tokens, hashing=hashing)
        issuer = Issuer(
            base.keys,
            refresh_tokens=refresh_tokens,
            token_policy=token_policy,
            role_policy=role_policy(settings),
            clock=base.clock,
            workers=base.workers,
        )
        rate_limits = RateLimits(base.database, rates=_rates(settings), clock=base.clock)
        attempts = Attempts(base.database, limits=attempt_limits(settings), clock=base.clock)
        password_change = PasswordChange(hashing=hashing, password_rules=admin.password_rules, ending=admin.ending)
        sender = mail_sender(settings)
        mail_queued = asyncio.Event()
        mailed_tokens = MailedTokens(
            base.database,
            policy=MailPolicy(
                service=urlsplit(settings.token_issuer).netloc,
                link_base=settings.mail_link_base,
                reset_lifetime=settings.password_reset_lifetime,
                verification_lifetime=settings.email_verification_lifetime,
            ),
            sealing=base.sealing,
            hashing=hashing,
            password_rules=admin.password_rules,
            ending=admin.ending,
            attempts=attempts,
            clock=base.clock,
            queued=mail_queued,
            is_on=sender is not None,
        )
        stack.push_async_callback(mailed_tokens.close)
        registration = Registration(
            base.database,
            levels=admin.levels,
            hashing=hashing,
            password_rules=admin.password_rules,
            mailed_tokens=mailed_tokens,
            clock=base.clock,
            is_open=settings.lets_people_register,
            requires_email=settings.require_verified_email,
        )
        own_account = OwnAccount(
            base.database,
            levels=admin.levels,
            ending=admin.ending,
            password_again=PasswordAgain(base.database, providers=providers, attempts=attempts, clock=base.clock),
            password_change=password_change,
            mailed_tokens=mailed_tokens,
            clock=base.clock,
            requires_email=settings.require_verified_email,
        )
        sign_in = SignIn(
            base.database,
            providers=tuple(providers.values()),
            issuer=issuer,
            session_policy=session_policy,
            attempts=attempts,
            password_change=password_change,
            ending=admin.ending,
            clock=base.clock,
            requires_verified_email=settings.require_verified_email,
        )
        sessions = Sessions(
            base.database,
            refresh_tokens=refresh_tokens,
            issuer=issuer,
            ending=admin.ending,
            providers=providers,
            policy=session_policy,
            recheck_after=settings.provider_recheck_after,
            clock=base.clock,
        )
        trust = Trust(
            base.keys,
            revoked,
            clock=base.clock,
            heartbeat_every=settings.trust_heartbeat,
            most_streams=settings.trust_streams,
        )
        traces = _traces(settings, stack)
        grpc_server = rpc.build(
            auth=AuthServicer(
                sign_in=sign_in,
                service_sign_in=ServiceSignIn(known_keys, attempts=attempts, issuer=issuer),
                sessions=sessions,
                verification=verification,
                experiments=ListExperiments(experiments, page_tokens=page_tokens),
                keys=base.keys,
                server_info=ServerInfo(
                    name=NAME, version=version(), build=settings.build, issuer=settings.token_issuer
                ),
            ),
            users=UserServicer(
                registration=registration,
                own_account=own_account,
                mailed_tokens=mailed_tokens,
                accounts=admin.accounts,
                standing=admin.standing,
                session_lists=admin.session_lists,
            ),
            roles=RoleServicer(roles=admin.roles, accounts=admin.accounts, verification=verification),
            service_accounts=ServiceAccountServicer(service_accounts=admin.service_accounts),
            keys=KeyServicer(keys=base.keys, page_tokens=page_tokens),
            audit=AuditServicer(audit_log=admin.audit_log),
            trust=TrustServicer(trust=trust),
            known_caller=verification.caller,
            level_of=admin.levels.of,
            observe=metrics.observe,
            outermost=(tracing(traces.tracer),) if traces else (),
            longest_call=settings.request_deadline,
            slowest_reader=settings.slowest_reader,
            rights_asked_every=RIGHTS_ASKED_EVERY * settings.poll_every,
            reflects=settings.serves_reflection,
            trusted_proxies=settings.trusted_proxies,
            rate_limits=rate_limits,
        )
        publishing = _publishing(settings, base)
        metrics.gauge("auth_trust_streams", "Verifiers that follow what is trusted.", lambda: trust.streams)
        metrics.gauge("auth_audit_followers", "Streams that follow the audit log.", lambda: admin.audit_log.followers)
        leaving = asyncio.Event()
        is_ready = _readiness(base, revoked, leaving)
        http_server = HttpServer(
            [
                *wellknown.routes(
                    keys=base.keys,
                    revocations=RevocationList(revoked, monotonic=time.monotonic),
                    issuer=settings.token_issuer,
                    now=base.clock.now,
                ),
                *probes.routes(is_ready=is_ready, exposition=metrics.exposition),
            ],
            tls=_http_tls(settings),
        )
        _watch(metrics, base, revoked, known_keys, settings)
        _watch_publishing(metrics, publishing)

        stack.callback(http_server.release)
        with named("AUTH_GRPC_ADDRESS", settings.grpc_address):
            grpc_port = grpc_server.bind(str(settings.grpc_address), _grpc_tls(settings))
        with named("AUTH_HTTP_ADDRESS", settings.http_address):
            http_port = http_server.bind(settings.http_address.host, settings.http_address.port)

        await _once(base.keys.tick)
        await _once(revoked.poll)
        await _once(known_keys.poll)
        # Until the last call is answered this replica goes on learning which keys and sessions are good.
        ring_changed, session_ended, api_key_changed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        topics = {
            signing_keys.TOPIC: ring_changed,
            revocations.TOPIC: session_ended,
            api_keys.TOPIC: api_key_changed,
            mail.TOPIC: mail_queued,
        }
        await stack.enter_async_context(
            in_background(
                every(settings.poll_every, base.keys.tick, woken_by=ring_changed),
                every(settings.poll_every, revoked.poll, woken_by=session_ended),
                # Seldom: of a revoked key `revoked` tells, and an unknown key is worth a reading by itself.
                every(API_KEYS_READ_EVERY * settings.poll_every, known_keys.poll, woken_by=api_key_changed),
                every(settings.poll_every, admin.audit_log.poll),
                trust.tell(),
                *((publishing.run(),) if publishing else ()),
                every(COUNTS_SHARED_EVERY, rate_limits.share),
                every(SWEEP_EVERY, sessions.sweep),
                every(SWEEP_EVERY, attempts.sweep),
                every(SWEEP_EVERY, mailed_tokens.sweep),
                every(SWEEP_EVERY, rate_limits.sweep),
                *_mail_turns(settings, base, sender, queued=mail_queued),
                base.database.listen(lambda topic: topics[topic].set() if topic in topics else None),
            )
        )
        stack.push_async_callback(_close_doors, grpc_server, http_server, grace=settings.grace)
        await grpc_server.start()
        await http_server.start()
        stack.push_async_callback(trust.leave)
        stack.push_async_callback(_leave, grpc_server, leaving, settings.drain)
        await stack.enter_async_context(in_background(_tell_health(grpc_server, is_ready, settings.poll_every)))
        yield Running(
            grpc=Address(settings.grpc_address.host, grpc_port),
            http=Address(settings.http_address.host, http_port),
            has_administrator=lambda: base.database.autocommit(admin.levels.has_administrator),
        )


@contextlib.contextmanager
def named(variable: str, address: Address) -> Iterator[None]:
    """An address that cannot be had, by the name of its setting."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise OSError(f"{variable}: cannot listen on {address}: is it taken?") from error


def key_policy(settings: Settings) -> KeyPolicy:
    return KeyPolicy(
        size_bits=settings.key_size,
        rotate_every=settings.key_rotate_every,
        publish_ahead=settings.key_publish_ahead,
        signer_lease=settings.signer_lease,
        token_lifetime=settings.access_token_lifetime,
        clock_skew=settings.clock_skew,
    )


def _rates(settings: Settings) -> list[Rate]:
    return [rate(what, calls=calls, per=per) for what, (calls, per) in settings.rate_limits.items()]


def attempt_limits(settings: Settings) -> Limits:
    return limits(
        here=settings.failures_here, account=settings.failures_per_account, address=settings.failures_per_address
    )


def mail_sender(settings: Settings) -> Sender | None:
    """Where mail goes; None for a deployment that sends none."""
    if settings.smtp_address is None:
        sender = settings.mail_from or f"{NAME}@localhost"
        return MailFolder(settings.data_dir / "mail", sender=sender) if settings.is_embedded else None
    assert settings.mail_from is not None
    return Smtp(
        settings.smtp_address.host,
        settings.smtp_address.port,
        tls=SmtpTls(settings.smtp_tls),
        sender=settings.mail_from,
        deadline=settings.smtp_timeout,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        ca_file=str(settings.smtp_ca_file) if settings.smtp_ca_file else None,
    )


def _mail_turns(
    settings: Settings, base: Core, sender: Sender | None, *, queued: asyncio.Event
) -> Sequence[Awaitable[None]]:
    """None where no mail is sent."""
    if sender is None:
        return []
    lease = settings.smtp_timeout + MAIL_LEASE_BEYOND_DEADLINE
    delivery = MailDelivery(base.database, sender=sender, sealing=base.sealing, lease=lease, clock=base.clock)
    return [every(MAIL_LOOKED_FOR_EVERY * settings.poll_every, delivery.deliver, woken_by=queued)]


def password_hashing(settings: Settings) -> PasswordHashing:
    return PasswordHashing(memory_kib=settings.argon2_memory_kib, passes=settings.argon2_passes)


def role_policy(settings: Settings) -> RolePolicy:
    return RolePolicy(frozenset(settings.staff_roles), mapped=settings.role_map)


def administration(
    settings: Settings,
    base: Core,
    *,
    revoked: RevokedSessions,
    page_tokens: PageTokens,
    hashing: PasswordHashing,
) -> Administration:
    levels = Levels(base.database, policy=role_policy(settings))
    ending = Ending(revoked, longest_token=base.keys.longest_token)
    rules = password_rules(settings)
    accounts = Accounts(base.database, levels=levels, hashing=hashing, password_rules=rules, page_tokens=page_tokens)
    return Administration(
        levels=levels,
        ending=ending,
        password_rules=rules,
        accounts=accounts,
        standing=Standing(base.database, levels=levels, ending=ending, hashing=hashing, password_rules=rules),
        roles=Roles(base.database, levels=levels, page_tokens=page_tokens),
        session_lists=SessionLists(base.database, page_tokens=page_tokens),
        staff=StaffList(base.database),
        service_accounts=ServiceAccounts(
            base.database,
            page_tokens=page_tokens,
            in_settings=settings.api_keys.keys(),
            revoked=revoked,
            longest_token=base.keys.longest_token,
        ),
        bootstrap=Bootstrap(base.database, levels=levels, accounts=accounts),
        audit_log=AuditLog(base.database, page_tokens=page_tokens),
    )


def password_rules(settings: Settings) -> PasswordRules:
    return PasswordRules(
        shortest=settings.password_min_length,
        service_words=(NAME, settings.token_issuer, settings.token_audience or "", settings.client_id),
    )


DEMO_UOWS_API_KEY = "stand-in-uows-key"
DEMO_ALLOCATIONS_API_KEY = "stand-in-allocations-key"


def _providers(settings: Settings, database: Database, hashing: PasswordHashing) -> Mapping[str, IdentityProvider]:
    """By name, in the order in which they are asked."""
    order = settings.providers or ("uows", "local")
    known: dict[str, IdentityProvider] = {}
    for name in order:
        if name == "local":
            known[name] = LocalAccounts(database, hashing)
        elif settings.uows_url or settings.runs_demo_facility:
            key = settings.uows_api_key.get_secret_value() if settings.uows_api_key else DEMO_UOWS_API_KEY
            url = settings.uows_url or f"http://{settings.facility_address}"
            known[name] = Uows(url, api_key=key, deadline=settings.uows_timeout)
    return known


def _experiments(settings: Settings) -> Experiments:
    if settings.allocations_url is None and not settings.runs_demo_facility:
        return NoExperiments()
    key = settings.allocations_api_key
    return Allocations(
        settings.allocations_url or f"http://{settings.facility_address}/graphql",
        token=key.get_secret_value() if key else DEMO_ALLOCATIONS_API_KEY,
        header=settings.allocations_header,
        deadline=settings.allocations_timeout,
    )


class NoExperiments:
    """For a deployment without Proposal Allocations: nobody has experiments."""

    async def of(self, user_number: int) -> tuple[int, ...]:
        return ()

    async def close(self) -> None:
        return None


def _readiness(base: Core, revoked: RevokedSessions, leaving: asyncio.Event) -> Callable[[], Awaitable[str]]:
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


def _watch(metrics: Metrics, base: Core, revoked: RevokedSessions, known_keys: ApiKeys, settings: Settings) -> None:
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
    metrics.gauge("auth_signer_lease", "1 while this replica may sign.", lambda: float(base.keys.has_lease))
    metrics.gauge("auth_api_keys", "API keys in memory, those that expired included.", lambda: len(known_keys))
    metrics.gauge("auth_revoked_sessions", "Ended sessions whose tokens may be about.", lambda: len(revoked))


def _publishing(settings: Settings, base: Core) -> Publishing | None:
    if settings.broker_url is None:
        return None
    return Publishing(
        base.database,
        broker=RabbitMq(settings.broker_url.get_secret_value(), exchange=settings.broker_exchange, app_id=NAME),
        source=settings.token_issuer,
        clock=base.clock,
        pause=settings.poll_every,
    )


def _watch_publishing(metrics: Metrics, publishing: Publishing | None) -> None:
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


def _traces(settings: Settings, stack: AsyncExitStack) -> Tracing | None:
    if settings.otlp_endpoint is None:
        return None
    traces = Tracing(endpoint=settings.otlp_endpoint, service_version=version())
    stack.push_async_callback(asyncio.to_thread, traces.close)
    return traces


def _grpc_tls(settings: Settings) -> grpc.ServerCredentials | None:
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    return tls.server_credentials(
        certificate=settings.tls_certificate_file,
        key=settings.tls_key_file,
        client_ca=settings.tls_client_ca_file,
    )


def _http_tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    return web_tls.server_context(certificate=settings.tls_certificate_file, key=settings.tls_key_file)


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


async def _tell_health(server: rpc.GrpcServer, is_ready: Callable[[], Awaitable[str]], pause: timedelta) -> None:
    said: bool | None = None
    while True:
        missing = await is_ready()
        if said != (not missing):
            said = not missing
            await server.say(serving=said)
            log.info("serving" if said else "not_serving", missing=missing)
        await asyncio.sleep(pause.total_seconds())


async def _leave(server: rpc.GrpcServer, leaving: asyncio.Event, drain: timedelta) -> None:
    leaving.set()
    await server.say(serving=False)
    log.info("not_serving", missing="stopping")
    await asyncio.sleep(drain.total_seconds())


async def _close_doors(grpc_server: rpc.GrpcServer, http_server: HttpServer, *, grace: timedelta) -> None:
    """Both at once, so that what hangs at one does not use up the other's time."""
    await asyncio.gather(grpc_server.stop(grace), http_server.stop(grace))
