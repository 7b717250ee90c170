"""Which passwords may be chosen, before anybody estimates how hard they are to guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_service.domain.errors import InvalidInput
from auth_service.domain.passwords import LONGEST_JUDGED, context_words, judged_part, new_password


@pytest.mark.row("S56", "S57")
@pytest.mark.parametrize("password", ["a" * 15, "a" * 64, "a" * 1024, " " * 15, "пароль и пароль", "🔑" * 15])
def test_length_alone_is_asked_of_the_characters(password: str) -> None:
    assert new_password(password, field="password", shortest=15) == password


@pytest.mark.row("S56", "S57")
@pytest.mark.parametrize("password", ["a" * 14, "a" * 1025, "a" * 15 + "\0", "e\u0301" * 14, ""])
def test_what_is_too_short_too_long_or_holds_nul_is_refused_by_the_name_of_its_field(password: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        new_password(password, field="new_password", shortest=15)

    assert {each.field for each in refused.value.violations} == {"new_password"}


@pytest.mark.row("S57")
def test_a_password_is_one_however_the_keyboard_composes_it() -> None:
    assert new_password("e\u0301" * 15, field="password", shortest=15) == "\u00e9" * 15


def test_the_words_around_a_person_are_taken_whole_and_in_parts() -> None:
    words = context_words(["Ada.Lovelace@Example.ORG", "Zo\u00eb O'Hara"])

    assert {"ada.lovelace@example.org", "ada", "lovelace", "example", "org", "zo\u00eb", "hara"} <= set(words)
    assert "o" not in words


@given(st.text(max_size=200))
def test_what_is_judged_is_the_beginning_and_nothing_else(password: str) -> None:
    part = judged_part(password)

    assert password.startswith(part)
    assert len(part) <= LONGEST_JUDGED
    assert len(part) >= min(10, len(password))
