"""What every command shares: settings, one line for a refusal, tables, questions."""

import asyncio
import getpass
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Never

from auth_service import settings as settings_module
from auth_service.settings import Settings, SettingsRefused


def settings_in_force(*, warns: bool = True, makes_home: bool = True) -> Settings:
    """Warnings go to standard error; settings that cannot be used end the command."""
    try:
        settings, warnings = settings_module.load(makes_home=makes_home)
    except SettingsRefused as error:
        fail("these settings cannot be used:\n" + "\n".join(f"  {line}" for line in error.problems))
    for warning in warnings if warns else ():
        print(f"warning: {warning}", file=sys.stderr)
    return settings


def settings_where_it_serves() -> Settings:
    """For a command on the service's database. In another directory than the service's it would make an empty one."""
    database = settings_in_force(warns=False, makes_home=False).home_database
    if database is not None and not database.exists():
        fail(
            f"there is no database in {database.parent.absolute()}: run this in the directory of `auth-service serve`,"
            " or set AUTH_DATA_DIR or AUTH_DATABASE_URL as it has them; `auth-service migrate` makes one here"
        )
    return settings_in_force()


def run(settings: Settings, step: Callable[[], Awaitable[None]]) -> None:
    """Run `step`; what the service refuses becomes one line on standard error."""
    from auth_service.domain.errors import AuthError
    from auth_service.domain.sealing import SealBroken
    from auth_service.storage.migrate import DatabaseRefused
    from auth_service.storage.private_file import UnsafeFile
    from auth_service.telemetry import configure_logging

    async def awaited() -> None:
        await step()

    # A command prints for whoever runs it; `serve` says more.
    configure_logging(level="warning", style=settings.log_format)
    try:
        asyncio.run(awaited())
    except (AuthError, SealBroken, UnsafeFile, DatabaseRefused, OSError) as error:
        # Some, such as a connection's timeout, have no message.
        fail(str(error) or type(error).__name__)


def confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        fail("this needs --yes when nobody can be asked")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        fail("nothing was changed")


def password(*, from_stdin: bool) -> str:
    """Asked for twice on a terminal, else the first line of standard input."""
    if from_stdin or not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    typed = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != typed:
        fail("the two passwords differ")
    return typed


def print_rows(rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    """Values are as they are: None where there is none, moments as datetimes. What prints them spells them."""
    if as_json:
        print_json([*rows])
        return
    if not rows:
        print("none")
        return
    columns = list(rows[0])
    table = [columns, *([_told(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_fields(fields: Mapping[str, object], *, as_json: bool) -> None:
    """One thing, a line for each of its fields."""
    if as_json:
        print_json(fields)
        return
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        print(f"{name:<{width}}  {_told(value)}")


def say(sentence: str, fields: Mapping[str, object], *, as_json: bool) -> None:
    """What was done: a sentence for a person, `fields` for a script."""
    if as_json:
        print_json(fields)
    else:
        print(sentence)


def print_json(value: Mapping[str, object] | Sequence[Mapping[str, object]]) -> None:
    """Names in one word, moments by RFC 3339, nothing as null."""
    rows = [value] if isinstance(value, Mapping) else value
    named = [{name.replace(" ", "_"): each for name, each in row.items()} for row in rows]
    print(json.dumps(named[0] if isinstance(value, Mapping) else named, indent=2, default=_in_json))


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%SZ}"


def _told(value: object) -> str:
    match value:
        case None | "" | [] | ():
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return moment(value)
        case list() | tuple():
            return ", ".join(map(_told, value))
    return _on_one_line(str(value))


def _on_one_line(text: str) -> str:
    """What people wrote may hold line ends and marks that turn it around: another line, or another name, to look at."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _in_json(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def write_output(path: Path, content: bytes, *, option: str) -> None:
    """Put `content`, which anybody may read, where `option` said: whoever looks finds the old file or the whole new."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        fail(f"{option}: cannot write {path}: {error.strerror}")


def fail(message: str) -> Never:
    print(f"auth-service: {message}", file=sys.stderr)
    raise SystemExit(1)
