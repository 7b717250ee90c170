"""Page tokens: good for one listing of one deployment, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_service.domain.errors import InvalidInput
from auth_service.domain.pages import DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE, PageTokens, page_size
from auth_service.domain.sealing import KeyEncryptionKeys

TOKENS = PageTokens(KeyEncryptionKeys([b"n" * 32, b"o" * 32]))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_the_position_comes_back(position: str) -> None:
    assert TOKENS.read(TOKENS.write(listing="people", position=position), listing="people") == position


def test_no_token_is_the_first_page() -> None:
    assert TOKENS.read("", listing="people") is None


def test_a_token_of_another_listing_or_deployment_is_refused() -> None:
    token = TOKENS.write(listing="experiments of 17", position="2620001")

    with pytest.raises(InvalidInput, match="page_token"):
        TOKENS.read(token, listing="experiments of 18")
    with pytest.raises(InvalidInput, match="page_token"):
        PageTokens(KeyEncryptionKeys([b"x" * 32])).read(token, listing="experiments of 17")


def test_an_altered_token_is_refused_in_any_spelling() -> None:
    token = TOKENS.write(listing="people", position="ada")
    wrong = [token[:at] + ("A" if right != "A" else "B") + token[at + 1 :] for at, right in enumerate(token)]
    wrong += [token + "=", token + "\n", token[:-1], token[:5] + "!" + token[5:], "é", "A" * 1_000_000, "\ud800"]

    for each in wrong:
        with pytest.raises(InvalidInput, match="page_token"):
            TOKENS.read(each, listing="people")


@pytest.mark.parametrize(("there", "shown", "goes_on_after"), [(0, 0, None), (2, 2, None), (3, 3, None), (4, 3, "2")])
def test_a_page_is_cut_where_there_is_more(there: int, shown: int, goes_on_after: str | None) -> None:
    page, token = TOKENS.cut(range(there), most=3, listing="people", position=str)

    assert page == tuple(range(shown))
    assert TOKENS.read(token, listing="people") == goes_on_after


def test_tokens_survive_a_new_first_key() -> None:
    old = PageTokens(KeyEncryptionKeys([b"o" * 32])).write(listing="people", position="ada")

    assert TOKENS.read(old, listing="people") == "ada"


def test_pages_have_a_usual_and_a_largest_size() -> None:
    assert [page_size(asked) for asked in (0, 1, LARGEST_PAGE_SIZE, 2**31 - 1)] == [
        DEFAULT_PAGE_SIZE, 1, LARGEST_PAGE_SIZE, LARGEST_PAGE_SIZE,
    ]  # fmt: skip
    with pytest.raises(InvalidInput, match="page_size"):
        page_size(-1)
