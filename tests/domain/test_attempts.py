"""What failures owe, moment by moment."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from auth_service.domain.attempts import LONGEST_WAIT, Limit, Tally, account_key, limits

START = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULT = limits(here=4, account=6, address=30)
FIVE_MINUTES = timedelta(minutes=5)


def tried_for(limit: Limit, *, how_long: timedelta) -> list[datetime]:
    """When somebody who never stops gets to try, and is wrong each time."""
    tally, now, tries = None, START, []
    while (now := max(now, limit.next_at(tally) if tally else now)) < START + how_long:
        tries.append(now)
        tally = limit.after_failure(tally, now=now)
    return tries


@pytest.mark.row("S47")
@pytest.mark.parametrize(("limit", "most"), [(DEFAULT.here, 6), (DEFAULT.account, 7)])
def test_no_five_minutes_see_more_guesses_than_the_limit(limit: Limit, most: int) -> None:
    tries = tried_for(limit, how_long=timedelta(hours=6))

    busiest = max(sum(begin <= each < begin + FIVE_MINUTES for each in tries) for begin in tries)
    assert busiest == most


def test_waiting_grows_with_each_failure_from_one_address() -> None:
    tries = tried_for(DEFAULT.here, how_long=timedelta(hours=2))

    waits = [round((after - before).total_seconds() / 60) for before, after in pairwise(tries)]
    assert waits[:8] == [0, 0, 0, 1, 2, 4, 8, 15]
    assert max(waits) == LONGEST_WAIT.total_seconds() / 60


@pytest.mark.row("S51")
def test_one_stranger_always_leaves_the_owner_a_try() -> None:
    account = None

    for at in tried_for(DEFAULT.here, how_long=timedelta(hours=6)):
        account = DEFAULT.account.after_failure(account, now=at)
        assert DEFAULT.account.next_at(account) <= at


def test_what_was_paid_off_is_forgotten() -> None:
    limit = DEFAULT.here
    tally = Tally(40, START)

    assert limit.after_failure(tally, now=START) == Tally(1, START + limit.pause)


def test_failures_that_came_side_by_side_are_waited_for_but_not_for_ever() -> None:
    tally = None
    for _ in range(10_000):
        tally = DEFAULT.address.after_failure(tally, now=START)

    assert tally is not None
    assert DEFAULT.address.next_at(tally) == START + LONGEST_WAIT


@pytest.mark.row("S50")
@pytest.mark.parametrize(
    "spelling", ["ADA", "ａｄａ", "a\u200bda", "ada\ufeff", " ada", "ada\u3000", "\u202eada"], ids=ascii
)
def test_spellings_of_one_name_are_one_account(spelling: str) -> None:
    assert account_key(spelling) == account_key("ada")


def test_other_names_are_other_accounts() -> None:
    assert len({account_key(name) for name in ("ada", "ada1", "eda", "", "ada.lovelace", "ad a")}) == 6
