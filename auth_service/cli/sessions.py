"""`auth-service sessions …`: who is signed in, and until when."""

from cyclopts import App

from auth_service.app import Administration
from auth_service.cli.administering import administer, confirmed
from auth_service.cli.options import Json, User, Yes
from auth_service.cli.terminal import print_rows, say
from auth_service.domain.audit import OPERATOR
from auth_service.domain.identifiers import uuid_in
from auth_service.domain.pages import LARGEST_PAGE_SIZE

sessions = App(name="sessions", help="People's sessions. USER is a user name or an id.")


@sessions.command(name="list")
def list_sessions(user: User, *, as_json: Json = False) -> None:
    """Print a person's live sessions, newest first; of more than a thousand, those."""

    async def step(use: Administration) -> None:
        account = await use.accounts.addressed(user)
        page = await use.session_lists.page(account.id, size=LARGEST_PAGE_SIZE, page_token="")
        print_rows(
            [
                {
                    "id": str(each.id),
                    "started": each.started_at,
                    "last used": each.rotated_at,
                    "expires": each.expires_at,
                    "address": each.address or None,
                    "program": each.user_agent or None,
                }
                for each in page.sessions
            ],
            as_json=as_json,
        )

    administer(step)


@sessions.command
def end(user: User, *, session: str = "", yes: Yes = False, as_json: Json = False) -> None:
    """End every session of a person, or one.

    Parameters
    ----------
    session
        Only this one, as `sessions list` prints it.
    """

    async def step(use: Administration) -> None:
        which = f"session {session}" if session else "every session"
        account = await confirmed(use, user, f"End {which} of {{who}}?", yes=yes)
        only = uuid_in(session, field="session") if session else None
        ended = await use.standing.end_sessions(account.id, only=only, origin=OPERATOR)
        say(f"sessions ended: {ended}", {"id": account.id, "sessions ended": ended}, as_json=as_json)

    administer(step)
