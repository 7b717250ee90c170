"""A container's limit counts like a machine with so many processors."""

import os
from pathlib import Path

import pytest

from auth_service.providers import password_hashing
from auth_service.providers.processors import processors


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """One with eight processors, and no limit so far."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    (tmp_path / "groups" / "pod" / "container").mkdir(parents=True)
    return tmp_path


def counted(machine: Path, *, membership: str = "0::/pod/container\n") -> int:
    (machine / "membership").write_text(membership)
    return processors(groups=machine / "groups", membership=machine / "membership")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000", 8),
        ("400000 100000", 4),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("some 100000", 8),
        ("", 8),
    ],
)
def test_a_limit_of_time_counts_as_so_many_processors(machine: Path, limit: str, expected: int) -> None:
    (machine / "groups/pod/container/cpu.max").write_text(limit + "\n")

    assert counted(machine) == expected


def test_the_narrowest_limit_on_the_way_to_the_root_counts(machine: Path) -> None:
    (machine / "groups/pod/container/cpu.max").write_text("600000 100000\n")
    (machine / "groups/pod/cpu.max").write_text("300000 100000\n")
    # Beside the groups, and none of them.
    (machine / "cpu.max").write_text("100000 100000\n")

    assert counted(machine) == 3


@pytest.mark.parametrize("membership", ["", "4:memory:/pod/container\n1:cpu:/pod/container\n", "0::/gone\n"])
def test_where_no_limit_is_found_there_is_none(machine: Path, membership: str) -> None:
    assert counted(machine, membership=membership) == 8


def test_a_limit_is_found_where_a_container_sees_itself_as_the_root(machine: Path) -> None:
    (machine / "groups/cpu.max").write_text("200000 100000\n")

    assert counted(machine, membership="0::/\n") == 2


def test_a_machine_that_shows_no_groups_has_all_its_processors(machine: Path) -> None:
    assert processors(groups=machine / "none", membership=machine / "nowhere") == 8


@pytest.mark.parametrize(("there_are", "hash_at_once"), [(1, 1), (2, 1), (4, 3)])
def test_hashing_leaves_a_processor_to_those_who_call(
    monkeypatch: pytest.MonkeyPatch, there_are: int, hash_at_once: int
) -> None:
    monkeypatch.setattr(password_hashing, "processors", lambda: there_are)

    assert password_hashing.default_at_once() == hash_at_once
