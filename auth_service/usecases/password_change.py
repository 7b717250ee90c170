"""A person sets a password of their own, having shown the present one."""

from datetime import datetime
from uuid import UUID

from auth_service.domain.accounts import Account, check_is_local
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.passwords import normalised_password
from auth_service.providers.password_hashing import PasswordHashing
from auth_service.providers.password_strength import PasswordRules
from auth_service.storage import audit, local_accounts
from auth_service.storage.database import Connection
from auth_service.storage.revocations import Revocation
from auth_service.usecases.ending import Ending


class PasswordChange:
    """`hashed` before the transaction, `in_step` within it, and then the caller's `Ending.take_effect`."""

    def __init__(self, *, hashing: PasswordHashing, password_rules: PasswordRules, ending: Ending) -> None:
        self._hashing = hashing
        self._password_rules = password_rules
        self._ending = ending

    async def hashed(self, account: Account, *, present: str, new: str) -> str:
        """The hash of `new`. Raises InvalidInput, WrongAccountState for whoever has no password here, Overloaded."""
        check_is_local(account, field="new_password")
        chosen = await self._password_rules.check(new, field="new_password", words=account.words)
        if chosen == normalised_password(present):
            raise InvalidInput(FieldViolation("new_password", "expected another password than the present one"))
        return await self._hashing.hash(chosen)

    async def in_step(
        self, connection: Connection, person_id: UUID, password_hash: str, *, keep: UUID, origin: Origin, now: datetime
    ) -> tuple[Revocation, ...]:
        """The sessions that end: all of the person's but `keep`."""
        await local_accounts.set_password(connection, person_id, password_hash, now=now)
        await audit.add(connection, happened(EventType.PASSWORD_CHANGED, origin=origin, now=now, on=person_id))
        return await self._ending.in_step(connection, person_id, reason="password", origin=origin, now=now, keep=keep)
