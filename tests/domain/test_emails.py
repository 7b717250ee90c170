"""Mail addresses as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_service.domain.emails import email_key, valid_email
from auth_service.domain.errors import InvalidInput


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.org",
        "Ada.Lovelace+beam@facility.example",
        "o'brien@example.org",
        "ada@mail.local",
        "ада@пример.рф",
        "a" * 64 + "@example.org",
        "a@" + ".".join(["b" * 61] * 3) + ".example.org",
    ],
)
def test_these_are_addresses(address: str) -> None:
    assert valid_email(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "ada",
        "@example.org",
        "ada@",
        "ada@example",
        "ada@localhost",
        "ada@@example.org",
        "ada@example..org",
        ".ada@example.org",
        "ada lovelace@example.org",
        '"ada lovelace"@example.org',
        "Ada <ada@example.org>",
        "ada@[127.0.0.1]",
        "ada@example.org,eve@example.org",
        "ada@example.org\n",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada\0@example.org",
        "ada\u200b@example.org",
        "ada\u202e@example.org",
        "ada@exa\u00admple.org\ud800",
        "a" * 243 + "@example.org",
        "a" * 65 + "@" + "b" * 63 + ".example." + "c" * 120,
        "a" * 400 + "@example.org",
        "a" + "\u0300\u0316" * 250_000 + "@example.org",
    ],
)
@pytest.mark.row("B6")
def test_these_are_no_addresses_and_are_not_repeated(address: str) -> None:
    with pytest.raises(InvalidInput, match=r"^email: expected") as refused:
        valid_email(address)

    assert len(str(refused.value)) < 100


def test_one_address_has_one_key_however_it_is_spelt() -> None:
    spellings = ["Ada@Example.ORG", "ada@example.org", "ADA@EXAMPLE.ORG", "\uff41da@\uff45xample.org"]

    assert {email_key(valid_email(each)) for each in spellings} == {"ada@example.org"}
    assert valid_email("ada@xn--e1afmkfd.xn--p1ai") == valid_email("ada@ПРИМЕР.рф") == "ada@пример.рф"
    assert valid_email("Zoe\u0308@example.org") == "Zo\u00eb@example.org"
    assert email_key("ada@example.org") != email_key("ada+beam@example.org")


@given(st.text(max_size=300) | st.emails())
def test_any_text_is_taken_or_refused_cleanly_and_what_was_taken_is_taken_again(text: str) -> None:
    try:
        once = valid_email(text)
    except InvalidInput:
        return

    assert valid_email(once) == once
    assert email_key(email_key(once)) == email_key(once)
    once.encode()
