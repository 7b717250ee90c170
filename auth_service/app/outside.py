"""Whatever is beyond this process, as the settings name it: who knows people, where mail and events go, TLS."""

import asyncio
import ssl
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

import grpc
import structlog
from auth_client.policy import Policy
from auth_client.policy_file import PolicyFile

from auth_service.app.core import NAME, Core, version
from auth_service.background import every
from auth_service.domain.mail import Sender
from auth_service.domain.people import Experiments, IdentityProvider
from auth_service.providers.local_accounts import LocalAccounts
from auth_service.providers.mail_folder import MailFolder
from auth_service.providers.password_hashing import PasswordHashing
from auth_service.providers.rabbitmq import RabbitMq
from auth_service.providers.smtp import Smtp, SmtpTls
from auth_service.rpc import tls
from auth_service.settings import Settings
from auth_service.storage.database import Database
from auth_service.telemetry import Tracing
from auth_service.usecases.mail_delivery import MailDelivery
from auth_service.usecases.publishing import Publishing
from auth_service.web import tls as web_tls

log = structlog.get_logger()

MAIL_LOOKED_FOR_EVERY = 10
"""Turns of polling: who queues mail tells of it."""

MAIL_LEASE_BEYOND_DEADLINE = timedelta(seconds=30)

DEMO_UOWS_API_KEY = "stand-in-uows-key"

DEMO_ALLOCATIONS_API_KEY = "stand-in-allocations-key"


def providers_of(settings: Settings, database: Database, hashing: PasswordHashing) -> Mapping[str, IdentityProvider]:
    """By name, in the order in which they are asked."""
    known: dict[str, IdentityProvider] = {}
    for name in settings.providers_there:
        if name == "local":
            known[name] = LocalAccounts(database, hashing)
        else:
            # Not at the top: aiohttp, 10 MB that whoever has no facility does not need.
            from auth_service.providers.uows import Uows

            key = settings.uows_api_key.get_secret_value() if settings.uows_api_key else DEMO_UOWS_API_KEY
            url = settings.uows_url or f"http://{settings.facility_address}"
            known[name] = Uows(url, api_key=key, deadline=settings.uows_timeout)
    return known


def experiments_of(settings: Settings) -> Experiments:
    if settings.allocations_url is None and not settings.runs_demo_facility:
        return NoExperiments()
    # As above.
    from auth_service.providers.allocations import Allocations

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


def mail_turns(
    settings: Settings, base: Core, sender: Sender | None, *, queued: asyncio.Event
) -> Sequence[Awaitable[None]]:
    """What sends mail in the background; nothing where none is sent."""
    if sender is None:
        return []
    lease = settings.smtp_timeout + MAIL_LEASE_BEYOND_DEADLINE
    delivery = MailDelivery(base.database, sender=sender, sealing=base.sealing, lease=lease, clock=base.clock)
    return [every(MAIL_LOOKED_FOR_EVERY * settings.poll_every, delivery.deliver, woken_by=queued)]


def policies_of(settings: Settings) -> PolicyFile:
    """What gateways obey. Nothing is read yet."""
    file = str(settings.policy_file)

    def refused(problems: tuple[str, ...]) -> None:
        log.error("policy.refused", file=file, problems=problems, in_force="the one before")

    def loaded(policy: Policy) -> None:
        log.info("policy.loaded", file=file, rules=len(policy.rules), warnings=policy.warnings())

    return PolicyFile(settings.policy_file, on_loaded=loaded, on_refused=refused)


def publishing_of(settings: Settings, base: Core) -> Publishing | None:
    if settings.broker_url is None:
        return None
    return Publishing(
        base.database,
        broker=RabbitMq(settings.broker_url.get_secret_value(), exchange=settings.broker_exchange, app_id=NAME),
        source=settings.token_issuer,
        clock=base.clock,
        pause=settings.poll_every,
    )


def traces_of(settings: Settings, stack: AsyncExitStack) -> Tracing | None:
    if settings.otlp_endpoint is None:
        return None
    traces = Tracing(endpoint=settings.otlp_endpoint, service_version=version())
    stack.push_async_callback(asyncio.to_thread, traces.close)
    return traces


def grpc_tls(settings: Settings) -> grpc.ServerCredentials | None:
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    return tls.server_credentials(
        certificate=settings.tls_certificate_file,
        key=settings.tls_key_file,
        client_ca=settings.tls_client_ca_file,
    )


def http_tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    return web_tls.server_context(certificate=settings.tls_certificate_file, key=settings.tls_key_file)
