"""`auth-service maintenance …`: what people are told about maintenance."""

from typing import Annotated

from cyclopts import App, Parameter

from auth_service.app import Administration
from auth_service.cli.administering import administer
from auth_service.cli.options import Json
from auth_service.cli.terminal import print_fields
from auth_service.domain.audit import OPERATOR
from auth_service.domain.notices import Notice, NoticeKind

maintenance = App(name="maintenance", help="What people are told about maintenance.")

Scheduled = Annotated[
    bool, Parameter(name="--scheduled", help="The notice that there will be some, not that there is now.")
]


@maintenance.command
def show(*, scheduled: Scheduled = False, as_json: Json = False) -> None:
    """Print the notice."""

    async def step(use: Administration) -> None:
        await use.notices.poll()
        _print(use.notices.told[_kind(scheduled)], as_json=as_json)

    administer(step)


@maintenance.command(name="set")
def set_notice(message: str, *, scheduled: Scheduled = False, as_json: Json = False) -> None:
    """Show a notice from now on, at every replica within a second.

    Parameters
    ----------
    message
        What people are told, in plain text.
    """
    _put(_kind(scheduled), is_shown=True, message=message, as_json=as_json)


@maintenance.command
def clear(*, scheduled: Scheduled = False, as_json: Json = False) -> None:
    """Show the notice no more."""
    _put(_kind(scheduled), is_shown=False, message="", as_json=as_json)


def _put(kind: NoticeKind, *, is_shown: bool, message: str, as_json: bool) -> None:
    async def step(use: Administration) -> None:
        notice = await use.notices.put(kind, is_shown=is_shown, message=message, origin=OPERATOR)
        _print(notice, as_json=as_json)

    administer(step)


def _kind(scheduled: bool) -> NoticeKind:
    return NoticeKind.SCHEDULED_MAINTENANCE if scheduled else NoticeKind.MAINTENANCE


def _print(notice: Notice, *, as_json: bool) -> None:
    told = {"show": notice.is_shown, "message": notice.message, "changed at": notice.changed_at}
    print_fields(told, as_json=as_json)
