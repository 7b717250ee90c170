"""A person shows their password again: an access token may be stolen, and must not be enough for everything."""

from collections.abc import Mapping

from auth_service.domain.accounts import Account
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.errors import BadCredentials, WrongAccountState
from auth_service.domain.passwords import normalised_password
from auth_service.domain.people import Identity, IdentityProvider
from auth_service.storage.database import Database, DatabaseClock
from auth_service.usecases.attempts import Attempts
from auth_service.usecases.telling import tell


class PasswordAgain:
    """Whoever vouched for the person at sign-in is asked again; wrong answers count as they do there."""

    def __init__(
        self,
        database: Database,
        *,
        providers: Mapping[str, IdentityProvider],
        attempts: Attempts,
        clock: DatabaseClock,
    ) -> None:
        self._database = database
        self._providers = providers
        self._attempts = attempts
        self._clock = clock

    async def shown(
        self, account: Account, password: str, *, field: str, wanted: EventType, origin: Origin
    ) -> Identity:
        """`wanted` is what is refused without the password, and `field` the password's name on the wire.

        Raises InvalidInput, BadCredentials, TooManyAttempts, WrongAccountState, Unavailable, Overloaded.
        """
        password = normalised_password(password, field=field)
        provider = self._providers.get(account.person.provider)
        if provider is None:
            raise WrongAccountState(f"expected a password, and {account.person.provider!r} is not asked for any here")
        username = account.person.username
        attempt = await self._attempts.on_account(username, address=origin.address)
        try:
            async with attempt.counted(password):
                identity = await provider.authenticate(username=username, password=password)
                if identity.subject != account.person.provider_subject:
                    raise BadCredentials(account.id)
        except BadCredentials as refused:
            now = self._clock.now()
            event = happened(wanted, origin=origin, now=now, on=account.id, outcome="refused", reason=refused.reason)
            await tell(self._database, event)
            raise
        return identity
