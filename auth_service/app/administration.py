"""What administrators do, through the doors and on the command line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from auth_service.app.core import NAME, Core, core
from auth_service.domain.accounts import LOCAL
from auth_service.domain.pages import PageTokens
from auth_service.domain.policy import RolePolicy
from auth_service.providers.password_hashing import PasswordHashing
from auth_service.providers.password_strength import PasswordRules
from auth_service.settings import Settings
from auth_service.usecases.accounts import Accounts
from auth_service.usecases.admission import MOST_INSIDE
from auth_service.usecases.audit_log import AuditLog
from auth_service.usecases.bootstrap import Bootstrap
from auth_service.usecases.ending import Ending
from auth_service.usecases.levels import Levels
from auth_service.usecases.notices import Notices
from auth_service.usecases.revoked import RevokedSessions
from auth_service.usecases.roles import Roles
from auth_service.usecases.service_accounts import ServiceAccounts
from auth_service.usecases.session_lists import SessionLists
from auth_service.usecases.staff import StaffList
from auth_service.usecases.standing import Standing


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
    notices: Notices


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


def administration(
    settings: Settings,
    base: Core,
    *,
    revoked: RevokedSessions,
    page_tokens: PageTokens,
    hashing: PasswordHashing,
) -> Administration:
    levels = Levels(base.database, policy=role_policy(settings), providers=settings.providers_there)
    ending = Ending(revoked, longest_token=base.keys.longest_token)
    rules = password_rules(settings)
    accounts = Accounts(
        base.database, levels=levels, ending=ending, hashing=hashing, password_rules=rules, page_tokens=page_tokens
    )
    return Administration(
        levels=levels,
        ending=ending,
        password_rules=rules,
        accounts=accounts,
        standing=Standing(
            base.database, levels=levels, ending=ending, hashing=hashing, password_rules=rules, tallies=base.limits
        ),
        roles=Roles(base.database, levels=levels, ending=ending, page_tokens=page_tokens),
        session_lists=SessionLists(base.database, page_tokens=page_tokens),
        staff=StaffList(base.database),
        service_accounts=ServiceAccounts(
            base.database,
            page_tokens=page_tokens,
            in_settings=settings.api_keys.keys(),
            revoked=revoked,
            longest_token=base.keys.longest_token,
        ),
        bootstrap=Bootstrap(
            base.database, levels=levels, accounts=accounts, asks_for_our_passwords=LOCAL in settings.providers_there
        ),
        audit_log=AuditLog(base.database, page_tokens=page_tokens),
        notices=Notices(base.database),
    )


def password_hashing(settings: Settings) -> PasswordHashing:
    # Room for all sign-ins that may be under way: one that is turned away here was judged by the facility before, and
    # counts as a guess.
    return PasswordHashing(memory_kib=settings.argon2_memory_kib, passes=settings.argon2_passes, queue=MOST_INSIDE)


def password_rules(settings: Settings) -> PasswordRules:
    return PasswordRules(
        shortest=settings.password_min_length,
        service_words=(NAME, settings.token_issuer, settings.token_audience or "", settings.client_id),
    )


def role_policy(settings: Settings) -> RolePolicy:
    return RolePolicy(frozenset(settings.staff_roles), mapped=settings.role_map)
