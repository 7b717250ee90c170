"""A person signs in: a provider vouches for them, and a session begins."""

from collections.abc import Sequence

import structlog

from auth_service.domain import sessions as rules
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.errors import BadCredentials, ProviderUnavailable
from auth_service.domain.passwords import normalised_password
from auth_service.domain.people import Identity, IdentityProvider, Person, normalised_username
from auth_service.domain.sessions import Session, SessionPolicy
from auth_service.storage import audit, people, sessions
from auth_service.storage.database import Connection, Database, DatabaseClock
from auth_service.usecases.admission import Admission
from auth_service.usecases.attempts import Attempts
from auth_service.usecases.issuing import Issuer, TokenPair

log = structlog.get_logger()


class SignIn:
    """Asks the providers in their order; the first that knows the password decides who it is."""

    def __init__(
        self,
        database: Database,
        *,
        providers: Sequence[IdentityProvider],
        issuer: Issuer,
        session_policy: SessionPolicy,
        attempts: Attempts,
        clock: DatabaseClock,
    ) -> None:
        self._database = database
        self._providers = providers
        self._issuer = issuer
        self._session_policy = session_policy
        self._attempts = attempts
        self._clock = clock
        self._admission = Admission()

    async def login(self, *, username: str, password: str, origin: Origin) -> TokenPair:
        """A new session. Raises InvalidInput, BadCredentials, TooManyAttempts, Unavailable, Overloaded."""
        username = normalised_username(username)
        password = normalised_password(password)
        self._issuer.check_can_sign()
        attempt = await self._attempts.on_account(username, address=origin.address)
        async with self._admission.entered(), attempt.counted(password):
            return await self._signed_in(username, password, origin)

    async def _signed_in(self, username: str, password: str, origin: Origin) -> TokenPair:
        identity = await self._identity(username, password)
        now = self._clock.now()

        async def step(connection: Connection) -> tuple[Person, Session]:
            person = await people.remember(connection, identity, now=now)
            if not person.may_sign_in:
                raise BadCredentials
            session = rules.start(
                person.id,
                now=now,
                policy=self._session_policy,
                address=origin.address,
                user_agent=origin.user_agent,
            )
            await sessions.add(connection, session)
            await audit.add(
                connection,
                happened(
                    EventType.SESSION_STARTED,
                    origin=origin,
                    now=now,
                    by=person.id,
                    on=person.id,
                    session_id=str(session.id),
                    provider=person.provider,
                ),
            )
            return person, session

        person, session = await self._database.transaction(step)
        log.info("login", person=str(person.id), session=str(session.id), provider=person.provider)
        return await self._issuer.pair(person, session)

    async def _identity(self, username: str, password: str) -> Identity:
        unavailable: ProviderUnavailable | None = None
        for provider in self._providers:
            try:
                return await provider.authenticate(username=username, password=password)
            except BadCredentials:
                continue
            except ProviderUnavailable as error:
                unavailable = error
        log.info("login.refused", username_start=username[:3], provider_unavailable=unavailable is not None)
        # Somebody who could not be asked might have known the password: that is not "wrong".
        raise unavailable or BadCredentials()
