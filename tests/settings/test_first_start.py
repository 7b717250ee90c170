"""The embedded profile's home: made at the first start, whole or not at all, and by no command that only looks."""

import base64
import os
from pathlib import Path

import pytest

from auth_service.cli.commands import cli
from auth_service.settings import SettingsRefused, load

NAME = "key-encryption-key"
RIVALS = base64.b64encode(b"r" * 32).decode()


def test_a_crash_while_the_key_is_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(_file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full_disk)
        with pytest.raises(SettingsRefused, match=r"^AUTH_DATA_DIR: cannot use .* \(No space left on device\)$"):
            load({"AUTH_DATA_DIR": str(tmp_path)})

    assert list(tmp_path.iterdir()) == []
    assert load({"AUTH_DATA_DIR": str(tmp_path)})[0].sealing_secrets
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_of_two_that_start_at_once_the_slower_takes_the_key_of_the_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def beaten(source: str, target: Path) -> None:
        target.touch(mode=0o600)
        target.write_text(RIVALS)
        link(source, target)

    monkeypatch.setattr(os, "link", beaten)

    assert load({"AUTH_DATA_DIR": str(tmp_path)})[0].sealing_secrets == [b"r" * 32]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize(("command", "code"), [("config", 0), ("health", 1)])
def test_who_only_looks_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, code: int
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("AUTH_DATA_DIR", str(home))
    monkeypatch.setenv("AUTH_HTTP_ADDRESS", "127.0.0.1:1")

    with pytest.raises(SystemExit) as ended:
        cli([command])

    assert (ended.value.code or 0) == code
    assert not home.exists()
    if command == "config":
        assert "generated at the first start" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["admin bootstrap", "keys list", "keys rotate", "users list", "audit list"])
def test_a_command_elsewhere_than_the_service_makes_no_second_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.delenv("AUTH_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as ended:
        cli(command.split())

    assert ended.value.code == 1
    assert f"there is no database in {tmp_path}/.auth-service: run this in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_lost_key_is_not_replaced_by_one_that_opens_nothing(tmp_path: Path) -> None:
    home = {"AUTH_DATA_DIR": str(tmp_path)}
    load(home)
    (tmp_path / "auth.sqlite3").touch()
    load(home)
    (tmp_path / NAME).unlink()

    with pytest.raises(
        SettingsRefused, match=f"^AUTH_KEY_ENCRYPTION_KEYS: {tmp_path / NAME} is gone, and only it opens"
    ):
        load(home)

    assert [path.name for path in tmp_path.iterdir()] == ["auth.sqlite3"]
    assert load(home | {"AUTH_KEY_ENCRYPTION_KEYS": RIVALS})[0].sealing_secrets


def test_who_only_looks_sees_the_key_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load({"AUTH_DATA_DIR": str(tmp_path)})
    monkeypatch.setenv("AUTH_DATA_DIR", str(tmp_path))

    with pytest.raises(SystemExit):
        cli(["config"])

    (line,) = [line for line in capsys.readouterr().out.splitlines() if "AUTH_KEY_ENCRYPTION_KEYS" in line]
    assert line.split()[1] == "********"
