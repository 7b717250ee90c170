"""Sealing: nothing opens that was altered, moved, or sealed by a stranger."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth_service.domain.sealing import KeyEncryptionKey, KeyEncryptionKeys, SealBroken

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
KEYS = KeyEncryptionKeys([NEW, OLD])


@given(st.binary(max_size=200), st.text(max_size=20), st.text(max_size=20))
def test_what_was_sealed_opens_to_the_same(plain: bytes, kid: str, purpose: str) -> None:
    kid, purpose = kid.encode(errors="replace").decode(), purpose.encode(errors="replace").decode()
    sealed = KEYS.seal(plain, kid=kid, purpose=purpose)

    assert KEYS.open(sealed, kid=kid, purpose=purpose) == plain
    assert KEYS.is_sealed_by_first(sealed)


def test_the_same_value_never_seals_to_the_same_bytes() -> None:
    assert len({KEYS.seal(b"secret", kid="1", purpose="p") for _ in range(100)}) == 100


def test_a_sealed_value_belongs_to_its_kid_and_its_purpose() -> None:
    sealed = KEYS.seal(b"secret", kid="1", purpose="signing key")

    for kid, purpose in (("2", "signing key"), ("1", "totp"), ("", "signing key\x001"), ("1", "")):
        with pytest.raises(SealBroken):
            KEYS.open(sealed, kid=kid, purpose=purpose)


@settings(deadline=None)
@given(st.data())
def test_an_altered_or_cut_value_does_not_open(data: st.DataObject) -> None:
    sealed = KEYS.seal(b"secret", kid="1", purpose="p")
    at = data.draw(st.integers(0, len(sealed) - 1))
    bit = data.draw(st.integers(0, 7))
    altered = sealed[:at] + bytes([sealed[at] ^ 1 << bit]) + sealed[at + 1 :]

    for wrong in (altered, sealed[:at], sealed + b"\0", b""):
        with pytest.raises(SealBroken) as broken:
            KEYS.open(wrong, kid="1", purpose="p")
        assert "secret" not in str(broken.value)


def test_the_first_key_seals_and_every_key_opens() -> None:
    by_old = KeyEncryptionKeys([OLD]).seal(b"secret", kid="1", purpose="p")

    assert KEYS.open(by_old, kid="1", purpose="p") == b"secret"
    assert not KEYS.is_sealed_by_first(by_old)
    with pytest.raises(SealBroken, match="not configured"):
        KeyEncryptionKeys([OTHER]).open(by_old, kid="1", purpose="p")


def test_each_purpose_has_a_key_of_its_own_and_none_of_them_is_the_secret() -> None:
    key = KeyEncryptionKey.of(NEW)
    derived = {key.derived(purpose) for purpose in ("sealing", "refresh tokens", "page tokens")}

    assert len(derived | {NEW}) == 4
    assert {len(each) for each in derived} == {32}


def test_a_secret_shows_in_no_repr_and_must_have_its_length() -> None:
    assert "nnnn" not in repr(KeyEncryptionKey.of(NEW))
    for wrong in (b"", b"n" * 31, b"n" * 33):
        with pytest.raises(ValueError, match="32 bytes"):
            KeyEncryptionKeys([wrong])
    with pytest.raises(ValueError, match="at least one"):
        KeyEncryptionKeys([])
