"""What happens to a person's account while they change or delete it themselves, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from auth_service.domain.accounts import AccountChanges
from auth_service.domain.attempts import limits
from auth_service.domain.audit import Origin
from auth_service.domain.errors import AccessTokenRefused, BadCredentials
from auth_service.domain.policy import PersonCalling, RolePolicy
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.providers.limits_in_database import LimitsInDatabase
from auth_service.providers.password_strength import PasswordRules
from auth_service.storage import accounts
from auth_service.usecases.attempts import Attempts
from auth_service.usecases.ending import Ending
from auth_service.usecases.levels import Levels
from auth_service.usecases.mailed_tokens import MailedTokens, MailPolicy
from auth_service.usecases.own_account import OwnAccount
from auth_service.usecases.password_again import PasswordAgain
from auth_service.usecases.password_change import PasswordChange
from tests.usecases.meanwhile import (
    PASSWORD,
    Meanwhile,
    Step,
    deleted,
    disabled,
    given_a_new_password,
    purged,
    with_ada,
)
from tests.usecases.replica import SECRET, Replica

NEW_PASSWORD = "nine walnuts under a wicker chair"


def own_account(at: Replica, provider: Meanwhile) -> OwnAccount:
    ending = Ending(at.revoked, longest_token=lambda: timedelta(minutes=12))
    hashing, rules = provider.hashing, PasswordRules(shortest=15)
    attempts = Attempts(
        at.database, tallies=LimitsInDatabase(at.database), limits=limits(here=4, account=6, address=30), clock=at.clock
    )
    return OwnAccount(
        at.database,
        levels=Levels(at.database, policy=RolePolicy(frozenset()), providers=("local",)),
        ending=ending,
        password_again=PasswordAgain(at.database, providers={"local": provider}, attempts=attempts, clock=at.clock),
        password_change=PasswordChange(hashing=hashing, password_rules=rules, ending=ending),
        mailed_tokens=MailedTokens(
            at.database,
            policy=MailPolicy("auth", None, timedelta(hours=1), timedelta(days=1)),
            sealing=KeyEncryptionKeys([SECRET]),
            hashing=hashing,
            password_rules=rules,
            ending=ending,
            attempts=attempts,
            clock=at.clock,
            queued=asyncio.Event(),
            is_on=False,
        ),
        clock=at.clock,
        requires_email=False,
    )


@pytest.mark.row("E5", "S45")
@pytest.mark.parametrize("deed", ["email", "password", "deletion"])
@pytest.mark.parametrize(
    ("what", "refusal"),
    [
        (disabled, AccessTokenRefused),
        (deleted, AccessTokenRefused),
        (purged, AccessTokenRefused),
        (given_a_new_password, BadCredentials),
    ],
)
async def test_nothing_is_changed_for_whoever_loses_their_account_or_password_meanwhile(
    database_url: str, deed: str, what: Callable[[UUID], Step], refusal: type[Exception]
) -> None:
    async with with_ada(database_url) as (at, provider, ada):
        session = (await at.sign_in.login(username="ada", password=PASSWORD, origin=Origin())).session_id
        me = Origin(PersonCalling(ada, str(session), None, roles=frozenset()))
        own = own_account(at, provider)
        deeds: dict[str, Callable[[], Awaitable[object]]] = {
            "email": lambda: own.update(
                AccountChanges(frozenset({"email"}), email="ada@example.org"), current_password=PASSWORD, origin=me
            ),
            "password": lambda: own.change_password(current_password=PASSWORD, new_password=NEW_PASSWORD, origin=me),
            "deletion": lambda: own.delete(password=PASSWORD, origin=me),
        }
        provider.happens = what(ada)

        with pytest.raises(refusal):
            await deeds[deed]()

        after = await at.database.autocommit(lambda connection: accounts.find(connection, ada))
        if after is not None:
            assert after.email is None
            assert (after.person.deleted_at is not None) == (what is deleted)
        provider.happens = None
        with pytest.raises(BadCredentials):
            await at.sign_in.login(username="ada", password=NEW_PASSWORD, origin=Origin())
