"""What people are told about maintenance: that there is some now, and that there will be."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.roles import valid_remark

LONGEST_MESSAGE = 1000


class NoticeKind(StrEnum):
    """There is maintenance now; there will be."""

    MAINTENANCE = "maintenance"
    SCHEDULED_MAINTENANCE = "scheduled_maintenance"


@dataclass(frozen=True, slots=True)
class Notice:
    """`changed_at` is None if it never was."""

    is_shown: bool = False
    message: str = ""
    changed_at: datetime | None = None

    def says(self, other: "Notice") -> bool:
        """Whether people are told the same by `other`."""
        return (self.is_shown, self.message) == (other.is_shown, other.message)


def valid_message(text: str, *, is_shown: bool) -> str:
    """NFC of `text`. Raises InvalidInput."""
    message = valid_remark(text, field="message", longest=LONGEST_MESSAGE)
    if is_shown and not message.strip():
        raise InvalidInput(FieldViolation("message", "expected what people are told"))
    return message
