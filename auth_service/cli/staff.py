"""`auth-service staff …`: user numbers that are staff whatever the facility says."""

from cyclopts import App

from auth_service.app import Administration
from auth_service.cli.administering import administer
from auth_service.cli.options import Json, UserNumber, Yes
from auth_service.cli.terminal import confirm, print_rows, say
from auth_service.domain.audit import OPERATOR

staff = App(name="staff", help="User numbers that are staff whatever the facility says.")


@staff.command
def add(user_number: UserNumber, *, as_json: Json = False) -> None:
    """Mark a user number as staff."""

    async def step(use: Administration) -> None:
        is_new = await use.staff.add(user_number, origin=OPERATOR)
        sentence = f"{user_number} is staff" + ("" if is_new else " already")
        say(sentence, {"user number": user_number, "was listed": not is_new}, as_json=as_json)

    administer(step)


@staff.command
def remove(user_number: UserNumber, *, yes: Yes = False, as_json: Json = False) -> None:
    """Take a user number off the list. The facility's own roles still count."""
    confirm(f"Take {user_number} off the staff list?", yes=yes)

    async def step(use: Administration) -> None:
        was_there = await use.staff.remove(user_number, origin=OPERATOR)
        sentence = f"{user_number} {'is no longer' if was_there else 'was not'} on the staff list"
        say(sentence, {"user number": user_number, "was listed": was_there}, as_json=as_json)

    administer(step)


@staff.command(name="list")
def list_staff(*, as_json: Json = False) -> None:
    """Print the listed user numbers."""

    async def step(use: Administration) -> None:
        listed = await use.staff.listed()
        print_rows([{"user number": each} for each in listed], as_json=as_json)

    administer(step)
