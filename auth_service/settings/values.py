"""How the text of a variable becomes a value. Each reader raises ValueError with what was expected, never the text."""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, SecretStr

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MILLISECONDS = [(unit, round(seconds * 1000)) for unit, seconds in reversed(_UNITS.items())]


def duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", str(value).strip())
    if match is None:
        raise ValueError("expected a number with a unit, such as 500ms, 30s, 10m, 12h or 30d")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError("expected a shorter time") from None


def typed(length: timedelta) -> str:
    """`10m`: what `duration` reads as this, in the largest unit that tells the whole of it."""
    parts = length // timedelta(milliseconds=1)
    if not parts:
        return "0s"
    unit, size = next((unit, size) for unit, size in _MILLISECONDS if parts % size == 0)
    return f"{parts // size}{unit}"


def _moment(value: Any) -> Any:
    """`2027-01-31`, which is its first moment, or `2027-01-31T12:00:00Z`."""
    if isinstance(value, datetime):
        return value
    text = str(value).strip()
    try:
        if not re.match(r"\d{4}-\d{2}-\d{2}(T|$)", text):
            raise ValueError
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("expected a day or a moment, such as 2027-01-31 or 2027-01-31T12:00:00Z (UTC)") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    words = {"true": True, "false": False}
    if str(value).strip().lower() not in words:
        raise ValueError("expected true or false")
    return words[str(value).strip().lower()]


def listed(value: Any) -> Any:
    """The items of `a, b, c`; anything but a text as it is."""
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


def _role_map(value: Any) -> Any:
    """`Their Role=ours,Their Other Role=ours`. Theirs may hold `=`; as in lists of names, no commas."""
    if not isinstance(value, str):
        return value
    pairs = [item.rpartition("=") for item in listed(value)]
    if any(
        not theirs.strip() or not re.fullmatch(r"[a-z][a-z0-9._:-]{0,63}", ours.strip()) for theirs, _, ours in pairs
    ):
        raise ValueError("expected <role there>=<role here>, and commas between several")
    if len({theirs.strip() for theirs, _, _ in pairs}) < len(pairs):
        raise ValueError("expected each role there once")
    return {theirs.strip(): ours.strip() for theirs, _, ours in pairs}


def _networks(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return tuple(ip_network(item) for item in listed(value))
    except ValueError:
        raise ValueError("expected addresses or networks, such as 10.0.0.0/8 or ::1, commas between several") from None


UNIT_OF = {timedelta(seconds=1): "s", timedelta(minutes=1): "m"}
"""Of rates, by their windows."""

_RATE = re.compile(r"((?:all:)?(?:\*|[A-Za-z]+(?:/[A-Za-z]+)?|/[a-z0-9._/{}-]*))=(\d{1,9})/(s|m)")


def _rates(value: Any) -> Any:
    """`Login=600/m,all:*=2000/s`, or `none`."""
    if not isinstance(value, str):
        return value
    items = () if value.strip() == "none" else listed(value)
    matches = [_RATE.fullmatch(item) for item in items]
    rates = {match[1]: (int(match[2]), timedelta(seconds=_UNITS[match[3]])) for match in matches if match}
    if len(rates) < len(items) or any(calls == 0 for calls, _ in rates.values()):
        raise ValueError("expected none, or such as Login=600/m,all:/authz=200/s,*=2000/s, each name once")
    return rates


def _named_secrets(value: Any) -> Any:
    """`name=secret,name=secret`."""
    if not isinstance(value, str):
        return value
    pairs = [item.strip().partition("=") for item in value.split(",") if item.strip()]
    if any(not name or not separator or not secret for name, separator, secret in pairs):
        raise ValueError("expected name=secret, and commas between several")
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise ValueError("expected each name once")
    return {name: SecretStr(secret) for name, _, secret in pairs}


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. `port` 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def from_here(self) -> "Address":
        """How a program on this machine reaches it: "every interface" is where to listen, not where to call."""
        return Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port)  # noqa: S104 -- compared with, not bound to

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether it is this machine, which nobody else listens on."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _address(value: Any) -> Any:
    if isinstance(value, Address):
        return value
    host, separator, port = str(value).strip().rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("expected host:port, such as 127.0.0.1:50051 or [::1]:50051")
    return Address(host.strip("[]"), int(port))


def _origins(value: Any) -> Any:
    items = listed(value)
    if isinstance(value, str) and any(not re.fullmatch(r"https?://[^/\s?#@*]+", item) for item in items):
        raise ValueError("expected scheme and host of each, such as https://portal.example, commas between several")
    return items


def _path(value: Any) -> Any:
    """`/auth`; `/` and the empty text are the root, which is spelt ""."""
    text = str(value).rstrip("/")
    if text and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", text):
        raise ValueError("expected a path such as /auth")
    return text


def _cookie_name(value: Any) -> Any:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", str(value)):
        raise ValueError("expected letters, digits, - and _")
    return value


def _same_site(value: Any) -> Any:
    word = str(value).lower()
    if word not in ("lax", "strict", "none"):
        raise ValueError("expected lax, strict or none")
    return word


def _url(value: Any) -> Any:
    if not re.match(r"https?://[^/\s]+", str(value)):
        raise ValueError("expected an http:// or https:// address")
    if "@" in urlsplit(str(value)).netloc:
        raise ValueError("expected no user name or password in the address")
    return str(value).rstrip("/")


def key_encryption_key(text: str) -> bytes:
    """The 32 bytes of one key. Raises ValueError."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise ValueError("expected base64 of 32 bytes each (openssl rand -base64 32), commas between several")
    return raw


def _key_encryption_keys(value: Any) -> Any:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    items = [item for item in re.split(r"[\s,]+", text) if item]
    if not items:
        raise ValueError("expected at least one key")
    for item in items:
        key_encryption_key(item)
    return SecretStr(",".join(items))


Duration = Annotated[timedelta, BeforeValidator(duration)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]
RoleMap = Annotated[dict[str, str], BeforeValidator(_role_map)]
Rates = Annotated[dict[str, tuple[int, timedelta]], BeforeValidator(_rates)]
NamedSecrets = Annotated[dict[str, SecretStr], BeforeValidator(_named_secrets)]
HostPort = Annotated[Address, BeforeValidator(_address)]
SealingKeys = Annotated[SecretStr, BeforeValidator(_key_encryption_keys)]
HttpUrl = Annotated[str, BeforeValidator(_url)]
UrlPath = Annotated[str, BeforeValidator(_path)]
Origins = Annotated[tuple[str, ...], BeforeValidator(_origins)]
CookieName = Annotated[str, BeforeValidator(_cookie_name)]
SameSite = Annotated[Literal["lax", "strict", "none"], BeforeValidator(_same_site)]
