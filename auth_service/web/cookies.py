"""The cookie that carries a browser's refresh token."""

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

SameSite = Literal["lax", "strict", "none"]


@dataclass(frozen=True, slots=True)
class RefreshCookie:
    """HttpOnly always. Settings refuse what browsers would drop, such as a `__Host-` name with a domain."""

    name: str = "refresh_token"
    path: str = "/"
    domain: str | None = None
    same_site: SameSite = "lax"
    is_secure: bool = True

    def give(self, response: Response, token: str, *, seconds: int) -> None:
        response.set_cookie(
            self.name,
            token,
            max_age=seconds,
            path=self.path,
            domain=self.domain,
            secure=self.is_secure,
            httponly=True,
            samesite=self.same_site,
        )

    def take_away(self, response: Response) -> None:
        response.delete_cookie(
            self.name,
            path=self.path,
            domain=self.domain,
            secure=self.is_secure,
            httponly=True,
            samesite=self.same_site,
        )

    def of(self, request: Request) -> str:
        """The token; empty without one, and where there are several: a neighbouring site may have planted one."""
        found = {
            morsel.value
            for header in request.headers.getlist("cookie")
            for each in header.split(";")
            for name, morsel in _read(each).items()
            if name == self.name
        }
        return found.pop() if len(found) == 1 else ""


def _read(text: str) -> SimpleCookie:
    try:
        return SimpleCookie(text.strip())
    except CookieError:
        return SimpleCookie()
