"""`auth-service users …`: people, and the accounts of our own."""

import sys
from collections.abc import Sequence
from typing import Any, Literal

from cyclopts import App

from auth_service.app import Administration
from auth_service.cli.administering import administer, confirmed, described, line_of, rows_of
from auth_service.cli.options import Json, Limit, User, Yes
from auth_service.cli.terminal import fail, password, print_fields, print_rows, say
from auth_service.domain.accounts import AccountChanges, AccountFilter, AccountState, NewAccount
from auth_service.domain.audit import OPERATOR
from auth_service.usecases.accounts import AccountPage

users = App(name="users", help="People.")


@users.command
def create(
    username: str,
    *,
    display_name: str = "",
    email: str = "",
    email_verified: bool = False,
    user_number: int | None = None,
    role: Sequence[str] = (),
    password_stdin: bool = False,
    password_hash_stdin: bool = False,
    no_password: bool = False,
    must_change_password: bool = False,
    as_json: Json = False,
) -> None:
    """Create an account of our own. Asks for the password.

    Parameters
    ----------
    username
        What the person signs in with.
    display_name
        What others see; the user name if it is not given.
    email
        The person's mail address.
    email_verified
        The address is known to be the person's.
    user_number
        The facility's number of the person.
    role
        A role to grant, such as admin. May be given several times.
    password_stdin
        Read the password from the first line of standard input.
    password_hash_stdin
        Read the password's hash, from another system, from the first line of standard input.
    no_password
        Nobody signs in with a password until one is set or reset.
    must_change_password
        The password has to be changed at the first sign-in.
    """
    if password_stdin + password_hash_stdin + no_password > 1:
        fail("expected one of --password-stdin, --password-hash-stdin and --no-password")
    has_no_password = no_password or password_hash_stdin
    new = NewAccount(
        username,
        display_name=display_name,
        email=email,
        email_verified=email_verified,
        user_number=user_number,
        roles=frozenset(role),
        password=None if has_no_password else lambda: password(from_stdin=password_stdin),
        password_hash=sys.stdin.readline().strip() if password_hash_stdin else "",
        must_change_password=must_change_password,
    )

    async def step(use: Administration) -> None:
        shown = await use.accounts.create(new, origin=OPERATOR)
        say(f"created {shown.account.person.username} ({shown.account.id})", described(shown), as_json=as_json)

    administer(step)


@users.command(name="list")
def list_users(
    *,
    username_prefix: str = "",
    email_prefix: str = "",
    role: str = "",
    state: Literal["active", "disabled", "deleted"] | None = None,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """Print accounts, oldest first; those of a prefix by name or address, those of a role by when it was granted.

    Parameters
    ----------
    username_prefix
        Only those whose user name begins so.
    email_prefix
        Only those whose address begins so.
    role
        Only those who were granted this role.
    state
        Only those in this state; those that are not deleted if it is not given.
    """
    filters = AccountFilter(username_prefix, email_prefix, role, AccountState(state) if state else None)

    async def step(use: Administration) -> None:
        async def page(size: int, page_token: str) -> AccountPage:
            return await use.accounts.page(filters, size=size, page_token=page_token)

        found = [each async for each in rows_of(page, lambda found: found.accounts, most=limit + 1)]
        print_rows([described(each) if as_json else line_of(each) for each in found[:limit]], as_json=as_json)
        if len(found) > limit:
            print(f"there are more than {limit}: see --limit", file=sys.stderr)

    administer(step)


@users.command
def show(user: User, *, as_json: Json = False) -> None:
    """Print everything about one account."""

    async def step(use: Administration) -> None:
        account = await use.accounts.addressed(user)
        print_fields(described(await use.accounts.get(account.id)), as_json=as_json)

    administer(step)


@users.command
def update(
    user: User,
    *,
    username: str | None = None,
    display_name: str | None = None,
    email: str | None = None,
    email_verified: bool = False,
    user_number: int | None = None,
    no_user_number: bool = False,
    must_change_password: bool = False,
    as_json: Json = False,
) -> None:
    """Change what is said of a person; what is not given stays.

    Parameters
    ----------
    username
        What the person signs in with from now on.
    display_name
        What others see.
    email
        The person's mail address, which then has to be verified; '' for none.
    email_verified
        The address is known to be the person's.
    user_number
        The facility's number of the person.
    no_user_number
        The person has no number of the facility.
    must_change_password
        The password has to be changed at the next sign-in. Ends the person's sessions.
    """
    if no_user_number and user_number is not None:
        fail("expected one of --user-number and --no-user-number")
    given: dict[str, Any] = {
        "username": username,
        "display_name": display_name,
        "email": email,
        "email_verified": email_verified or None,
        "user_number": user_number,
        "must_change_password": must_change_password or None,
    }
    values = {name: value for name, value in given.items() if value is not None}
    if no_user_number:
        values["user_number"] = None
    if not values:
        fail("expected something to change: see --help")

    async def step(use: Administration) -> None:
        account = await use.accounts.addressed(user)
        shown = await use.accounts.update(account.id, AccountChanges(frozenset(values), **values), origin=OPERATOR)
        say(f"{shown.account.person.username} is changed", described(shown), as_json=as_json)

    administer(step)


@users.command
def set_password(
    user: User, *, password_stdin: bool = False, must_change_password: bool = False, as_json: Json = False
) -> None:
    """Set a person's password and end their sessions. Asks for the password.

    Parameters
    ----------
    password_stdin
        Read the password from the first line of standard input.
    must_change_password
        The password has to be changed at the next sign-in.
    """

    async def step(use: Administration) -> None:
        account = await use.accounts.addressed(user)
        ended = await use.standing.set_password(
            account.id, password(from_stdin=password_stdin), must_change=must_change_password, origin=OPERATOR
        )
        say(
            f"{account.person.username} has a new password; sessions ended: {ended}",
            {"id": account.id, "sessions ended": ended},
            as_json=as_json,
        )

    administer(step)


@users.command
def disable(user: User, *, reason: str = "", as_json: Json = False) -> None:
    """Let a person sign in no more, and end their sessions.

    Parameters
    ----------
    reason
        Why, for the audit log.
    """

    async def step(use: Administration) -> None:
        account = await use.accounts.addressed(user)
        shown = await use.standing.disable(account.id, reason=reason, origin=OPERATOR)
        say(f"{account.person.username} is disabled", described(shown), as_json=as_json)

    administer(step)


@users.command(name=("enable", "unlock"))
def enable(user: User, *, as_json: Json = False) -> None:
    """Let a disabled or locked-out person sign in again."""

    async def step(use: Administration) -> None:
        account = await use.accounts.addressed(user)
        shown = await use.standing.enable(account.id, origin=OPERATOR)
        say(f"{account.person.username} may sign in", described(shown), as_json=as_json)

    administer(step)


@users.command
def delete(user: User, *, yes: Yes = False, as_json: Json = False) -> None:
    """Delete an account for good. Its name and verified address stay reserved until it is purged."""

    async def step(use: Administration) -> None:
        account = await confirmed(use, user, "Delete {who}? Nobody can undo it.", yes=yes)
        shown = await use.standing.delete(account.id, origin=OPERATOR)
        say(f"{account.person.username} is deleted", described(shown), as_json=as_json)

    administer(step)


@users.command
def purge(user: User, *, yes: Yes = False, as_json: Json = False) -> None:
    """Erase a deleted account: only the audit log still has the person's id, and the addresses they came from."""

    async def step(use: Administration) -> None:
        account = await confirmed(use, user, "Erase everything that is known of {who}?", yes=yes)
        await use.standing.purge(account.id, origin=OPERATOR)
        say(f"{account.id} is purged", {"id": account.id}, as_json=as_json)

    administer(step)
