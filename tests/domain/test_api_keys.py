"""What API keys look like, and what may be asked of them."""

import re

import pytest

from auth_service.domain import api_keys


def test_a_key_is_of_its_form_and_another_each_time() -> None:
    keys = {api_keys.new_secret() for _ in range(1000)}

    assert len(keys) == 1000
    for key in keys:
        # 43 of 62 letters are 256 bits.
        assert re.fullmatch(r"ak_[0-9A-Za-z]{8}_[0-9A-Za-z]{43}[0-9A-Za-z]{6}", key)
        assert api_keys.is_of_our_form(key)
        assert api_keys.prefix_of(key) == key[:11]


def test_any_letter_changed_shows_in_the_checksum() -> None:
    key = api_keys.new_secret()

    for at in range(len(key)):
        other = key[:at] + ("A" if key[at] != "A" else "B") + key[at + 1 :]
        assert not api_keys.is_of_our_form(other)


def test_the_form_is_the_same_in_every_release() -> None:
    assert api_keys.is_of_our_form("ak_Mke0PWFd_oUUeBr33KTlOTIt69eESy6xn5dR8vbAFoflv08lqhKy0YKrNW")


@pytest.mark.parametrize(
    "secret", ["", "ak_", "the-portal-key-of-the-settings", "ak_\0", "ak_" + "A" * 60, "\ud800", "ak_é"]
)
def test_of_a_key_that_we_did_not_make_nothing_is_shown(secret: str) -> None:
    assert not api_keys.is_of_our_form(secret)
    assert api_keys.prefix_of(secret) == ""
    assert len(api_keys.digest_of(secret)) == 32
