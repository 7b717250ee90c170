"""A real PgBouncer in transaction pooling mode in front of a test PostgreSQL, where one is installed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.launching import Availability, Launcher, comes_up, end, listens, read_log
from tests.support.leash import Account, require_reachable, server_account, spawn
from tests.support.ports import port_of, reserve_port
from tests.support.postgres import Postgres

_DEADLINE = 10.0


class PgBouncerUnavailable(Exception):
    """There is no PgBouncer, or it did not start; the message ends with what it said."""


def available() -> Availability:
    named = os.environ.get("TEST_PGBOUNCER_BIN")
    candidates = [named] if named else [shutil.which("pgbouncer"), "/usr/sbin/pgbouncer"]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return Availability(Path(candidate).resolve())
    if named:
        return Availability(None, f"TEST_PGBOUNCER_BIN is {named}, which is not a program")
    return Availability(None, "no pgbouncer on PATH or in /usr/sbin: install it or set TEST_PGBOUNCER_BIN")


class PgBouncer(Launcher):
    """Pools every database of `postgres`, `pool_size` server connections each; lets any loopback client in.

    `settings` override or extend the [pgbouncer] section of its configuration.
    """

    host = "127.0.0.1"

    def __init__(self, postgres: Postgres, *, pool_size: int = 5, settings: Mapping[str, str] | None = None) -> None:
        found = available()
        if found.path is None:
            raise PgBouncerUnavailable(found.reason)
        self._binary = found.path
        self._postgres = postgres
        self._account: Account | None = server_account()
        self._reserved = reserve_port()
        self.port = port_of(self._reserved)
        self._settings = {
            "listen_addr": self.host,
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "pool_mode": "transaction",
            "default_pool_size": str(pool_size),
            "max_client_conn": "1000",
            # Any client name is let in as the superuser of the line in [databases].
            "auth_type": "any",
            **(settings or {}),
        }
        self._home: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def version(self) -> str:
        """As `1.18.0`."""
        said = subprocess.run([self._binary, "--version"], capture_output=True, text=True, check=True)
        return said.stdout.split()[1]

    @property
    def pid(self) -> int:
        if self._process is None:
            raise PgBouncerUnavailable("PgBouncer is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        return read_log(self._home / "log") if self._home else ""

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@{self.host}:{self.port}/{database}"

    def url(self, database: str = "postgres") -> str:
        """For SQLAlchemy; asyncpg's prepared-statement caching must be off through it."""
        return f"postgresql+asyncpg://postgres@{self.host}:{self.port}/{database}"

    def start(self) -> None:
        """Returns once it listens."""
        if self._process is not None:
            raise PgBouncerUnavailable("PgBouncer is already running")
        home = self._home or self._configure()
        self._process = spawn(
            [self._binary, home / "pgbouncer.ini"],
            log=home / "log",
            cwd=home,
            environment={"LC_ALL": "C"},
            account=self._account,
        )
        if not comes_up(self._process, lambda: listens(self.port), within=_DEADLINE):
            self.stop()
            raise PgBouncerUnavailable(f"PgBouncer did not start:\n{self.log[-2000:]}")

    def stop(self) -> None:
        """At once, clients disconnected; the port stays for another start. Content if it is not running."""
        if self._process is not None:
            end(self._process, within=_DEADLINE)
            self._process = None

    def close(self) -> None:
        self.stop()
        self._reserved.close()
        if self._home is not None:
            shutil.rmtree(self._home)
            self._home = None

    def _configure(self) -> Path:
        require_reachable(self._binary.parent, self._account)
        require_reachable(Path(tempfile.gettempdir()), self._account)
        home = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        self._home = home
        settings = "".join(f"{name} = {value}\n" for name, value in self._settings.items())
        (home / "pgbouncer.ini").write_text(f"[databases]\n* = {self._postgres.conninfo}\n\n[pgbouncer]\n{settings}")
        if self._account is not None:
            os.chown(home, self._account.uid, self._account.gid)
        return home
