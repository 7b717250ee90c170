"""From the environment to settings: our names, the names of row A19, and files that hold secrets."""

import base64
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from auth_service.settings.checks import problems_of, warnings_about
from auth_service.settings.model import HOME_DATABASE, PREFIX, SECRETS, Profile, Settings
from auth_service.settings.values import UNIT_OF, typed


class SettingsRefused(Exception):
    """`problems` are lines of `VARIABLE: what was expected`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


ALIASES = {
    "UOWS_URL": "AUTH_UOWS_URL",
    "UOWS_API_KEY": "AUTH_UOWS_API_KEY",
    "ALLOCATIONS_URL": "AUTH_ALLOCATIONS_URL",
    "ALLOCATIONS_API_KEY": "AUTH_ALLOCATIONS_API_KEY",
}
"""Names of row A19 that mean the same as ours. Four more need work: see `_translated`."""


def load(environment: Mapping[str, str] | None = None, *, makes_home: bool = True) -> tuple[Settings, list[str]]:
    """The settings in force, and warnings worth a line. Raises SettingsRefused with every problem there is.

    `makes_home` is False for who only looks: then what the embedded profile has not generated yet is None.
    """
    given = dict(os.environ if environment is None else environment)
    problems: list[str] = []
    translated = _translated(given, problems)
    has_key_of_fia = bool(translated.get("AUTH_API_KEYS")) and not given.get("AUTH_API_KEYS")
    _read_files(translated, problems)
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    values = {
        key.removeprefix(PREFIX).lower(): value for key, value in translated.items() if key in known and value != ""
    }
    _find_home(values, problems, makes_it=makes_home)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        refused = {str(each["loc"][0]) for each in error.errors()}
        problems += [_line(each) for each in error.errors()]
        # What is good is checked together all the same, so that nobody has to mend one line at a time.
        settings = Settings.model_validate({name: value for name, value in values.items() if name not in refused})
        named = {line.partition(":")[0] for line in problems}
        problems += [line for line in problems_of(settings) if line.partition(":")[0] not in named]
    else:
        problems += problems_of(settings)
    if has_key_of_fia:
        # By the name that it was given under.
        problems = [re.sub("^AUTH_API_KEYS:", "FIA_AUTH_API_KEY:", line) for line in problems]
    if problems:
        raise SettingsRefused(sorted(set(problems)))
    return settings, warnings_about(settings, given)


def described(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, value in force (secrets masked) and meaning of every setting."""
    return [
        (PREFIX + name.upper(), _generated_later(settings, name) or _shown(name, value), field.description or "")
        for name, field in Settings.model_fields.items()
        for value in (getattr(settings, name),)
    ]


def _translated(given: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """`given` with the names of row A19 turned into ours; ours win."""
    result = {key: value for key, value in given.items() if key.startswith(PREFIX)}
    for old, new in ALIASES.items():
        if not result.get(new) and not result.get(f"{new}_FILE"):
            result |= {new + suffix: given[old + suffix] for suffix in ("", "_FILE") if given.get(old + suffix)}
    if minutes := given.get("ACCESS_TOKEN_LIFETIME_MINUTES"):
        if re.fullmatch(r"\d+(\.\d+)?", minutes):
            result.setdefault("AUTH_ACCESS_TOKEN_LIFETIME", f"{minutes}m")
        else:
            problems.append("ACCESS_TOKEN_LIFETIME_MINUTES: expected a number of minutes")
    if not result.get("AUTH_API_KEYS") and not result.get("AUTH_API_KEYS_FILE"):
        key = _given_or_read(given, "FIA_AUTH_API_KEY", problems)
        if key:
            result["AUTH_API_KEYS"] = f"fia={key}"
    if given.get("DB_IP") and not result.get("AUTH_DATABASE_URL") and not result.get("AUTH_DATABASE_URL_FILE"):
        result["AUTH_DATABASE_URL"] = _database_url(given, problems)
    return result


def _database_url(given: Mapping[str, str], problems: list[str]) -> str:
    """The parts of row A19 in one address."""
    user, password = given.get("DB_USERNAME", ""), _given_or_read(given, "DB_PASSWORD", problems)
    host, port, name = given["DB_IP"], given.get("DB_PORT") or "5432", given.get("DB_NAME") or "fia"
    who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    return f"postgresql://{who}{'@' if who else ''}{f'[{host}]' if ':' in host else host}:{port}/{name}"


def _given_or_read(given: Mapping[str, str], variable: str, problems: list[str]) -> str:
    """The secret in `variable`, or in the file that `<variable>_FILE` names; empty if neither is there."""
    path = given.get(f"{variable}_FILE", "")
    if path and given.get(variable):
        problems.append(f"{variable}: expected either {variable} or {variable}_FILE, not both")
    return given.get(variable) or (_content(path, problems, variable=f"{variable}_FILE") if path else "")


def _read_files(values: dict[str, str], problems: list[str]) -> None:
    for name in SECRETS:
        variable = PREFIX + name.upper()
        path = values.pop(f"{variable}_FILE", "")
        if not path:
            continue
        if values.get(variable):
            problems.append(f"{variable}: expected either {variable} or {variable}_FILE, not both")
            continue
        values[variable] = _content(path, problems, variable=f"{variable}_FILE")
        if name == "key_encryption_keys" and values[variable] and Path(path).stat().st_mode & 0o007:
            problems.append(f"{variable}_FILE: {path} may be read by everybody, expected mode 0600 or 0640")


def _content(path: str, problems: list[str], *, variable: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{variable}: cannot read it ({type(error).__name__})")
        return ""


def _find_home(values: dict[str, Any], problems: list[str], *, makes_it: bool) -> None:
    """The embedded profile's directory, and the secret in it, where neither is given otherwise."""
    needs_secret = "key_encryption_keys" not in values
    if values.get("profile", Profile.EMBEDDED) != Profile.EMBEDDED or not (
        needs_secret or "database_url" not in values
    ):
        return
    data_dir = Path(values.get("data_dir", Settings.model_fields["data_dir"].default))
    try:
        if makes_it:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = data_dir / "key-encryption-key"
        if needs_secret and makes_it and "database_url" not in values and _is_lost(path):
            problems.append(
                f"AUTH_KEY_ENCRYPTION_KEYS: {path} is gone, and only it opens {HOME_DATABASE} beside it: put it back"
                " from a backup; docs/backups.md says what to do without one"
            )
        elif needs_secret and (makes_it or path.exists()):
            values["key_encryption_keys"] = _generated(path)
    except OSError as error:
        problems.append(f"AUTH_DATA_DIR: cannot use {data_dir} ({error.strerror})")


def _is_lost(path: Path) -> bool:
    """Whether the secret was there once: it is made before the database. Another in its place would open nothing."""
    return path.with_name(HOME_DATABASE).exists() and not path.exists()


def _generated(path: Path) -> str:
    """The secret in `path`, made at the first start. Raises OSError."""
    if not path.exists():
        _place(path, base64.b64encode(secrets.token_bytes(32)))
    if path.stat().st_mode & 0o077:
        raise PermissionError(13, f"{path.name} may be read by others, expected mode 0600")
    return path.read_text(encoding="ascii").strip()


def _place(path: Path, content: bytes) -> None:
    """Make the private file `path`: whole, on the disk, or not at all. One that is there already stays as it is.

    An empty file would lock the service out, and a key that a crash takes back takes every signing key with it.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A link, not a renaming: of two that start at once the slower one takes the faster one's.
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _line(error: Any) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{PREFIX}{name.upper()}: {message[:1].lower()}{message[1:]}"


def _generated_later(settings: Settings, name: str) -> str:
    is_due = name == "key_encryption_keys" and settings.is_embedded and settings.key_encryption_keys is None
    return "generated at the first start" if is_due else ""


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in SECRETS:
        if name == "database_url":
            # Up to the last `@`, for a password may hold one; and whatever follows `?`, where one may be too.
            shown = re.sub(r"(?<=//)(.*@)", _masked_authority, value.get_secret_value())
            return re.sub(r"\?.*", "?********", shown)
        return ", ".join(f"{service}=********" for service in value) if isinstance(value, dict) else "********"
    if isinstance(value, timedelta):
        return typed(value)
    if name == "rate_limits":
        return ", ".join(f"{what}={calls}/{UNIT_OF[per]}" for what, (calls, per) in value.items()) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{each}={_shown(name, what)}" for each, what in value.items()) or "-"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _masked_authority(found: re.Match[str]) -> str:
    user, separator, _ = found[1].removesuffix("@").partition(":")
    return f"{user}{':********' if separator else ''}@"
