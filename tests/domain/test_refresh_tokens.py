"""Refresh tokens: one spelling each, and nothing but that spelling is read."""

import base64
import string
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth_service.domain.errors import RefreshTokenInvalid, RefreshTokenMissing
from auth_service.domain.refresh_tokens import RefreshTokens, SpentGeneration
from auth_service.domain.sealing import KeyEncryptionKeys

OLD, NEW = b"o" * 32, b"n" * 32
TOKENS = RefreshTokens(KeyEncryptionKeys([NEW, OLD]))
SESSION = UUID("0b9ff2a6-9d1f-4a8e-8f3d-9d2c3c1b7a55")


@given(st.uuids(), st.integers(0, 2**63 - 1))
def test_what_was_written_is_read(session: UUID, generation: int) -> None:
    token = TOKENS.write(session, generation)

    assert TOKENS.read(token) == SpentGeneration(session, generation)
    assert TOKENS.write(session, generation) == token
    assert token.startswith("rt1.")
    assert set(token) <= set(string.ascii_letters + string.digits + "-_.")


def test_every_change_of_a_single_character_is_refused() -> None:
    token = TOKENS.write(SESSION, 7)
    alphabet = string.printable + "é\0٣"
    tried = 0
    for at, right in enumerate(token):
        for wrong in alphabet:
            if wrong != right:
                with pytest.raises(RefreshTokenInvalid):
                    TOKENS.read(token[:at] + wrong + token[at + 1 :])
                tried += 1
    assert tried > 8000


def test_another_spelling_of_the_same_bytes_is_refused() -> None:
    token = next(token for token in (TOKENS.write(uuid4(), 1) for _ in range(1000)) if "-" in token and "_" in token)
    for other in (
        token.replace("-", "+"), token.replace("_", "/"), token + "=", token + "\n", " " + token, token[4:],
        token.replace("rt1.", "RT1."), token.replace("rt1.", "rt2."), "rt1.\n" + token[5:],
    ):  # fmt: skip
        with pytest.raises(RefreshTokenInvalid):
            TOKENS.read(other)


@settings(max_examples=300)
@given(
    st.one_of(st.text(min_size=1), st.text(string.ascii_letters + "-_", min_size=80, max_size=80).map("rt1.".__add__))
)
def test_garbage_is_refused_cleanly(garbage: str) -> None:
    with pytest.raises(RefreshTokenInvalid):
        TOKENS.read(garbage)


def test_a_cut_a_spliced_and_a_huge_token_are_refused_and_none_is_missing() -> None:
    one, other = TOKENS.write(SESSION, 1), TOKENS.write(uuid4(), 2)
    for wrong in (one[:-1], one[:40], one[:44] + other[44:], one + one, "rt1." + "A" * 2_000_000, "rt1."):
        with pytest.raises(RefreshTokenInvalid):
            TOKENS.read(wrong)
    with pytest.raises(RefreshTokenMissing):
        TOKENS.read("")


def test_a_token_of_another_deployment_is_refused() -> None:
    stranger = RefreshTokens(KeyEncryptionKeys([b"x" * 32]))

    with pytest.raises(RefreshTokenInvalid):
        TOKENS.read(stranger.write(SESSION, 1))


def test_knowing_the_key_id_and_the_session_makes_no_token() -> None:
    genuine = base64.urlsafe_b64decode(TOKENS.write(SESSION, 1)[4:])
    forged = genuine[:27] + b"\x02" + genuine[28:]

    with pytest.raises(RefreshTokenInvalid):
        TOKENS.read("rt1." + base64.urlsafe_b64encode(forged).decode())


def test_tokens_survive_a_new_first_key_until_the_old_one_goes() -> None:
    before = RefreshTokens(KeyEncryptionKeys([OLD])).write(SESSION, 3)

    assert TOKENS.read(before) == SpentGeneration(SESSION, 3)
    assert TOKENS.write(SESSION, 3) != before
    with pytest.raises(RefreshTokenInvalid):
        RefreshTokens(KeyEncryptionKeys([NEW])).read(before)
