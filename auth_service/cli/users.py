"""`auth-service users …`: accounts of our own."""

from collections.abc import Sequence

from cyclopts import App

from auth_service import app
from auth_service.cli.terminal import password, run, settings_in_force
from auth_service.providers.local_accounts import LocalAccounts
from auth_service.usecases.accounts import Accounts

users = App(name="users", help="Accounts of our own.")


@users.command
def create(username: str, *, display_name: str = "", role: Sequence[str] = (), password_stdin: bool = False) -> None:
    """Create an account of our own. Asks for the password.

    Parameters
    ----------
    username
        What the person signs in with.
    display_name
        What others see; the user name if it is not given.
    role
        A role to grant, such as admin. May be given several times.
    password_stdin
        Read the password from the first line of standard input.
    """
    settings = settings_in_force()

    async def step() -> None:
        async with app.core(settings) as core:
            hashing = app.password_hashing(settings)
            accounts = Accounts(
                core.database, LocalAccounts(core.database, hashing), password_rules=app.password_rules(settings)
            )
            try:
                person_id = await accounts.create(
                    username=username,
                    display_name=display_name or username,
                    password=lambda: password(from_stdin=password_stdin),
                    roles=frozenset(role),
                )
            finally:
                await hashing.close()
            print(f"created {username} ({person_id})")

    run(settings, step)
