"""Names, passwords, numbers and roles as people type them."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_service.domain.errors import InvalidInput
from auth_service.domain.passwords import normalised_password
from auth_service.domain.people import (
    GREATEST_USER_NUMBER,
    normalised_username,
    valid_user_number,
)
from auth_service.domain.roles import valid_role

A_MEGABYTE_OF_MARKS = "a" + "\u0300\u0316" * 250_000
"""Putting these in order takes minutes."""


@pytest.mark.parametrize("normalised", [normalised_username, normalised_password])
def test_composed_and_decomposed_spellings_are_one(normalised: Callable[[str], str]) -> None:
    assert normalised("Zoe\u0308") == normalised("Zo\u00eb") == "Zo\u00eb"
    assert normalised("ada") != normalised("Ada")


@pytest.mark.parametrize("name", ["a", "ada@example.org", " ada ", "a" * 255, "e\u0301" * 255, "ユーザー", "👩‍🔬"])
def test_these_are_names(name: str) -> None:
    assert normalised_username(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "name", ["", " ", "\t", "a" * 256, "a\0", "a\nb", "a\x7f", "a\x9b", "\ud800", A_MEGABYTE_OF_MARKS, "a" * 2_000_000]
)
def test_these_are_no_names(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^username: expected"):
        normalised_username(name)


@pytest.mark.parametrize("password", [" ", "a" * 1024, "tab\tand\nline", "e\u0301" * 1024, "пароль", "\u200b"])
def test_these_are_passwords(password: str) -> None:
    assert normalised_password(password) == unicodedata.normalize("NFC", password)


@pytest.mark.parametrize("password", ["", "a" * 1025, "pw\0", "\0", "pw\udfff", A_MEGABYTE_OF_MARKS])
def test_these_are_no_passwords_and_are_not_repeated(password: str) -> None:
    with pytest.raises(InvalidInput, match=r"^password: expected") as refused:
        normalised_password(password)

    assert len(str(refused.value)) < 60


@given(st.text(max_size=300))
def test_any_text_is_taken_or_refused_cleanly_and_what_was_taken_is_taken_again(text: str) -> None:
    for normalised in (normalised_username, normalised_password):
        try:
            once = normalised(text)
        except InvalidInput:
            continue
        assert normalised(once) == once
        once.encode()


def test_user_numbers_are_positive_and_exact_in_json() -> None:
    assert [valid_user_number(number) for number in (1, GREATEST_USER_NUMBER)] == [1, 2**53 - 1]
    for number in (0, -1, GREATEST_USER_NUMBER + 1):
        with pytest.raises(InvalidInput):
            valid_user_number(number)


@pytest.mark.parametrize("role", ["", "Admin", "a,b", "a b", "a\n", "1a", "a" * 65, "admın"])
def test_these_are_no_roles(role: str) -> None:
    with pytest.raises(InvalidInput):
        valid_role(role)


def test_roles_are_words() -> None:
    assert [valid_role(role) for role in ("admin", "beam.operator-2", "urn:x_y")]
