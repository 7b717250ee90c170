"""`auth-service service-accounts` and `api-keys`: a key is printed once, and calls for its service."""

import json

import pytest

from auth_service.domain.api_keys import is_of_our_form
from tests.support.command_line import Command, Terminal, rows


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
