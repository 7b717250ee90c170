"""Headers that strangers send: two of what there is to be one of, others' words, line breaks, and origins."""

import pytest

from auth_service.domain.cookies import TokenCookie
from tests.rpc.conftest import Start
from tests.support.service import PORTAL_API_KEY, Service, admin_token, bearer
from tests.web.test_edge import LEAKS, PATHS
from tests.web.wire import exchange

EVIL = "evil.example"
ORIGINS = ("https://evil.example", "null", "https://portal.example.evil.example", "http://portal.example")
ASKED_BY_BROWSERS = [*PATHS, "/session", "/login", "/refresh", "/authz", "/oauth/userinfo", "/sign-in"]


async def test_two_authorizations_are_none_wherever_one_counts(service: Service) -> None:
    good = ("Authorization", f"Bearer {(await service.login()).access_token}")
    for path, other in (
        *((path, other) for path in ("/oauth/userinfo", "/authz") for other in (good[1], "Bearer x", "Basic eDp5", "")),
        ("/experiments?user_number=1001", f"Bearer {PORTAL_API_KEY}"),
        ("/maintenance", ""),
    ):
        for both in ([good, ("Authorization", other)], [("Authorization", other), good]):
            async with service.http.get(path, headers=both) as answer:
                expected = {200} if path == "/maintenance" else {401, 403}
                assert answer.status in expected, (path, other)
    async with service.http.post(
        "/auth_api.v1.UserService/GetMe", json={}, headers=[good, ("Authorization", "Bearer x")]
    ) as answer:
        assert answer.status == 401


@pytest.mark.row("S50")
async def test_where_a_request_comes_from_is_not_for_strangers_to_say(start: Start) -> None:
    service = await start()
    told = {
        "X-Forwarded-For": "198.51.100.7",
        "Forwarded": "for=198.51.100.7",
        "X-Real-IP": "198.51.100.7",
        "X-Forwarded-Host": EVIL,
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Prefix": "/x",
    }
    person = {"username": "user1001", "password": "user1001-password"}
    for path in ("/login", "/session", "/auth_api.v1.AuthService/Login"):
        async with service.http.post(path, json=person, headers=told) as answer:
            assert answer.status == 200
            assert EVIL not in str(answer.headers)

    admin = bearer(await admin_token(service))
    async with service.http.post("/auth_api.v1.AuditService/ListAuditEvents", json={}, headers=dict(admin)) as answer:
        events = (await answer.json())["events"]

    assert len(events) >= 3
    assert {event["address"] for event in events if "address" in event} == {"127.0.0.1"}


@pytest.mark.row("S66", "S59")
@pytest.mark.parametrize("broken", ["%0d%0aX-Evil:1", "%0aSet-Cookie:x=y", "%E5%98%8A%E5%98%8DX-Evil:1", "%00"])
async def test_a_line_break_never_ends_a_header_of_ours(service: Service, broken: str) -> None:
    page = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
    asked = {"X-Original-Method": "GET", "X-Original-URI": f"/me{broken}", **page}
    for path, headers in (
        ("/authz", asked),
        (f"/sign-in?next=/me{broken}", page),
        ("/healthz", {"X-Request-Id": f"a{broken}"}),
    ):
        async with service.http.get(path, headers=headers, allow_redirects=False) as answer:
            assert answer.status < 500
            assert not {"X-Evil", "x"} & set(answer.headers)
            assert "x=y" not in answer.headers.getall("Set-Cookie", [])


async def test_a_folded_header_is_one_header(service: Service) -> None:
    answered = await exchange(
        service, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\r\n b\r\n\tc\r\nConnection: close\r\n\r\n"
    )

    assert answered.startswith(b"HTTP/1.1 ")
    assert answered.count(b"HTTP/1.1 ") == 1
    assert not LEAKS.search(answered.decode())


@pytest.mark.row("A21", "S70")
@pytest.mark.parametrize("origins", ["", "https://portal.example"])
async def test_no_answer_gives_every_origin_what_credentials_are_for(start: Start, origins: str) -> None:
    service = await start(cors_origins=origins)

    for path in ASKED_BY_BROWSERS:
        for origin in ORIGINS:
            for method in ("GET", "POST", "OPTIONS"):
                headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
                async with service.http.request(method, path, headers=headers, allow_redirects=False) as answer:
                    allowed = answer.headers.get("Access-Control-Allow-Origin", "")
                    assert allowed in ("", "*")
                    # The key set is everybody's, and nobody's credentials are needed for it.
                    assert not (allowed and answer.headers.get("Access-Control-Allow-Credentials"))
                    assert answer.status < 500


def test_a_cookie_cannot_hold_a_second_one() -> None:
    header = TokenCookie().given('x"; Domain=evil.example\r\nSet-Cookie: y=z', seconds=1)

    assert "\r" not in header
    assert "\n" not in header
    assert header.count(";") == TokenCookie().given("x", seconds=1).count(";")
