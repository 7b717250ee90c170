"""People, sessions and field masks, from and to the wire."""

from collections.abc import Collection
from datetime import datetime

from auth_api.v1 import users_pb2
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from auth_service.domain.accounts import AccountState, Shown
from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.sessions import Session

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


def timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def paths_in(mask: FieldMask, *, allowed: Collection[str]) -> frozenset[str]:
    """The fields that `mask` names. Raises InvalidInput for none, and for any that is not in `allowed`."""
    paths = frozenset(mask.paths)
    if not paths or paths - frozenset(allowed):
        raise InvalidInput(FieldViolation("update_mask", f"expected some of {', '.join(sorted(allowed))}"))
    return paths
