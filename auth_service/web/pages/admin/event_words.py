"""The types of the audit log in people's words."""

from collections.abc import Sequence

from auth_service.domain.audit import EventType

WORDS = {
    EventType.SESSION_STARTED: "Signed in",
    EventType.SESSION_REFUSED: "Tried to sign in",
    EventType.SESSION_ENDED: "Session ended",
    EventType.SESSION_REUSED: "Spent refresh token came back",
    EventType.PERSON_REGISTERED: "Registered",
    EventType.PERSON_CREATED: "Account made",
    EventType.PERSON_UPDATED: "Account changed",
    EventType.PERSON_DISABLED: "Account disabled",
    EventType.PERSON_ENABLED: "Account enabled",
    EventType.PERSON_DELETED: "Account deleted",
    EventType.PERSON_PURGED: "Account erased",
    EventType.PASSWORD_CHANGED: "Password changed",
    EventType.PASSWORD_SET: "Password set",
    EventType.PASSWORD_RESET_REQUESTED: "Password reset asked for",
    EventType.PASSWORD_RESET: "Password reset",
    EventType.EMAIL_VERIFICATION_REQUESTED: "Verification mail asked for",
    EventType.EMAIL_VERIFIED: "E-mail address verified",
    EventType.ROLE_CREATED: "Role made",
    EventType.ROLE_UPDATED: "Role changed",
    EventType.ROLE_DELETED: "Role deleted",
    EventType.ROLE_GRANTED: "Role granted",
    EventType.ROLE_REVOKED: "Role taken away",
    EventType.STAFF_ADDED: "Put on the list of staff",
    EventType.STAFF_REMOVED: "Taken off the list of staff",
    EventType.SERVICE_ACCOUNT_CREATED: "Service account made",
    EventType.SERVICE_ACCOUNT_DELETED: "Service account deleted",
    EventType.API_KEY_CREATED: "API key made",
    EventType.API_KEY_REVOKED: "API key revoked",
    EventType.SIGNING_KEY_ROTATED: "Signing key rotated",
    EventType.SIGNING_KEY_REVOKED: "Signing key revoked",
    EventType.SIGNING_KEY_ROLLED_BACK: "Signing key rolled back",
    EventType.SIGNING_KEY_CANARY_MINTED: "Canary minted",
    EventType.NOTICE_CHANGED: "Notice changed",
    EventType.AUDIT_PRUNED: "Old events deleted",
}
_GROUPS = {
    "session.": "Sign-ins and sessions",
    "person.": "Accounts of people",
    "password.": "Passwords",
    "email.": "E-mail addresses",
    "role.": "Roles",
    "staff.": "Staff",
    "service_account.": "Service accounts",
    "api_key.": "API keys",
    "signing_key.": "Signing keys",
    "notice.": "Notices",
    "audit.": "The log itself",
}


def in_words(type_: str) -> str:
    """As people say it; the type itself where this release does not know it."""
    return WORDS[EventType(type_)] if type_ in set(EventType) else type_


def groups() -> Sequence[tuple[str, str, Sequence[tuple[str, str]]]]:
    """For a choice: the beginning of some types, what they are about, and each with its words."""
    return [
        (start, about, [(str(each), WORDS[each]) for each in EventType if each.startswith(start)])
        for start, about in _GROUPS.items()
    ]
