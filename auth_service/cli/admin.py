"""`auth-service admin …`: the first administrator."""

from cyclopts import App

from auth_service.app import Administration
from auth_service.cli.administering import administer
from auth_service.cli.options import Json
from auth_service.cli.terminal import print_json

admin = App(name="admin", help="The first administrator.")


@admin.command
def bootstrap(*, username: str = "admin", as_json: Json = False) -> None:
    """Make the first administrator, and print a password that has to be changed at the first sign-in.

    Refused once somebody may administer. What is printed is kept nowhere.

    Parameters
    ----------
    username
        What the administrator signs in with.
    """

    async def step(use: Administration) -> None:
        shown, password = await use.bootstrap.first_administrator(username)
        if as_json:
            print_json({"id": shown.account.id, "username": username, "password": password})
            return
        print(
            f"{username} may administer from now on ({shown.account.id})\n\n"
            f"  one-time password  {password}\n\n"
            "It has to be changed at the first sign-in: in a browser at /admin, or by Login with `new_password`."
        )

    administer(step)
