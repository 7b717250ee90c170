"""Forward-auth: gateways ask here, for each request of others, whether it may pass and who sends it.

nginx, Caddy and Traefik tell by headers what they were asked for. A gateway overwrites its own headers, and passes on
what it does not know; so each has its route, only its own headers are believed there, and what others say must agree.
"""

import re
from collections.abc import Sequence

from auth_client.policy import Verdict
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth_service.domain.addresses import Network
from auth_service.usecases.gate import Answered, Asked, Gate
from auth_service.web.peers import origin_of

_NO_STORE = {"Cache-Control": "no-store"}
_ORIGINAL = (b"x-original-method", b"x-original-uri")
_FORWARDED = (b"x-forwarded-method", b"x-forwarded-uri")
_TOLD = frozenset((*_ORIGINAL, *_FORWARDED))

_TRAEFIK = "/authz/traefik"
_PUBLIC = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d+)?", re.ASCII)

SPELT_BY = {"/authz": _ORIGINAL, "/authz/nginx": _ORIGINAL, "/authz/caddy": _FORWARDED, _TRAEFIK: _FORWARDED}
"""The headers of the gateway whose route it is: the request's method, and its target."""
SENDS_AWAY = frozenset(path for path, names in SPELT_BY.items() if names is _FORWARDED)
"""Where a browser that may sign in is answered 303, for its gateway to pass on."""

SET_COOKIES = ("X-Set-Cookie-Access", "X-Set-Cookie-Refresh")
"""The two `Set-Cookie` again, one by one: of headers of one name nginx makes one, and Caddy takes the first.

Scripts can read these, as they cannot read `Set-Cookie`; so they are for whoever sends GATEWAY, which no script can.
"""
GATEWAY = "sec-gateway"

SIGN_IN = "X-Sign-In"
"""Where a browser may sign in. nginx takes no 303 for an answer and has to make it by itself; others pass ours on."""


def routes(gate: Gate, *, trusted_proxies: Sequence[Network] = ()) -> list[Route]:
    def route(path: str, names: tuple[bytes, bytes]) -> Route:
        async def authz(request: Request) -> Response:
            method, target = _asked(request, names)
            headers = request.headers
            asked = Asked(
                method,
                target,
                authorization=tuple(headers.getlist("authorization")),
                cookies=tuple(headers.getlist("cookie")),
                sent_by=headers.get("sec-fetch-site", ""),
                page=headers.get("origin", ""),
                accept=headers.get("accept", ""),
                mode=headers.get("sec-fetch-mode", ""),
                host=headers.get("x-forwarded-host", ""),
            )
            answered = await gate.ask(asked, origin=origin_of(request, trusted_proxies=trusted_proxies))
            sign_in = _from_outside(headers) + answered.sign_in if path == _TRAEFIK else answered.sign_in
            response = _response(answered, sign_in=sign_in, sends_away=path in SENDS_AWAY)
            if path == _TRAEFIK and (left := gate.cookies.refresh.left_out_of("; ".join(asked.cookies))):
                # Traefik cannot take one cookie out of a request, but put this in its place.
                response.headers["Cookie"] = left
            for alias, cookie in zip(SET_COOKIES, answered.set_cookies, strict=False):
                response.headers.append("Set-Cookie", cookie)
                if GATEWAY in headers:
                    response.headers[alias] = cookie
            return response

        return Route(path, authz, methods=["GET"])

    return [route(path, names) for path, names in SPELT_BY.items()]


def _asked(request: Request, own: tuple[bytes, bytes]) -> tuple[str, str]:
    """Method and target of the request that the gateway has; both empty unless that is beyond doubt."""
    others = _FORWARDED if own is _ORIGINAL else _ORIGINAL
    told: dict[bytes, list[bytes]] = {}
    for name, value in request.headers.raw:
        # Some gateways take the two spellings for one header.
        if (spelt := name.replace(b"_", b"-")) in _TOLD:
            told.setdefault(spelt, []).append(value)
    if any(len(values) > 1 for values in told.values()):
        return "", ""
    found = [_agreed(told.get(name), told.get(other)) for name, other in zip(own, others, strict=True)]
    return ("", "") if "" in found else (found[0], found[1])


def _agreed(own: list[bytes] | None, other: list[bytes] | None) -> str:
    """What the gateway says, unless another gateway's header says something else; empty where it says nothing."""
    if own is None or other not in (None, own):
        return ""
    return own[0].decode("latin-1")


def _from_outside(headers: Headers) -> str:
    """The gateway's public address: Traefik makes whatever is relative an address of ours, which no browser reaches."""
    address = f"{headers.get('x-forwarded-proto', '')}://{headers.get('x-forwarded-host', '')}"
    return address if _PUBLIC.fullmatch(address) else ""


def _response(answered: Answered, *, sign_in: str, sends_away: bool) -> Response:
    if answered.refusal is None:
        return Response(headers={**_NO_STORE, **answered.identity})
    if answered.sign_in and sends_away:
        return Response(status_code=303, headers={**_NO_STORE, "Location": sign_in})
    body = {"reason": answered.refusal.reason, "message": str(answered.refusal)}
    status = 401 if answered.verdict is Verdict.NOT_SIGNED_IN else 403
    headers = {**_NO_STORE, "WWW-Authenticate": answered.challenge}
    return JSONResponse(body, status, headers=headers | ({SIGN_IN: sign_in} if answered.sign_in else {}))
