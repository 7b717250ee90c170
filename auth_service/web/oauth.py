"""OAuth 2.0 for tools that speak it: token (RFC 6749), introspection (RFC 7662), revocation (RFC 7009), userinfo.

Passwords are for first-party clients, which are public. A service is a confidential client: its account's name is the
client's id, one of its API keys the secret.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth_service.domain.errors import Unauthenticated
from auth_service.domain.policy import Caller, ServiceCalling
from auth_service.web.asking import ask_for
from auth_service.web.bodies import TooLarge, body_of, media_type_of
from auth_service.web.methods import Answer, Methods, retry_after
from auth_service.web.peers import metadata_of, peer_of

TOKEN, INTROSPECT, REVOKE, USERINFO = "/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/userinfo"
GET_ME = "/auth_api.v1.UserService/GetMe"
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_MOST_PARAMETERS = 32

KnownCaller = Callable[[tuple[str, ...]], Awaitable[Caller]]
"""Who sent these `authorization` values; raises Unauthenticated, Unavailable."""


def metadata(issuer: str) -> dict[str, Any]:
    """What RFC 8414 tells of these endpoints."""
    methods = ["client_secret_basic", "client_secret_post"]
    return {
        "token_endpoint": issuer + TOKEN,
        "token_endpoint_auth_methods_supported": ["none", *methods],
        "grant_types_supported": ["password", "refresh_token", "client_credentials"],
        "introspection_endpoint": issuer + INTROSPECT,
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": issuer + REVOKE,
        "revocation_endpoint_auth_methods_supported": ["none"],
        "userinfo_endpoint": issuer + USERINFO,
    }


class Refused(Exception):
    """An error of RFC 6749 section 5.2. `description` never repeats what was sent."""

    def __init__(
        self, error: str, description: str, *, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.answer = JSONResponse(
            {"error": error, "error_description": description}, status, headers={**_NO_STORE, **(headers or {})}
        )


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, as far as they say. A public client has no secret."""

    id: str = ""
    secret: str = field(default="", repr=False)


def routes(methods: Methods, *, known_caller: KnownCaller) -> list[Route]:
    ask = partial(ask_for, methods)

    async def token(request: Request) -> Response:
        form = await _form(request)
        client = _client(request, form)
        match _one(form, "grant_type"):
            case "password":
                await checked(client)
                _no_scope(form)
                username, password = _one(form, "username"), _one(form, "password")
                answer = await ask(request, "AuthService/Login", username=username, password=password)
                return _tokens(_granted(answer))
            case "refresh_token":
                await checked(client)
                _no_scope(form)
                answer = await ask(request, "AuthService/Refresh", refresh_token=_one(form, "refresh_token"))
                return _tokens(_granted(answer))
            case "client_credentials":
                return await for_service(request, client, asked=frozenset(form.get("scope", "").split()))
        raise Refused("unsupported_grant_type", "grant_type: expected password, refresh_token or client_credentials")

    async def for_service(request: Request, client: Client, *, asked: frozenset[str]) -> Response:
        service = await checked(client)
        if service is None:
            raise _invalid_client()
        if asked - service.scopes:
            raise Refused("invalid_scope", "scope: expected scopes that the client's key has")
        granted = _granted(
            await ask(request, "AuthService/LoginService", api_key=client.secret), otherwise="invalid_client"
        )
        return _tokens(granted, scopes=service.scopes)

    async def checked(client: Client) -> ServiceCalling | None:
        """The service that a confidential client is; None for a public one. Raises Refused."""
        if not client.secret:
            return None
        try:
            caller = await known_caller((f"Bearer {client.secret}",))
        except Unauthenticated:
            raise _invalid_client() from None
        # An access token is no secret of a client, though it is known.
        if "." in client.secret or not isinstance(caller, ServiceCalling) or client.id not in ("", caller.name):
            raise _invalid_client()
        return caller

    async def introspect(request: Request) -> Response:
        form = await _form(request)
        if await checked(_bearer(request) or _client(request, form)) is None:
            raise _invalid_client()
        answer = await ask(request, "AuthService/Verify", token=_one(form, "token"))
        if answer.code in ("unauthenticated", "invalid_argument"):
            return JSONResponse({"active": False}, headers=_NO_STORE)
        return JSONResponse(_introspected(_granted(answer).response), headers=_NO_STORE)

    async def revoke(request: Request) -> Response:
        form = await _form(request)
        await checked(_client(request, form))
        given = _one(form, "token")
        if given.count(".") == 2:
            held = await ask(request, "AuthService/Verify", token=given)
            if held.code == "ok" and not held.response.scopes:
                session_id = held.response.session_id
                _unless_away(await ask(request, "UserService/EndMySession", bearer=given, session_id=session_id))
            else:
                _unless_away(held)
        else:
            _unless_away(await ask(request, "AuthService/Logout", refresh_token=given))
        # Whatever the token was: it is of no use any more (RFC 7009 section 2.2).
        return Response(status_code=200, headers=_NO_STORE)

    async def userinfo(request: Request) -> Response:
        answer = await methods.ask(GET_ME, {}, metadata=metadata_of(request), peer=peer_of(request))
        if answer.code != "ok":
            raise _refused_bearer(answer, has_token="authorization" in request.headers)
        return JSONResponse(_claims_of(answer.response.user), headers=_NO_STORE)

    return [
        Route(TOKEN, _answering(token), methods=["POST"]),
        Route(INTROSPECT, _answering(introspect), methods=["POST"]),
        Route(REVOKE, _answering(revoke), methods=["POST"]),
        Route(USERINFO, _answering(userinfo), methods=["GET", "POST"]),
    ]


def _answering(route: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answered(request: Request) -> Response:
        try:
            return await route(request)
        except Refused as refused:
            return refused.answer
        except TooLarge as error:
            return Refused("invalid_request", str(error), status=413).answer

    return answered


async def _form(request: Request) -> Mapping[str, str]:
    """The parameters, each there once at most. Raises Refused, TooLarge."""
    if any(name in request.query_params for name in ("client_secret", "password", "refresh_token", "token")):
        # Addresses are written to logs.
        raise Refused("invalid_request", "expected secrets in the body, and never in the address")
    content_type = media_type_of(request)
    if content_type != "application/x-www-form-urlencoded":
        raise Refused("invalid_request", "Content-Type: expected application/x-www-form-urlencoded")
    try:
        text = (await body_of(request)).decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise Refused("invalid_request", "the body cannot be read: expected a form in UTF-8") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise Refused("invalid_request", "expected each parameter once")
    # Sent without a value is not sent (RFC 6749 section 3.2).
    return {name: value for name, value in form.items() if value}


def _one(form: Mapping[str, str], name: str) -> str:
    if name not in form:
        raise Refused("invalid_request", f"{name}: expected")
    return form[name]


def _client(request: Request, form: Mapping[str, str]) -> Client:
    """By the header or by the form, not by both. Raises Refused."""
    basics = [each for each in request.headers.getlist("authorization") if each[:6].lower() == "basic "]
    if not basics:
        return Client(form.get("client_id", ""), form.get("client_secret", ""))
    try:
        pair = base64.b64decode(basics[0][6:].strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise _invalid_client() from None
    name, colon, secret = pair.partition(":")
    if len(basics) > 1 or not colon or "client_secret" in form:
        raise _invalid_client()
    # Swagger UI sends an empty pair for a public client.
    return Client(unquote_plus(name) or form.get("client_id", ""), unquote_plus(secret))


def _bearer(request: Request) -> Client | None:
    """A client that shows its key as everywhere else in this service."""
    given = request.headers.getlist("authorization")
    if len(given) != 1 or given[0][:7].lower() != "bearer ":
        return None
    return Client(secret=given[0][7:].strip())


def _no_scope(form: Mapping[str, str]) -> None:
    if "scope" in form:
        raise Refused("invalid_scope", "scope: expected none, for people have roles")


def _granted(answer: Answer, *, otherwise: str = "invalid_grant") -> Answer:
    """The answer that is a response. Raises Refused."""
    match answer.code:
        case "ok":
            return answer
        case "invalid_argument":
            raise Refused("invalid_request", answer.message)
        case "unauthenticated" | "failed_precondition" | "permission_denied":
            raise Refused(otherwise, answer.message)
    _unless_away(answer)
    raise Refused("server_error", answer.message, status=500)


def _unless_away(answer: Answer) -> None:
    """Raises Refused where the same is worth trying again later."""
    headers = retry_after(answer.details)
    if answer.code == "resource_exhausted":
        raise Refused("temporarily_unavailable", answer.message, status=429, headers=headers)
    if answer.code in ("unavailable", "deadline_exceeded"):
        raise Refused("temporarily_unavailable", answer.message, status=503, headers=headers)


def _invalid_client() -> Refused:
    return Refused(
        "invalid_client",
        "expected a service account's name and one of its API keys",
        status=401,
        headers={"WWW-Authenticate": 'Basic realm="auth-service", charset="UTF-8"'},
    )


def _refused_bearer(answer: Answer, *, has_token: bool) -> Refused:
    """As RFC 6750 section 3.1 words it; without a token there is nothing to say but that one is needed."""
    _unless_away(answer)
    if answer.code == "unauthenticated":
        challenge = f'Bearer error="invalid_token", error_description="{answer.message}"' if has_token else "Bearer"
        return Refused("invalid_token", answer.message, status=401, headers={"WWW-Authenticate": challenge})
    challenge = 'Bearer error="insufficient_scope"'
    return Refused("insufficient_scope", answer.message, status=403, headers={"WWW-Authenticate": challenge})


def _tokens(answer: Answer, *, scopes: frozenset[str] = frozenset()) -> Response:
    told = answer.response
    body = {
        "access_token": told.access_token,
        "token_type": told.token_type,
        "expires_in": told.expires_in.seconds,
        "refresh_token": getattr(told, "refresh_token", ""),
        "scope": " ".join(sorted(scopes)),
    }
    return JSONResponse({name: value for name, value in body.items() if value}, headers=_NO_STORE)


def _introspected(token: Any) -> dict[str, Any]:
    """Of RFC 7662 section 2.2, with our own `roles`, `sid` and `usernumber`."""
    body = {
        "sub": token.subject,
        "sid": token.session_id,
        "iss": token.issuer,
        "aud": _aud(token.audience),
        "iat": token.issued_at.seconds,
        "exp": token.expires_at.seconds,
        "client_id": token.client_id,
        "username": token.username,
        "scope": " ".join(token.scopes),
        "roles": list(token.roles),
        "usernumber": token.user_number,
        "token_type": "Bearer",
    }
    return {"active": True} | {name: value for name, value in body.items() if value}


def _aud(audience: Sequence[str]) -> str | list[str]:
    return audience[0] if len(audience) == 1 else list(audience)


def _claims_of(user: Any) -> dict[str, Any]:
    claims: dict[str, Any] = {"sub": user.user_id, "preferred_username": user.username, "name": user.display_name}
    if user.email:
        claims |= {"email": user.email, "email_verified": user.email_verified}
    if user.user_number:
        claims["usernumber"] = user.user_number
    return claims | {"roles": list(user.roles)}
