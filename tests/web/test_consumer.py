"""Consumers that cannot change, as they are written: `requests` in other services, a front end in a browser's tabs."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import jwt
import pytest
import requests

from tests.rpc.conftest import Start
from tests.support.service import PORTAL_API_KEY, Service

TABS = 50


@pytest.fixture
async def url(service: Service) -> str:
    return f"http://{service.where.http}"


@pytest.fixture
async def plain(start: Start) -> Service:
    """One whose cookies a client keeps without TLS, too."""
    return await start(cookie_secure="false")


@pytest.mark.row("A1/REST", "A9/REST", "A12/REST", "A13")
async def test_another_service_signs_people_in_verifies_their_tokens_and_asks_for_their_experiments(url: str) -> None:
    def consumer() -> None:
        r = requests.post(f"{url}/login", json={"username": "user1001", "password": "user1001-password"})
        assert r.status_code == requests.codes.ok
        t = r.json()

        r = requests.post(f"{url}/verify", json={"token": t})
        assert r.status_code == requests.codes.ok
        assert r.json() == "ok"
        r = requests.post(f"{url}/verify", json={"token": t[:-8] + "AAAAAAAA"})
        assert r.status_code == requests.codes.forbidden
        assert r.json() == {"message": "Forbidden"}

        r = requests.get(f"{url}/experiments?user_number=1001", headers={"Authorization": f"Bearer {PORTAL_API_KEY}"})
        assert r.status_code == requests.codes.ok
        assert r.json() == [2200081, 2200082, 2200083]
        r = requests.get(f"{url}/experiments", params={"user_number": 1001})
        assert r.status_code == requests.codes.unauthorized
        r = requests.get(f"{url}/experiments?user_number=1001", headers={"Authorization": "Bearer wrong"})
        assert r.status_code == requests.codes.forbidden
        r = requests.get(f"{url}/experiments?user_number=me", headers={"Authorization": f"Bearer {PORTAL_API_KEY}"})
        assert r.status_code == requests.codes.unprocessable

        assert requests.get(f"{url}/healthz").json() == "ok"
        assert requests.get(f"{url}/ready").json() == "ok"
        for path in ("maintenance", "scheduled_maintenance"):
            assert requests.get(f"{url}/{path}").json().keys() == {"show", "message"}

    await asyncio.to_thread(consumer)


class FrontEnd:
    """What a browser's tabs share: cookies, and the token in its storage. Nothing keeps two from refreshing at once."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.browser = requests.Session()
        self.token = ""
        self.refreshes = 0

    def sign_in(self, username: str, password: str) -> None:
        r = self.browser.post(f"{self.url}/login", json={"username": username, "password": password})
        r.raise_for_status()
        self.token = r.json()

    def show_a_page(self, *, once_all_know: Barrier | None = None) -> int:
        """Refreshes on 403, and asks once more; the status in the end. Tabs may wait for one another in between."""
        status = self._verify()
        if once_all_know is not None:
            once_all_know.wait(timeout=30)
        if status == requests.codes.forbidden:
            r = self.browser.post(f"{self.url}/refresh", json={"token": self.token})
            if r.status_code == requests.codes.forbidden:
                return r.status_code
            self.token = r.json()
            self.refreshes += 1
            status = self._verify()
        return status

    def _verify(self) -> int:
        return self.browser.post(f"{self.url}/verify", json={"token": self.token}).status_code


@pytest.mark.row("A10/REST", "S36", "S37")
async def test_a_front_end_that_refreshes_on_403_goes_on_in_all_its_tabs(plain: Service) -> None:
    front_end = FrontEnd(f"http://{plain.where.http}")
    kid, key = await plain.private_key()

    def an_hour_later(token: str) -> str:
        claims = jwt.decode(token, options={"verify_signature": False})
        late = {name: claims[name] - 3600 for name in ("iat", "exp")}
        return jwt.encode(claims | late, key, algorithm="RS256", headers={"kid": kid, "typ": "at+jwt"})

    def all_tabs() -> list[int]:
        # Left to themselves the last tabs would find the token that the first one got, and refresh nothing.
        known = Barrier(TABS)
        with ThreadPoolExecutor(TABS) as tabs:
            return list(tabs.map(lambda _: front_end.show_a_page(once_all_know=known), range(TABS)))

    await asyncio.to_thread(front_end.sign_in, "user1001", "user1001-password")
    for _ in range(3):
        front_end.token = an_hour_later(front_end.token)
        front_end.refreshes = 0
        assert await asyncio.to_thread(all_tabs) == [200] * TABS
        assert front_end.refreshes > 1
    assert await asyncio.to_thread(front_end.show_a_page) == 200


@pytest.mark.row("A11", "S43")
async def test_a_front_end_whose_session_is_over_has_to_sign_in_again(plain: Service) -> None:
    front_end = FrontEnd(f"http://{plain.where.http}")
    await asyncio.to_thread(front_end.sign_in, "user1001", "user1001-password")
    await plain.logout(str(front_end.browser.cookies["refresh_token"]))

    assert await asyncio.to_thread(front_end.show_a_page) == 403

    await asyncio.to_thread(front_end.sign_in, "user1001", "user1001-password")
    assert await asyncio.to_thread(front_end.show_a_page) == 200
