"""REST as the facility's first service spoke it: what its consumers, which do not change, rely on."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

import pytest

from tests.rpc.conftest import Start
from tests.support.service import PORTAL_API_KEY, Service

CREDENTIALS = {"username": "user1001", "password": "user1001-password"}
FORBIDDEN = {"message": "Forbidden"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)

    @property
    def cookie(self) -> str:
        """The value of the refresh cookie that came with it."""
        return SimpleCookie(self.headers["Set-Cookie"])["refresh_token"].value


async def call(
    service: Service, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
) -> Answer:
    async with service.http.request(method, path, json=body, headers=headers) as answer:
        return Answer(answer.status, answer.headers.copy(), await answer.read())


@contextmanager
def failing(service: Service) -> Iterator[None]:
    """The facility's own sign-in does not work meanwhile."""
    service.facility.fault = {"/v1/sessions": "status 500"}
    try:
        yield
    finally:
        service.facility.fault = {}


async def sign_in(service: Service, name: str = "user1001") -> Answer:
    return await call(service, "POST", "/login", {"username": name, "password": f"{name}-password"})


async def refresh(service: Service, cookie: str, token: str = "expired") -> Answer:
    return await call(service, "POST", "/refresh", {"token": token}, headers={"Cookie": f"refresh_token={cookie}"})


@pytest.mark.row("A1/REST", "A2")
async def test_sign_in_answers_a_bare_token_and_the_cookie(service: Service) -> None:
    answer = await sign_in(service)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.told.count(".") == 2
    assert answer.body == json.dumps(answer.told).encode()
    flags = answer.headers["Set-Cookie"].removeprefix(f"refresh_token={answer.cookie}")
    assert flags == "; HttpOnly; Max-Age=43200; Path=/; SameSite=lax; Secure"


@pytest.mark.row("A3/REST", "A4/REST", "A9/REST")
async def test_refusals_are_the_bodies_that_consumers_know(service: Service) -> None:
    wrong = await call(service, "POST", "/login", {**CREDENTIALS, "password": "wrong"})
    unknown = await call(service, "POST", "/login", {"username": "nobody", "password": "x"})
    bad_token = await call(service, "POST", "/verify", {"token": "x.y.z"})
    no_cookie = await call(service, "POST", "/refresh", {"token": "x"})
    with failing(service):
        away = await call(service, "POST", "/login", CREDENTIALS)

    for refused in (wrong, unknown, bad_token, no_cookie):
        assert (refused.status, refused.body) == (403, b'{"message":"Forbidden"}')
        assert "Set-Cookie" not in refused.headers
    assert (away.status, away.body) == (403, b'{"detail":"Forbidden"}')
    assert int(away.headers["Retry-After"]) >= 1


@pytest.mark.row("A9/REST")
async def test_a_good_token_is_ok(service: Service) -> None:
    token = (await sign_in(service)).told

    answer = await call(service, "POST", "/verify", {"token": token})

    assert (answer.status, answer.body) == (200, b'"ok"')


@pytest.mark.row("A10/REST", "A11")
async def test_a_refresh_buys_a_token_and_the_next_cookie_whatever_access_token_comes_along(service: Service) -> None:
    first = await sign_in(service)
    other = await sign_in(service, "staff1002")

    second = await refresh(service, first.cookie, token=other.told)

    assert second.status == 200
    assert second.cookie != first.cookie
    claims = await service.verify(second.told)
    assert claims.username == "user1001"
    assert (await refresh(service, second.cookie)).status == 200
    spent = await refresh(service, first.cookie)
    assert (spent.status, spent.told) == (403, FORBIDDEN)


@pytest.mark.row("A10/REST", "S36")
async def test_several_tabs_that_refresh_one_cookie_at_once_all_go_on(service: Service) -> None:
    first = await sign_in(service)

    answers = await asyncio.gather(*(refresh(service, first.cookie) for _ in range(20)))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.cookie for answer in answers}) == 1
    assert (await refresh(service, answers[0].cookie)).status == 200


async def test_two_cookies_of_one_name_are_none(service: Service) -> None:
    one, other = (await sign_in(service)).cookie, (await sign_in(service)).cookie

    refused = await refresh(service, f"{one}; refresh_token={other}")

    assert (refused.status, refused.told) == (403, FORBIDDEN)
    assert (await refresh(service, one)).status == 200


@pytest.mark.row("A12/REST", "A13", "B10")
@pytest.mark.parametrize("path", ["/experiments", "/experiment"])
async def test_experiments_are_listed_for_whoever_may_ask(service: Service, path: str) -> None:
    async def ask(number: str, credential: str | None) -> Answer:
        headers = None if credential is None else {"Authorization": f"Bearer {credential}"}
        return await call(service, "GET", f"{path}?user_number={number}", headers=headers)

    token = (await sign_in(service)).told
    by_service, by_themselves = await ask("1001", PORTAL_API_KEY), await ask("1001", token)
    of_nobody = await ask("1003", PORTAL_API_KEY)
    without, wrong, of_another = await ask("1001", None), await ask("1001", "wrong"), await ask("1002", token)
    no_number, below = await ask("abc", PORTAL_API_KEY), await ask("0", PORTAL_API_KEY)

    assert (by_service.status, by_service.body) == (200, b"[2200081,2200082,2200083]")
    assert by_themselves.told == by_service.told
    assert of_nobody.body == b"[]"
    assert (without.status, without.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (wrong.status, of_another.status) == (403, 403)
    assert (no_number.status, no_number.told["detail"][0]["loc"]) == (422, ["query", "user_number"])
    assert (below.status, below.told["detail"][0]["loc"]) == (422, ["query", "user_number"])


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", ["body"]),
        (b"nul", ["body"]),
        (b"[1]", ["body"]),
        (b'{"username": "a"}', ["body", "password"]),
        (b'{"username": 1, "password": "x"}', ["body", "username"]),
        (b'{"username": "", "password": "secret word"}', ["body", "username"]),
        (b'{"username": "\\ud800", "password": "secret word"}', ["body"]),
        (b"[" * 20_000, ["body"]),
    ],
    ids=["nothing", "no JSON", "a list", "missing", "number", "empty name", "surrogate", "deep"],
)
async def test_a_wrong_shape_is_422_and_repeats_nothing(service: Service, body: bytes, where: list[str]) -> None:
    async with service.http.post("/login", data=body, headers={"Content-Type": "application/json"}) as answer:
        told = await answer.json()

    assert (answer.status, told["detail"][0]["loc"]) == (422, where)
    assert "secret word" not in json.dumps(told)


async def test_what_another_sites_form_can_send_signs_nobody_in(service: Service) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        body = json.dumps(CREDENTIALS)
        async with service.http.post("/login", data=body, headers={"Content-Type": kind}) as answer:
            assert answer.status == 422
            assert "Set-Cookie" not in answer.headers


async def test_compatibility_can_be_switched_off(start: Start) -> None:
    service = await start(rest_compatibility="false", cookie_name="__Host-rt", cookie_same_site="strict")

    wrong = await call(service, "POST", "/login", {**CREDENTIALS, "password": "wrong"})
    signed_in = await sign_in(service)
    with failing(service):
        away = await call(service, "POST", "/login", CREDENTIALS)

    assert (wrong.status, wrong.told["reason"], wrong.headers["WWW-Authenticate"]) == (401, "BAD_CREDENTIALS", "Bearer")
    assert (away.status, away.told["reason"]) == (503, "PROVIDER_UNAVAILABLE")
    assert signed_in.headers["Set-Cookie"].startswith("__Host-rt=")
    assert "SameSite=strict" in signed_in.headers["Set-Cookie"]


@pytest.mark.row("A22/REST")
async def test_behind_a_path_everything_is_there_with_it_and_without(start: Start) -> None:
    service = await start(path_prefix="/auth", issuer="https://auth.example/auth")

    signed_in = await call(service, "POST", "/auth/login", CREDENTIALS)
    metadata = await call(service, "GET", "/auth/.well-known/openid-configuration")

    assert "; Path=/auth; " in signed_in.headers["Set-Cookie"]
    assert metadata.told["jwks_uri"] == "https://auth.example/auth/.well-known/jwks.json"
    assert (await call(service, "POST", "/verify", {"token": signed_in.told})).status == 200
    assert (await call(service, "GET", "/authority/healthz")).status == 404


@pytest.mark.row("A21")
async def test_only_pages_of_listed_origins_may_call(start: Start) -> None:
    service = await start(cors_origins="https://portal.example")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}

    friend = await call(service, "OPTIONS", "/login", headers={"Origin": "https://portal.example", **asked})
    stranger = await call(service, "OPTIONS", "/login", headers={"Origin": "https://evil.example", **asked})
    read = await call(service, "GET", "/healthz", headers={"Origin": "https://evil.example"})

    assert friend.headers["Access-Control-Allow-Origin"] == "https://portal.example"
    assert friend.headers["Access-Control-Allow-Credentials"] == "true"
    assert stranger.status == 400
    assert "Access-Control-Allow-Origin" not in stranger.headers
    assert "Access-Control-Allow-Origin" not in read.headers


@pytest.mark.row("A21")
async def test_by_default_no_other_origin_may_call(service: Service) -> None:
    answer = await call(service, "OPTIONS", "/login", headers={"Origin": "https://portal.example"})

    assert answer.status == 405
    assert "Access-Control-Allow-Origin" not in answer.headers
