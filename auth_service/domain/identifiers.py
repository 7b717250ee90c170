"""Identifiers as they are written on the wire."""

from uuid import UUID

from auth_service.domain.errors import FieldViolation, InvalidInput


def uuid_or_none(text: str) -> UUID | None:
    """None for anything but the usual spelling of a UUID."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None


def uuid_in(text: str, *, field: str) -> UUID:
    """As `uuid_or_none`, but raises InvalidInput."""
    found = uuid_or_none(text)
    if found is None:
        raise InvalidInput(FieldViolation(field, "expected a UUID"))
    return found
