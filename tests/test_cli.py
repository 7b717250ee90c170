"""The command line, in process: what it prints, what it refuses and with which exit code."""

import asyncio
import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import jwt
import pytest
from auth_api.v1 import auth_pb2, auth_pb2_grpc, keys_pb2, keys_pb2_grpc

from auth_service import app
from auth_service import settings as settings_module
from auth_service.domain.api_keys import is_of_our_form
from auth_service.domain.consumers import Consumer, ConsumerKind, Sighting
from auth_service.storage import key_consumers
from tests.support.command_line import KEYS, PASSWORD, Command, Terminal, rows
from tests.support.ports import port_of, reserve_port


def begin() -> None:
    """Make the first ring, as `serve` does."""

    async def tick() -> None:
        async with app.core(settings_module.load()[0]) as core:
            await core.keys.tick()

    asyncio.run(tick())


def takes_the_key_set(address: str, *, standby: str) -> None:
    """Somebody who has done so every ten minutes for an hour, until now."""
    now = datetime.now(UTC)
    seen = Sighting(
        Consumer(ConsumerKind.HTTP, address, "Go-http-client/1.1", "edge"),
        first_seen_at=now - timedelta(hours=1),
        last_seen_at=now,
        times=7,
        ring_version=1,
        standby_kid=standby,
    )

    async def add() -> None:
        async with app.core(settings_module.load()[0]) as core:
            await core.database.autocommit(lambda connection: key_consumers.add(connection, [seen]))

    asyncio.run(add())


def test_looking_at_the_ring_changes_nothing(on_both: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows(on_both("keys", "list", "--json")) == []
    begin()
    monkeypatch.setenv("AUTH_KEY_PUBLISH_AHEAD", "0s")
    monkeypatch.setenv("AUTH_KEY_ROTATE_EVERY", "1s")

    first, second = (json.loads(on_both("keys", "list", "--json").out) for _ in range(2))

    assert [key["state"] for key in first] == ["standby", "active"]
    assert first == second
    assert all(key["private_half"] == "sealed" for key in first)


def test_keys_are_a_table_for_a_person(run: Command) -> None:
    begin()

    said = run("keys", "list")

    header, *lines, version = said.out.splitlines()
    assert header.split()[:3] == ["kid", "state", "bits"]
    assert len(lines) == 2
    assert version == "ring version 1"


def test_rotate_promotes_the_standby_and_warns_of_verifiers_that_do_not_know_it(on_both: Command) -> None:
    begin()
    standby, active = (key["kid"] for key in rows(on_both("keys", "list", "--json")))

    said = on_both("keys", "rotate")

    assert said.code == 0
    assert said.out.startswith(f"{standby} signs now; ")
    assert "warning: it had been published for less than 1d" in said.err
    states = {key["kid"]: key["state"] for key in rows(on_both("keys", "list", "--json"))}
    assert (states[standby], states[active]) == ("active", "retiring")
    assert len(states) == 3


def test_rotate_warns_of_consumers_that_were_not_seen_to_hold_the_key(run: Command) -> None:
    begin()
    takes_the_key_set("192.0.2.1", standby="another")

    said = run("keys", "rotate")

    assert said.code == 0
    assert (
        "1 recent consumers were not seen to hold it: edge (http, 192.0.2.1); `keys rollback` takes it back" in said.err
    )


def test_rotate_refuses_another_version_and_a_standby_that_is_too_new(run: Command) -> None:
    begin()

    stale = run("keys", "rotate", "--ring-version", "7")
    early = run("keys", "rotate", "--only-if-published-ahead")

    assert (stale.code, stale.out) == (1, "")
    assert stale.err == "auth-service: ring_version: the key ring is at version 1, not at 7\n"
    assert early.code == 1
    assert "published too recently" in early.err
    assert [key["state"] for key in rows(run("keys", "list", "--json"))] == ["standby", "active"]


def test_revoke_drops_the_key_once_and_says_which_signs_now(on_both: Command) -> None:
    begin()
    standby, active = (key["kid"] for key in rows(on_both("keys", "list", "--json")))

    stale = on_both("keys", "revoke", active, "--yes", "--ring-version", "7")
    said, again = on_both("keys", "revoke", active, "--yes"), on_both("keys", "revoke", active, "--yes")

    assert stale.err == "auth-service: ring_version: the key ring is at version 1, not at 7\n"
    assert said.out.startswith(f"{active} is revoked; {standby} signs now; ")
    assert again.out == said.out
    key = next(key for key in rows(on_both("keys", "list", "--json")) if key["kid"] == active)
    assert (key["state"], key["private_half"]) == ("revoked", None)


def test_revoke_says_what_follows_and_who_still_trusts_the_key(run: Command) -> None:
    begin()
    standby, active = (key["kid"] for key in rows(run("keys", "list", "--json")))
    takes_the_key_set("192.0.2.1", standby=standby)

    said, of_standby = (
        run("keys", "revoke", kid, "--yes") for kid in (active, rows(run("keys", "list", "--json"))[0]["kid"])
    )

    assert "nobody has to sign in again" in said.out
    assert "who has not heard of it takes tokens of this key until 20" in said.out
    assert "1 consumers seen lately have the former key set" in said.out
    assert "192.0.2.1" in said.out
    assert of_standby.code == 0


def test_consumers_are_listed_with_those_first_whom_a_rotation_waits_for(on_both: Command) -> None:
    begin()
    standby, _ = (key["kid"] for key in rows(on_both("keys", "list", "--json")))
    takes_the_key_set("192.0.2.1", standby=standby)
    takes_the_key_set("192.0.2.2", standby="another")

    found = rows(on_both("keys", "consumers", "--json"))
    said = on_both("keys", "consumers")

    assert [(each["address"], each["holds_standby"], each["recent"]) for each in found] == [
        ("192.0.2.2", False, True),
        ("192.0.2.1", True, True),
    ]
    assert (found[0]["name"], found[0]["kind"], found[0]["every"]) == ("edge", "http", "0:10:00")
    assert said.out.index("192.0.2.2") < said.out.index("192.0.2.1")
    assert f"{standby} is to sign at " in said.out


def test_a_canary_is_printed_alone_so_that_a_script_can_use_it(on_both: Command) -> None:
    begin()
    standby, _ = (key["kid"] for key in rows(on_both("keys", "list", "--json")))

    said = on_both("keys", "canary")

    assert jwt.get_unverified_header(said.out.strip())["kid"] == standby
    assert jwt.decode(said.out.strip(), options={"verify_signature": False})["canary"] is True
    assert f"signed by {standby}, over at " in said.err


def test_rollback_lets_the_former_key_sign_again_or_says_why_not(on_both: Command) -> None:
    begin()
    too_early = on_both("keys", "rollback", "--yes")
    standby, active = (key["kid"] for key in rows(on_both("keys", "list", "--json")))
    on_both("keys", "rotate")

    unasked, stale = on_both("keys", "rollback"), on_both("keys", "rollback", "--yes", "--ring-version", "1")
    said = on_both("keys", "rollback", "--yes", "--ring-version", "2")

    assert (too_early.code, too_early.err) == (1, "auth-service: no key signed before the one that signs now\n")
    assert (unasked.code, stale.code) == (1, 1)
    assert said.out.startswith(f"{active} signs again; {standby} verifies what it signed; ")
    states = {key["kid"]: key["state"] for key in rows(on_both("keys", "list", "--json"))}
    assert (states[active], states[standby]) == ("active", "retiring")


def test_revoke_asks_first_and_nobody_there_means_no(run: Command) -> None:
    begin()
    _, active = (key["kid"] for key in rows(run("keys", "list", "--json")))

    said = run("keys", "revoke", active)

    assert (said.code, said.out, said.err) == (1, "", "auth-service: this needs --yes when nobody can be asked\n")
    assert [key["state"] for key in rows(run("keys", "list", "--json"))] == ["standby", "active"]


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("\n", 1), ("sure\n", 1)])
def test_revoke_takes_yes_for_an_answer(run: Command, answer: str, code: int) -> None:
    begin()
    _, active = (key["kid"] for key in rows(run("keys", "list", "--json")))

    said = run("keys", "revoke", active, stdin=Terminal(answer))

    assert said.code == code
    assert ("nothing was changed" in said.err) == bool(code)


@pytest.mark.parametrize("kid", ["nobody", "-begins-like-an-option"])
def test_revoking_what_is_no_key_is_refused(run: Command, kid: str) -> None:
    begin()
    said = run("keys", "revoke", kid, "--yes")

    assert (said.code, said.err) == (1, "auth-service: kid: no such signing key\n")


def test_rewrap_moves_every_private_half_to_the_first_key(on_both: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    begin()
    monkeypatch.setenv("AUTH_KEY_ENCRYPTION_KEYS", f"{KEYS[1]},{KEYS[0]}")

    assert on_both("keys", "rewrap").out == "2 private keys sealed anew\n"
    assert on_both("keys", "rewrap").out == "0 private keys sealed anew\n"

    monkeypatch.setenv("AUTH_KEY_ENCRYPTION_KEYS", KEYS[2])
    lost = on_both("keys", "rewrap")
    assert lost.code == 1
    assert "key-encryption key is not configured" in lost.err
    assert "Traceback" not in lost.err


def test_an_account_is_made_once_with_its_roles(on_both: Command) -> None:
    arguments = ("users", "create", "Zoë", "--display-name", "Zoë Z", "--role", "admin", "--password-stdin")

    said, again = (on_both(*arguments, stdin=f"{PASSWORD}\nignored\n") for _ in range(2))

    assert said.code == 0
    assert said.out.startswith("created Zoë (")
    assert (again.code, again.out, again.err) == (1, "", "auth-service: username: 'Zoë' is taken\n")


@pytest.mark.parametrize(
    ("arguments", "stdin", "expected"),
    [
        (["ada"], "too-short\n", "password: expected 15 to 1024 characters"),
        (["ada"], "", "password: expected 1 to 1024 characters"),
        ([""], f"{PASSWORD}\n", "username: expected 1 to 255 characters"),
        (["a\nb"], f"{PASSWORD}\n", "username: expected no control characters"),
        (
            ["ada", "--role", "user,admin"],
            f"{PASSWORD}\n",
            "roles: expected a lower-case word of up to 64 of a-z 0-9 . _ : -",
        ),
        (["ada", "--role", ""], f"{PASSWORD}\n", "roles: expected a lower-case word of up to 64 of a-z 0-9 . _ : -"),
    ],
)
def test_an_account_that_cannot_be_is_refused(run: Command, arguments: list[str], stdin: str, expected: str) -> None:
    said = run("users", "create", *arguments, "--password-stdin", stdin=stdin)

    assert (said.code, said.out, said.err) == (1, "", f"auth-service: {expected}\n")


def test_the_staff_list_is_kept(on_both: Command) -> None:
    assert on_both("staff", "list").out == "none\n"
    assert on_both("staff", "add", "1003").out == "1003 is staff\n"
    assert on_both("staff", "add", "1003").out == "1003 is staff already\n"
    assert on_both("staff", "add", "7").out == "7 is staff\n"
    assert rows(on_both("staff", "list", "--json")) == [{"user_number": 7}, {"user_number": 1003}]
    assert on_both("staff", "list").out.splitlines()[1:] == ["7", "1003"]
    assert on_both("staff", "remove", "7", "--yes").out == "7 is no longer on the staff list\n"
    assert on_both("staff", "remove", "7", "--yes").out == "7 was not on the staff list\n"
    assert on_both("staff", "remove", "1003").code == 1
    assert rows(on_both("staff", "list", "--json")) == [{"user_number": 1003}]


@pytest.mark.parametrize("number", ["0", "9007199254740992"])
def test_a_staff_number_out_of_range_is_refused(run: Command, number: str) -> None:
    said = run("staff", "add", number)

    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("auth-service: user_number: expected 1 to ")


def test_migrate_twice_is_fine(on_both: Command) -> None:
    for _ in range(2):
        said = on_both("migrate")
        assert (said.code, said.out, said.err) == (0, "the database is up to date\n", "")


def test_config_shows_what_is_in_force_and_no_secret(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"AUTH_UOWS_API_KEY": "uows-api-key", "AUTH_API_KEYS": "portal=portal-api-key-1"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AUTH_DATABASE_URL", "postgresql://auth:database-password@db/auth")

    table, as_json = run("config"), run("config", "--json")

    assert json.loads(as_json.out)["AUTH_API_KEYS"] == "portal=********"
    assert "AUTH_GRPC_ADDRESS" in table.out
    for said in (table, as_json):
        assert said.code == 0
        for secret in (KEYS[0], "uows-api-key", "portal-api-key", "database-password"):
            assert secret not in said.out + said.err


def test_settings_that_cannot_be_used_are_told_all_at_once(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_KEY_SIZE", "7")
    monkeypatch.setenv("AUTH_GRPC_ADDRESS", "nowhere")

    for command in (["serve"], ["config"], ["keys", "list"]):
        said = run(*command)
        assert (said.code, said.out) == (1, "")
        head, *lines = said.err.splitlines()
        assert head == "auth-service: these settings cannot be used:"
        assert [line.strip().partition(":")[0] for line in lines] == ["AUTH_GRPC_ADDRESS", "AUTH_KEY_SIZE"]


def test_a_warning_goes_to_standard_error_and_stops_nothing(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    begin()
    monkeypatch.setenv("AUTH_LOG_LEVLE", "debug")

    said = run("keys", "list", "--json")

    assert said.err == "warning: AUTH_LOG_LEVLE is not a setting; did you mean AUTH_LOG_LEVEL?\n"
    assert len(json.loads(said.out)) == 2


@pytest.mark.parametrize("door", ["AUTH_GRPC_ADDRESS", "AUTH_HTTP_ADDRESS", "AUTH_FACILITY_ADDRESS"])
def test_serve_on_a_taken_address_says_which(run: Command, monkeypatch: pytest.MonkeyPatch, door: str) -> None:
    for each in ("AUTH_GRPC_ADDRESS", "AUTH_HTTP_ADDRESS", "AUTH_FACILITY_ADDRESS"):
        monkeypatch.setenv(each, "127.0.0.1:0")
    with reserve_port() as held:
        held.listen()
        monkeypatch.setenv(door, f"127.0.0.1:{port_of(held)}")

        said = run("serve")

    assert (said.code, said.out) == (1, "")
    assert f"cannot start: {door}: cannot listen on 127.0.0.1:" in said.err
    assert "Traceback" not in said.err


def test_serve_on_a_database_that_others_may_read_is_refused(run: Command, home: Path) -> None:
    run("migrate")
    (home / "data" / "auth.sqlite3").chmod(0o644)

    for command in (["serve"], ["keys", "list"], ["migrate"]):
        said = run(*command)
        assert (said.code, said.out) == (1, "")
        assert "expected 0600" in said.err
        assert "Traceback" not in said.err


def test_a_database_of_a_newer_release_is_one_line(run: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_DEMO_FACILITY", "false")
    run("migrate")
    with contextlib.closing(sqlite3.connect(home / "data" / "auth.sqlite3")) as newer, newer:
        newer.execute("UPDATE auth_alembic_version SET version_num = '9999'")

    for command in (["serve"], ["keys", "list"], ["migrate"]):
        said = run(*command)
        assert (said.code, said.out) == (1, "")
        assert len(said.err.splitlines()) == 1
        assert "newer release" in said.err


@pytest.mark.parametrize(
    "url",
    ["postgresql://auth:database-password@127.0.0.1:1/auth", "postgresql://auth:database-password@nowhere.invalid/a"],
)
def test_a_database_that_is_away_is_one_line(run: Command, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AUTH_DATABASE_URL", url)
    monkeypatch.setenv("AUTH_PROFILE", "embedded")

    for command in (["migrate"], ["staff", "list"]):
        said = run(*command)
        assert (said.code, said.out) == (1, "")
        assert len(said.err.splitlines()) == 1
        assert "database-password" not in said.err


def test_a_wrong_database_name_is_one_line(run: Command, monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    monkeypatch.setenv("AUTH_DATABASE_URL", postgres_url + "-gone")

    said = run("migrate")

    assert (said.code, said.out) == (1, "")
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["unknown"],
        ["keys", "unknown"],
        ["keys", "revoke"],
        ["keys", "rotate", "--ring-version", "many"],
        ["staff", "add", "many"],
        ["serve", "--unknown"],
    ],
)
def test_wrong_use_is_exit_code_2(run: Command, arguments: list[str]) -> None:
    said = run(*arguments)

    assert said.code == 2
    assert "Traceback" not in said.err + said.out


@pytest.mark.parametrize("group", ["admin", "api-keys", "audit", "keys", "policy", "roles", "sessions", "users"])
def test_help_says_what_each_command_does_and_of_defaults_only_those_that_tell(run: Command, group: str) -> None:
    names = re.findall(r"^│ ([a-z-]+)", run(group, "--help").out, re.MULTILINE)
    silent = re.findall(r"^│ ([a-z-]+) *│$", run(group, "--help").out, re.MULTILINE)

    assert names
    assert not silent
    for name in names:
        assert not re.search(r"default: (False|\(\)|\"\"|\])", run(group, name, "--help").out)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--help"], ["serve", "migrate", "config", "keys", "users", "staff"]),
        (["keys", "--help"], ["list", "rotate", "revoke", "rewrap"]),
        (["keys", "rotate", "--help"], ["--only-if-published-ahead", "--ring-version"]),
        (["keys", "revoke", "--help"], ["KID", "--yes", "--ring-version"]),
        (["users", "create", "--help"], ["--role", "--password-stdin", "--display-name"]),
        (["staff", "--help"], ["add", "remove", "list"]),
    ],
)
def test_help_names_every_command_and_option(run: Command, arguments: list[str], named: list[str]) -> None:
    said = run(*arguments)

    assert said.code == 0
    for name in named:
        assert name in said.out


def test_an_administrator_made_here_turns_the_key_ring_over_there(run: Command, home: Path) -> None:
    run("users", "create", "root@facility.example", "--role", "admin", "--password-stdin", stdin=f"{PASSWORD}\n")
    settings, _ = settings_module.load(
        {
            "AUTH_DATA_DIR": str(home / "data"),
            "AUTH_KEY_ENCRYPTION_KEYS": KEYS[0],
            "AUTH_GRPC_ADDRESS": "127.0.0.1:0",
            "AUTH_HTTP_ADDRESS": "127.0.0.1:0",
            "AUTH_PROVIDERS": "local",
            "AUTH_DRAIN": "0s",
        }
    )

    async def rotated() -> int:
        async with app.running(settings) as where, grpc.aio.insecure_channel(str(where.grpc)) as channel:
            auth: auth_pb2_grpc.AuthServiceAsyncStub = auth_pb2_grpc.AuthServiceStub(channel)
            keys: keys_pb2_grpc.KeyServiceAsyncStub = keys_pb2_grpc.KeyServiceStub(channel)
            pair = await auth.Login(auth_pb2.LoginRequest(username="root@facility.example", password=PASSWORD))
            metadata = (("authorization", f"Bearer {pair.access_token}"),)
            answer = await keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(ring_version=1), metadata=metadata)
            return answer.ring_version

    assert asyncio.run(rotated()) == 2


async def test_health_asks_the_service_on_this_machine(
    run: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH_GRPC_ADDRESS", "127.0.0.1:0")
    monkeypatch.setenv("AUTH_HTTP_ADDRESS", "127.0.0.1:0")
    monkeypatch.setenv("AUTH_DRAIN", "0s")
    async with app.running(settings_module.load()[0]) as where:
        monkeypatch.setenv("AUTH_HTTP_ADDRESS", f"0.0.0.0:{where.http.port}")
        alive = await asyncio.to_thread(run, "health")

    gone = await asyncio.to_thread(run, "health")

    # The service in this process may say something of its own on the same stream.
    assert alive.code == 0
    assert '"ok"' in alive.out.splitlines()
    assert (gone.code, gone.out) == (1, "")
    assert gone.err.startswith(f"auth-service: http://127.0.0.1:{where.http.port}/healthz does not answer: ")


def test_the_installed_command_is_this_one(run: Command, home: Path) -> None:
    script = str(Path(sys.executable).parent / "auth-service")

    installed = subprocess.run([script, "config", "--json"], env=dict(os.environ), capture_output=True, check=True)

    assert installed.stdout.decode() == run("config", "--json").out


def test_a_server_carries_nothing_that_only_other_commands_need() -> None:
    script = (
        "import sys; from auth_service import cli; sys.argv[1:] = ['serve']\n"
        "try: cli.main()\n"
        "except SystemExit: import auth_service.storage.sqlite\n"
        "others = {'cyclopts', 'rich', 'alembic', 'sqlalchemy.orm', 'gql', 'opentelemetry', 'redis'}\n"
        "print(*sorted(others & sys.modules.keys()))"
    )
    # Settings that are refused: everything is imported, and nothing is served.
    environment = {**os.environ, "AUTH_PROFILE": "production"}

    said = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)

    assert said.stdout.split() == ["rich"]  # None in its place, so that structlog finds none.


@pytest.mark.row("D7")
def test_a_key_is_printed_alone_and_calls_for_its_service(on_both: Command) -> None:
    made = on_both("service-accounts", "create", "beamline-7", "--description", "the one with the magnet")
    said = on_both("api-keys", "create", "beamline-7", "--scope", "users:read", "--scope", "audit:read", "--days", "90")

    (account,) = rows(on_both("service-accounts", "list", "--json"))
    (key,) = rows(on_both("api-keys", "list", "beamline-7", "--json"))
    assert made.out == f"created beamline-7 ({account['id']})\n"
    assert is_of_our_form(said.out.removesuffix("\n"))
    assert said.out.startswith(key["prefix"])
    assert said.err == f"key {key['id']} of beamline-7, shown this once:\n"
    assert (key["scopes"], key["revoked"], key["from_settings"]) == (["audit:read", "users:read"], None, False)
    assert key["expires"] > key["created"]
    assert account["description"] == "the one with the magnet"
    listed = on_both("api-keys", "list")
    assert listed.out.startswith("service account  id  ")
    assert said.out.strip() not in listed.out


def test_a_key_may_be_had_as_json(run: Command) -> None:
    run("service-accounts", "create", "portal")

    made = json.loads(run("api-keys", "create", "portal", "--scope", "roles:read", "--json").out)

    assert made["secret"].startswith(made["prefix"])


@pytest.mark.parametrize("by", ["id", "prefix"])
def test_a_key_is_revoked_by_its_id_or_prefix_once_that_is_confirmed(on_both: Command, by: str) -> None:
    on_both("service-accounts", "create", "portal")
    on_both("api-keys", "create", "portal", "--scope", "roles:read")
    (key,) = rows(on_both("api-keys", "list", "--json"))

    unasked = on_both("api-keys", "revoke", key[by])
    declined = on_both("api-keys", "revoke", key[by], stdin=Terminal("n\n"))
    before = rows(on_both("api-keys", "list", "--json"))
    done = on_both("api-keys", "revoke", key[by], "--yes")

    assert (unasked.code, unasked.out) == (1, "")
    assert (declined.code, declined.out) == (1, f"Refuse the key {key['id']} of portal? [y/N] ")
    assert before == [key]
    assert done.out == f"revoked {key['id']} of portal\n"
    assert rows(on_both("api-keys", "list", "--json"))[0]["revoked"] is not None


def test_a_service_account_is_deleted_once_that_is_confirmed(on_both: Command) -> None:
    on_both("service-accounts", "create", "portal")
    on_both("api-keys", "create", "portal", "--scope", "roles:read")

    unasked = on_both("service-accounts", "delete", "portal")
    before = rows(on_both("service-accounts", "list", "--json"))
    done = on_both("service-accounts", "delete", "portal", "--yes")

    assert (unasked.code, unasked.out) == (1, "")
    assert done.out == f"deleted portal ({before[0]['id']})\n"
    assert rows(on_both("service-accounts", "list", "--json")) == rows(on_both("api-keys", "list", "--json")) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("service-accounts", "create", "Portal"), "name: expected a letter and up to 63 of a-z 0-9 . _ -"),
        (("service-accounts", "create", "portal"), "name: 'portal' is taken"),
        (("service-accounts", "delete", "nobody", "--yes"), "name: there is no such service account"),
        (("api-keys", "create", "nobody", "--scope", "audit:read"), "name: there is no such service account"),
        (("api-keys", "create", "portal", "--scope", "everything"), "scopes: expected some of audit:read, "),
        (("api-keys", "create", "portal", "--scope", "audit:read", "--days", "-1"), "expires_at: expected a moment"),
        (("api-keys", "create", "portal", "--scope", "audit:read", "--days", "9" * 20), "--days: expected fewer"),
        (("api-keys", "revoke", "ak_nobodys", "--yes"), "ak_nobodys: expected the id or the prefix of a key"),
        (("api-keys", "revoke", "", "--yes"), ": expected the id or the prefix of a key"),
    ],
)
def test_what_cannot_be_done_for_a_service_is_one_line(run: Command, arguments: tuple[str, ...], said: str) -> None:
    run("service-accounts", "create", "portal")

    refused = run(*arguments)

    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(f"auth-service: {said}")
    assert refused.err.count("\n") == 1
