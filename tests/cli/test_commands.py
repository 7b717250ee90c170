"""The command line as a whole: what it prints, what it refuses and with which exit code."""

import asyncio
import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from auth_api.v1 import auth_pb2, auth_pb2_grpc, keys_pb2, keys_pb2_grpc

from auth_service import app
from auth_service import settings as settings_module
from tests.cli.ring import begin
from tests.support.command_line import KEYS, PASSWORD, Command
from tests.support.ports import port_of, reserve_port

GROUPS = [
    "admin",
    "api-keys",
    "audit",
    "keys",
    "maintenance",
    "policy",
    "roles",
    "service-accounts",
    "sessions",
    "staff",
    "users",
]


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


def test_serve_on_a_database_that_others_may_read_is_refused(
    run: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its usual port may be taken here.
    monkeypatch.setenv("AUTH_DEMO_FACILITY", "false")
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


@pytest.mark.parametrize("group", GROUPS)
def test_help_says_what_each_command_does_and_of_defaults_only_those_that_tell(run: Command, group: str) -> None:
    names = re.findall(r"^│ ([a-z-]+)", run(group, "--help").out, re.MULTILINE)
    silent = re.findall(r"^│ ([a-z-]+) *│$", run(group, "--help").out, re.MULTILINE)

    assert names
    assert not silent
    for name in names:
        assert not re.search(r"default: (False|\(\)|\"\"|\])", run(group, name, "--help").out)


@pytest.mark.parametrize("group", GROUPS)
def test_help_says_what_each_argument_and_option_is(run: Command, group: str) -> None:
    names = re.findall(r"^│ ([a-z-]+)", run(group, "--help").out, re.MULTILINE)

    told = {name: run(group, name, "--help", columns=300).out for name in names}

    silent = re.compile(r"^│ [* ] +(?:[A-Z-]+ )?(--[a-z-]+)(?: [A-Z.]+)? *(?:\[[^]]*\] *)*│$", re.MULTILINE)
    assert {name: found for name, text in told.items() if (found := silent.findall(text))} == {}


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
