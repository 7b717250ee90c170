"""The commands by their names. Each is imported when it is used: asking for help, or for health, starts no service."""

import json
import ssl
import urllib.request

from cyclopts import App, Parameter

from auth_service import settings as settings_module
from auth_service.cli.options import Json
from auth_service.cli.terminal import fail, settings_in_force

cli = App(
    name="auth-service",
    help="The identity service that other services trust without asking it.",
    # What is not asked for is off: no `--no-no-password`, and help that does not say so at each.
    default_parameter=Parameter(negative="", show_default=lambda value: value or None),
)
cli.command("auth_service.cli.serving:serve", name="serve", help="Serve until SIGTERM or SIGINT.")
cli.command("auth_service.cli.migrating:migrate", name="migrate", help="Bring the database to this release's tables.")
cli.command("auth_service.cli.keys:keys", name="keys", help="The ring of signing keys.")
cli.command("auth_service.cli.policy:policy", name="policy", help="Who may do what where, for gateways.")
cli.command("auth_service.cli.admin:admin", name="admin", help="The first administrator.")
cli.command("auth_service.cli.users:users", name="users", help="People, and the accounts of our own.")
cli.command("auth_service.cli.roles:roles", name="roles", help="Roles, their levels, and who has them.")
cli.command(
    "auth_service.cli.service_accounts:service_accounts", name="service-accounts", help="Services that call us."
)
cli.command("auth_service.cli.service_accounts:api_keys", name="api-keys", help="The keys of services that call us.")
cli.command("auth_service.cli.sessions:sessions", name="sessions", help="People's sessions.")
cli.command(
    "auth_service.cli.maintenance:maintenance", name="maintenance", help="What people are told about maintenance."
)
cli.command("auth_service.cli.audit:audit", name="audit", help="The audit log: what happened.")
cli.command(
    "auth_service.cli.staff:staff", name="staff", help="User numbers that are staff whatever the facility says."
)


@cli.command
def config(*, as_json: Json = False) -> None:
    """Print the settings in force, secrets masked."""
    rows = settings_module.described(settings_in_force(makes_home=False))
    if as_json:
        print(json.dumps({name: value for name, value, _ in rows}, indent=2))
        return
    for name, value, meaning in rows:
        print(f"{name:<32} {value:<40} {meaning}")


@cli.command
def health() -> None:
    """Ask the service on this machine whether it is alive: for a container's health check."""
    settings = settings_in_force(warns=False, makes_home=False)
    scheme = "https" if settings.tls_certificate_file else "http"
    address = f"{scheme}://{settings.http_address.from_here}/healthz"
    # The certificate is for our public name, and this is our own loopback.
    tls = ssl._create_unverified_context()  # noqa: S323 -- see above
    try:
        with urllib.request.urlopen(address, timeout=2, context=tls) as answer:  # noqa: S310 -- http or https, see above
            print(answer.read().decode().strip())
    except OSError as error:
        fail(f"{address} does not answer: {error}")
