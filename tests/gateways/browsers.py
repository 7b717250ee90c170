"""Browsers: where they are sent to sign in, and how their session goes on."""

import re
from urllib.parse import unquote

from tests.gateways.case import JWT, Cases, identity, passed
from tests.gateways.stage import Stage, cookie
from tests.support import raw_http2
from tests.support.raw_http import exchange

case = Cases()


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
    "the same, of a WebSocket: opened by a page of this host, of a neighbour",
    *("D1", "D2"),
    expected="101, 401",
    but={JWT: "401, 401"},
)
async def sockets(stage: Stage) -> str:
    held, told = cookie(await stage.browser()), []
    handshake = [
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg=="),
    ]
    for page in (stage.gateway.address, "neighbour.example"):
        lines = [
            ("Host", stage.gateway.address),
            ("Connection", "Upgrade"),
            ("Origin", f"http://{page}"),
            held,
            *handshake,
        ]
        head = ["GET /me/socket HTTP/1.1", *(f"{name}: {value}" for name, value in lines)]
        told.append(str((await exchange(stage.gateway.address, "\r\n".join([*head, "", ""]).encode())).status))
    return ", ".join(told)


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


@case(
    "the same over HTTP/2, each cookie in a field of its own",
    *("D1", "D4"),
    expected="200, both cookies",
    but={"nginx": "needs TLS", JWT: "401"},
)
async def over_http2(stage: Stage) -> str:
    held = await stage.browser_after_a_while()
    crumbs = [("cookie", f"{name}={value}") for name, value in {"a": "1", **held, "theme": "dark"}.items()]
    reply = await raw_http2.send(stage.gateway.address, "/me/x", headers=crumbs)
    if reply.status == 0:
        return "needs TLS"
    if not passed(reply):
        return str(reply.status)
    (told,) = [value for name, value in reply.reached["headers"] if name == "cookie"]
    assert held["refresh_token"] not in told
    assert "theme=dark" in told
    return "200, both cookies" if reply.cookies.keys() == {"theme", "access_token", "refresh_token"} else str(reply)


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
