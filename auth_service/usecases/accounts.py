"""Accounts of our own are made."""

from collections.abc import Callable
from uuid import UUID

from auth_service.domain import people
from auth_service.domain.roles import valid_role
from auth_service.providers.local_accounts import LocalAccounts
from auth_service.providers.password_strength import PasswordRules
from auth_service.storage.database import Database


class Accounts:
    """What an administrator does with accounts."""

    def __init__(self, database: Database, local_accounts: LocalAccounts, *, password_rules: PasswordRules) -> None:
        self._database = database
        self._local_accounts = local_accounts
        self._password_rules = password_rules

    async def create(
        self, *, username: str, display_name: str, password: Callable[[], str], roles: frozenset[str]
    ) -> UUID:
        """The new person's id. `password` is asked for once everything else is in order.

        Raises InvalidInput, AlreadyExists, DatabaseUnavailable.
        """
        name = people.normalised_username(username)
        shown = people.valid_display_name(display_name)
        for role in roles:
            valid_role(role)
        chosen = await self._password_rules.check(password(), field="password", words=(name, shown))
        now = await self._database.autocommit(self._database.time)
        return await self._local_accounts.create(
            username=name, display_name=shown, password=chosen, roles=roles, now=now
        )
