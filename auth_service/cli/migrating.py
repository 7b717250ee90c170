"""`auth-service migrate`."""

from auth_service.cli.terminal import run, settings_in_force
from auth_service.storage import migrate as migrations


def migrate() -> None:
    """Bring the database to this release's tables. Running it again does nothing."""
    settings = settings_in_force()
    run(settings, lambda: migrations.upgrade(settings.database))
    print("the database is up to date")
