"""How often the HTTP door may be asked: 429 with Retry-After, for methods in each of their spellings and for routes."""

from collections import Counter
from typing import Any

import pytest

from auth_service.web.limits import UnknownRoute
from tests.rpc.conftest import Start
from tests.support.service import Service
from tests.web.test_edge import METADATA

WINDOW = 60

pytestmark = pytest.mark.usefixtures("one_minute")


async def asked(
    service: Service, method: str, path: str, times: int, *, address: str = "192.0.2.1", **body: str
) -> Counter[int]:
    """How many answers had which status; those with 429 say when to come again."""
    statuses: Counter[int] = Counter()
    for _ in range(times):
        given: dict[str, Any] = {"json": body} if body else {}
        async with service.http.request(method, path, headers={"X-Forwarded-For": address}, **given) as answer:
            statuses[answer.status] += 1
            if answer.status == 429:
                assert 1 <= int(answer.headers["Retry-After"]) <= WINDOW
                assert answer.headers["Cache-Control"] == "no-store"
    return statuses


@pytest.mark.row("E14/REST")
async def test_a_method_has_one_limit_however_it_is_asked(start: Start) -> None:
    service = await start(rate_limits="Verify=3/m", trusted_proxies="127.0.0.1")

    assert await asked(service, "POST", "/verify", 2, token="x.y.z") == {403: 2}
    over_connect = await asked(service, "POST", "/auth_api.v1.AuthService/Verify", 2, token="x.y.z")
    assert over_connect == {401: 1, 429: 1}
    assert await asked(service, "POST", "/verify", 2, token="x.y.z") == {429: 2}
    assert await asked(service, "POST", "/verify", 1, address="192.0.2.2", token="x.y.z") == {403: 1}


@pytest.mark.row("E14/REST")
async def test_signing_in_is_limited_at_each_of_its_doors(start: Start) -> None:
    service = await start(rate_limits="Login=1/m")
    person = {"username": "user1001", "password": "user1001-password"}

    assert await asked(service, "POST", "/login", 1, **person) == {200: 1}
    for path in ("/login", "/session", "/auth_api.v1.AuthService/Login"):
        assert await asked(service, "POST", path, 1, **person) == {429: 1}
    async with service.http.post("/oauth/token", data={"grant_type": "password", **person}) as answer:
        assert (answer.status, (await answer.json())["error"]) == (429, "temporarily_unavailable")
        assert 1 <= int(answer.headers["Retry-After"]) <= WINDOW


@pytest.mark.row("E14/REST")
async def test_a_route_that_is_no_method_is_limited_by_its_path(start: Start) -> None:
    service = await start(rate_limits="/authz=3/m,all:/authz=5/m", trusted_proxies="127.0.0.1")

    assert await asked(service, "GET", "/authz", 5) == {401: 3, 429: 2}
    assert await asked(service, "GET", "/authz", 3, address="192.0.2.2") == {401: 2, 429: 1}
    assert await asked(service, "GET", "/authz/nginx", 2) == {401: 2}
    assert await asked(service, "POST", "/authz", 1) == {405: 1}


@pytest.mark.row("E14/REST")
async def test_a_stranger_is_counted_by_where_they_are_whatever_they_say(start: Start) -> None:
    service = await start(rate_limits="/authz=3/m")

    assert await asked(service, "GET", "/authz", 2, address="192.0.2.1") == {401: 2}
    assert await asked(service, "GET", "/authz", 2, address="192.0.2.2") == {401: 1, 429: 1}


@pytest.mark.parametrize("path", ["/authzz", "/.well-known/jwks.json", "/healthz", METADATA[0]])
async def test_a_limit_for_no_route_or_for_what_is_always_answered_refuses_the_start(start: Start, path: str) -> None:
    with pytest.raises(UnknownRoute, match=f"AUTH_RATE_LIMITS: there is no path {path} that may be limited"):
        await start(rate_limits=f"{path}=5/m")
