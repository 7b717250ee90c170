"""The command line in this process: what somebody types, and what they are told."""

import base64
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from rich.console import Console

from auth_service.cli.commands import cli

KEYS = [base64.b64encode(bytes([number]) * 32).decode() for number in range(3)]
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Command = Callable[..., Said]


class Terminal(io.StringIO):
    """Standard input with somebody in front of it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment with nothing of ours but a data directory, where the service was before."""
    for name in [name for name in os.environ if name.startswith("AUTH_")]:
        monkeypatch.delenv(name)
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "auth.sqlite3").touch(mode=0o600)
    monkeypatch.setenv("AUTH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("AUTH_KEY_ENCRYPTION_KEYS", KEYS[0])
    monkeypatch.setenv("AUTH_DATABASE_TIMEOUT", "5s")
    return tmp_path


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    # Loggers of modules outlive the stream that a captured command writes to.
    configure: Any = structlog.configure
    monkeypatch.setattr(structlog, "configure", lambda **how: configure(**how | {"cache_logger_on_first_use": False}))

    def command(*arguments: str, stdin: str | Terminal = "", columns: int = 80) -> Said:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        capsys.readouterr()
        code = 0
        try:
            # One of its own, for the one that each command keeps is as wide as the first that asked.
            cli(list(arguments), console=Console(width=columns))
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        finally:
            structlog.reset_defaults()
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return command


@pytest.fixture(params=["sqlite", "postgresql"])
def on_both(request: pytest.FixtureRequest, run: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`run`, against each kind of database."""
    if request.param == "postgresql":
        monkeypatch.setenv("AUTH_DATABASE_URL", request.getfixturevalue("postgres_url"))
    return run


def rows(said: Said) -> list[dict[str, Any]]:
    assert (said.code, said.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(said.out)
    return found
