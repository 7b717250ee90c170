"""What gateways ask before they let a request pass: `/authz` for nginx, Caddy and Traefik, and a browser's session."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from auth_api.v1 import auth_pb2
from auth_client import VerifiedToken
from auth_client.policy import Verdict

from auth_service.demo import Facility
from auth_service.usecases.gate import IDENTITY_HEADERS, Answered
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.service import PORTAL_API_KEY, Databases, Logs, Service, running_service
from tests.support.tcp_proxy import in_front_of

POLICY = {
    "levels": {"admin": 0, "staff": 500, "user": 1000},
    "rules": [
        {"public": True, "locations": ["/open/*"]},
        {"signed_in": True, "locations": ["/me", "/things/{id}"]},
        {"roles": ["staff"], "methods": ["GET"], "locations": ["/staff/*"]},
        {"level": 0, "locations": ["/admin/*"]},
        {"scopes": ["experiments:read"], "locations": ["/machines"]},
    ],
}
NGINX, CADDY = ("X-Original-Method", "X-Original-URI"), ("X-Forwarded-Method", "X-Forwarded-Uri")
ROUTES = {"/authz": NGINX, "/authz/nginx": NGINX, "/authz/caddy": CADDY, "/authz/traefik": CADDY}
NOBODY = dict.fromkeys(("Subject", "Username", "Roles", "User-Number", "Session", "Client", "Scopes"), "")

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def identity(self) -> dict[str, str]:
        """What the gateway may pass on, by the names of NOBODY."""
        told = {name.lower(): value for name, value in self.headers.items()}
        return {name: told[f"x-auth-{name.lower()}"] for name in NOBODY if f"x-auth-{name.lower()}" in told}

    @property
    def cookies(self) -> dict[str, str]:
        """Those that a browser has afterwards."""
        told = SimpleCookie()
        for each in self.headers.getall("Set-Cookie", []):
            told.load(each)
        return {name: morsel.value for name, morsel in told.items()}


async def call(service: Service, method: str, path: str, *, headers: Any = (), **how: Any) -> Answer:
    async with service.http.request(method, path, headers=headers, allow_redirects=False, **how) as answer:
        return Answer(answer.status, answer.headers.copy(), await answer.read())


async def ask(
    service: Service,
    target: str,
    *,
    method: str = "GET",
    token: str = "",
    cookies: Mapping[str, str] | None = None,
    route: str = "/authz",
    more: Headers | None = None,
) -> Answer:
    """As that gateway asks, whose own request is a GET."""
    headers = list(zip(ROUTES[route], (method, target), strict=True)) + (more or [])
    if token:
        headers.append(("Authorization", f"Bearer {token}"))
    if cookies:
        headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
    return await call(service, "GET", route, headers=headers)


async def session(service: Service, name: str = "user1001") -> dict[str, str]:
    """A browser's cookies after it signed in."""
    answer = await call(service, "POST", "/session", json={"username": name, "password": f"{name}-password"})
    assert answer.status == 200, answer.body
    service.secrets |= set(answer.cookies.values())
    return answer.cookies


@pytest.fixture(scope="module", params=["sqlite", "postgresql"], name="service")
async def with_a_policy(
    request: pytest.FixtureRequest,
    databases: Databases,
    facility: Facility,
    logs: Logs,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Service]:
    home = tmp_path_factory.mktemp("gate")
    (home / "policy.json").write_text(json.dumps(POLICY))
    url = await databases.make(request.param)
    async with running_service(
        url,
        facility=facility,
        data_dir=home,
        policy_file=str(home / "policy.json"),
        cors_origins="https://portal.example",
    ) as service:
        yield service


@pytest.mark.row("D2", "S66")
@pytest.mark.parametrize("route", ROUTES)
async def test_each_gateway_is_told_who_may_pass_and_who_it_is(service: Service, route: str) -> None:
    person, staff = (await service.login()).access_token, (await service.login("staff1002")).access_token
    claims = await service.verify(staff)

    passed = await ask(service, "/staff/x?y=1", token=staff, route=route)
    unknown = await ask(service, "/staff/x", route=route)
    refused = await ask(service, "/staff/x", token=person, route=route)

    assert (passed.status, passed.body) == (200, b"")
    assert passed.identity == NOBODY | {
        "Subject": claims.subject,
        "Username": "staff1002",
        "Roles": "staff",
        "User-Number": str(claims.user_number),
        "Session": claims.session_id,
        "Client": claims.client_id,
    }
    assert (unknown.status, unknown.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (refused.status, json.loads(refused.body)["reason"]) == (403, "PERMISSION_DENIED")
    for answer in (passed, unknown, refused):
        assert answer.headers["Cache-Control"] == "no-store"
    assert unknown.identity == refused.identity == {}


@pytest.mark.row("D3", "S66")
async def test_what_is_public_needs_nobody_and_names_only_who_is_known(service: Service) -> None:
    token = (await service.login()).access_token

    for answer in (
        await ask(service, "/open/x"),
        await ask(service, "/open/x", token="x.y.z"),
        await ask(service, "/open/x", cookies={"access_token": "x.y.z", "refresh_token": "garbage"}),
    ):
        assert (answer.status, answer.identity, answer.cookies) == (200, NOBODY, {})
    assert (await ask(service, "/open/x", token=token)).identity["Username"] == "user1001"


@pytest.mark.row("D3")
async def test_what_no_rule_allows_is_refused_and_without_a_policy_that_is_everything(
    service: Service, start: Start
) -> None:
    token = (await service.login()).access_token
    bare = await start()
    of_bare = (await bare.login()).access_token

    assert (await ask(service, "/nowhere", token=token)).status == 403
    assert (await ask(service, "/staff/x", method="DELETE", token=token)).status == 403
    assert (await ask(bare, "/", token=of_bare)).status == 403
    assert (await ask(bare, "/")).status == 401


@pytest.mark.row("S66", "S1")
async def test_a_bad_token_is_401_whatever_is_wrong_with_it(service: Service) -> None:
    good = await service.login()
    head, payload, signature = good.access_token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()

    for token in (
        *("x", "x.y.z", f"{none}.{payload}.", f"{head}.{payload}.{signature[:-6]}AAAAAA", good.refresh_token),
        *(PORTAL_API_KEY, good.access_token * 12, f"{good.access_token} x"),
    ):
        answer = await ask(service, "/me", token=token)
        assert (answer.status, answer.identity) == (401, {})
        assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
        assert token.encode() not in answer.body
    for authorization in ("Basic dTpw", "Bearer", "", good.access_token, f"Token {good.access_token}"):
        assert (await ask(service, "/me", more=[("Authorization", authorization)])).status == 401
    twice = [("Authorization", f"Bearer {good.access_token}"), ("Authorization", "Bearer x")]
    assert (await ask(service, "/me", more=twice)).status == 401
    assert (await ask(service, "/me", token=good.access_token, more=twice[:1])).status == 401


@pytest.mark.row("S66")
async def test_a_token_counts_in_its_header_or_its_cookie_and_nowhere_else(service: Service) -> None:
    token = (await service.login()).access_token
    told = list(zip(NGINX, ("GET", f"/me?access_token={token}"), strict=True))

    assert (await call(service, "GET", f"/authz?access_token={token}", headers=told)).status == 401
    assert (await call(service, "GET", "/authz", headers=told, data={"access_token": token})).status == 401
    assert (await ask(service, "/me", cookies={"token": token, "Authorization": f"Bearer {token}"})).status == 401
    for name in ("X-Access-Token", "X-Auth-Subject", "X-Auth-Username", "X-Forwarded-User", "Proxy-Authorization"):
        assert (await ask(service, "/me", more=[(name, f"Bearer {token}")])).status == 401


@pytest.mark.row("D2", "S66")
@pytest.mark.parametrize("route", ROUTES)
async def test_a_browser_that_wants_a_page_is_told_where_to_sign_in_and_nobody_else_is(
    service: Service, route: str
) -> None:
    navigates = [("Accept", "text/html,*/*;q=0.8"), ("Sec-Fetch-Mode", "navigate")]
    outside = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "facility.example:8443")]

    told = await ask(service, "/me?a=1&b=2", route=route, more=navigates + outside)
    # Where the sign-in page would not lead.
    elsewhere = ("//evil.example/", "/\\evil.example", "/me//x", "/%2Fevil.example", "/me?" + "x" * 2000)
    odd = [await ask(service, target, route=route, more=navigates) for target in elsewhere]
    others = [
        await ask(service, "/me", route=route, more=[("Accept", "*/*")]),
        await ask(service, "/me", route=route, more=[("Accept", "text/html"), ("Sec-Fetch-Mode", "cors")]),
        await ask(service, "/me", route=route, method="POST", more=navigates),
        await ask(service, "/me", route=route, token="x.y.z", more=navigates),
    ]

    # nginx takes 401 and redirects by itself. Traefik would make a relative address one of the service's own port.
    is_nginx = ROUTES[route] is NGINX
    name, status = ("X-Sign-In", 401) if is_nginx else ("Location", 303)
    host = "https://facility.example:8443" if route == "/authz/traefik" else ""
    assert (told.status, told.headers[name]) == (status, f"{host}/sign-in?next=/me%3Fa%3D1%26b%3D2")
    assert [each.headers[name] for each in odd] == ["/sign-in?next=/"] * len(elsewhere)
    assert [each.status for each in others] == [401] * 4
    assert not any(name in each.headers for each in others)
    assert (await ask(service, "/open/x", route=route, more=navigates)).status == 200
    async with service.http.get("/openapi.json") as document:
        described = (await document.json())["paths"][route]["get"]["responses"]
    assert name in described[str(status)]["headers"]
    assert ("303" in described) is not is_nginx


@pytest.mark.row("S66")
async def test_gateways_get_and_head_and_nothing_else(service: Service) -> None:
    token = (await service.login()).access_token
    told = [*zip(NGINX, ("POST", "/me"), strict=True), ("Authorization", f"Bearer {token}")]

    head = await call(service, "HEAD", "/authz", headers=told)
    assert (head.status, head.identity["Username"]) == (200, "user1001")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await call(service, method, "/authz", headers=told)).status == 405


@pytest.mark.row("S67")
@pytest.mark.parametrize("route", ROUTES)
async def test_headers_of_strangers_never_turn_a_no_into_a_yes(service: Service, route: str) -> None:
    """The gateway asks for /admin; the client sent along whatever it could think of."""
    token = (await service.login()).access_token
    own_method, own_target = ROUTES[route]
    for name, value in (
        *((name, "/open/x") for name in ("X-Original-URI", "X-Forwarded-Uri", "X_Original_URI", "x-forwarded_uri")),
        *((name, "/open/x") for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path", "X-Forwarded-Prefix")),
        *((name, "GET") for name in ("X-Original-Method", "X-Forwarded-Method", "X-HTTP-Method-Override")),
        *(("Forwarded", "for=127.0.0.1;host=open"), ("X-Forwarded-Host", "open"), ("X-Forwarded-For", "127.0.0.1")),
        *(("X-Auth-Roles", "admin"), ("X-Auth-Subject", "root"), ("X-Forwarded-User", "root")),
    ):
        for credential, status in (("", 401), (token, 403)):
            answer = await ask(service, "/admin/x", method="POST", token=credential, route=route, more=[(name, value)])
            assert (answer.status, answer.identity) == (status, {}), (name, value)
    doubled = [(own_target, "/me")]
    assert (await ask(service, "/me", token=token, route=route, more=doubled)).status == 403
    for told in ([], [(own_method, "GET")], [(own_target, "/open/x")], [(own_method, ""), (own_target, "")]):
        assert (await call(service, "GET", route, headers=told)).status == 401
    agreeing = [*zip(NGINX, ("GET", "/open/x"), strict=True), *zip(CADDY, ("GET", "/open/x"), strict=True)]
    assert (await call(service, "GET", route, headers=agreeing)).status == 200


@pytest.mark.row("S67", "D3")
@pytest.mark.parametrize(
    "target",
    [
        *("//open/x", "/open//x", "/open/../admin/x", "/open/%2e%2e/admin/x", "/open/..;/admin/x", "/open/%2fx"),
        *(
            "/open/%252e%252e/x",
            "/open\\x",
            "/open/%c0%ae%c0%ae/x",
            "/open/\xff",
            "http://a.example/open/x",
            "*",
            "x:1",
        ),
        *("/open/%00", "/open/" + "x" * 8200, "/Open/x"),
    ],
)
async def test_a_path_with_two_readings_is_nobodys(service: Service, target: str) -> None:
    token = (await service.login()).access_token

    assert (await ask(service, target)).status == 401
    assert (await ask(service, target, token=token)).status == 403
    assert (await ask(service, "/open/x", method="CONNECT", token=token)).status == 403


@pytest.mark.row("S66")
def test_a_name_beyond_ascii_is_escaped_and_never_a_second_header() -> None:
    token = VerifiedToken(
        subject="s", session_id="", token_id="", issuer="", audience=(), roles=("user",), user_number=None,
        username="å,%\r\nX-Auth-Roles: admin", client_id="", key_id="", iat=0, nbf=0, exp=0, payload=b"",
    )  # fmt: skip

    told = Answered(Verdict.ADMITTED, token=token).identity

    assert tuple(told) == IDENTITY_HEADERS
    assert told["x-auth-username"] == "%C3%A5,%25%0D%0AX-Auth-Roles: admin"


@pytest.mark.row("D2")
async def test_a_service_passes_by_its_scopes(service: Service) -> None:
    token = (await service.auth.LoginService(auth_pb2.LoginServiceRequest(api_key=PORTAL_API_KEY))).access_token

    answer = await ask(service, "/machines", token=token)

    assert answer.status == 200
    assert (answer.identity["Client"], answer.identity["Scopes"]) == ("portal", "experiments:read")
    assert answer.identity["Roles"] == ""
    assert (await ask(service, "/me", token=token)).status == 403


@pytest.mark.row("D1")
async def test_a_browser_signs_in_with_cookies_that_no_script_reads_and_no_token_in_the_body(service: Service) -> None:
    answer = await call(service, "POST", "/session", json={"username": "user1001", "password": "user1001-password"})

    assert answer.status == 200
    assert answer.cookies.keys() == {"access_token", "refresh_token"}
    for value in answer.headers.getall("Set-Cookie"):
        assert "; HttpOnly; " in value
        assert value.endswith("; Path=/; SameSite=lax; Secure")
    assert json.loads(answer.body) == {"expires_in": 43200}
    assert (await ask(service, "/me", cookies=answer.cookies)).identity["Username"] == "user1001"


@pytest.mark.row("D1")
async def test_signing_in_with_cookies_is_refused_as_everywhere(service: Service) -> None:
    wrong = await call(service, "POST", "/session", json={"username": "user1001", "password": "wrong"})
    form = await call(service, "POST", "/session", data={"username": "user1001", "password": "user1001-password"})
    plain = await call(
        service, "POST", "/session", data='{"username":"user1001"}', headers={"Content-Type": "text/plain"}
    )
    shape = await call(service, "POST", "/session", json={"username": 7})
    large = await call(service, "POST", "/session", json={"username": "x" * 70_000})

    assert (wrong.status, json.loads(wrong.body)["reason"]) == (401, "BAD_CREDENTIALS")
    # Another site's form can send nothing that signs its visitor in as somebody else.
    assert (form.status, plain.status, shape.status, large.status) == (415, 415, 422, 413)
    assert not any(each.cookies for each in (wrong, form, plain, shape, large))


@pytest.mark.row("D1", "D5")
async def test_signing_out_ends_the_session_on_the_server_and_takes_the_cookies(service: Service) -> None:
    for kept in (("access_token", "refresh_token"), ("access_token",), ("refresh_token",)):
        cookies = await session(service)
        left = {name: cookies[name] for name in kept}
        header = {"Cookie": "; ".join(f"{name}={value}" for name, value in left.items())}

        answer = await call(service, "DELETE", "/session", headers=header)

        assert (answer.status, answer.cookies) == (204, {"access_token": "", "refresh_token": ""})
        assert (await ask(service, "/me", cookies=cookies)).status == 401
    again = await call(service, "DELETE", "/session", headers=header)
    without = await call(service, "DELETE", "/session")
    assert (again.status, without.status) == (204, 204)


@pytest.mark.row("D4")
async def test_a_browser_whose_access_token_is_over_goes_on_with_the_next(service: Service) -> None:
    cookies = await session(service)

    for over in ({"refresh_token": cookies["refresh_token"]}, cookies | {"access_token": "x.y.z"}):
        answer = await ask(service, "/me", cookies=over)
        assert (answer.status, answer.identity["Username"]) == (200, "user1001")
        assert answer.cookies.keys() == {"access_token", "refresh_token"}
        assert answer.cookies["refresh_token"] != cookies["refresh_token"]
        assert not [name for name in answer.headers if name.lower().startswith("x-set-cookie")]
        assert (await ask(service, "/me", cookies=answer.cookies)).cookies == {}


@pytest.mark.row("D2", "D4")
async def test_a_gateway_that_no_script_can_pose_as_is_given_each_cookie_by_itself(service: Service) -> None:
    """Browsers let no script send a header that begins with Sec-."""
    cookies = await session(service)
    no_access = {"refresh_token": cookies["refresh_token"]}

    answer = await ask(service, "/me", cookies=no_access, more=[("Sec-Gateway", "nginx")])

    each = [answer.headers[name] for name in ("X-Set-Cookie-Access", "X-Set-Cookie-Refresh")]
    assert each == answer.headers.getall("Set-Cookie")


@pytest.mark.row("D4", "S36")
async def test_fifty_requests_with_one_access_cookie_that_is_over_all_pass_and_take_one_step(service: Service) -> None:
    cookies = await session(service)
    over = {"access_token": "x.y.z", "refresh_token": cookies["refresh_token"]}

    answers = await asyncio.gather(*(ask(service, f"/things/{number}", cookies=over) for number in range(50)))

    assert {answer.status for answer in answers} == {200}
    (successor,) = {answer.cookies["refresh_token"] for answer in answers}
    assert (
        service.refresh_tokens.read(successor).generation
        == service.refresh_tokens.read(cookies["refresh_token"]).generation + 1
    )


@pytest.mark.row("D4", "S35")
async def test_a_spent_refresh_cookie_ends_the_session_and_the_browser_forgets_both(service: Service) -> None:
    cookies = await session(service)
    second = (await ask(service, "/me", cookies={"refresh_token": cookies["refresh_token"]})).cookies
    third = (await ask(service, "/me", cookies={"refresh_token": second["refresh_token"]})).cookies

    answer = await ask(service, "/me", cookies={"refresh_token": cookies["refresh_token"]})

    assert answer.status == 401
    assert answer.cookies == {"access_token": "", "refresh_token": ""}
    assert (await ask(service, "/me", cookies=third)).status == 401


@pytest.mark.row("D1")
async def test_cookies_do_not_count_beside_a_header_or_twice_or_where_another_site_would_change_something(
    service: Service,
) -> None:
    cookies, others = await session(service), await session(service, "staff1002")
    cross = [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")]
    portal = [("Sec-Fetch-Site", "same-site"), ("Origin", "https://portal.example")]

    assert (await ask(service, "/me", cookies=cookies, token="x.y.z")).status == 401
    planted = "; ".join(f"{name}={value}" for each in (cookies, others) for name, value in each.items())
    assert (await ask(service, "/me", more=[("Cookie", planted)])).status == 401
    assert (await ask(service, "/me", method="POST", cookies=cookies, more=cross)).status == 401
    assert (await ask(service, "/me", method="POST", cookies=cookies, more=cross[:1])).status == 401
    assert (await ask(service, "/me", method="POST", cookies=cookies, more=portal)).status == 200
    assert (await ask(service, "/me", method="POST", cookies=cookies)).status == 200
    assert (await ask(service, "/me", method="GET", cookies=cookies, more=cross)).status == 200


@pytest.mark.row("D1")
@pytest.mark.parametrize("planted", ["theme=1 {}", "theme=1, {}", "theme=1\t{}", 'theme="1" {}', "theme={}", "={}"])
async def test_no_cookie_hides_in_another(service: Service, planted: str) -> None:
    tokens = await session(service)

    for name, token in tokens.items():
        cookie = planted.format(f"{name}={token}")
        assert (await ask(service, "/me", more=[("Cookie", cookie)])).status == 401
    both = planted.format("access_token=x.y.z") + f"; access_token={tokens['access_token']}"
    assert (await ask(service, "/me", more=[("Cookie", both)])).status == 200


@pytest.mark.row("D1")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # As Chromium opens a WebSocket, and as Firefox does.
        ({"Origin": "https://app.example:8000"}, 200),
        ({"Origin": "https://evil.app.example"}, 401),
        ({"Origin": "null"}, 401),
        ({"Origin": "https://["}, 401),
        ({"Origin": "https://portal.example"}, 200),
        ({"Origin": "https://app.example:8000", "Sec-Fetch-Mode": "websocket", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://evil.app.example", "Sec-Fetch-Mode": "websocket", "Sec-Fetch-Site": "same-site"}, 401),
        ({}, 200),
    ],
)
async def test_no_other_site_opens_a_socket_with_cookies(
    service: Service, headers: dict[str, str], status: int
) -> None:
    told = [("X-Forwarded-Host", "app.example:8000"), *headers.items()]

    assert (await ask(service, "/me", cookies=await session(service), more=told)).status == status
    assert (await ask(service, "/me", token=(await service.login()).access_token, more=told)).status == 200


@pytest.mark.row("D3")
async def test_a_changed_policy_counts_without_a_restart_and_a_bad_one_never(
    start: Start, logs: Logs, tmp_path: Path
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(POLICY))
    service = await start(policy_file=str(file))

    async def status(target: str) -> int:
        return (await ask(service, target)).status

    async def is_current() -> bool:
        page = (await call(service, "GET", "/metrics")).body
        return b"auth_policy_is_current 1.0" in page

    assert (await status("/open/x"), await status("/new")) == (200, 401)
    file.write_text('{"rules": [{"public": true, "locations": ["/new"]}]}')

    async def is_new() -> bool:
        return await status("/new") == 200

    await eventually(is_new)
    assert await status("/open/x") == 401
    file.write_text("{")

    async def is_bad() -> bool:
        return not await is_current()

    await eventually(is_bad)
    assert (await status("/open/x"), await status("/new")) == (401, 200)
    (told,) = logs.named("policy.refused", in_force="the one before", file=str(file))
    assert told["problems"][0].startswith("the file: expected a JSON object")


@pytest.mark.row("D5", "S18")
async def test_without_the_database_tokens_count_and_only_a_refresh_has_to_wait(
    databases: Databases, facility: Facility, logs: Logs, tmp_path: Path
) -> None:
    (tmp_path / "policy.json").write_text(json.dumps(POLICY))
    async with (
        in_front_of(await databases.make("postgresql")) as (proxy, through),
        running_service(
            through,
            facility=facility,
            data_dir=tmp_path,
            policy_file=str(tmp_path / "policy.json"),
            database_timeout="2s",
        ) as service,
    ):
        cookies = await session(service)
        await proxy.refuse()

        good = await ask(service, "/me", cookies=cookies)
        over = await ask(service, "/me", cookies={"refresh_token": cookies["refresh_token"]})
        public = await ask(service, "/open/x", cookies={"refresh_token": cookies["refresh_token"]})

        assert (good.status, public.status, over.status) == (200, 200, 503)
        assert over.cookies == {}
        assert int(over.headers["Retry-After"]) >= 1
        await proxy.pass_through()
