"""`auth-service roles …`: roles, their levels, and who has them. Operators may make administrators."""

from collections.abc import Mapping, Sequence

from cyclopts import App

from auth_service.app import Administration
from auth_service.cli.administering import administer, rows_of
from auth_service.cli.options import Json, RoleName, User, Yes
from auth_service.cli.terminal import confirm, fail, print_rows, say
from auth_service.domain.accounts import Account
from auth_service.domain.audit import OPERATOR
from auth_service.domain.roles import Role
from auth_service.usecases.accounts import HolderPage
from auth_service.usecases.roles import RolePage

roles = App(name="roles", help="Roles, their levels, and who has them.")


@roles.command
def create(name: str, *, level: int, description: str = "", as_json: Json = False) -> None:
    """Make a role.

    Parameters
    ----------
    name
        A lower-case word.
    level
        0 (strongest) to 1000, which no other role has.
    description
        For people.
    """

    async def step(use: Administration) -> None:
        role = await use.roles.create(name, level=level, description=description, origin=OPERATOR)
        say(f"created {role.name}, level {role.level}", _row(role), as_json=as_json)

    administer(step)


@roles.command(name="list")
def list_roles(*, as_json: Json = False) -> None:
    """Print every role, strongest first."""

    async def step(use: Administration) -> None:
        async def page(size: int, page_token: str) -> RolePage:
            return await use.roles.page(size=size, page_token=page_token)

        print_rows(
            [_row(role) async for role in rows_of(page, lambda found: found.roles)],
            as_json=as_json,
        )

    administer(step)


@roles.command
def update(name: RoleName, *, level: int | None = None, description: str | None = None, as_json: Json = False) -> None:
    """Change a role; what is not given stays. Whoever has it is as strong as its level from now on.

    Parameters
    ----------
    level
        0 (strongest) to 1000, which no other role has.
    description
        For people.
    """
    if level is None and description is None:
        fail("expected something to change: see --help")

    async def step(use: Administration) -> None:
        role = await use.roles.update(name, level=level, description=description, origin=OPERATOR)
        say(f"{role.name} is changed, level {role.level}", _row(role), as_json=as_json)

    administer(step)


@roles.command
def delete(name: RoleName, *, yes: Yes = False, as_json: Json = False) -> None:
    """Delete a role that nobody has."""
    confirm(f"Delete the role {name}?", yes=yes)

    async def step(use: Administration) -> None:
        await use.roles.delete(name, origin=OPERATOR)
        say(f"{name} is deleted", {"name": name}, as_json=as_json)

    administer(step)


@roles.command
def grant(user: User, role: RoleName, *, as_json: Json = False) -> None:
    """Give a person a role, which shows in their next access token."""

    async def step(use: Administration) -> None:
        account = await use.accounts.addressed(user)
        held = await use.roles.grant(account.id, role, origin=OPERATOR)
        _say_held(account, held, as_json=as_json)

    administer(step)


@roles.command
def revoke(user: User, role: RoleName, *, end_sessions: bool = False, as_json: Json = False) -> None:
    """Take a role from a person.

    Parameters
    ----------
    end_sessions
        Also end every session of theirs, or access tokens name the role until they expire.
    """

    async def step(use: Administration) -> None:
        account = await use.accounts.addressed(user)
        revoked = await use.roles.revoke(account.id, role, end_sessions=end_sessions, origin=OPERATOR)
        ended = revoked.ended_sessions if end_sessions else None
        _say_held(account, revoked.roles, ended_sessions=ended, as_json=as_json)

    administer(step)


@roles.command
def users(name: RoleName, *, as_json: Json = False) -> None:
    """Print who was granted a role, whoever was first comes first."""

    async def step(use: Administration) -> None:
        async def page(size: int, page_token: str) -> HolderPage:
            return await use.accounts.holders(name, size=size, page_token=page_token)

        print_rows(
            [
                {
                    "id": str(each.account.id),
                    "username": each.account.person.username,
                    "state": each.account.state.value,
                    "granted": each.granted_at,
                }
                async for each in rows_of(page, lambda found: found.holders)
            ],
            as_json=as_json,
        )

    administer(step)


def _row(role: Role) -> Mapping[str, object]:
    return {
        "name": role.name,
        "level": role.level,
        "built in": role.built_in,
        "created": role.created_at,
        "description": role.description,
    }


def _say_held(account: Account, held: Sequence[str], *, ended_sessions: int | None = None, as_json: bool) -> None:
    """`ended_sessions` is how many ended, where they were to."""
    username = account.person.username
    sentence = f"{username} has {', '.join(held)}"
    fields: dict[str, object] = {"id": account.id, "username": username, "roles": list(held)}
    if ended_sessions is not None:
        sentence += f"\nsessions ended: {ended_sessions}"
        fields["sessions ended"] = ended_sessions
    say(sentence, fields, as_json=as_json)
