"""When a mail with a token may leave."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from auth_service.domain.mailed_tokens import MailedToken, Purpose, due_at, not_needed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HERE, ELSEWHERE = "ada@example.org", "eve@example.org"


def mailed(*minutes_ago: float, to: str = HERE) -> list[MailedToken]:
    """Tokens of one person, the newest first."""
    return [
        MailedToken(
            bytes([number]), UUID(int=1), Purpose.PASSWORD_RESET, to, None, made_at, made_at + timedelta(hours=1)
        )
        for number, minutes in enumerate(minutes_ago)
        for made_at in [NOW - timedelta(minutes=minutes)]
    ]


@pytest.mark.row("C10")
@pytest.mark.parametrize(
    ("minutes_ago", "leaves"),
    [
        ((), True),
        ((0.9,), False),
        ((1,), True),
        ((2, 4, 6, 8), True),
        ((2, 4, 6, 8, 59), False),
        ((2, 4, 6, 8, 60), True),
        ((2, 4, 6, 8, 60, 61), True),
    ],
)
def test_an_address_gets_one_mail_a_minute_and_five_an_hour(minutes_ago: tuple[float, ...], leaves: bool) -> None:
    [token] = mailed(0)

    assert due_at(token, mailed(*minutes_ago), to_address=mailed(*minutes_ago)[:5]) == (NOW if leaves else None)


@pytest.mark.row("C11")
@pytest.mark.parametrize(
    ("minutes_ago", "waits"), [((2,), 0), ((0.25,), 0.75), ((2, 4, 6, 8, 50), 10), ((0.25, 4, 6, 8, 59.5), 0.75)]
)
def test_a_mail_to_another_address_waits_its_time(minutes_ago: tuple[float, ...], waits: float) -> None:
    [token] = mailed(0, to=ELSEWHERE)

    assert due_at(token, mailed(*minutes_ago), to_address=()) == NOW + timedelta(minutes=waits)


@pytest.mark.row("C11")
@pytest.mark.parametrize(
    ("minutes_ago", "waits"),
    [((2,), 0), ((0.25,), 0.75), ((2, 4, 6, 8), 0), ((2, 4, 6, 8, 59), None), ((2, 4, 6, 8, 60), 0)],
)
def test_an_address_gets_no_more_for_one_account_after_another(
    minutes_ago: tuple[float, ...], waits: float | None
) -> None:
    [token] = mailed(0)

    due = due_at(token, (), to_address=mailed(*minutes_ago))

    assert due == (None if waits is None else NOW + timedelta(minutes=waits))


@pytest.mark.row("C11")
def test_what_was_mailed_within_the_hour_still_counts_beside_newer_ones() -> None:
    former = mailed(1, 2, 3, 4, 59, 60, 61)

    assert not_needed(former, now=NOW) == former[5:]
