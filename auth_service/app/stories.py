"""The use cases, built over the core from what the settings say."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from auth_client import TokenVerifier
from auth_client.policy_file import PolicyFile

from auth_service.app.administration import Administration, administration, password_hashing, role_policy
from auth_service.app.core import Core
from auth_service.app.keys import token_policy
from auth_service.app.outside import experiments_of, mail_sender, policies_of, providers_of
from auth_service.domain.attempts import Limits, limits
from auth_service.domain.cookies import SessionCookies, TokenCookie
from auth_service.domain.mail import Sender
from auth_service.domain.pages import PageTokens
from auth_service.domain.presence import PresencePolicy
from auth_service.domain.rates import Rate, rate
from auth_service.domain.refresh_tokens import RefreshTokens
from auth_service.domain.sessions import SessionPolicy
from auth_service.settings import Settings
from auth_service.usecases.api_keys import ApiKeys
from auth_service.usecases.attempts import Attempts
from auth_service.usecases.browser_sessions import BrowserSessions
from auth_service.usecases.experiments import ListExperiments
from auth_service.usecases.gate import Gate
from auth_service.usecases.issuing import Issuer
from auth_service.usecases.mailed_tokens import MailedTokens, MailPolicy
from auth_service.usecases.old_tokens import OldTokens
from auth_service.usecases.own_account import OwnAccount
from auth_service.usecases.password_again import PasswordAgain
from auth_service.usecases.password_change import PasswordChange
from auth_service.usecases.presence import Attendance
from auth_service.usecases.rate_limits import RateLimits
from auth_service.usecases.registration import Registration
from auth_service.usecases.revoked import RevokedSessions
from auth_service.usecases.service_sign_in import ServiceSignIn
from auth_service.usecases.sessions import Sessions
from auth_service.usecases.sign_in import SignIn
from auth_service.usecases.trust import Trust
from auth_service.usecases.verification import Verification

VERIFIED_TOKENS_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Stories:
    """What the doors open on, and what goes on behind them. `mail_queued` wakes whoever delivers mail."""

    revoked: RevokedSessions
    api_keys: ApiKeys
    verification: Verification
    old_tokens: OldTokens | None
    admin: Administration
    page_tokens: PageTokens
    rate_limits: RateLimits
    attempts: Attempts
    sender: Sender | None
    mail_queued: asyncio.Event
    mailed_tokens: MailedTokens
    registration: Registration
    own_account: OwnAccount
    sign_in: SignIn
    service_sign_in: ServiceSignIn
    sessions: Sessions
    attendance: Attendance
    experiments: ListExperiments
    trust: Trust
    policies: PolicyFile
    browsers: BrowserSessions
    gate: Gate


@asynccontextmanager
async def stories(settings: Settings, base: Core) -> AsyncIterator[Stories]:
    """Nothing is read yet. At the end, providers are closed, and mail that was asked for is written down."""
    async with AsyncExitStack() as stack:
        revoked = RevokedSessions(base.database, clock=base.clock)
        refresh_tokens, page_tokens = RefreshTokens(base.sealing), PageTokens(base.sealing)
        hashing = password_hashing(settings)
        stack.push_async_callback(hashing.close)
        providers = providers_of(settings, base.database, hashing)
        experiments = experiments_of(settings)
        for provider in providers.values():
            stack.push_async_callback(provider.close)
        stack.push_async_callback(experiments.close)
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
        old_tokens = _old_tokens(settings, base)
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
            old_tokens=old_tokens,
        )
        admin = administration(settings, base, revoked=revoked, page_tokens=page_tokens, hashing=hashing)
        issuer = Issuer(
            base.keys,
            refresh_tokens=refresh_tokens,
            token_policy=token_policy(settings),
            role_policy=role_policy(settings),
            clock=base.clock,
            workers=base.workers,
        )
        rate_limits = RateLimits(base.database, shared=base.limits, rates=_rates(settings), clock=base.clock)
        attempts = Attempts(base.database, tallies=base.limits, limits=_attempt_limits(settings), clock=base.clock)
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
        attendance = Attendance(base.database, policy=PresencePolicy(settings.refresh_replay_window), clock=base.clock)
        sessions = Sessions(
            base.database,
            refresh_tokens=refresh_tokens,
            issuer=issuer,
            ending=admin.ending,
            providers=providers,
            policy=session_policy,
            attendance=attendance,
            recheck_after=settings.provider_recheck_after,
            clock=base.clock,
        )
        trust = Trust(
            base.keys,
            revoked,
            clock=base.clock,
            heartbeat_every=settings.trust_heartbeat,
            most_streams=settings.trust_streams,
            most_streams_from_one=settings.trust_streams_per_address,
        )
        policies = policies_of(settings)
        browsers = BrowserSessions(verification=verification, sessions=sessions, cookies=_cookies(settings))
        gate = Gate(
            policies,
            verification=verification,
            browsers=browsers,
            origins=settings.cors_origins,
            sign_in_page=f"{settings.path_prefix}/sign-in",
        )

        yield Stories(
            revoked=revoked,
            api_keys=known_keys,
            verification=verification,
            old_tokens=old_tokens,
            admin=admin,
            page_tokens=page_tokens,
            rate_limits=rate_limits,
            attempts=attempts,
            sender=sender,
            mail_queued=mail_queued,
            mailed_tokens=mailed_tokens,
            registration=registration,
            own_account=own_account,
            sign_in=sign_in,
            service_sign_in=ServiceSignIn(known_keys, issuer=issuer),
            sessions=sessions,
            attendance=attendance,
            experiments=ListExperiments(experiments, page_tokens=page_tokens),
            trust=trust,
            policies=policies,
            browsers=browsers,
            gate=gate,
        )


def _old_tokens(settings: Settings, base: Core) -> OldTokens | None:
    if settings.hs256_secret is None:
        return None
    assert settings.hs256_until is not None
    return OldTokens(
        secret=settings.hs256_secret.get_secret_value().encode(),
        until=settings.hs256_until,
        leeway=settings.clock_skew,
        clock=base.clock.now,
    )


def _cookies(settings: Settings) -> SessionCookies:
    refresh = TokenCookie(
        name=settings.cookie_name,
        path=settings.path_of_cookie,
        domain=settings.cookie_domain,
        same_site=settings.cookie_same_site,
        is_secure=settings.cookie_secure,
    )
    return SessionCookies(access=replace(refresh, name=settings.access_cookie_name), refresh=refresh)


def _rates(settings: Settings) -> list[Rate]:
    return [rate(what, calls=calls, per=per) for what, (calls, per) in settings.rate_limits.items()]


def _attempt_limits(settings: Settings) -> Limits:
    return limits(
        here=settings.failures_here, account=settings.failures_per_account, address=settings.failures_per_address
    )
