"""Which names are one name, and which may be given to somebody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_service.domain.emails import email_key
from auth_service.domain.errors import InvalidInput
from auth_service.domain.names import RESERVED, check_not_reserved, name_key, new_display_name, new_username
from auth_service.domain.people import LONGEST_USERNAME

ALIKE = [
    "scope",
    "SCOPE",
    "ｓｃｏｐｅ",  # full width
    "𝓼𝓬𝓸𝓹𝓮",  # mathematical script
    "ⓢⓒⓞⓟⓔ",
    "ѕсоре",  # Cyrillic
    "ЅСОРЕ",
    "ѕcoре",  # Cyrillic and Latin
    "scορε",  # Greek and Latin
    "sco\u200bpe",  # zero-width space
    "sco\u200dpe",
    "sco\ufe0fpe",
    "sco\u00adpe",  # soft hyphen
    "\u202escope",  # right-to-left override
    "\u2066scope\u2069",
    "scope\u3164",  # Hangul filler
    " scope ",
]


@pytest.mark.row("S50", "S58")
def test_names_that_look_alike_are_one_name() -> None:
    assert {name_key(name) for name in ALIKE} == {"scope"}


@pytest.mark.row("S59")
@pytest.mark.parametrize("name", ["\u200b", "\u3164 \u2060", "Ada\u202e", "\u2066Ada\u2069", "a" * 256, "Ada\n"])
def test_what_nobody_sees_or_what_turns_the_text_around_is_no_display_name(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        new_display_name(name)

    assert [each.field for each in caught.value.violations] == ["display_name"]


@pytest.mark.parametrize("name", ["Ada Lovelace", "👩\u200d🔬 Ada", "زن\u200cها", "\u200fעדה", "山田", "O'Neill (2)"])
def test_people_are_shown_as_their_alphabet_writes_them(name: str) -> None:
    assert new_display_name(name) == name


@pytest.mark.row("S58")
@pytest.mark.parametrize(
    ("one", "other"),
    [("ada", "ádá"), ("ian", "lan"), ("user1", "userl"), ("вова", "юра"), ("νίκος", "γιώργος"), ("山田", "山本")],
)
def test_names_that_people_tell_apart_are_two(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


@pytest.mark.row("S58")
def test_composed_and_decomposed_marks_are_one_on_letters_of_any_alphabet() -> None:
    assert name_key("Zoe\u0308") == name_key("zo\u00eb")
    assert name_key("\u04d1") == name_key("\u0103")  # a with breve, Cyrillic and Latin


def test_an_address_is_not_taken_for_one_in_another_alphabet() -> None:
    assert email_key("Ada@Example.org") == email_key("ada@example.org")
    assert email_key("сора@example.org") != email_key("copa@example.org")


@pytest.mark.row("S58", "E3")
@pytest.mark.parametrize(
    "name",
    [
        "ada", "Ada Lovelace", "ada@example.org", "a" * LONGEST_USERNAME, "Zoë", "Вова", "Νίκος",
        "山田 Taro", "タロウ山田",
        "김철수", "محمد",
        "user-1001", "o'hara", "👩",
    ],
)  # fmt: skip
def test_these_names_may_be_given(name: str) -> None:
    assert new_username(name) == name


@pytest.mark.row("S50", "S58")
@pytest.mark.parametrize(
    "name",
    [
        "", " ", "\u200b", "\u3164", "a" * 256, "a\u0300" * 2_000_000, "ada\0", "a\nb", "a\u2028b", "\ud800", "\ue000",
        "\u0378", " ada", "ada ", "a  b", "sco\u200bpe", "\u202escope", "scope\u3164", "ѕcope", "scορε", "Νick",
        "паypal",
    ],
)  # fmt: skip
def test_these_names_are_given_to_nobody(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^username: expected"):
        new_username(name)


@pytest.mark.row("E8")
@pytest.mark.parametrize("name", ["admin", "ADMIN", "root", "Support", "ａｄｍｉｎ", "ѕуѕтем", "no-reply"])
def test_names_that_speak_for_the_service_are_reserved_however_they_are_spelt(name: str) -> None:
    with pytest.raises(InvalidInput, match="reserved"):
        check_not_reserved(name)

    check_not_reserved("ada")


def test_reserved_names_are_spelt_as_they_are_compared() -> None:
    assert all(name == name.lower() for name in RESERVED)


@given(st.text(max_size=300))
def test_any_text_has_a_key_and_its_key_is_its_own(text: str) -> None:
    assert name_key(name_key(text)) == name_key(text)


@given(st.text(max_size=300))
def test_what_was_given_is_given_again(text: str) -> None:
    try:
        name = new_username(text)
    except InvalidInput:
        return
    assert new_username(name) == name
    assert name_key(name)
    name.encode()
