"""`auth-service keys status` and `keys timeline`: what an operator is told and shown."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from auth_service.domain.consumers import Consumer, ConsumerKind, Sighting
from auth_service.drawing.key_bars import WIDTH
from tests.cli.ring import begin, note
from tests.domain.rings import POLICY
from tests.support.command_line import KEYS, Command


@contextmanager
def table(home: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(home / "data" / "auth.sqlite3")) as connection, connection:
        yield connection


def test_status_says_who_signs_what_is_next_and_that_nothing_is_to_do(on_both: Command) -> None:
    begin()

    said, as_json = on_both("keys", "status"), on_both("keys", "status", "--json")

    assert (said.code, said.err) == (0, "")
    told = json.loads(as_json.out)
    assert told["ring_version"] == 1
    assert told["published_ahead"] is False
    assert told["to_do"] == ["nothing"]
    assert datetime.fromisoformat(told["next_rotation"]) > datetime.fromisoformat(told["known_everywhere_at"])
    assert re.search(rf"^signs now +{told['signs_now']}$", said.out, re.MULTILINE)
    assert all(len(line) <= WIDTH for line in said.out.splitlines())


def test_status_says_what_is_left_to_do(run: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin()
    with table(home) as connection:
        long_ago = "2020-01-01 00:00:00.000000"
        connection.execute("UPDATE signing_key SET published_at = ?", [long_ago])
        connection.execute("UPDATE signing_key SET activated_at = ? WHERE activated_at IS NOT NULL", [long_ago])
    monkeypatch.setenv("AUTH_KEY_ENCRYPTION_KEYS", f"{KEYS[1]},{KEYS[0]}")

    to_do = json.loads(run("keys", "status", "--json").out)["to_do"]

    assert [each.partition(":")[0].split(" since")[0] for each in to_do] == [
        "a rotation is due",
        "run `auth-service keys rewrap`",
    ]
    monkeypatch.setenv("AUTH_KEY_ENCRYPTION_KEYS", KEYS[2])
    lost = run("keys", "status", "--json")
    assert "opens the key that signs" in json.loads(lost.out)["to_do"][0]


def test_status_names_the_consumers_that_a_rotation_waits_for(
    run: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH_KEY_ROTATION_PATIENCE", "3d")
    begin()
    now = datetime.now(UTC)
    # By an hour for any kid: each has its own jitter.
    due_for_an_hour = now - POLICY.rotate_every - POLICY.rotate_every / 20 - timedelta(hours=1)
    with table(home) as connection:
        long_ago = f"{due_for_an_hour:%F %T.000000}"
        connection.execute("UPDATE signing_key SET published_at = ?", [long_ago])
        connection.execute("UPDATE signing_key SET activated_at = ? WHERE activated_at IS NOT NULL", [long_ago])
    gateway = Sighting(
        Consumer(ConsumerKind.HTTP, "10.0.0.7", "Envoy", "gateway"),
        first_seen_at=now - timedelta(days=9),
        last_seen_at=now - timedelta(hours=2),
        times=900,
        ring_version=1,
        standby_kid="another",
    )

    note(gateway)

    told = json.loads(run("keys", "status", "--json").out)

    assert told["consumers_without_it"] == 1
    assert "waits until" in told["to_do"][0]
    assert "gateway (http, 10.0.0.7)" in told["to_do"][0]


@pytest.mark.parametrize("command", ["status", "timeline"])
def test_without_a_ring_there_is_nothing_to_tell(run: Command, command: str) -> None:
    said = run("keys", command)

    assert (said.code, said.out) == (1, "")
    assert "there are no keys yet" in said.err


def test_the_timeline_fits_a_terminal_and_tells_the_plan(run: Command) -> None:
    begin(rotations=2)

    said = run("keys", "timeline")
    told = json.loads(run("keys", "timeline", "--json").out)

    assert (said.code, said.err) == (0, "")
    assert all(len(line) <= WIDTH for line in said.out.splitlines())
    assert [key["state"] for key in told["keys"]] == ["retiring", "retiring", "active", "standby", "planned"]
    assert [line.split()[0] for line in said.out.splitlines()[1:6]] == [
        *(key["kid"][:8] for key in told["keys"][:-1]),
        "next",
    ]
    assert told["keys"][3]["signs_from"] == told["next_rotation"] == told["keys"][4]["published"]
    assert told["keys"][4]["signs_from"] == told["rotation_after_it"]


def test_a_file_gets_the_picture(run: Command, home: Path) -> None:
    begin()

    said = run("keys", "timeline", "--svg", str(home / "keys.svg"))

    assert (said.code, said.out, said.err) == (0, "", "")
    assert ElementTree.parse(home / "keys.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
