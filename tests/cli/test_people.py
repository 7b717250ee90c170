"""The command line about people: the first administrator, accounts, roles, the staff list, sessions."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import bcrypt
import grpc
import pytest
from auth_api.v1 import auth_pb2, auth_pb2_grpc

from auth_service import app
from auth_service import settings as settings_module
from tests.support.command_line import KEYS, PASSWORD, Command, Said, Terminal, rows
from tests.support.conditions import eventually
from tests.support.ports import free_port
from tests.support.service import Refusal


def created(run: Command, username: str = "ada", *options: str) -> dict[str, Any]:
    """The new account, as JSON shows it."""
    return fields(run("users", "create", username, "--password-stdin", *options, "--json", stdin=f"{PASSWORD}\n"))


def fields(said: Said) -> dict[str, Any]:
    assert (said.code, said.err) == (0, "")
    found: dict[str, Any] = json.loads(said.out)
    return found


def shown(run: Command, user: str) -> dict[str, Any]:
    return fields(run("users", "show", user, "--json"))


@pytest.mark.row("B12")
def test_the_first_administrator_gets_a_password_that_has_to_be_changed(on_both: Command) -> None:
    assert on_both("users", "list").out == "none\n"

    said, again = on_both("admin", "bootstrap"), on_both("admin", "bootstrap", "--username", "another")

    assert said.code == 0
    assert re.search(r"one-time password  ([a-z2-9]{5}-){4}[a-z2-9]{5}\n", said.out)
    account = shown(on_both, "admin")
    assert (account["roles"], account["level"], account["must_change_password"]) == (["user", "admin"], 0, True)
    assert (again.code, again.out) == (1, "")
    assert again.err.startswith("auth-service: there is an administrator already")
    assert [each["username"] for each in rows(on_both("users", "list", "--json"))] == ["admin"]


def test_an_administrator_who_cannot_sign_in_is_none(run: Command) -> None:
    run("users", "create", "root", "--no-password", "--role", "admin")

    said = run("admin", "bootstrap", "--json")

    assert len(fields(said)["password"]) == 29
    assert run("users", "disable", "admin").err == (
        "auth-service: expected somebody else who may administer; this is the last one\n"
    )


@pytest.mark.row("B12")
def test_nobody_is_made_an_administrator_who_could_not_sign_in(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_PROVIDERS", "uows")

    said = run("admin", "bootstrap")

    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("auth-service: AUTH_PROVIDERS: expected local among them")
    assert len(said.err.splitlines()) == 1
    assert run("users", "list").out == "none\n"


@pytest.mark.row("D7")
def test_an_account_is_created_with_everything_that_it_can_have(on_both: Command) -> None:
    assert on_both("roles", "create", "beamline", "--level", "300", "--description", "Runs it").code == 0

    made = created(
        on_both,
        "Zoë",
        *("--display-name", "Zoë Z", "--email", "Zoe@Example.org", "--email-verified", "--user-number", "17"),
        *("--role", "beamline", "--role", "admin", "--must-change-password"),
    )

    assert made == shown(on_both, "zoë") == shown(on_both, made["id"])
    assert {name: made[name] for name in ("username", "display_name", "email", "email_verified", "user_number")} == {
        "username": "Zoë",
        "display_name": "Zoë Z",
        "email": "Zoe@example.org",
        "email_verified": True,
        "user_number": 17,
    }
    assert (made["roles"], made["level"], made["must_change_password"]) == (["user", "admin", "beamline"], 0, True)
    assert "user number           17\n" in on_both("users", "show", "zoë").out


@pytest.mark.row("B11")
def test_a_hash_from_elsewhere_is_imported_and_no_password_is_one(run: Command) -> None:
    imported = bcrypt.hashpw(b"whatever", bcrypt.gensalt(4)).decode()

    by_hash = run("users", "create", "ada", "--password-hash-stdin", stdin=f"{imported}\n")
    without = run("users", "create", "grace", "--no-password")
    malformed = run("users", "create", "joan", "--password-hash-stdin", stdin="$2b$nonsense\n")
    both = run("users", "create", "joan", "--password-hash-stdin", "--no-password")

    assert (by_hash.code, without.code, malformed.code, both.code) == (0, 0, 1, 1)
    assert malformed.err.startswith("auth-service: password_hash: expected ")
    assert "nonsense" not in malformed.err
    assert "expected one of" in both.err
    assert {each["username"] for each in rows(run("users", "list", "--json"))} == {"ada", "grace"}


@pytest.mark.row("D7", "E6", "E7")
def test_a_life_from_created_to_purged(on_both: Command) -> None:
    user = created(on_both, "ada", "--email", "ada@example.org")
    created(on_both, "grace", "--role", "admin")

    told = [
        on_both("users", "disable", "ada", "--reason", "left"),
        on_both("users", "enable", "ADA"),
        on_both("users", "set-password", user["id"], "--password-stdin", stdin="nine walnuts under a chair\n"),
        on_both("users", "delete", "ada", "--yes"),
        on_both("users", "delete", "ada", "--yes"),
        on_both("users", "create", "ada", "--no-password"),
        on_both("users", "purge", "ada", "--yes"),
        on_both("users", "show", "ada"),
    ]

    assert [(said.code, (said.out or said.err).strip()) for said in told] == [
        (0, "ada is disabled"),
        (0, "ada may sign in"),
        (0, "ada has a new password; sessions ended: 0"),
        (0, "ada is deleted"),
        (1, "auth-service: user_id: expected an account that is not deleted"),
        (1, "auth-service: username: 'ada' is taken"),
        (0, f"{user['id']} is purged"),
        (1, "auth-service: user: there is no account 'ada'"),
    ]
    assert created(on_both, "ada")["id"] != user["id"]


def test_accounts_are_a_table_that_filters_make_shorter(run: Command) -> None:
    for name in ("ada", "adam", "grace"):
        created(run, name, "--email", f"{name}@example.org")
    run("roles", "create", "beamline", "--level", "300")
    run("roles", "grant", "grace", "beamline")
    run("users", "disable", "adam")
    run("users", "delete", "ada", "--yes")

    def names(*options: str) -> list[str]:
        return [each["username"] for each in rows(run("users", "list", *options, "--json"))]

    header, *lines = run("users", "list").out.splitlines()
    limited = run("users", "list", "--limit", "1")
    assert header.split("  ")[0] == "id"
    assert len(lines) == 2
    assert (len(limited.out.splitlines()), limited.err) == (2, "there are more than 1: see --limit\n")
    assert names() == ["adam", "grace"]
    assert names("--username-prefix", "AD") == ["adam"]
    assert names("--email-prefix", "grace@") == ["grace"]
    assert names("--role", "beamline") == ["grace"]
    assert names("--state", "deleted") == ["ada"]
    assert names("--state", "disabled") == ["adam"]
    assert run("users", "list", "--state", "gone").code == 2


@pytest.mark.row("E10")
def test_roles_are_made_granted_taken_away_and_deleted(on_both: Command) -> None:
    user = created(on_both)

    told = [
        on_both("roles", "create", "beamline", "--level", "300"),
        on_both("roles", "create", "other", "--level", "300"),
        on_both("roles", "grant", "ada", "beamline"),
        on_both("roles", "delete", "beamline", "--yes"),
        on_both("roles", "revoke", user["id"], "beamline"),
        on_both("roles", "delete", "beamline", "--yes"),
        on_both("roles", "delete", "staff", "--yes"),
        on_both("roles", "grant", "ada", "unheard-of"),
        on_both("roles", "grant", "ada", "admin"),
        on_both("roles", "revoke", "ada", "admin"),
    ]

    assert [(said.code, (said.out or said.err).strip()) for said in told] == [
        (0, "created beamline, level 300"),
        (1, "auth-service: level: 300 is another role's already"),
        (0, "ada has user, beamline"),
        (1, "auth-service: name: expected a role that nobody has; take 'beamline' away first"),
        (0, "ada has user"),
        (0, "beamline is deleted"),
        (1, "auth-service: name: 'staff' is built in and stays as it is"),
        (1, "auth-service: role: there is no role 'unheard-of'"),
        (0, "ada has user, admin"),
        (1, "auth-service: expected somebody else who may administer; this is the last one"),
    ]
    assert on_both("roles", "revoke", "ada", "unheard-of", "--end-sessions").code == 1
    assert on_both("roles", "create", "late", "--level", "300").code == 0
    said = on_both("roles", "revoke", "ada", "late", "--end-sessions")
    assert said.out == "ada has user, admin\nsessions ended: 0\n"
    assert on_both("roles", "delete", "late", "--yes").code == 0
    assert [each["name"] for each in rows(on_both("roles", "list", "--json"))] == ["admin", "staff", "user"]
    (holder,) = rows(on_both("roles", "users", "admin", "--json"))
    assert (holder["id"], holder["username"], holder["state"]) == (user["id"], "ada", "active")


@pytest.mark.row("D7")
def test_an_operator_changes_what_is_said_of_a_person_and_nothing_else(on_both: Command) -> None:
    before = created(on_both, "ada", "--email", "ada@example.org", "--user-number", "17")

    renamed = fields(on_both("users", "update", "ada", "--username", "support", "--email-verified", "--json"))
    said = on_both("users", "update", before["id"], "--email", "", "--no-user-number", "--must-change-password")

    assert renamed == before | {"username": "support", "email_verified": True}
    assert said.out == "support is changed\n"
    changed = {"username": "support", "email": None, "user_number": None, "must_change_password": True}
    assert shown(on_both, "support") == before | changed
    assert [each["type"] for each in rows(on_both("audit", "list", "--on", "support", "--json"))] == [
        "person.updated",
        "person.updated",
        "person.created",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("users", "update", "ada"), "expected something to change: see --help"),
        (("roles", "update", "beamline"), "expected something to change: see --help"),
        (("users", "update", "ada", "--user-number", "7", "--no-user-number"), "expected one of --user-number and "),
        (("users", "update", "ada", "--email", "nobody"), "email: expected a mail address"),
        (("users", "update", "ada", "--username", "grace"), "username: 'grace' is taken"),
        (("roles", "update", "beamline", "--level", "500"), "level: 500 is another role's already"),
        (("roles", "update", "staff", "--level", "7"), "name: 'staff' is built in and stays as it is"),
    ],
)
def test_a_change_that_cannot_be_is_one_line_and_changes_nothing(
    run: Command, arguments: tuple[str, ...], said: str
) -> None:
    before = created(run)
    created(run, "grace")
    run("roles", "create", "beamline", "--level", "300")

    refused = run(*arguments)

    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(f"auth-service: {said}")
    assert shown(run, "ada") == before
    assert [each["level"] for each in rows(run("roles", "list", "--json"))] == [0, 300, 500, 1000]


def test_a_role_is_changed_as_far_as_it_is_said(on_both: Command) -> None:
    on_both("roles", "create", "beamline", "--level", "300", "--description", "Runs it")

    said = on_both("roles", "update", "beamline", "--level", "40")
    told = fields(on_both("roles", "update", "beamline", "--description", "Runs\nit all", "--json"))

    assert said.out == "beamline is changed, level 40\n"
    assert (told["level"], told["description"]) == (40, "Runs\nit all")
    assert [line.split()[0] for line in on_both("roles", "list").out.splitlines()] == [
        *("name", "admin", "beamline", "staff", "user")
    ]


def test_whatever_is_done_is_told_to_a_script_as_json(run: Command) -> None:
    ada = created(run)["id"]

    def done(*arguments: str, stdin: str = "") -> dict[str, Any]:
        return fields(run(*arguments, "--json", stdin=stdin))

    assert done("roles", "create", "beamline", "--level", "300")["level"] == 300
    assert done("roles", "grant", "ada", "beamline") == {"id": ada, "username": "ada", "roles": ["user", "beamline"]}
    without = {"id": ada, "username": "ada", "roles": ["user"]}
    assert done("roles", "revoke", "ada", "beamline") == without
    assert done("roles", "revoke", "ada", "beamline", "--end-sessions") == without | {"sessions_ended": 0}
    assert done("roles", "delete", "beamline", "--yes") == {"name": "beamline"}
    assert done("staff", "add", "7") == {"user_number": 7, "was_listed": False}
    assert done("staff", "remove", "7", "--yes") == {"user_number": 7, "was_listed": True}
    assert done("sessions", "end", "ada", "--yes") == {"id": ada, "sessions_ended": 0}
    password = "nine walnuts under a chair\n"
    assert done("users", "set-password", "ada", "--password-stdin", stdin=password) == {"id": ada, "sessions_ended": 0}
    account = done("service-accounts", "create", "portal")
    key = done("api-keys", "create", "portal", "--scope", "roles:read")
    assert done("api-keys", "revoke", key["id"], "--yes")["revoked"] is not None
    assert done("service-accounts", "delete", "portal", "--yes") == {"name": "portal", "id": account["id"]}
    assert done("users", "delete", "ada", "--yes")["state"] == "deleted"
    assert done("users", "purge", "ada", "--yes") == {"id": ada}


def test_the_staff_list_is_kept_and_its_changes_are_told(on_both: Command) -> None:
    told = [on_both("staff", *arguments).out for arguments in (("add", "7"), ("add", "7"), ("remove", "7", "--yes"))]

    assert told == ["7 is staff\n", "7 is staff already\n", "7 is no longer on the staff list\n"]
    assert on_both("staff", "add", "0").err.startswith("auth-service: user_number: expected 1 to ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "delete", "ada"),
        ("users", "purge", "ada"),
        ("roles", "delete", "beamline"),
        ("sessions", "end", "ada"),
        ("staff", "remove", "7"),
    ],
)
def test_what_cannot_be_undone_is_asked_first(run: Command, arguments: tuple[str, ...]) -> None:
    created(run)
    run("roles", "create", "beamline", "--level", "300")
    before = rows(run("users", "list", "--json")), rows(run("roles", "list", "--json"))

    nobody, no = run(*arguments), run(*arguments, stdin=Terminal("n\n"))

    assert (nobody.code, nobody.err) == (1, "auth-service: this needs --yes when nobody can be asked\n")
    assert (no.code, no.err) == (1, "auth-service: nothing was changed\n")
    assert (rows(run("users", "list", "--json")), rows(run("roles", "list", "--json"))) == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["users", "show"], 2),
        (["users", "show", "nobody"], 1),
        (["users", "show", "a\0"], 1),
        (["users", "disable", "nobody"], 1),
        (["roles", "create", "x"], 2),
        (["roles", "create", "X", "--level", "7"], 1),
        (["roles", "create", "x", "--level", "1001"], 1),
        (["roles", "create", "x", "--level", "seven"], 2),
        (["roles", "users", "unheard-of"], 1),
        (["sessions", "list", "nobody"], 1),
        (["sessions", "end", "nobody", "--yes"], 1),
        (["admin", "bootstrap", "--username", ""], 1),
    ],
)
def test_a_refusal_is_one_line(run: Command, arguments: list[str], code: int) -> None:
    said = run(*arguments)

    assert said.code == code
    assert "Traceback" not in said.err + said.out
    if code == 1:
        assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--help"], ["admin", "users", "roles", "staff", "sessions"]),
        (["admin", "bootstrap", "--help"], ["--username", "--json"]),
        (
            ["users", "--help"],
            ["create", "list", "show", "update", "set-password", "disable", "enable", "delete", "purge"],
        ),
        (["users", "create", "--help"], ["--email", "--user-number", "--password-hash-stdin", "--no-password"]),
        (["users", "list", "--help"], ["--username-prefix", "--email-prefix", "--role", "--state", "--limit"]),
        (["users", "update", "--help"], ["--username", "--email-verified", "--no-user-number"]),
        (["roles", "--help"], ["create", "list", "update", "delete", "grant", "revoke", "users"]),
        (["sessions", "--help"], ["list", "end"]),
        (["sessions", "end", "--help"], ["--session", "--yes"]),
    ],
)
def test_help_names_what_there_is(run: Command, arguments: list[str], named: list[str]) -> None:
    said = run(*arguments)

    assert said.code == 0
    for name in named:
        assert name in said.out


def test_a_running_service_refuses_at_once_what_was_ended_here(run: Command, home: Path) -> None:
    created(run)
    variables = {
        "AUTH_DATA_DIR": str(home / "data"),
        "AUTH_KEY_ENCRYPTION_KEYS": KEYS[0],
        "AUTH_GRPC_ADDRESS": "127.0.0.1:0",
        "AUTH_HTTP_ADDRESS": "127.0.0.1:0",
        "AUTH_PROVIDERS": "local",
        "AUTH_POLL_EVERY": "50ms",
        "AUTH_DRAIN": "0s",
    }
    settings, _ = settings_module.load(variables)

    async def ended() -> tuple[list[dict[str, Any]], Said, list[dict[str, Any]], str]:
        async with app.running(settings) as where, grpc.aio.insecure_channel(str(where.grpc)) as channel:
            stub: auth_pb2_grpc.AuthServiceAsyncStub = auth_pb2_grpc.AuthServiceStub(channel)
            pair = await stub.Login(auth_pb2.LoginRequest(username="ada", password=PASSWORD))
            before = rows(await asyncio.to_thread(run, "sessions", "list", "ada", "--json"))
            said = await asyncio.to_thread(run, "sessions", "end", "ada", "--yes")
            after = rows(await asyncio.to_thread(run, "sessions", "list", "ada", "--json"))
            reasons: list[str] = []

            async def is_refused() -> bool:
                try:
                    await stub.Verify(auth_pb2.VerifyRequest(token=pair.access_token))
                except grpc.aio.AioRpcError as error:
                    reasons.append(Refusal.of(error).reason)
                return bool(reasons)

            await eventually(is_refused)
            return before, said, after, reasons[0]

    before, said, after, reason = asyncio.run(ended())

    assert len(before) == 1
    assert before[0]["address"].startswith("127.0.0.1")
    assert said.out == "sessions ended: 1\n"
    assert (after, reason) == ([], "TOKEN_REVOKED")


def test_no_option_says_no_twice(run: Command) -> None:
    said = run("users", "create", "--help").out

    assert "--no-password" in said
    assert not re.findall(r"--no-no-\S*|--no-email\S*|--empty\S*", said)


@pytest.mark.row("E2")
def test_where_the_server_of_limits_is_away_a_person_is_let_in_again_and_the_operator_told(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    created(run)
    monkeypatch.setenv("AUTH_LIMITS_URL", f"valkey://:a-password@127.0.0.1:{free_port()}")

    said = run("users", "unlock", "ada")

    assert (said.code, said.out) == (0, "ada may sign in\n")
    assert "do it again when the server is back" in said.err
    assert "a-password" not in said.err
