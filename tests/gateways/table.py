"""The page docs/gateways.md: what comes of each case at each gateway."""

from collections.abc import Mapping

from tests.gateways.cases import CASES
from tests.support.gateways import RECIPES

PREFACE = """# What gets through which gateway

What comes of each case at each gateway of [deploy/](../deploy/README.md), by real programs with the files that are
there. `make gateways` tries it; `python -m tests.gateways` tries it and prints this page, and a test holds that the
page is up to date. Requests are written by hand, for correct clients would not send many of them.

"""
EPILOGUE = """
- `jwt_authn` looks at the token alone. It cannot know that a session has ended, so the token passes until it expires
  (ten minutes, `AUTH_ACCESS_TOKEN_LIFETIME`); that a key was revoked it learns when it fetches the key set, within five
  minutes. It gives no browser its next token, and looks neither at cookies nor at `typ`. For all that, and so that one
  policy holds everywhere, take `ext_authz`. What `jwt_authn` has for it: it goes on while the service is away.
- Where a gateway cannot ask, nobody passes. With which of 500, 502 and 503 is the gateway's own habit.
- Caddy asks with all headers that the client sent, of which the service reads 16 KiB. The others send what it looks at.
- nginx refuses a request with two `Authorization` headers by itself.
"""

Table = Mapping[str, Mapping[str, str]]
"""What came of it, by case and gateway."""


def expected() -> Table:
    return {case.name: {name: case.expected_of(name) for name in RECIPES} for case in CASES}


def page_of(table: Table) -> str:
    lines = [f"| case | {' | '.join(RECIPES)} |", "|---" * (len(RECIPES) + 1) + "|"]
    lines += [f"| {case} | {' | '.join(told[name] for name in RECIPES)} |" for case, told in table.items()]
    return PREFACE + "\n".join(lines) + "\n" + EPILOGUE
