"""People and sessions, from and to the wire."""

from auth_api.v1 import users_pb2

from auth_service.domain.accounts import AccountState, Shown
from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.sessions import Session
from auth_service.rpc.wire import timestamp

_STATES = {
    AccountState.ACTIVE: users_pb2.USER_STATE_ACTIVE,
    AccountState.DISABLED: users_pb2.USER_STATE_DISABLED,
    AccountState.DELETED: users_pb2.USER_STATE_DELETED,
}


def user_message(shown: Shown) -> users_pb2.User:
    account, person = shown.account, shown.account.person
    return users_pb2.User(
        user_id=str(person.id),
        provider=person.provider,
        username=person.username,
        display_name=person.display_name,
        email=account.email or "",
        email_verified=account.email_verified_at is not None,
        user_number=person.user_number,
        roles=shown.roles,
        level=shown.level,
        state=_STATES[account.state],
        created_at=timestamp(account.created_at),
        last_login_at=timestamp(account.last_login_at),
        disabled_at=timestamp(person.disabled_at),
        deleted_at=timestamp(person.deleted_at),
        must_change_password=account.must_change_password,
    )


def state_in(state: int) -> AccountState | None:
    """The state that a filter names; None for accounts that are not deleted. Raises InvalidInput."""
    if state == users_pb2.USER_STATE_UNSPECIFIED:
        return None
    for ours, theirs in _STATES.items():
        if theirs == state:
            return ours
    raise InvalidInput(FieldViolation("state", "expected one of the states of an account"))


def session_message(session: Session, *, current: str = "") -> users_pb2.Session:
    """`current` is the id of the session that the call's access token is of."""
    return users_pb2.Session(
        session_id=str(session.id),
        started_at=timestamp(session.started_at),
        last_used_at=timestamp(session.rotated_at),
        expires_at=timestamp(session.expires_at),
        address=session.address,
        user_agent=session.user_agent,
        is_current=str(session.id) == current,
    )
