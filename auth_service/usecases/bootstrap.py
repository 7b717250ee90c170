"""The first administrator: somebody has to be, before anybody can make another."""

import secrets

from auth_service.domain.accounts import NewAccount, Shown
from auth_service.domain.audit import OPERATOR
from auth_service.domain.errors import WrongAccountState
from auth_service.domain.policy import ADMIN
from auth_service.storage.database import Database
from auth_service.usecases.accounts import Accounts
from auth_service.usecases.levels import Levels

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""None of them looks like another."""
_GROUPS, _GROUP_LENGTH = 5, 5


class Bootstrap:
    """`asks_for_our_passwords` is false where nobody signs in with an account of our own."""

    def __init__(self, database: Database, *, levels: Levels, accounts: Accounts, asks_for_our_passwords: bool) -> None:
        self._database = database
        self._levels = levels
        self._accounts = accounts
        self._asks_for_our_passwords = asks_for_our_passwords

    async def first_administrator(self, username: str) -> tuple[Shown, str]:
        """The account, and the password that is good for the first sign-in only.

        Raises InvalidInput, AlreadyExists, DatabaseUnavailable, and WrongAccountState if somebody may administer
        already, or nobody could sign in with it.
        """
        if not self._asks_for_our_passwords:
            raise WrongAccountState(
                "AUTH_PROVIDERS: expected local among them, or nobody signs in with this account; whoever has signed in"
                " through the facility is made an administrator by `auth-service roles grant NAME admin`"
            )
        if await self._database.autocommit(self._levels.has_administrator):
            raise WrongAccountState("there is an administrator already: see `auth-service roles users admin`")
        password = "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
        new = NewAccount(username, roles=frozenset({ADMIN}), password=lambda: password, must_change_password=True)
        return await self._accounts.create(new, origin=OPERATOR), password
