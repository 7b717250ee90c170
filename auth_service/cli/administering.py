"""What the commands for administrators share: the use cases, their pages, and how an account is shown."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from auth_service import app
from auth_service.app import Administration
from auth_service.cli.terminal import confirm, run, settings_where_it_serves
from auth_service.domain.accounts import Account, Shown
from auth_service.domain.pages import LARGEST_PAGE_SIZE


class Page(Protocol):
    @property
    def next_page_token(self) -> str: ...


P = TypeVar("P", bound=Page)
Row = TypeVar("Row")


def administer(step: Callable[[Administration], Awaitable[None]]) -> None:
    """Run `step` on the database of the settings in force; a refusal ends the command."""
    settings = settings_where_it_serves()

    async def awaited() -> None:
        async with app.administering(settings) as admin:
            await step(admin)

    run(settings, awaited)


async def rows_of(
    page: Callable[[int, str], Awaitable[P]], rows: Callable[[P], Iterable[Row]], *, most: int = sys.maxsize
) -> AsyncIterator[Row]:
    """Up to `most` of the `rows` of every page. `page` takes a size and a page token."""
    page_token = ""
    while most > 0:
        found = await page(min(most, LARGEST_PAGE_SIZE), page_token)
        for row in rows(found):
            yield row
            most -= 1
        page_token = found.next_page_token
        if not page_token:
            return


async def confirmed(admin: Administration, who: str, question: str, *, yes: bool) -> Account:
    """The account that `who` names, once `question`, which says {who} of it, is answered with yes."""
    account = await admin.accounts.addressed(who)
    confirm(question.format(who=f"{account.person.username} ({account.person.provider}, {account.id})"), yes=yes)
    return account


def line_of(shown: Shown) -> Mapping[str, object]:
    """An account in a line of a table."""
    account = shown.account
    return {
        "id": str(account.id),
        "username": account.person.username,
        "provider": account.person.provider,
        "email": account.email,
        "roles": ", ".join(shown.roles),
        "state": account.state.value,
        "last login": account.last_login_at,
    }


def described(shown: Shown) -> Mapping[str, object]:
    """Everything that is shown of an account."""
    account, person = shown.account, shown.account.person
    return {
        "id": str(account.id),
        "username": person.username,
        "provider": person.provider,
        "display name": person.display_name,
        "email": account.email,
        "email verified": account.email_verified_at is not None,
        "user number": person.user_number,
        "roles": list(shown.roles),
        "level": shown.level,
        "state": account.state.value,
        "created": account.created_at,
        "last login": account.last_login_at,
        "must change password": account.must_change_password,
    }
