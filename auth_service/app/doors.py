"""The doors: a gRPC server and an HTTP server around the stories, not bound yet."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache

from starlette.routing import Route

from auth_service.app.core import NAME, Core, key_policy, version
from auth_service.app.keys import canaries, consumer_list
from auth_service.app.outside import http_tls
from auth_service.app.stories import Stories
from auth_service.domain.cookies import SessionCookies
from auth_service.domain.form_tokens import FormTokens
from auth_service.rpc import server as rpc
from auth_service.rpc.audit_servicer import AuditServicer
from auth_service.rpc.auth_servicer import AuthServicer, ServerInfo
from auth_service.rpc.call import Interceptor
from auth_service.rpc.descriptors import descriptors
from auth_service.rpc.interceptors.observation import Observe
from auth_service.rpc.keys_servicer import KeyServicer
from auth_service.rpc.local_calls import LocalCalls
from auth_service.rpc.maintenance_servicer import MaintenanceServicer
from auth_service.rpc.permissions import PERMISSIONS
from auth_service.rpc.roles_servicer import RoleServicer
from auth_service.rpc.server import GrpcServer
from auth_service.rpc.service_accounts_servicer import ServiceAccountServicer
from auth_service.rpc.trust_servicer import TrustServicer
from auth_service.rpc.users_servicer import UserServicer
from auth_service.settings import Settings
from auth_service.usecases.key_list import KeyList
from auth_service.usecases.key_plan import KeyPlans
from auth_service.usecases.key_revocation import KeyRevocation
from auth_service.usecases.revocation_list import RevocationList
from auth_service.web import authz, connect, facility, maintenance, oauth, probes, session, wellknown
from auth_service.web.api import documents, explorer, reference, start
from auth_service.web.api.contract import Contract, read
from auth_service.web.api.openapi import document
from auth_service.web.limits import limited
from auth_service.web.pages import build as pages
from auth_service.web.pages.admin import SECTIONS
from auth_service.web.pages.site import Site
from auth_service.web.server import HttpServer

RIGHTS_ASKED_EVERY = 10
"""In polls: of whoever listens to a stream."""


def grpc_door(
    settings: Settings, base: Core, stories: Stories, *, observe: Observe, outermost: Sequence[Interceptor]
) -> GrpcServer:
    """Every service of the contract, health and, where it is wanted, reflection."""
    return rpc.build(
        auth=AuthServicer(
            sign_in=stories.sign_in,
            service_sign_in=stories.service_sign_in,
            sessions=stories.sessions,
            verification=stories.verification,
            experiments=stories.experiments,
            keys=base.keys,
            consumers=base.consumers,
            server_info=ServerInfo(name=NAME, version=version(), build=settings.build, issuer=settings.token_issuer),
        ),
        users=UserServicer(
            registration=stories.registration,
            own_account=stories.own_account,
            mailed_tokens=stories.mailed_tokens,
            accounts=stories.admin.accounts,
            standing=stories.admin.standing,
            session_lists=stories.admin.session_lists,
        ),
        roles=RoleServicer(
            roles=stories.admin.roles, accounts=stories.admin.accounts, verification=stories.verification
        ),
        service_accounts=ServiceAccountServicer(service_accounts=stories.admin.service_accounts),
        keys=KeyServicer(
            keys=base.keys,
            key_list=KeyList(base.keys, page_tokens=stories.page_tokens),
            consumer_list=consumer_list(settings, base, page_tokens=stories.page_tokens),
            revocation=KeyRevocation(base.keys, consumers=base.consumers),
            canaries=canaries(settings, base),
            plans=KeyPlans(base.keys, policy=key_policy(settings), clock=base.clock),
        ),
        audit=AuditServicer(audit_log=stories.admin.audit_log),
        trust=TrustServicer(trust=stories.trust, keys=base.keys, consumers=base.consumers),
        maintenance=MaintenanceServicer(notices=stories.admin.notices),
        known_caller=stories.verification.caller,
        level_of=stories.admin.levels.of,
        observe=observe,
        outermost=outermost,
        longest_call=settings.request_deadline,
        slowest_reader=settings.slowest_reader,
        rights_asked_every=RIGHTS_ASKED_EVERY * settings.poll_every,
        reflects=settings.serves_reflection,
        trusted_proxies=settings.trusted_proxies,
        rate_limits=stories.rate_limits,
        gate=stories.gate if settings.policy_file else None,
    )


def http_door(
    settings: Settings,
    base: Core,
    stories: Stories,
    *,
    grpc_server: GrpcServer,
    is_ready: Callable[[], Awaitable[str]],
    exposition: Callable[[], tuple[bytes, str]],
) -> HttpServer:
    """The key set, metadata and probes; every method that answers once, in JSON; REST, OAuth, sessions, gateways."""
    methods = grpc_server.local
    served = [
        *wellknown.routes(
            keys=base.keys,
            consumers=base.consumers,
            revocations=RevocationList(stories.revoked, base.keys, monotonic=time.monotonic),
            issuer=settings.token_issuer,
            endpoints=oauth.metadata(settings.token_issuer),
            now=base.clock.now,
            trusted_proxies=settings.trusted_proxies,
        ),
        *probes.routes(is_ready=is_ready, exposition=exposition),
        *facility.routes(
            methods,
            cookie=stories.gate.cookies.refresh,
            is_compatible=settings.rest_compatibility,
        ),
        *maintenance.routes(methods),
        *session.routes(methods, cookies=stories.gate.cookies),
        *authz.routes(stories.gate, trusted_proxies=settings.trusted_proxies),
        *oauth.routes(methods, known_caller=stories.verification.caller),
        *connect.routes(methods),
    ]
    site = _site(settings, base, stories, methods)
    written = pages.routes(site)
    if settings.serves_api_pages:
        served = [*served, *_descriptions(settings, served, cookies=stories.gate.cookies)]
        written += _api_pages(settings, site, grpc_port=lambda: grpc_server.port)
    else:
        written += start.closed(site)
    always = (*wellknown.PATHS, *probes.PATHS)
    return HttpServer(
        limited([*served, *written], stories.rate_limits, always=always, trusted_proxies=settings.trusted_proxies),
        tls=http_tls(settings),
        path_prefix=settings.path_prefix,
        cors_origins=settings.cors_origins,
        error_page=site.error,
        always=always,
    )


def _site(settings: Settings, base: Core, stories: Stories, methods: LocalCalls) -> Site:
    return Site(
        methods=methods,
        browsers=stories.browsers,
        form_tokens=FormTokens(base.sealing),
        version=version(),
        issuer=settings.token_issuer,
        sections=SECTIONS,
        shortest_password=settings.password_min_length,
        path_prefix=settings.path_prefix,
        trusted_proxies=settings.trusted_proxies,
        next_origins=settings.next_origins,
        lets_people_register=settings.lets_people_register,
        sends_mail=stories.sender is not None,
        keeps_passwords="local" in settings.providers_there,
        asks_facility="uows" in settings.providers_there,
    )


def _descriptions(settings: Settings, served: Sequence[Route], *, cookies: SessionCookies) -> list[Route]:
    """Routes that tell of those in `served`, and of themselves."""

    def openapi() -> object:
        return document(
            _contract(), [*served, *added], version=version(), path_prefix=settings.path_prefix, cookies=cookies
        )

    added = documents.routes(openapi=openapi, descriptors=descriptors)
    return added


def _api_pages(settings: Settings, site: Site, *, grpc_port: Callable[[], int]) -> list[Route]:
    deployment = start.Deployment(
        issuer=settings.token_issuer,
        audience=settings.token_audience or "",
        version=version(),
        build=settings.build,
        grpc_port=grpc_port,
        grpc_has_tls=settings.tls_certificate_file is not None,
        has_reflection=settings.serves_reflection,
        # One of the stand-in facility's, whom its welcome names as well.
        person="user1001" if settings.runs_demo_facility else "",
    )
    return [
        *start.routes(site, deployment),
        *explorer.routes(site),
        *reference.routes(site, contract=_contract),
    ]


@cache
def _contract() -> Contract:
    """Read when first asked for: OpenAPI and the reference are both made of it."""
    return read(descriptors(), rights=PERMISSIONS)
