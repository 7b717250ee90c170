"""People make accounts of their own, where the deployment lets them."""

from auth_service.domain.accounts import Shown
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.emails import email_key, valid_email
from auth_service.domain.errors import FieldViolation, InvalidInput, RegistrationClosed
from auth_service.domain.names import check_not_reserved, new_display_name, new_username
from auth_service.providers.password_hashing import PasswordHashing
from auth_service.providers.password_strength import PasswordRules
from auth_service.storage import audit, local_accounts
from auth_service.storage.database import Connection, Database, DatabaseClock
from auth_service.usecases.levels import Levels
from auth_service.usecases.mailed_tokens import MailedTokens


class Registration:
    """A new account has the role `user` and nothing else, whatever is asked for."""

    def __init__(
        self,
        database: Database,
        *,
        levels: Levels,
        hashing: PasswordHashing,
        password_rules: PasswordRules,
        mailed_tokens: MailedTokens,
        clock: DatabaseClock,
        is_open: bool,
        requires_email: bool,
    ) -> None:
        self._database = database
        self._levels = levels
        self._hashing = hashing
        self._password_rules = password_rules
        self._mailed_tokens = mailed_tokens
        self._clock = clock
        self._is_open = is_open
        self._requires_email = requires_email

    async def register(self, *, username: str, password: str, email: str, display_name: str, origin: Origin) -> Shown:
        """The new account. Raises RegistrationClosed, InvalidInput, AlreadyExists, Unavailable, Overloaded."""
        if not self._is_open:
            raise RegistrationClosed
        address = self._address(email)
        name = _name(username, address)
        shown_as = new_display_name(display_name) if display_name else name
        words = (name, shown_as, address or "")
        chosen = await self._password_rules.check(password, field="password", words=words)
        password_hash = await self._hashing.hash(chosen)
        now = self._clock.now()

        async def step(connection: Connection) -> Shown:
            person_id = await local_accounts.add(
                connection,
                username=name,
                display_name=shown_as,
                password_hash=password_hash,
                now=now,
                email=address,
            )
            event = happened(EventType.PERSON_REGISTERED, origin=origin, now=now, on=person_id, by=person_id)
            await audit.add(connection, event)
            shown = await self._levels.shown_of(connection, person_id)
            await self._mailed_tokens.queue_verification(connection, shown.account, origin=origin, now=now)
            return shown

        return await self._database.transaction(step)

    def _address(self, email: str) -> str | None:
        if not email and self._requires_email:
            raise InvalidInput(FieldViolation("email", "expected a mail address: it has to be verified before sign-in"))
        return valid_email(email) if email else None


def _name(username: str, address: str | None) -> str:
    name = new_username(username)
    check_not_reserved(name)
    # Others would take it for that person's, and the service for that person's sign-in.
    if "@" in name and (address is None or email_key(address) != email_key(name)):
        raise InvalidInput(FieldViolation("username", "expected a name without @, or the address in `email`"))
    return name
