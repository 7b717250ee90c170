"""`auth-service audit …`: what a person reads of the log, and what a script does."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from auth_service import app
from auth_service import settings as settings_module
from auth_service.domain.audit import AuditEvent, EventType, Origin, happened
from auth_service.storage import audit
from tests.support.command_line import PASSWORD, Command, Terminal, rows

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def written(at: datetime, *, times: int = 1, **about: Any) -> list[AuditEvent]:
    events = [
        happened(EventType.ROLE_CREATED, origin=Origin(), now=at, on=uuid4(), role="r", level="7", **about)
        for _ in range(times)
    ]

    async def write() -> None:
        async with app.core(settings_module.load()[0]) as core:
            await core.database.transaction(lambda connection: audit.add(connection, *events))

    asyncio.run(write())
    return events


@pytest.mark.row("E17", "S91")
def test_what_the_command_line_does_is_in_the_log(on_both: Command) -> None:
    on_both("users", "create", "ada", "--password-stdin", stdin=PASSWORD)
    (ada,) = rows(on_both("users", "list", "--json"))

    found = rows(on_both("audit", "list", "--on", "ada", "--json"))

    assert [(each["type"], each["actor_kind"], each["subject"]) for each in found] == [
        ("person.created", "operator", ada["id"])
    ]
    assert PASSWORD not in str(found)


@pytest.mark.row("E7", "E17")
def test_of_whoever_was_erased_the_log_is_found_by_the_id(on_both: Command) -> None:
    on_both("users", "create", "ada", "--no-password")
    (ada,) = rows(on_both("users", "list", "--json"))
    for deed in ("delete", "purge"):
        on_both("users", deed, "ada", "--yes")

    found = rows(on_both("audit", "list", "--on", ada["id"], "--json"))

    assert [each["type"] for each in found] == ["person.purged", "person.deleted", "person.created"]
    assert on_both("audit", "list", "--on", "ada").err == "auth-service: user: there is no account 'ada'\n"


def test_events_are_found_by_who_did_it_and_by_how_it_ended(on_both: Command) -> None:
    eve = uuid4()
    refused = written(LONG_AGO, by=eve, outcome="refused")
    written(LONG_AGO, by=eve)
    written(LONG_AGO, outcome="refused")

    found = rows(on_both("audit", "list", "--by", str(eve), "--outcome", "refused", "--json"))

    assert [each["id"] for each in found] == [str(each.id) for each in refused]
    assert on_both("audit", "list", "--outcome", "maybe").code == 2


def test_nobody_forges_a_line_of_the_table(run: Command) -> None:
    run("users", "create", "ada", "--no-password")

    run("users", "disable", "ada", "--reason", "left\n2026-11-30 09:00:00Z  person.purged\u202eover")

    _header, line, *others = run("audit", "list", "--event", "person.disabled").out.splitlines()
    assert others == []
    assert line.endswith("left\\n2026-11-30 09:00:00Z  person.purged\\u202eover")


def test_events_are_a_table_for_a_person(on_both: Command) -> None:
    written(LONG_AGO)

    said = on_both("audit", "list")

    header, line = said.out.splitlines()
    assert header.split() == ["at", "type", "by", "on", "from", "what"]
    assert line.startswith("2020-01-01 00:00:00Z  role.created  anonymous")
    assert line.endswith("level=7 role=r")


def test_the_newest_are_listed_as_many_as_asked(on_both: Command) -> None:
    written(LONG_AGO, times=3)
    written(LONG_AGO + timedelta(days=1))

    assert len(rows(on_both("audit", "list", "--limit", "2", "--json"))) == 2
    assert len(rows(on_both("audit", "list", "--until", "2020-01-02", "--event", "role.", "--json"))) == 3
    assert len(rows(on_both("audit", "list", "--since", "2020-01-02", "--json"))) == 1
    assert on_both("audit", "list", "--event", "nothing").code == 1
    assert on_both("audit", "list", "--limit", "0").code == 2


def test_pruning_asks_first_and_keeps_thirty_days(on_both: Command) -> None:
    written(LONG_AGO, times=3)
    today = f"{datetime.now(UTC):%Y-%m-%d}"

    assert (
        on_both("audit", "prune", "--before", "2020-01-02").err
        == "auth-service: this needs --yes when nobody can be asked\n"
    )
    assert on_both("audit", "prune", "--before", "2020-01-02", stdin=Terminal("n\n")).code == 1
    assert on_both("audit", "prune", "--before", today, "--yes").err == (
        "auth-service: before: expected 30 days ago or earlier\n"
    )
    assert len(rows(on_both("audit", "list", "--json"))) == 3

    assert on_both("audit", "prune", "--before", "2020-01-02", "--yes").out == "deleted: 3\n"
    (left,) = rows(on_both("audit", "list", "--json"))
    assert (left["type"], left["details"]["count"]) == ("audit.pruned", "3")


def test_renumbering_keeps_every_event(on_both: Command) -> None:
    written(LONG_AGO, times=2)
    before = rows(on_both("audit", "list", "--json"))

    assert on_both("audit", "renumber").code == 1
    assert on_both("audit", "renumber", "--yes").out.startswith("renumbered: ")

    assert rows(on_both("audit", "list", "--json")) == before
