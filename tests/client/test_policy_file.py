"""The policy's file is read again when it changes, and a bad one changes nothing."""

from pathlib import Path

import pytest
from auth_client.policy import NOTHING_ALLOWED, Verdict
from auth_client.policy_file import PolicyFile
from auth_client.policy_json import PolicyRefused

OPEN = '{"rules": [{"public": true, "locations": ["/open"]}]}'
OTHER = '{"rules": [{"public": true, "locations": ["/other"]}]}'


def opens(file: PolicyFile, path: str) -> bool:
    return file.current.verdict("GET", path, None) is Verdict.ADMITTED


async def test_without_a_file_nobody_is_let_in() -> None:
    file = PolicyFile(None)

    file.load()
    await file.poll()

    assert file.current is NOTHING_ALLOWED


@pytest.mark.parametrize("text", [None, "", "{}"])
async def test_a_start_with_a_bad_file_fails(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "policy.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises((PolicyRefused, OSError)):
        PolicyFile(path).load()


@pytest.mark.row("D3")
async def test_a_changed_file_counts_at_the_next_look_and_a_bad_one_never(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(OPEN)
    told: list[tuple[str, ...]] = []
    file = PolicyFile(path, on_refused=told.append)
    file.load()
    assert opens(file, "/open")

    replaced(path, OTHER)
    await file.poll()
    assert opens(file, "/other")
    assert not opens(file, "/open")

    for bad in ('{"rules": 7}', "", None):
        replaced(path, bad)
        await file.poll()
        await file.poll()
        assert opens(file, "/other")
        assert not file.is_current
    assert len(told) == 3
    assert told[0] == ("rules: expected a list",)

    replaced(path, OPEN)
    await file.poll()
    assert opens(file, "/open")
    assert file.is_current


def replaced(path: Path, text: str | None) -> None:
    """As editors and orchestrators do: another file takes the name."""
    if text is None:
        path.unlink()
        return
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
