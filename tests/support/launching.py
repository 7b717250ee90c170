"""What those have in common that launch a real server for the tests: enter, wait until it is up, end, read its log."""

import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Availability:
    """True when what is to be launched was found, at `path`; otherwise `reason` says where it was looked for."""

    path: Path | None
    reason: str = ""

    def __bool__(self) -> bool:
        return self.path is not None


class Launcher(ABC):
    """Runs while its context lasts. `start` may be called again after a stop; `close` leaves nothing behind."""

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def comes_up(
    process: subprocess.Popen[bytes], is_up: Callable[[], bool], *, within: float, asked_every: float = 0.01
) -> bool:
    """Whether it `is_up` before it has ended, and within so many seconds."""
    deadline = time.monotonic() + within
    while not is_up():
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(asked_every)
    return True


def end(process: subprocess.Popen[bytes], *, within: float) -> None:
    """Asked to end, and killed if it does not within so many seconds."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    """Whether somebody does, on loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


def read_log(path: Path) -> str:
    """Empty until there is one."""
    return path.read_text(errors="replace") if path.exists() else ""
