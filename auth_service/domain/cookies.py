"""The cookies that carry a browser's tokens, as headers spell them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Literal

SameSite = Literal["lax", "strict", "none"]


@dataclass(frozen=True, slots=True)
class TokenCookie:
    """HttpOnly always. Settings refuse what browsers would drop, such as a `__Host-` name with a domain."""

    name: str = "refresh_token"
    path: str = "/"
    domain: str | None = None
    same_site: SameSite = "lax"
    is_secure: bool = True

    def given(self, token: str, *, seconds: int) -> str:
        """A `Set-Cookie` value that a browser keeps for so long."""
        cookie = SimpleCookie({self.name: token})
        morsel = cookie[self.name]
        morsel["max-age"] = seconds
        morsel["path"] = self.path
        morsel["domain"] = self.domain or ""
        morsel["secure"] = self.is_secure
        morsel["httponly"] = True
        morsel["samesite"] = self.same_site
        return cookie.output(header="").strip()

    def left_out_of(self, header: str) -> str:
        """A `Cookie` value without this one."""
        return ";".join(each for each in header.split(";") if each.partition("=")[0].strip() != self.name).strip()

    @property
    def taken_away(self) -> str:
        """A `Set-Cookie` value that makes a browser forget it."""
        return self.given("", seconds=0)

    def of(self, headers: Iterable[str]) -> str:
        """The token in these `Cookie` values; empty without one, and where there are several: a neighbouring site may
        have planted one."""
        found = {value for header in headers for name, value in _read(header) if name == self.name}
        return found.pop() if len(found) == 1 else ""


@dataclass(frozen=True, slots=True)
class SessionCookies:
    """Both tokens of a browser's session."""

    access: TokenCookie
    refresh: TokenCookie

    def given(self, access: str, refresh: str, *, seconds: int, refresh_seconds: int) -> tuple[str, str]:
        """`Set-Cookie` values."""
        return self.access.given(access, seconds=seconds), self.refresh.given(refresh, seconds=refresh_seconds)

    @property
    def taken_away(self) -> tuple[str, str]:
        """As `given`, for a session that is over."""
        return self.access.taken_away, self.refresh.taken_away


def _read(header: str) -> Iterator[tuple[str, str]]:
    """Names and values, as browsers write them: nothing but `;` is between two."""
    # SimpleCookie takes `a=1 b=2` for two. A neighbour may set such an `a`, whatever browsers keep it from calling `b`.
    for each in header.split(";"):
        name, _, value = each.partition("=")
        yield name.strip(), value.strip().strip('"')
