"""Every setting, as the service knows it: `make settings` prints docs/settings.md."""

import re
import sys
from collections.abc import Iterator, Mapping

from auth_service.settings import Settings, described
from auth_service.settings.checks import RANGES
from auth_service.settings.model import PREFIX, SECRETS

HEADINGS = {
    "profile": "Profile",
    "grpc_address": "Where it listens, and what stands in front",
    "api_pages": "HTTP and browsers",
    "issuer": "Tokens and sessions",
    "key_encryption_keys": "Keys",
    "database_url": "Database",
    "providers": "Where people come from",
    "api_keys": "Services",
    "hs256_secret": "Tokens of the service before",
    "registration": "Accounts and passwords",
    "failures_here": "Limits",
    "smtp_address": "Mail",
    "argon2_memory_kib": "What a password costs",
    "drain": "Calls, streams and the end",
    "log_level": "Logs, events and traces",
}
"""By the setting that each begins with."""

PREFACE = """# Settings

Each is a variable of the environment. `auth-service config` prints what is in force, and refuses, as `serve` does, with
a line for each problem. This page is what it knows of where nothing is set: `make settings` prints it anew, and a test
holds that it is up to date.

- Times have a unit: `500ms`, `30s`, `10m`, `12h`, `30d`. Lists have commas. What is empty counts as not set.
- Those marked † are secrets: `…_FILE` may name a file to read one from. They are masked where settings are shown.
  None has a default.
- The production profile does not start with what is unsafe, nor without what it cannot guess, and says what it expects.
"""


def page() -> str:
    """As docs/settings.md holds it."""
    return "\n".join((PREFACE, *_lines())) + "\n"


def _lines() -> Iterator[str]:
    told = {name: (shown, meaning) for name, shown, meaning in described(Settings.model_validate({}))}
    for name in Settings.model_fields:
        if name in HEADINGS:
            blank = [] if name == next(iter(HEADINGS)) else [""]
            yield from (
                *blank,
                f"## {HEADINGS[name]}",
                "",
                "| variable | if not set | what it is for |",
                "|---|---|---|",
            )
        variable = PREFIX + name.upper()
        shown, meaning = told[variable]
        mark = "†" if name in SECRETS else ""
        yield _row(f"`{variable}`{mark}", _default(name, shown), _literal(meaning) + _bounds(name))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _default(name: str, shown: str) -> str:
    if shown in ("", "-") or name in SECRETS:
        return shown.strip("-")
    return f"`{shown}`"


def _literal(text: str) -> str:
    """So that Markdown shows it as it is; what is between backticks it does anyway."""
    return re.sub(r"`[^`]*`|[*<|]", lambda found: found[0] if found[0][0] == "`" else f"\\{found[0]}", text)


def _bounds(name: str) -> str:
    """What it may be, where that is a range which its meaning does not name."""
    limits: Mapping[str, object] = {
        bound: getattr(each, bound)
        for each in Settings.model_fields[name].metadata
        for bound in ("ge", "le")
        if hasattr(each, bound)
    }
    told = RANGES.get(name, "")
    if limits:
        told = f"{limits['ge']} to {limits['le']}" if "le" in limits else f"at least {limits['ge']}"
    return f" ({told})" if told and told not in (Settings.model_fields[name].description or "") else ""


if __name__ == "__main__":
    sys.stdout.write(page())
