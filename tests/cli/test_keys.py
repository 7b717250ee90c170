"""`auth-service keys`: the ring listed and changed, and what an operator is told before and after."""

import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from auth_service.domain.consumers import Consumer, ConsumerKind, Sighting
from tests.cli.ring import begin, note
from tests.support.command_line import KEYS, Command, Terminal, rows


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

    note(seen)


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
