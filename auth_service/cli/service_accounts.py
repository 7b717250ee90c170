"""`auth-service service-accounts …` and `auth-service api-keys …`: services that call us, and their keys."""

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from cyclopts import App

from auth_service.app import Administration
from auth_service.cli.administering import administer, rows_of
from auth_service.cli.options import Json, Yes
from auth_service.cli.terminal import confirm, fail, print_json, print_rows, say
from auth_service.domain.api_keys import ApiKey, ServiceAccount
from auth_service.domain.audit import OPERATOR
from auth_service.usecases.service_accounts import KeyPage, ServiceAccountPage

service_accounts = App(name="service-accounts", help="Services that call us.")
api_keys = App(name="api-keys", help="The keys of services that call us. Two of a service are good at once.")


@service_accounts.command(name="create")
def create_account(name: str, *, description: str = "", as_json: Json = False) -> None:
    """Make an account without keys.

    Parameters
    ----------
    name
        A lower-case word: what the service's tokens carry as client_id.
    description
        For people.
    """

    async def step(use: Administration) -> None:
        account = await use.service_accounts.create(name=name, description=description, origin=OPERATOR)
        say(f"created {account.name} ({account.id})", _account_row(account), as_json=as_json)

    administer(step)


@service_accounts.command(name="list")
def list_accounts(*, as_json: Json = False) -> None:
    """Print every account, by name."""

    async def step(use: Administration) -> None:
        print_rows([_account_row(account) async for account in _accounts(use)], as_json=as_json)

    administer(step)


@service_accounts.command(name="delete")
def delete_account(name: str, *, yes: Yes = False, as_json: Json = False) -> None:
    """Delete an account and refuse its keys, and the tokens made from them, from now on.

    Parameters
    ----------
    name
        As `service-accounts list` prints it.
    """

    async def step(use: Administration) -> None:
        account = await use.service_accounts.named(name)
        confirm(f"Delete {account.name} ({account.id}) and refuse its keys?", yes=yes)
        await use.service_accounts.delete(account.id, origin=OPERATOR)
        say(f"deleted {account.name} ({account.id})", {"name": account.name, "id": account.id}, as_json=as_json)

    administer(step)


@api_keys.command(name="create")
def create_key(
    service_account: str,
    *,
    scope: Sequence[str],
    days: int | None = None,
    as_json: Json = False,
) -> None:
    """Make a key. Standard output is the key and nothing else, this once.

    Parameters
    ----------
    service_account
        The account's name.
    scope
        What the key may do, such as experiments:read. May be given several times.
    days
        How long it is good for; without end if it is not given.
    """

    async def step(use: Administration) -> None:
        account = await use.service_accounts.named(service_account)
        new = await use.service_accounts.create_key(
            account.id, scopes=scope, expires_at=_in_days(days), origin=OPERATOR
        )
        if as_json:
            print_json({**_row(account, new.key), "secret": new.secret})
            return
        print(f"key {new.key.id} of {account.name}, shown this once:", file=sys.stderr)
        print(new.secret)

    administer(step)


@api_keys.command(name="list")
def list_keys(service_account: str = "", *, as_json: Json = False) -> None:
    """Print the keys of an account, or of all, newest first.

    Parameters
    ----------
    service_account
        The account's name.
    """

    async def step(use: Administration) -> None:
        accounts = _one(await use.service_accounts.named(service_account)) if service_account else _accounts(use)
        rows = [_row(account, key) async for account in accounts async for key in _keys(use, account)]
        print_rows(rows, as_json=as_json)

    administer(step)


@api_keys.command(name="revoke")
def revoke_key(key: str, *, yes: Yes = False, as_json: Json = False) -> None:
    """Refuse a key, and the tokens made from it, from now on.

    Parameters
    ----------
    key
        Its id or its prefix, as `api-keys list` prints them.
    """

    async def step(use: Administration) -> None:
        found = [
            (account, each)
            async for account in _accounts(use)
            async for each in _keys(use, account)
            if key and key in (str(each.id), each.prefix)
        ]
        if len(found) != 1:
            fail(f"{key}: expected the id or the prefix of a key")
        ((account, known),) = found
        confirm(f"Refuse the key {known.id} of {account.name}?", yes=yes)
        revoked = await use.service_accounts.revoke_key(known.id, origin=OPERATOR)
        say(f"revoked {known.id} of {account.name}", _row(account, revoked), as_json=as_json)

    administer(step)


def _in_days(days: int | None) -> datetime | None:
    try:
        return None if days is None else datetime.now(UTC) + timedelta(days=days)
    except OverflowError:
        fail(f"--days: expected fewer than {days}")


def _account_row(account: ServiceAccount) -> Mapping[str, object]:
    return {
        "name": account.name,
        "id": str(account.id),
        "created": account.created_at,
        "description": account.description,
    }


def _row(account: ServiceAccount, key: ApiKey) -> Mapping[str, object]:
    return {
        "service account": account.name,
        "id": str(key.id),
        "prefix": key.prefix or None,
        "scopes": sorted(key.scopes),
        "created": key.created_at,
        "expires": key.expires_at,
        "last used": key.last_used_at,
        "revoked": key.revoked_at,
        "from settings": key.from_settings,
    }


async def _one(account: ServiceAccount) -> AsyncIterator[ServiceAccount]:
    yield account


def _accounts(use: Administration) -> AsyncIterator[ServiceAccount]:
    async def page(size: int, page_token: str) -> ServiceAccountPage:
        return await use.service_accounts.page(size=size, page_token=page_token)

    return rows_of(page, lambda found: found.accounts)


def _keys(use: Administration, account: ServiceAccount) -> AsyncIterator[ApiKey]:
    async def page(size: int, page_token: str) -> KeyPage:
        return await use.service_accounts.page_of_keys(account.id, size=size, page_token=page_token)

    return rows_of(page, lambda found: found.keys)
