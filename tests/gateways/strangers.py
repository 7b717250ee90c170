"""What strangers try: to be somebody else, to be somewhere else, to get past the gateway."""

import sqlalchemy as sa

from auth_service.storage import schema
from tests.drills.stage import session_of
from tests.gateways.case import Cases, identity, passed
from tests.gateways.stage import STAFF, Stage
from tests.support import raw_http2
from tests.support.raw_http import Reply, exchange
from tests.support.sql import executed

SPOOFED = [
    *((name, "root") for name in ("X-Auth-Subject", "x-auth-roles", "X-AUTH-USERNAME", "X-Auth-User-Number")),
    *((name, "root") for name in ("X-Auth-Session", "X-Auth-Client", "X-Auth-Scopes", "X-Auth-Roles")),
    *((name, "root") for name in ("X_Auth_Roles", "X-Auth_Roles", "x_auth-subject", "X_AUTH_USERNAME")),
]
case = Cases()


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


@case("a Connection header that names what the gateway says", "S67", expected="no difference")
async def taken_away(stage: Stage) -> str:
    token, address = await stage.token(), stage.gateway.address
    plain = await stage.ask("/me/x", token=token)
    odd: list[tuple[str, object]] = []
    for named in ("X-Auth-Subject, X-Auth-Roles, X-Auth-Username", "close, x-auth-subject", "Cookie, X-Forwarded-For"):
        head = ["GET /me/x HTTP/1.1", f"Host: {address}", f"Authorization: Bearer {token}", f"Connection: {named}"]
        reply = await exchange(address, "\r\n".join([*head, "", ""]).encode())
        odd += [(named, identity(reply))] if passed(reply) and identity(reply) != identity(plain) else []
    for named in ("X-Forwarded-Method, X-Forwarded-Uri", "X-Original-Method, X-Original-URI", "Sec-Fetch-Site"):
        head = ["GET /admin/x HTTP/1.1", f"Host: {address}", f"Authorization: Bearer {token}", f"Connection: {named}"]
        reply = await exchange(address, "\r\n".join([*head, "", ""]).encode())
        odd += [(named, reply.status)] if reply.status != 403 else []
    return str(odd or "no difference")


@case(
    "over HTTP/2: two tokens, identity headers, a second :path",
    *("S64", "S67"),
    expected="no difference",
    but={"nginx": "needs TLS"},
)
async def over_http2(stage: Stage) -> str:
    bearer = ("authorization", f"Bearer {await stage.token()}")

    async def ask(target: str, *headers: tuple[str, str]) -> Reply:
        return await raw_http2.send(stage.gateway.address, target, headers=headers)

    plain = await ask("/me/x", bearer)
    if plain.status == 0:
        return "needs TLS"
    assert passed(plain), plain
    spoofed = await ask("/me/x", bearer, *((name.lower(), value) for name, value in SPOOFED))
    assert identity(spoofed) == identity(plain), spoofed
    for headers in ((bearer, bearer), (bearer, ("authorization", "Bearer x")), (("authorization", "Bearer x"), bearer)):
        assert (await ask("/me/x", *headers)).status in (0, 400, 401), headers
    for odd in ((":path", "/assets/x"), (":method", "GET"), ("connection", "x-auth-subject"), ("X-Auth-Roles", "root")):
        reply = await ask("/admin/x", bearer, odd)
        assert reply.status in (0, 400, 403), (odd, reply)
    for target in ("/assets/../admin/x", "//admin/x", "/assets/%2e%2e/admin/x", "admin/x", "", "*"):
        reply = await ask(target, bearer)
        assert "admin" not in reply.reached.get("target", "").removeprefix("/assets/admin/x"), (target, reply)
    return "no difference"


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
    found: list[tuple[list[str], object]] = []
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
    in_disguise = ("%6detrics", "/metrics", "x/../metrics", "metrics/", "authz%2Fnginx", "x%2F..%2Fmetrics", "./authz")
    open_ = [
        path
        for path in (*inside, *in_disguise)
        for token in ("", await stage.token(STAFF))
        if (await stage.ask(f"/auth/{path}", *told, token=token)).status not in (301, 307, 308, 400, 401, 403, 404)
    ]
    return f"key set {'open' if keys.status == 200 else 'closed'}; metrics, /authz, probes {open_ or 'closed'}"
