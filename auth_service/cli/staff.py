"""`auth-service staff …`: user numbers that are staff whatever the facility says."""

from cyclopts import App

from auth_service import app
from auth_service.cli.options import Json, Yes
from auth_service.cli.terminal import confirm, print_rows, run, settings_in_force
from auth_service.domain.people import valid_user_number
from auth_service.storage import staff as rows

staff = App(name="staff", help="User numbers that are staff whatever the facility says.")


@staff.command
def add(user_number: int) -> None:
    """Mark a user number as staff."""
    settings = settings_in_force()

    async def step() -> None:
        valid_user_number(user_number)
        async with app.core(settings) as core:
            is_new = await core.database.autocommit(lambda connection: rows.add(connection, user_number))
            print(f"{user_number} is staff" + ("" if is_new else " already"))

    run(settings, step)


@staff.command
def remove(user_number: int, *, yes: Yes = False) -> None:
    """Take a user number off the list. The facility's own roles still count."""
    confirm(f"Take {user_number} off the staff list?", yes=yes)
    settings = settings_in_force()

    async def step() -> None:
        async with app.core(settings) as core:
            was_there = await core.database.autocommit(lambda connection: rows.remove(connection, user_number))
            print(f"{user_number} {'is no longer' if was_there else 'was not'} on the staff list")

    run(settings, step)


@staff.command(name="list")
def list_staff(*, as_json: Json = False) -> None:
    """Print the listed user numbers."""
    settings = settings_in_force()

    async def step() -> None:
        async with app.core(settings) as core:
            listed = await core.database.autocommit(rows.listed)
            print_rows([{"user number": each} for each in listed], as_json=as_json)

    run(settings, step)
