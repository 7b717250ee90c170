"""The sign-in page: who comes in, who does not, and where they go."""

import pytest

from tests.pages.browser import Browser
from tests.support.service import Service


@pytest.mark.row("D1")
async def test_who_signs_in_gets_both_cookies_and_goes_where_they_wanted(service: Service) -> None:
    browser = Browser(service)

    answer = await browser.sign_in("user1001", to="/account")

    assert {"access_token", "refresh_token"} <= browser.cookies.keys()
    for cookie in answer.headers.getall("Set-Cookie"):
        assert {"HttpOnly", "Secure", "SameSite=lax"} <= set(cookie.split("; "))
    page = await browser.open("/account")
    assert (page.status, "user1001" in page.text) == (200, True)


async def test_who_is_not_signed_in_is_sent_to_sign_in_and_comes_back(service: Service) -> None:
    answer = await Browser(service).open("/admin/people?state=2")

    assert (answer.status, answer.location) == (303, "/sign-in?next=%2Fadmin%2Fpeople%3Fstate%3D2")


async def test_a_wrong_password_says_so_and_keeps_the_name_only(service: Service) -> None:
    answer = await Browser(service).fill("/sign-in", username="user1001", password="guessed-by-nobody")

    assert answer.status == 422
    assert "User name or password is wrong." in answer.text
    assert 'value="user1001"' in answer.text
    assert "guessed-by-nobody" not in answer.text
