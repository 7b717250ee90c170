"""`auth-service roles …`: roles, their levels, and who has them. Operators may make administrators."""

from cyclopts import App

from auth_service.app import Administration
from auth_service.cli.administering import administer, rows_of
from auth_service.cli.options import Json, Yes
from auth_service.cli.terminal import confirm, print_rows
from auth_service.domain.audit import OPERATOR
from auth_service.usecases.accounts import HolderPage
from auth_service.usecases.roles import RolePage

roles = App(name="roles", help="Roles, their levels, and who has them. USER is a user name or an id.")


@roles.command
def create(name: str, *, level: int, description: str = "") -> None:
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
        print(f"created {role.name}, level {role.level}")

    administer(step)


@roles.command(name="list")
def list_roles(*, as_json: Json = False) -> None:
    """Print every role, strongest first."""

    async def step(use: Administration) -> None:
        async def page(size: int, page_token: str) -> RolePage:
            return await use.roles.page(size=size, page_token=page_token)

        print_rows(
            [
                {
                    "name": role.name,
                    "level": role.level,
                    "built in": role.built_in,
                    "created": role.created_at,
                    "description": role.description,
                }
                async for role in rows_of(page, lambda found: found.roles)
            ],
            as_json=as_json,
        )

    administer(step)


@roles.command
def delete(name: str, *, yes: Yes = False) -> None:
    """Delete a role that nobody has."""
    confirm(f"Delete the role {name}?", yes=yes)

    async def step(use: Administration) -> None:
        await use.roles.delete(name, origin=OPERATOR)
        print(f"{name} is deleted")

    administer(step)


@roles.command
def grant(user: str, role: str) -> None:
    """Give a person a role, which shows in their next access token."""

    async def step(use: Administration) -> None:
        account = await use.accounts.addressed(user)
        held = await use.roles.grant(account.id, role, origin=OPERATOR)
        print(f"{account.person.username} has {', '.join(held)}")

    administer(step)


@roles.command
def revoke(user: str, role: str, *, end_sessions: bool = False) -> None:
    """Take a role from a person.

    Parameters
    ----------
    end_sessions
        Also end every session of theirs, or access tokens name the role until they expire.
    """

    async def step(use: Administration) -> None:
        account = await use.accounts.addressed(user)
        revoked = await use.roles.revoke(account.id, role, end_sessions=end_sessions, origin=OPERATOR)
        print(f"{account.person.username} has {', '.join(revoked.roles)}")
        if end_sessions:
            print(f"sessions ended: {revoked.ended_sessions}")

    administer(step)


@roles.command
def users(name: str, *, as_json: Json = False) -> None:
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
