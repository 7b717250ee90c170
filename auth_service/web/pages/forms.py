"""What a page's form sent, and whether a page of ours was what sent it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from auth_service.web.bodies import body_of, media_type_of
from auth_service.web.methods import Metadata

TOKEN = "form_token"  # noqa: S105 -- the name of a field
MOST_FIELDS = 100


class Unreadable(Exception):
    """The body is not what a form sends. The text is for the caller."""


class Form(Mapping[str, str]):
    """Fields by name; one that was not sent, as a box without its tick, is empty. Of several by one name, `all_of`."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._first = dict(reversed(pairs))

    def __getitem__(self, name: str) -> str:
        return self._first.get(name, "")

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def all_of(self, name: str) -> list[str]:
        return [value for each, value in self._pairs if each == name]


NOTHING = Form([])


@dataclass(frozen=True, slots=True)
class Mistyped:
    """As a Detail: what is wrong with one field."""

    says: Mapping[str, Any]
    type: str = "google.rpc.BadRequest"
    value: bytes = b""


@dataclass(frozen=True, slots=True)
class NotSent:
    """As an Answer: a form that no method was asked about, and why."""

    message: str
    code: str = "permission_denied"
    response: Any = None
    reason: str = "FORM"
    details: tuple[Mistyped, ...] = ()
    trailers: Metadata = ()

    def encoded(self, *, is_json: bool) -> bytes:
        raise AssertionError("a refusal has no response")


def mistyped(field: str, expected: str) -> NotSent:
    """For what a method could not even be told, such as a number that is none."""
    detail = Mistyped({"fieldViolations": [{"field": field, "description": expected}]})
    return NotSent(expected, code="invalid_argument", details=(detail,))


async def form_of(request: Request) -> Form:
    """Raises Unreadable, TooLarge."""
    if media_type_of(request) != "application/x-www-form-urlencoded":
        raise Unreadable("Expected a form.")
    try:
        text = (await body_of(request)).decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Unreadable("Expected a form in UTF-8.") from None
    return Form([(name, value.replace("\r\n", "\n")) for name, value in pairs])


def is_from_elsewhere(request: Request, *, issuer: str) -> bool:
    """Whether the browser says that a page of another site, or of a neighbour, sent this.

    Anybody may lead a person to a page of ours; reading it by a script, or sending its form, is for our own pages. So
    an origin that may call the methods (CORS) reads no pages.
    """
    headers = request.headers
    is_reading = request.method in ("GET", "HEAD")
    if is_reading and headers.get("sec-fetch-mode", "navigate") == "navigate":
        return False
    if "sec-fetch-site" in headers:
        return headers["sec-fetch-site"] not in ("same-origin", "none")
    # Browsers say neither to addresses without TLS; and no browser at all is caught by its lack of a form token.
    if is_reading or "origin" not in headers:
        return False
    own, host = urlsplit(issuer), headers.get("host", "")
    return headers["origin"] not in (f"http://{host}", f"https://{host}", f"{own.scheme}://{own.netloc}")
