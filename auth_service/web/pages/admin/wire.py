"""Values of the contract's messages as Python has them, and back. `rpc` owns their classes; here they are anything."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def word(message: Any, field: str) -> str:
    """What an enumeration says, such as `active` for SIGNING_KEY_STATE_ACTIVE; a number that is not known as it is."""
    value, enum = getattr(message, field), message.DESCRIPTOR.fields_by_name[field].enum_type
    known = enum.values_by_number.get(value)
    if known is None:
        return str(value)
    name: str = known.name
    return name.removeprefix(_HUMP.sub("_", enum.name).upper() + "_").lower()


def moment(message: Any, field: str) -> datetime | None:
    """A timestamp; None where there is none."""
    if not message.HasField(field):
        return None
    at = getattr(message, field)
    return datetime.fromtimestamp(at.seconds, UTC) + timedelta(microseconds=at.nanos // 1000)


def known_moment(message: Any, field: str) -> datetime:
    """A timestamp that is always there."""
    found = moment(message, field)
    assert found is not None
    return found


def timestamp(at: datetime) -> dict[str, int]:
    """For a field of a request."""
    return {"seconds": int(at.timestamp()), "nanos": at.microsecond * 1000}
