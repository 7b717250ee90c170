"""The command line: `auth-service serve` and what an operator does beside it.

Exit codes: 0 done, 1 refused or failed (the reason is on standard error), 2 wrong use.
"""

import asyncio
import getpass
import json
import os
import re
import signal
import ssl
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Annotated, Never

import structlog
from cyclopts import App, Parameter

from auth_service import app
from auth_service import settings as settings_module
from auth_service.domain import people
from auth_service.domain.errors import AuthError, FieldViolation, InvalidInput
from auth_service.domain.keys import is_published_ahead
from auth_service.domain.sealing import SealBroken
from auth_service.providers.local_accounts import LocalAccounts
from auth_service.settings import Address, Settings, SettingsRefused
from auth_service.storage import migrate as migrations
from auth_service.storage import staff as staff_rows
from auth_service.storage.private_file import UnsafeFile
from auth_service.telemetry import configure_logging

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")]
Yes = Annotated[bool, Parameter(name="--yes", negative="", help="Do not ask.")]

cli = App(name="auth-service", help="The identity service that other services trust without asking it.")
keys = App(name="keys", help="The ring of signing keys.")
users = App(name="users", help="Accounts of our own.")
staff = App(name="staff", help="User numbers that are staff whatever the facility says.")
for _group in (keys, users, staff):
    cli.command(_group)

log = structlog.get_logger()


def main() -> None:
    """What the `auth-service` command runs."""
    cli()


@cli.command
def serve() -> None:
    """Serve until SIGTERM or SIGINT; a second one ends at once."""
    settings = _settings()
    configure_logging(level=settings.log_level, style=settings.log_format)
    try:
        asyncio.run(_serve(settings))
    except (OSError, RuntimeError, UnsafeFile, migrations.DatabaseRefused) as error:
        _fail(f"cannot start: {_said_by(error)}")


@cli.command
def migrate() -> None:
    """Bring the database to this release's tables. Running it again does nothing."""
    settings = _settings()
    _run(lambda: migrations.upgrade(settings.database))
    print("the database is up to date")


@cli.command
def config(*, as_json: Json = False) -> None:
    """Print the settings in force, secrets masked."""
    rows = settings_module.described(_settings())
    if as_json:
        print(json.dumps({name: value for name, value, _ in rows}, indent=2))
        return
    for name, value, meaning in rows:
        print(f"{name:<32} {value:<40} {meaning}")


@cli.command
def health() -> None:
    """Ask the service on this machine whether it is alive: for a container's health check."""
    settings = _settings()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.http_address.host, settings.http_address.host)  # noqa: S104 -- compared with, not bound to
    scheme = "https" if settings.tls_certificate_file else "http"
    address = f"{scheme}://{Address(host, settings.http_address.port)}/healthz"
    # The certificate is for our public name, and this is our own loopback.
    tls = ssl._create_unverified_context()  # noqa: S323 -- see above
    try:
        with urllib.request.urlopen(address, timeout=2, context=tls) as answer:  # noqa: S310 -- http or https, see above
            print(answer.read().decode().strip())
    except OSError as error:
        _fail(f"{address} does not answer: {error}")


@keys.command(name="list")
def list_keys(*, as_json: Json = False) -> None:
    """Print every key of the ring, newest first."""
    settings = _settings()

    async def run() -> None:
        async with app.core(settings) as core:
            await core.keys.tick()
            ring = core.keys.ring
            rows = [
                {
                    "kid": key.kid,
                    "state": key.state.value,
                    "bits": key.size_bits,
                    "published": _moment(key.published_at),
                    "activated": _moment(key.activated_at),
                    "demoted": _moment(key.demoted_at),
                    "verifies until": _moment(key.verifies_until),
                    "private half": "sealed" if key.sealed_private else "-",
                }
                for key in reversed(ring.keys)
            ]
            _print_rows(rows, as_json=as_json)
            if not as_json:
                print(f"ring version {ring.version}")

    _run(run)


@keys.command
def rotate(*, only_if_published_ahead: bool = False, ring_version: int | None = None) -> None:
    """Let the standby key sign from now on, and publish the next standby.

    Parameters
    ----------
    only_if_published_ahead
        Refuse unless every verifier has had the time to fetch the standby.
    ring_version
        Rotate only while the ring is at this version.
    """
    settings = _settings()

    async def run() -> None:
        async with app.core(settings) as core:
            await core.keys.tick()
            policy = app.key_policy(settings)
            was_ahead = is_published_ahead(core.keys.ring, now=core.clock.now(), policy=policy)
            ring = await core.keys.rotate(ring_version=ring_version, require_published_ahead=only_if_published_ahead)
            print(f"{ring.active.kid} signs now; {ring.standby.kid} is the next; ring version {ring.version}")
            if not was_ahead:
                print(
                    f"warning: it had been published for less than {policy.publish_ahead}: verifiers that neither"
                    " hold it nor look up an unknown kid refuse new tokens until they fetch the key set again",
                    file=sys.stderr,
                )

    _run(run)


@keys.command
def revoke(kid: str, *, yes: Yes = False) -> None:
    """Drop a key from the key set and refuse everything that it signed.

    Parameters
    ----------
    kid
        As `keys list` prints it.
    """
    _confirm(f"Refuse every token that {kid} signed? People stay signed in; their clients refresh.", yes=yes)
    settings = _settings()

    async def run() -> None:
        async with app.core(settings) as core:
            await core.keys.tick()
            ring = await core.keys.revoke(kid)
            print(f"{kid} is revoked; {ring.active.kid} signs now; ring version {ring.version}")

    _run(run)


@keys.command
def rewrap() -> None:
    """Seal every private key with the first of AUTH_KEY_ENCRYPTION_KEYS."""
    settings = _settings()

    async def run() -> None:
        async with app.core(settings) as core:
            await core.keys.tick()
            print(f"{await core.keys.rewrap()} private keys sealed anew")

    _run(run)


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
    settings = _settings()

    async def run() -> None:
        name = people.normalised_username(username)
        if not all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", each) for each in role):
            raise InvalidInput(FieldViolation("role", "expected letters, digits, - and _"))
        password = people.acceptable_new_password(_password(from_stdin=password_stdin))
        async with app.core(settings) as core:
            accounts = LocalAccounts(core.database, app.password_hashing(settings))
            person_id = await accounts.create(
                username=name,
                display_name=display_name or name,
                password=password,
                roles=frozenset(role),
                now=core.clock.now(),
            )
            await accounts.close()
            print(f"created {name} ({person_id})")

    _run(run)


@staff.command
def add(user_number: int) -> None:
    """Mark a user number as staff."""
    settings = _settings()

    async def run() -> None:
        people.valid_user_number(user_number)
        async with app.core(settings) as core:
            is_new = await core.database.autocommit(lambda connection: staff_rows.add(connection, user_number))
            print(f"{user_number} is staff" + ("" if is_new else " already"))

    _run(run)


@staff.command
def remove(user_number: int, *, yes: Yes = False) -> None:
    """Take a user number off the list. The facility's own roles still count."""
    _confirm(f"Take {user_number} off the staff list?", yes=yes)
    settings = _settings()

    async def run() -> None:
        async with app.core(settings) as core:
            was_there = await core.database.autocommit(lambda connection: staff_rows.remove(connection, user_number))
            print(f"{user_number} {'is no longer' if was_there else 'was not'} on the staff list")

    _run(run)


@staff.command(name="list")
def list_staff(*, as_json: Json = False) -> None:
    """Print the listed user numbers."""
    settings = _settings()

    async def run() -> None:
        async with app.core(settings) as core:
            listed = await core.database.autocommit(staff_rows.listed)
            _print_rows([{"user number": each} for each in listed], as_json=as_json)

    _run(run)


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()

    def asked_to_stop() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop)
    async with AsyncExitStack() as stack:
        if settings.runs_demo_facility:
            from auth_service.demo.facility import running_facility

            facility = running_facility(
                settings.facility_address.host,
                settings.facility_address.port,
                uows_api_key=app.DEMO_UOWS_API_KEY,
                allocations_token=app.DEMO_ALLOCATIONS_API_KEY,
            )
            with app.named("AUTH_FACILITY_ADDRESS", settings.facility_address):
                await stack.enter_async_context(facility)
        where = await stack.enter_async_context(app.running(settings))
        _greet(settings, where)
        await stop.wait()


def _greet(settings: Settings, where: app.Running) -> None:
    if not settings.is_embedded:
        log.info("listening", grpc=str(where.grpc), http=str(where.http))
        return
    print(
        f"""
  auth-service, embedded profile: SQLite and generated secrets in {settings.data_dir}/ (keep it, and keep it private)

  gRPC      {where.grpc}
  HTTP      http://{where.http}/.well-known/jwks.json"""
        + (f"\n  facility  http://{settings.facility_address} (a stand-in)" if settings.runs_demo_facility else "")
        + f"""

  What to type next:

    grpcurl -plaintext {where.grpc} list
    grpcurl -plaintext -d '{{"username": "user1001", "password": "user1001-password"}}' \\
      {where.grpc} auth_api.v1.AuthService/Login
""",
        flush=True,
    )


def _settings() -> Settings:
    try:
        settings, warnings = settings_module.load()
    except SettingsRefused as error:
        _fail("these settings cannot be used:\n" + "\n".join(f"  {line}" for line in error.problems))
    # A command prints for whoever runs it; `serve` says more.
    configure_logging(level="warning", style=settings.log_format)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return settings


def _run(step: Callable[[], Awaitable[None]]) -> None:
    """Run `step`; what the domain refuses becomes one line on standard error."""

    async def run() -> None:
        await step()

    try:
        asyncio.run(run())
    except (AuthError, SealBroken, UnsafeFile, migrations.DatabaseRefused, OSError) as error:
        _fail(_said_by(error))


def _said_by(error: Exception) -> str:
    """Its message; some, such as a connection's timeout, have none."""
    return str(error) or type(error).__name__


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        _fail("this needs --yes when nobody can be asked")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        _fail("nothing was changed")


def _password(*, from_stdin: bool) -> str:
    if from_stdin or not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        _fail("the two passwords differ")
    return password


def _print_rows(rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=2, default=str))
        return
    if not rows:
        print("none")
        return
    columns = list(rows[0])
    widths = [max(len(column), *(len(str(row[column])) for row in rows)) for column in columns]
    for cells in (columns, *([str(row[column]) for column in columns] for row in rows)):
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}" if moment else "-"


def _fail(message: str) -> Never:
    print(f"auth-service: {message}", file=sys.stderr)
    raise SystemExit(1)
