"""A person signs in: a provider vouches for them, and a session begins."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

import structlog

from auth_service.domain import sessions as rules
from auth_service.domain.accounts import LOCAL
from auth_service.domain.audit import AuditEvent, EventType, Origin, happened
from auth_service.domain.errors import (
    AuthError,
    BadCredentials,
    EmailNotVerified,
    Overloaded,
    PasswordChangeRequired,
    ProviderUnavailable,
    WrongAccountState,
)
from auth_service.domain.passwords import normalised_password
from auth_service.domain.people import Identity, IdentityProvider, Person, normalised_username
from auth_service.domain.policy import PersonCalling
from auth_service.domain.sessions import Session, SessionPolicy
from auth_service.storage import accounts, arrivals, audit, people, sessions
from auth_service.storage.database import Connection, Database, DatabaseClock
from auth_service.storage.revocations import Revocation
from auth_service.usecases.admission import Admission
from auth_service.usecases.attempts import Attempt, Attempts
from auth_service.usecases.ending import Ending
from auth_service.usecases.issuing import Issuer, TokenPair
from auth_service.usecases.password_change import PasswordChange
from auth_service.usecases.telling import tell

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
        password_change: PasswordChange,
        ending: Ending,
        clock: DatabaseClock,
        requires_verified_email: bool = False,
    ) -> None:
        self._database = database
        self._providers = providers
        self._issuer = issuer
        self._session_policy = session_policy
        self._attempts = attempts
        self._password_change = password_change
        self._ending = ending
        self._clock = clock
        self._requires_verified_email = requires_verified_email
        self.admission = Admission()

    async def login(self, *, username: str, password: str, origin: Origin, new_password: str = "") -> TokenPair:
        """A new session. `username` may be a verified address; `new_password` replaces the password, if it is right.

        Raises InvalidInput, BadCredentials, TooManyAttempts, PasswordChangeRequired, EmailNotVerified,
        WrongAccountState, Unavailable, Overloaded.
        """
        username = normalised_username(username)
        password = normalised_password(password)
        self._issuer.check_can_sign()
        attempt = await self._attempts.on_account(username, address=origin.address)
        try:
            async with self.admission.entered(), attempt.counted(password):
                return await self._signed_in(attempt, username, password, new_password, origin)
        except (BadCredentials, PasswordChangeRequired, EmailNotVerified) as refused:
            await self._tell(refused, refused.person_id, username, origin)
            raise

    async def _signed_in(
        self, attempt: Attempt, username: str, password: str, new_password: str, origin: Origin
    ) -> TokenPair:
        identity = await self._identity(attempt, username, password)
        if identity.provider == LOCAL:
            person, session = await self._one_of_ours(identity, password, new_password, origin)
        else:
            person, session = await self._one_of_others(identity, origin, changes_password=bool(new_password))
        log.info("login", person=str(person.id), session=str(session.id), provider=person.provider)
        return await self._issuer.pair(person, session)

    async def _one_of_others(
        self, identity: Identity, origin: Origin, *, changes_password: bool
    ) -> tuple[Person, Session]:
        """Raises BadCredentials, WrongAccountState."""
        now = self._clock.now()
        # With the id of a person who was never here. Who it is, the database knows.
        session = self._begun(uuid4(), origin, now=now)
        event = _started(session, identity.provider, origin)
        person = None
        if not changes_password:
            person = await self._database.chained(
                lambda connection: arrivals.arrived(connection, identity, session, event, now=now)
            )
        if person is None:
            known = await self._database.autocommit(lambda connection: people.identified(connection, identity))
            if changes_password and (known is None or known.may_sign_in):
                raise WrongAccountState(
                    f"new_password: expected none: {identity.provider} keeps its people's passwords"
                )
            raise BadCredentials(known.id if known is not None else None)
        return person, replace(session, person_id=person.id)

    async def _one_of_ours(
        self, identity: Identity, password: str, new_password: str, origin: Origin
    ) -> tuple[Person, Session]:
        """Raises BadCredentials, EmailNotVerified, PasswordChangeRequired, InvalidInput."""
        new_hash = ""
        if new_password:
            new_hash = await self._hashed(UUID(identity.subject), present=password, new=new_password)
        now = self._clock.now()

        async def step(connection: Connection) -> tuple[Person, Session, tuple[Revocation, ...]]:
            person = await self._arrived(connection, identity, now=now, changes_password=bool(new_password))
            session = self._begun(person.id, origin, now=now)
            ended: tuple[Revocation, ...] = ()
            if new_hash:
                theirs = replace(origin, caller=_calling(person, session))
                ended = await self._password_change.in_step(
                    connection, person.id, new_hash, keep=session.id, origin=theirs, now=now
                )
            await sessions.add(connection, session)
            await audit.add(connection, _started(session, identity.provider, origin))
            return person, session, ended

        person, session, ended = await self._database.transaction(step)
        self._ending.take_effect(ended)
        return person, session

    def _begun(self, person_id: UUID, origin: Origin, *, now: datetime) -> Session:
        return rules.start(
            person_id, now=now, policy=self._session_policy, address=origin.address, user_agent=origin.user_agent
        )

    async def _arrived(
        self, connection: Connection, identity: Identity, *, now: datetime, changes_password: bool
    ) -> Person:
        """Raises BadCredentials, EmailNotVerified, PasswordChangeRequired."""
        # What we know of our own people may have changed since their password was checked: the password, too.
        account = await accounts.arrived(connection, UUID(identity.subject), now=now)
        if account is None:
            raise BadCredentials
        if not account.person.may_sign_in or account.password_changed_at != identity.password_changed_at:
            raise BadCredentials(account.id)
        # Whoever has no address was made by an administrator, who knows them.
        if self._requires_verified_email and account.email is not None and account.email_verified_at is None:
            raise EmailNotVerified(account.id)
        if account.must_change_password and not changes_password:
            raise PasswordChangeRequired(account.id)
        return account.person

    async def _hashed(self, person_id: UUID, *, present: str, new: str) -> str:
        account = await self._database.autocommit(lambda connection: accounts.find(connection, person_id))
        # What is wrong with a new password is for those who may sign in: it tells that the present one was right.
        if account is None or not account.person.may_sign_in:
            raise BadCredentials(person_id)
        return await self._password_change.hashed(account, present=present, new=new)

    async def _identity(self, attempt: Attempt, username: str, password: str) -> Identity:
        """Raises BadCredentials, ProviderUnavailable, Overloaded, DatabaseUnavailable."""
        not_asked: ProviderUnavailable | Overloaded | None = None
        refused: BadCredentials | None = None
        for provider in self._providers:
            try:
                return await provider.authenticate(username=username, password=password)
            except BadCredentials as error:
                refused = refused if refused is not None and refused.person_id is not None else error
            except (ProviderUnavailable, Overloaded) as error:
                not_asked = error
        log.info("login.refused", username_start=username[:3], provider_unavailable=not_asked is not None)
        if not_asked is None:
            raise refused or BadCredentials
        if refused is not None:
            # Or an outage of one provider would make guessing at the others' people free. Known or not: else the
            # waiting would tell whom they know.
            await self._attempts.failed_in_part(attempt, password)
        # Somebody who could not be asked might have known the password: that is not "wrong".
        raise not_asked

    async def _tell(self, refused: AuthError, person_id: UUID | None, username: str, origin: Origin) -> None:
        event = happened(
            EventType.SESSION_REFUSED,
            origin=origin,
            now=self._clock.now(),
            on=person_id,
            outcome="refused",
            reason=refused.reason,
        )
        if person_id is None:
            event = replace(event, details={"username_start": username[:3]})
        await tell(self._database, event)


def _calling(person: Person, session: Session) -> PersonCalling:
    return PersonCalling(person.id, str(session.id), person.user_number, roles=frozenset())


def _started(session: Session, provider: str, origin: Origin) -> AuditEvent:
    return happened(
        EventType.SESSION_STARTED,
        origin=origin,
        now=session.started_at,
        on=session.person_id,
        by=session.person_id,
        session_id=str(session.id),
        provider=provider,
    )
