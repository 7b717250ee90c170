"""What happens to a person's account while their password is being checked, on both databases."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from auth_service.domain.audit import Origin
from auth_service.domain.errors import BadCredentials
from auth_service.storage import accounts
from auth_service.storage.database import Connection
from tests.usecases.meanwhile import PASSWORD, Step, deleted, disabled, given_a_new_password, purged, with_ada
from tests.usecases.replica import Replica


async def sign_in(at: Replica) -> UUID:
    return (await at.sign_in.login(username="ada", password=PASSWORD, origin=Origin())).session_id


@pytest.mark.row("S45", "E7")
@pytest.mark.parametrize("what", [disabled, deleted, given_a_new_password, purged])
async def test_whoever_loses_their_account_or_password_while_it_is_checked_is_refused(
    database_url: str, what: Callable[[UUID], Step]
) -> None:
    async with with_ada(database_url) as (at, provider, ada):
        assert await sign_in(at)

        provider.happens = what(ada)
        with pytest.raises(BadCredentials):
            await sign_in(at)

        account = await at.database.autocommit(lambda connection: accounts.find(connection, ada))
        assert (account is None) == (what is purged)


async def test_what_the_person_changed_meanwhile_stays_changed(database_url: str) -> None:
    async with with_ada(database_url) as (at, provider, ada):

        async def renamed(connection: Connection) -> None:
            account = await accounts.hold(connection, ada)
            assert account is not None
            person = replace(account.person, display_name="Countess")
            await accounts.change(connection, replace(account, person=person))

        provider.happens = renamed
        assert await sign_in(at)

        account = await at.database.autocommit(lambda connection: accounts.find(connection, ada))
        assert account is not None
        assert account.person.display_name == "Countess"
        assert account.last_login_at is not None
