"""A real PgBouncer in transaction pooling mode in front of a test PostgreSQL, where one is installed."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.leash import Account, require_reachable, server_account, spawn
from tests.support.ports import port_of, reserve_port
from tests.support.postgres import Postgres

_DEADLINE = 10.0


@dataclass(frozen=True)
class Availability:
    """True when there is a `binary`; otherwise `reason` says where it was looked for."""

    binary: Path | None
    reason: str = ""

    def __bool__(self) -> bool:
        return self.binary is not None


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


class PgBouncer:
    """Pools every database of `postgres`, `pool_size` server connections each; lets any loopback client in.

    `settings` override or extend the [pgbouncer] section of its configuration.
    """

    host = "127.0.0.1"

    def __init__(self, postgres: Postgres, *, pool_size: int = 5, settings: Mapping[str, str] | None = None) -> None:
        found = available()
        if found.binary is None:
            raise PgBouncerUnavailable(found.reason)
        self._binary = found.binary
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

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

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
        return (self._home / "log").read_text(errors="replace") if self._home else ""

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
        deadline = time.monotonic() + _DEADLINE
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise PgBouncerUnavailable(f"PgBouncer did not start:\n{self.log[-2000:]}")
            time.sleep(0.01)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection((self.host, self.port), timeout=1.0):
            return True
        return False

    def stop(self) -> None:
        """At once, clients disconnected; the port stays for another start. Content if it is not running."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
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
