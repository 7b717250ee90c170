"""Identifiers as they are written on the wire."""

from uuid import UUID

from auth_service.domain.errors import FieldViolation, InvalidInput


def uuid_in(text: str, *, field: str) -> UUID:
    """Raises InvalidInput for anything but the usual spelling of a UUID."""
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text.lower():
        raise InvalidInput(FieldViolation(field, "expected a UUID"))
    return found
