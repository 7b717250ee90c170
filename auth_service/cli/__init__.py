"""The command line: `auth-service serve` and what an operator does beside it.

Exit codes: 0 done, 1 refused or failed (the reason is on standard error), 2 wrong use.
"""

import sys


def main() -> None:
    """What the `auth-service` command runs."""
    if sys.argv[1:] == ["serve"]:
        _serve()
    else:
        from auth_service.cli.commands import cli

        cli()


def _serve() -> None:
    """A server needs neither the library behind the other commands nor rich, which structlog imports where it can for
    tracebacks that we do not print: 13 MB for as long as it runs."""
    sys.modules["rich"] = None  # type: ignore[assignment]  # None means "not to be imported", says the import system
    from auth_service.cli.serving import serve

    serve()
