"""What a form carries: known again for its session, and for no other."""

import pytest

from auth_service.domain.form_tokens import FormTokens
from auth_service.domain.sealing import KeyEncryptionKeys

OLD, NEW = b"o" * 32, b"n" * 32
TOKENS = FormTokens(KeyEncryptionKeys([NEW]))


@pytest.mark.row("S69")
def test_a_form_token_is_of_one_session() -> None:
    token = TOKENS.write("ada's")

    assert TOKENS.is_of("ada's", token)
    assert not TOKENS.is_of("eve's", token)
    assert token != TOKENS.write("ada's")


@pytest.mark.row("S69")
@pytest.mark.parametrize("spoilt", ["", "x", "=", "AAAA", "\u2028", "A" * 5000, "A" * 59])
def test_what_is_no_form_token_is_of_nobody(spoilt: str) -> None:
    token = TOKENS.write("ada's")

    assert not TOKENS.is_of("ada's", spoilt)
    assert not TOKENS.is_of("ada's", token[:-2])
    assert not TOKENS.is_of("ada's", token + spoilt if spoilt else "A" + token)


def test_a_key_that_is_on_its_way_out_is_still_known() -> None:
    both = FormTokens(KeyEncryptionKeys([NEW, OLD]))
    former = FormTokens(KeyEncryptionKeys([OLD]))

    assert both.is_of("ada's", former.write("ada's"))
    assert both.read(former.signed("Saved.", session="ada's"), session="ada's") == "Saved."
    assert not former.is_of("ada's", both.write("ada's"))


def test_a_note_is_read_in_the_session_it_was_signed_for() -> None:
    note = TOKENS.signed("Ada has the rôle.", session="ada's")

    assert TOKENS.read(note, session="ada's") == "Ada has the rôle."
    assert TOKENS.read(note, session="eve's") == ""
    assert TOKENS.read("QWRh." + note.partition(".")[2], session="ada's") == ""
    assert TOKENS.read(TOKENS.write("ada's"), session="ada's") == ""
    assert TOKENS.read("", session="ada's") == ""
