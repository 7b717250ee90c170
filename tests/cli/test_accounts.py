"""`auth-service users create` and `staff`: accounts of our own, and who is staff whatever the facility says."""

import pytest

from tests.support.command_line import PASSWORD, Command, rows


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
