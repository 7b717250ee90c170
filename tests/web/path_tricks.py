"""Spellings of a path that a gateway and the program behind it may read differently; and how each is answered."""

from dataclasses import dataclass

POLICY = {
    "levels": {"admin": 0},
    "rules": [
        {"public": True, "locations": ["/open/*"]},
        {"signed_in": True, "locations": ["/me"]},
        {"level": 0, "locations": ["/admin/*"]},
    ],
}
NO_ONE, PERSON, ADMINISTRATOR = "nobody known", "a person", "an administrator"
ASKING = (NO_ONE, PERSON, ADMINISTRATOR)


@dataclass(frozen=True)
class Trick:
    what: str
    target: str
    statuses: tuple[int, int, int]
    """For whom of ASKING."""
    method: str = "GET"


_NOBODYS = (401, 403, 403)
_ADMINISTRATORS = (401, 403, 200)

TRICKS = (
    Trick("as it should be", "/admin/keys", _ADMINISTRATORS),
    Trick("as it should be", "/open/page", (200, 200, 200)),
    Trick("as it should be", "/me", (401, 200, 200)),
    Trick("a slash at the end", "/admin/keys/", _ADMINISTRATORS),
    Trick("a query", "/admin/keys?page=/open/page", _ADMINISTRATORS),
    Trick("a letter encoded", "/%61dmin/keys", _ADMINISTRATORS),
    Trick("two slashes", "//admin/keys", _NOBODYS),
    Trick("two slashes within", "/open//admin/keys", _NOBODYS),
    Trick("a dot", "/./admin/keys", _NOBODYS),
    Trick("a dot within", "/open/./page", _NOBODYS),
    Trick("two dots", "/open/../admin/keys", _NOBODYS),
    Trick("two dots encoded", "/open/%2e%2e/admin/keys", _NOBODYS),
    Trick("one of two dots encoded", "/open/.%2E/admin/keys", _NOBODYS),
    Trick("two dots encoded twice", "/open/%252e%252e/admin/keys", _NOBODYS),
    Trick("dots and a parameter", "/open/..;/admin/keys", _NOBODYS),
    Trick("a parameter", "/open;x=/admin/keys", _NOBODYS),
    Trick("a parameter encoded", "/open%3Bx/admin/keys", _NOBODYS),
    Trick("a slash encoded", "/open%2F..%2Fadmin/keys", _NOBODYS),
    Trick("a slash encoded", "/open/x%2fadmin", _NOBODYS),
    Trick("a backslash", "/open\\..\\admin/keys", _NOBODYS),
    Trick("a backslash encoded", "/open/%5c..%5cadmin", _NOBODYS),
    Trick("an overlong slash", "/open/..%c0%af/admin/keys", _NOBODYS),
    Trick("an overlong dot", "/open/%c0%ae%c0%ae/admin/keys", _NOBODYS),
    Trick("no UTF-8", "/open/%ff", _NOBODYS),
    Trick("a wide slash", "/open/..%ef%bc%8fadmin", _NOBODYS),
    Trick("wide dots", "/open/%ef%bc%8e%ef%bc%8e/admin", _NOBODYS),
    Trick("a leader of two dots", "/open/%e2%80%a5/admin", _NOBODYS),
    Trick("an escape in wide letters", "/open/%ef%bc%852e%ef%bc%852e/admin", _NOBODYS),
    Trick("a query encoded", "/open/page%3F/../admin", _NOBODYS),
    Trick("a fragment", "/open/page#/admin", _NOBODYS),
    Trick("a fragment encoded", "/open/page%23/admin", _NOBODYS),
    Trick("a NUL", "/open/page%00", _NOBODYS),
    Trick("a line break", "/open/page%0d%0aX-Auth-Roles:admin", _NOBODYS),
    Trick("a tab", "/open/%09page", _NOBODYS),
    Trick("half an escape", "/open/%2", _NOBODYS),
    Trick("no escape", "/open/%zz", _NOBODYS),
    Trick("upper case", "/ADMIN/keys", _NOBODYS),
    Trick("upper case of what is open", "/OPEN/page", _NOBODYS),
    Trick("nothing", "", _NOBODYS),
    Trick("no slash", "open/page", _NOBODYS),
    Trick("an address", "http://x/open/page", _NOBODYS),
    Trick("another host's", "//evil.example/open/page", _NOBODYS),
    Trick("a star", "*", _NOBODYS),
    Trick("a tunnel", "x:443", _NOBODYS, method="CONNECT"),
    Trick("a tunnel to a path", "/open/page", _NOBODYS, method="CONNECT"),
    Trick("a method in lower case", "/me", (401, 200, 200), method="get"),
)


def table() -> str:
    """In Markdown."""
    lines = [f"| request | | {' | '.join(ASKING)} |", "|---|---|---|---|---|"]
    for each in TRICKS:
        asked = f"`{each.method} {each.target}`" if each.target else f"`{each.method}`"
        lines.append(f"| {asked} | {each.what} | {' | '.join(map(str, each.statuses))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
