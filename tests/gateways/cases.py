"""What is tried at each gateway, and what has to come of it."""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import aiohttp
import grpc
import sqlalchemy as sa
from auth_api.v1 import auth_pb2, auth_pb2_grpc, keys_pb2

from auth_service.storage import schema
from tests.drills.stage import session_of
from tests.gateways.stage import PERSON, STAFF, Stage, cookie
from tests.support.conditions import eventually
from tests.support.raw_http import Reply, exchange
from tests.support.service import PORTAL_API_KEY, Refusal, admin_token, bearer
from tests.support.sql import executed

SPOOFED = [
    *((name, "root") for name in ("X-Auth-Subject", "x-auth-roles", "X-AUTH-USERNAME", "X-Auth-User-Number")),
    *((name, "root") for name in ("X-Auth-Session", "X-Auth-Client", "X-Auth-Scopes", "X-Auth-Roles")),
    *((name, "root") for name in ("X_Auth_Roles", "X-Auth_Roles", "x_auth-subject", "X_AUTH_USERNAME")),
]
JWT = "Envoy, jwt_authn"


@dataclass(frozen=True, slots=True)
class Case:
    """`play` says what came of it. `expected` of every gateway but those that `but` names."""

    name: str
    rows: tuple[str, ...]
    play: Callable[[Stage], Awaitable[str]]
    expected: str
    but: Mapping[str, str] = field(default_factory=dict)

    def expected_of(self, gateway: str) -> str:
        return self.but.get(gateway, self.expected)


CASES: list[Case] = []


def case(
    name: str, *rows: str, expected: str, but: Mapping[str, str] | None = None
) -> Callable[[Callable[[Stage], Awaitable[str]]], Callable[[Stage], Awaitable[str]]]:
    def kept(play: Callable[[Stage], Awaitable[str]]) -> Callable[[Stage], Awaitable[str]]:
        CASES.append(Case(name, rows, play, expected, but or {}))
        return play

    return kept


def identity(reply: Reply) -> dict[str, str]:
    """What reached the application, by name, of all headers that it might take for the gateway's word."""
    sent = reply.reached.get("headers", [])
    # Caddy and Traefik send those that are empty, which tells as much as none.
    return {name: value for name, value in sent if value and name.replace("_", "-").startswith("x-auth-")}


def passed(reply: Reply) -> bool:
    return reply.status == 200 and bool(reply.reached)


@case("a public page, nobody signed in", "D2", "D3", expected="200")
async def public(stage: Stage) -> str:
    reply = await stage.ask("/assets/a.css?x=1")
    assert reply.reached.get("target") == "/assets/a.css?x=1"
    return f"{reply.status} {identity(reply) or ''}".strip()


@case("no token", "D2", "S66", expected="401")
async def no_token(stage: Stage) -> str:
    reply = await stage.ask("/me/x")
    assert reply.header("www-authenticate").startswith("Bearer"), reply
    return str(reply.status)


@case("a valid token", "D2", expected="200, and who it is", but={JWT: "200, and who it is but for roles"})
async def valid(stage: Stage) -> str:
    claims = await stage.service.verify(await stage.token(STAFF))
    reply = await stage.ask("/staff/x?y=1&z=%2F", token=await stage.token(STAFF))
    told = identity(reply)
    whole = {
        "x-auth-subject": claims.subject,
        "x-auth-username": claims.username,
        "x-auth-user-number": str(claims.user_number),
        "x-auth-session": claims.session_id,
        "x-auth-client": claims.client_id,
    }
    assert reply.reached.get("target") == "/staff/x?y=1&z=%2F", reply
    if told == whole | {"x-auth-roles": "staff"}:
        return f"{reply.status}, and who it is"
    return f"{reply.status}, and who it is but for roles" if told == whole else f"{reply.status} {told}"


@case("an expired token", "D2", expected="401")
async def expired(stage: Stage) -> str:
    token = await stage.signed(exp=int(time.time()) - 600, iat=int(time.time()) - 1200)
    return str((await stage.ask("/me/x", token=token)).status)


@case("the session was ended a moment ago", "D2", expected="401", but={JWT: "200, until it expires"})
async def ended(stage: Stage) -> str:
    pair = await stage.service.login()
    assert passed(await stage.ask("/me/x", token=pair.access_token))
    await stage.service.logout(pair.refresh_token)
    reply = await stage.ask("/me/x", token=pair.access_token)
    return "200, until it expires" if passed(reply) else str(reply.status)


@case("a token for another audience", "D2", "S6", expected="401", but={JWT: "403"})
async def wrong_audience(stage: Stage) -> str:
    return str((await stage.ask("/me/x", token=await stage.signed(aud="somebody-else"))).status)


@case("a token of another issuer", "D2", expected="401")
async def wrong_issuer(stage: Stage) -> str:
    return str((await stage.ask("/me/x", token=await stage.signed(iss="https://auth.example.org"))).status)


@case("a forged token, garbage, a refresh token, an API key", "D2", "S1", expected="401 each")
async def forged(stage: Stage) -> str:
    refresh = (await stage.service.login()).refresh_token
    said = {
        (await stage.ask("/me/x", token=each)).status
        for each in (await stage.forged(), "x", "a.b.c", refresh, PORTAL_API_KEY)
    }
    return f"{said.pop()} each" if len(said) == 1 else str(sorted(said))


@case("a token in the query, in a form, in another header", "S66", expected="401 each")
async def elsewhere(stage: Stage) -> str:
    token = await stage.token()
    form = ("Content-Type", "application/x-www-form-urlencoded")
    replies = [
        await stage.ask(f"/me/x?access_token={token}"),
        await stage.ask("/me/x", form, method="POST", body=f"access_token={token}".encode()),
        *[await stage.ask("/me/x", (name, f"Bearer {token}")) for name in ("X-Access-Token", "Proxy-Authorization")],
    ]
    said = {reply.status for reply in replies}
    return f"{said.pop()} each" if len(said) == 1 else str(sorted(said))


@case("two Authorization headers, one of them good", "S64", "S66", expected="401", but={"nginx": "400"})
async def doubled(stage: Stage) -> str:
    good, bad = ("Authorization", f"Bearer {await stage.token()}"), ("Authorization", "Bearer x")
    said = {(await stage.ask("/me/x", *two)).status for two in ((good, bad), (bad, good), (good, good))}
    return str(said.pop()) if len(said) == 1 else str(sorted(said))


@case("identity headers of the client, in many spellings, no token", "S67", "S68", expected="none reaches it")
async def spoofed_by_nobody(stage: Stage) -> str:
    reply = await stage.ask("/assets/x", *SPOOFED)
    assert passed(reply), reply
    return str(identity(reply) or "none reaches it")


@case("the same, with a token", "S67", "S68", expected="none reaches it")
async def spoofed_by_somebody(stage: Stage) -> str:
    replies = [await stage.ask("/me/x", *SPOOFED[:many], token=await stage.token()) for many in (0, len(SPOOFED))]
    assert passed(replies[1]), replies[1]
    clean, spoofed = map(identity, replies)
    return "none reaches it" if clean == spoofed else str(spoofed)


@case("the request, as the client says it was", "S67", expected="no difference")
async def retold(stage: Stage) -> str:
    names = ("X-Original-URI", "X-Forwarded-Uri", "X-Original-URL", "X-Rewrite-URL", "X-Envoy-Original-Path")
    odd = []
    for name in (*names, "X_Original_URI", "X_Forwarded_Uri"):
        refused = await stage.ask("/admin/x", (name, "/assets/x"), token=await stage.token())
        let_in = await stage.ask("/me/x", (name, "/admin/x"), token=await stage.token())
        if refused.status != 403 or (let_in.status, let_in.reached.get("target")) != (200, "/me/x"):
            odd.append((name, refused.status, let_in.status))
    for name in ("X-Original-Method", "X-Forwarded-Method", "X-HTTP-Method-Override"):
        refused = await stage.ask("/staff/x", (name, "GET"), method="DELETE", token=await stage.token(STAFF))
        odd += [(name, refused.status, 0)] if refused.status != 403 else []
    return str(odd or "no difference")


@case("where the client says that it comes from", "S50", "S67", expected="not believed")
async def elsewhere_from(stage: Stage) -> str:
    addresses = []
    for claims in (
        (),
        (("X-Forwarded-For", "203.0.113.9"),),
        (("Forwarded", "for=203.0.113.9"),),
        (("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9")),
        (
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-Forwarded-For", "203.0.113.9, 127.0.0.1"),
            ("X-Real-IP", "203.0.113.9"),
        ),
    ):
        held = await stage.browser(*claims)
        session = sa.select(schema.session.c.address).where(schema.session.c.id == session_of(held["refresh_token"]))
        ((address,),) = await executed(stage.service.settings.database, session)
        addresses.append(address)
    return "not believed" if len(set(addresses)) == 1 else str(addresses)


@case("what the policy does not let them do", "D2", "D3", expected="403")
async def denied(stage: Stage) -> str:
    token, staff = await stage.token(), await stage.token(STAFF)
    replies = [
        await stage.ask("/staff/x", token=token),
        await stage.ask("/staff/x", token=staff, method="POST"),
        await stage.ask("/admin/x", token=staff),
        await stage.ask("/nowhere", token=staff),
    ]
    said = {reply.status for reply in replies}
    return str(said.pop()) if len(said) == 1 else str(sorted(said))


@case("a service, by its scopes", "D2", expected="200; 403 where people go")
async def by_scope(stage: Stage) -> str:
    request = auth_pb2.LoginServiceRequest(api_key=PORTAL_API_KEY)
    token = (await stage.service.auth.LoginService(request)).access_token
    reply = await stage.ask("/api/experiments", token=token)
    assert identity(reply).get("x-auth-scopes") == "experiments:read", reply
    return f"{reply.status}; {(await stage.ask('/me/x', token=token)).status} where people go"


@case("paths that two programs could read in two ways", "D3", "S67", expected="none reaches /admin")
async def tricks(stage: Stage) -> str:
    before = len(stage.application.requests)
    for target in (
        *("/assets/../admin/x", "/assets/%2e%2e/admin/x", "/assets/..%2fadmin/x", "/assets/.%2e/admin/x"),
        *("//admin/x", "/assets//../admin/x", "/assets/..;/admin/x", "/assets/..%5cadmin/x", "/assets/..\\admin/x"),
        *("/assets/%252e%252e/admin/x", "/assets/%c0%ae%c0%ae/admin/x", "/assets/x%00/../../admin/x"),
        *("/me/../admin/x", "/./admin/x", "/%61dmin/x", "/admin;x", "/admin%2fx", "http://127.0.0.1/admin/x"),
        *("http://a.example/assets/../admin/x", "/assets/x?/../../admin", "/assets/x#/../../admin/x"),
        *("/ADMIN/x", "/admin/", "/auth/../admin/x", "/auth/%2e%2e/admin/x", "/auth/..%2fadmin/x"),
    ):
        await stage.ask(target)
        await stage.ask(target, token=await stage.token())
    reached = [each["target"] for each in stage.application.requests[before:]]
    # Envoy gives the application the path that it asked about: /assets/admin/x is below /assets/, and plainly so.
    bad = [each for each in reached if "admin" in each.partition("?")[0].lower() and each != "/assets/admin/x"]
    return str(bad or "none reaches /admin")


@case("a browser without a session wants a page", "D2", expected="303 to sign in, and back", but={JWT: "401"})
async def sent_to_sign_in(stage: Stage) -> str:
    reply = await stage.ask("/me/x?a=1&b=2", ("Accept", "text/html,*/*"), ("Sec-Fetch-Mode", "navigate"))
    script = await stage.ask("/me/x?a=1&b=2", ("Accept", "*/*"), ("Sec-Fetch-Mode", "cors"))
    assert script.status == 401
    if reply.status != 303:
        return str(reply.status)
    here = f"http://{stage.gateway.address}" if stage.gateway.recipe.name == "Traefik" else ""
    assert reply.header("location") == f"{here}/auth/sign-in?next=/me/x%3Fa%3D1%26b%3D2", reply.headers
    for lie in (
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "gopher"),
        ("Forwarded", "host=evil.example"),
    ):
        lied_to = await stage.ask("/me/x?a=1&b=2", ("Accept", "text/html"), lie, ("X-Sign-In", "https://evil.example"))
        assert (lied_to.status, lied_to.header("location")) == (303, reply.header("location")), lie
    for target in (
        "//evil.example/x",
        "/%2fevil.example",
        "/\\evil.example",
        "/%0d%0aLocation:%20https://evil.example",
    ):
        odd = await stage.ask(target, ("Accept", "text/html"))
        page, _, leads_to = odd.header("location").removeprefix(here).partition("?next=")
        is_here = re.fullmatch(r"/([^/\\\s].*)?", unquote(leads_to)) and page == "/auth/sign-in"
        assert is_here or odd.status in (400, 404), (target, odd.headers)
    return "303 to sign in, and back"


@case("a browser's session, in cookies", "D1", "D2", expected="200", but={JWT: "401"})
async def session(stage: Stage) -> str:
    reply = await stage.ask("/me/x", cookie(await stage.browser()))
    if passed(reply):
        assert reply.cookies == {"theme": "dark"}, "nothing to renew, and the application's own cookie"
        assert identity(reply)["x-auth-username"]
    return str(reply.status)


@case(
    "the same, when its access token is over",
    *("D1", "D4"),
    expected="200, both cookies",
    but={JWT: "401"},
)
async def renewed(stage: Stage) -> str:
    held = await stage.browser_after_a_while()
    reply = await stage.ask("/me/x", cookie(held))
    if not passed(reply):
        return str(reply.status)
    assert identity(reply)["x-auth-username"]
    assert reply.cookies.keys() == {"theme", "access_token", "refresh_token"}, reply.headers
    assert all("httponly" in each.lower() for each in reply.all("set-cookie") if "token" in each)
    assert reply.cookies["refresh_token"] != held["refresh_token"]
    again = await stage.ask("/me/x", cookie(reply.cookies))
    assert (again.status, list(again.cookies)) == (200, ["theme"])
    return "200, both cookies"


@case("the same, where the policy says no", "D4", expected="403, both cookies", but={JWT: "401"})
async def renewed_and_refused(stage: Stage) -> str:
    held = await stage.browser_after_a_while()
    reply = await stage.ask("/admin/x", cookie(held))
    if reply.cookies.keys() != {"access_token", "refresh_token"} or not all(reply.cookies.values()):
        return f"{reply.status} {sorted(reply.cookies) or ''}".strip()
    return f"{reply.status}, both cookies"


@case("the same, when its session is over too", "D4", expected="401, cookies taken", but={JWT: "401"})
async def over(stage: Stage) -> str:
    held = await stage.browser_after_a_while()
    await stage.service.logout(held["refresh_token"])
    reply = await stage.ask("/me/x", cookie(held))
    taken = {name for name, value in reply.cookies.items() if not value}
    return f"{reply.status}, cookies taken" if taken == {"access_token", "refresh_token"} else str(reply.status)


@case(
    "the refresh token, behind the gateway",
    *("D1", "S68"),
    expected="is not there",
    but={JWT: "not asked for"},
)
async def hidden(stage: Stage) -> str:
    held = await stage.browser()
    access, refresh = (f"{name}={held[name]}" for name in ("access_token", "refresh_token"))
    found = []
    for sent in (f"{refresh}; {access}; theme=dark", f"theme=dark; {refresh}; {access}", f"{access}; {refresh}"):
        reply = await stage.ask("/me/x", ("Cookie", sent))
        if not passed(reply):
            return "not asked for"
        (told,) = [value for name, value in reply.reached["headers"] if name == "cookie"]
        assert access in told
        assert ("theme=dark" in told) == ("theme=dark" in sent)
        found.append(held["refresh_token"] in told)
    assert len(set(found)) == 1
    return "is there" if found[0] else "is not there"


@case("the signing key was changed: a token of before, a token of after", "D2", "S24", expected="200, 200")
async def rotated(stage: Stage) -> str:
    before = (await stage.service.login()).access_token
    administrator, keys = bearer(await admin_token(stage.service)), stage.service.keys

    async def rotates() -> bool:
        ring = await keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=administrator)
        request = keys_pb2.RotateSigningKeyRequest(ring_version=ring.ring_version)
        try:
            await keys.RotateSigningKey(request, metadata=administrator)
        except grpc.aio.AioRpcError as error:
            if Refusal.of(error).reason != "RING_CHANGED":
                raise
            # The service itself has tidied its ring meanwhile.
            return False
        return True

    await eventually(rotates)
    after = (await stage.service.login()).access_token
    assert before.split(".")[0] != after.split(".")[0]
    return ", ".join([str((await stage.ask("/me/x", token=each)).status) for each in (before, after)])


@case("a WebSocket: with a token, without", "D2", expected="101 and an echo, 401")
async def socket(stage: Stage) -> str:
    url = f"http://{stage.gateway.address}/me/socket"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        headers = {"Authorization": f"Bearer {await stage.token()}"}
        async with http.ws_connect(url, headers=headers) as opened:
            await opened.send_str("hello")
            assert (await opened.receive_str()) == "hello"
        try:
            async with http.ws_connect(url):
                return "open to strangers"
        except aiohttp.WSServerHandshakeError as refused:
            return f"101 and an echo, {refused.status}"


@case("a body of 4 MiB, as long as it says, and in chunks", "D2", expected="arrives whole")
async def large(stage: Stage) -> str:
    reply = await stage.ask("/me/x", method="POST", token=await stage.token(), body=b"x" * (4 << 20))
    head = f"POST /me/x HTTP/1.1\r\nHost: {stage.gateway.address}\r\nAuthorization: Bearer {await stage.token()}\r\n"
    chunks = b"%x\r\n%b\r\n" % (1 << 20, b"x" * (1 << 20)) * 4 + b"0\r\n\r\n"
    chunked = await exchange(stage.gateway.address, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)
    said = [each.reached.get("size", each.status) for each in (reply, chunked)]
    return "arrives whole" if said == [4 << 20] * 2 else str(said)


@case("more headers than the service reads", "S66", "S74", expected="no difference", but={"Caddy": "431"})
async def many_headers(stage: Stage) -> str:
    padding = [(f"X-Padding-{number}", "x" * 4000) for number in range(7)]
    replies = [
        await stage.ask("/me/x", *padding, token=await stage.token()),
        await stage.ask("/me/x", *padding),
        await stage.ask("/admin/x", *padding, token=await stage.token()),
    ]
    said = [each.status for each in replies]
    return "no difference" if said == [200, 401, 403] else str(said[0] if len(set(said)) == 1 else said)


@case("an upgrade to anything but a WebSocket: a tunnel past the gateway", "S67", expected="never reaches it")
async def tunnelled(stage: Stage) -> str:
    found = []
    for upgrades in (
        ["h2c"],
        ["H2C"],
        ["h2c, websocket"],
        ["websocket, h2c"],
        ["websocket", "h2c"],
        ["h2c", "websocket"],
        ["x"],
    ):
        for connection in ("Upgrade, HTTP2-Settings", "keep-alive, upgrade"):
            upgrade = [("Upgrade", each) for each in upgrades]
            headers = (*upgrade, ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"))
            head = ["GET /assets/x HTTP/1.1", f"Host: {stage.gateway.address}", f"Connection: {connection}"]
            head += [f"{name}: {value}" for name, value in headers]
            reply = await exchange(stage.gateway.address, "\r\n".join([*head, "", ""]).encode())
            asked_for = {value for name, value in reply.reached.get("headers", []) if name == "upgrade"}
            found += [(upgrades, asked_for)] if asked_for else []
            found += [(upgrades, reply.status)] if reply.status == 101 else []
    return str(found or "never reaches it")


@case("a request within a request", "S67", expected="never reaches /admin")
async def smuggled(stage: Stage) -> str:
    before = len(stage.application.requests)
    host = stage.gateway.address.encode()
    inner = b"GET /admin/smuggled HTTP/1.1\r\nHost: %b\r\n\r\n" % host
    start = b"POST /me/x HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n" % (host, (await stage.token()).encode())
    for headers in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(inner),
        b"Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ):
        await exchange(stage.gateway.address, start + headers + inner)
    bad = [each["target"] for each in stage.application.requests[before:] if "smuggled" in each["target"]]
    return str(bad or "never reaches /admin")


@case("the service's own pages", "D2", expected="key set open; metrics, /authz, probes closed")
async def own_pages(stage: Stage) -> str:
    keys = await stage.ask("/auth/.well-known/jwks.json")
    assert b'"kty"' in keys.body
    told = (
        ("X-Original-Method", "GET"),
        ("X-Original-URI", "/"),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Uri", "/"),
    )
    inside = ("metrics", "authz", "authz/nginx", "authz/caddy", "authz/traefik", "healthz", "readyz", "ready")
    open_ = [
        path
        for path in (*inside, "%6detrics", "./metrics", "/metrics", "x/../metrics", "metrics/")
        for token in ("", await stage.token(STAFF))
        if (await stage.ask(f"/auth/{path}", *told, token=token)).status not in (301, 307, 308, 400, 401, 403, 404)
    ]
    return f"key set {'open' if keys.status == 200 else 'closed'}; metrics, /authz, probes {open_ or 'closed'}"


@case("gRPC: a call, a refusal, what is for gateways alone", "D2", "D8", expected="OK, UNAUTHENTICATED, refused")
async def over_grpc(stage: Stage) -> str:
    async with grpc.aio.insecure_channel(stage.gateway.grpc_address) as channel:
        auth = auth_pb2_grpc.AuthServiceStub(channel)
        verified = await auth.Verify(auth_pb2.VerifyRequest(token=await stage.token()), timeout=10)
        assert verified.username
        said = []
        login = auth_pb2.LoginRequest(username=PERSON, password="wrong")
        check: Any = channel.unary_unary("/envoy.service.auth.v3.Authorization/Check")
        for call in (auth.Login(login, timeout=10), check(b"", timeout=10)):
            try:
                await call
                said.append("OK")
            except grpc.aio.AioRpcError as error:
                said.append(error.code().name)
    return f"OK, {said[0]}, {'open' if said[1] == 'OK' else 'refused'}"


@case(
    "the service is away: a valid token, a public page, nobody",
    *("D2", "S66"),
    expected="503, 503, 503",
    but={"Caddy": "502, 502, 502", "Traefik": "500, 500, 500", JWT: "200, 200, 401"},
)
async def away(stage: Stage) -> str:
    token = await stage.token()
    async with _cut_off(stage):
        replies = [await stage.ask("/me/x", token=token), await stage.ask("/assets/x"), await stage.ask("/me/x")]
    return ", ".join(str(reply.status) for reply in replies)


@case("the service is away: its key set", "S18", expected="is away too", but={"nginx": "200, as it was"})
async def key_set_away(stage: Stage) -> str:
    before = await stage.ask("/auth/.well-known/jwks.json")
    assert before.status == 200
    async with _cut_off(stage):
        reply = await stage.ask("/auth/.well-known/jwks.json")
    if reply.status >= 500:
        return "is away too"
    return f"{reply.status}, as it was" if reply.body == before.body else str(reply.status)


@asynccontextmanager
async def _cut_off(stage: Stage) -> AsyncIterator[None]:
    """The service cannot be reached; afterwards it can, and the gateway has noticed."""
    token = await stage.token()

    async def is_back() -> bool:
        return passed(await stage.ask("/me/x", token=token))

    try:
        for network in stage.networks:
            await network.refuse()
        yield
    finally:
        for network in stage.networks:
            await network.pass_through()
        await eventually(is_back)
