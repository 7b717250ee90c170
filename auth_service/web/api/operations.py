"""What the routes are that are no methods of the contract: the table that the OpenAPI document is made of.

A test holds that each route has its row here, and each row its route.
"""

from typing import Any

from auth_service.web.api.parts import (
    BEARER,
    CLIENT,
    FORM,
    KEPT,
    SAYS,
    STRING,
    TEXT,
    Operations,
    answer,
    body,
    named,
    operation,
    parameter,
    refusals,
)
from auth_service.web.authz import SENDS_AWAY, SPELT_BY

_OK = {"type": "string", "const": "ok"}
_NUMBERS = {"type": "array", "items": {"type": "integer"}}


def operations() -> Operations:
    """Every route that is no method of the contract."""
    return {**_facility(), **_sessions(), **_oauth(), **_verifiers(), **_gateways(), **_probes(), **_descriptions()}


def _facility() -> Operations:
    tag = "Facility"
    forbidden = {"403": answer("Forbidden.", named("Forbidden"))}
    shape = {"422": answer(SAYS[422], named("Unprocessable")), "413": answer(SAYS[413], named("Forbidden"))}
    elsewhere = refusals(401, 409, 429, 503)
    """401, 409 and 503 only where compatibility is off."""
    token = answer("The access token, bare.", STRING, Set_Cookie="The refresh token, out of scripts' reach.")
    listed = operation(
        tag,
        "A person's experiments",
        {
            "200": answer("RB numbers.", _NUMBERS),
            **forbidden,
            **shape,
            **elsewhere,
            "401": answer("No `Authorization` header.", named("Forbidden")),
        },
        description="For services with the scope `experiments:read`, for the person, and for staff.",
        parameters=[parameter("user_number", "Whose.", type="integer", format="int64", minimum=1)],
        security=[*BEARER, {"service": ["experiments:read"]}],
    )
    notice = {"200": answer("The notice.", named("ShownNotice")), **refusals(429, 503)}
    return {
        ("POST", "/login"): operation(
            tag,
            "Sign in",
            {"200": token, **forbidden, **shape, **elsewhere},
            requestBody=body(named("Credentials")),
        ),
        ("POST", "/verify"): operation(
            tag,
            "Check an access token",
            {"200": answer("It is good.", _OK), **forbidden, **shape, **elsewhere},
            requestBody=body(named("Token")),
        ),
        ("POST", "/refresh"): operation(
            tag,
            "The next access token, for the refresh cookie",
            {"200": token, **forbidden, **shape, **elsewhere},
            description="`token` is the last access token; it may have expired, and decides nothing.",
            requestBody=body(named("Token")),
            security=[{"refreshCookie": []}],
        ),
        ("GET", "/experiments"): listed,
        ("GET", "/experiment"): {**listed, "description": "As `/experiments`."},
        ("GET", "/maintenance"): operation(tag, "Whether there is maintenance now", notice),
        ("GET", "/scheduled_maintenance"): operation(tag, "Whether there will be maintenance", notice),
    }


def _sessions() -> Operations:
    tag = "Browser sessions"
    expires = {"type": "object", "required": ["expires_in"], "properties": {"expires_in": {"type": "integer"}}}
    return {
        ("POST", "/session"): operation(
            tag,
            "Sign in, with tokens in cookies that no script reads",
            {
                "200": answer("Signed in.", expires, Set_Cookie="Twice: the access token and the refresh token."),
                **refusals(401, 403, 409, 413, 415, 422, 429, 503),
            },
            requestBody=body(named("LoginRequest")),
        ),
        ("DELETE", "/session"): operation(
            tag,
            "Sign out",
            {
                "204": answer("The session has ended, or there was none.", Set_Cookie="Twice: both are taken away."),
                **refusals(403, 422, 429, 503),
            },
            security=[{"refreshCookie": []}, {"accessCookie": []}, {}],
        ),
    }


def _oauth() -> Operations:
    tag = "OAuth 2.0"
    no = {"400": answer("The error, by RFC 6749.", named("OAuthError"))}
    away = refusals(413, 429, 503, schema="OAuthError")
    no_client = {"401": answer("The client could not be authenticated.", named("OAuthError"))}
    grant = {
        "type": "object",
        "required": ["grant_type"],
        "properties": {
            "grant_type": {"type": "string", "enum": ["password", "refresh_token", "client_credentials"]},
            "username": STRING,
            "password": {"type": "string", "format": "password"},
            "refresh_token": STRING,
            "scope": STRING,
            "client_id": STRING,
            "client_secret": {"type": "string", "format": "password"},
        },
    }
    token = {
        "type": "object",
        "required": ["token"],
        "properties": {"token": STRING, "token_type_hint": STRING, "client_id": STRING, "client_secret": STRING},
    }
    active = {"type": "object", "required": ["active"], "properties": {"active": {"type": "boolean"}}}
    claims = {"type": "object", "required": ["sub"], "properties": {"sub": STRING}}
    userinfo = operation(
        tag,
        "Who the bearer is",
        {
            "200": answer("Claims, as OpenID Connect names them.", claims),
            **no,
            **refusals(401, 403, 429, 503, schema="OAuthError"),
        },
        security=BEARER,
    )
    return {
        ("POST", "/oauth/token"): operation(
            tag,
            "Tokens for a grant (RFC 6749)",
            {"200": answer("Tokens.", named("TokenResponse")), **no, **no_client, **away},
            description="`password` and `refresh_token` for people, by first-party clients, which are public;"
            " `client_credentials` for services: their account's name and an API key.",
            requestBody=body(grant, FORM),
            security=[{}, *CLIENT],
        ),
        ("POST", "/oauth/introspect"): operation(
            tag,
            "What a token says (RFC 7662)",
            {"200": answer("Claims; or that it is not active.", active), **no, **no_client, **away},
            requestBody=body(token, FORM),
            security=[*CLIENT, {"bearer": []}],
        ),
        ("POST", "/oauth/revoke"): operation(
            tag,
            "End a token and its session (RFC 7009)",
            {"200": answer("It is good for nothing any more, whatever it was."), **no, **no_client, **away},
            requestBody=body(token, FORM),
            security=[{}, *CLIENT],
        ),
        ("GET", "/oauth/userinfo"): userinfo,
        ("POST", "/oauth/userinfo"): userinfo,
    }


def _verifiers() -> Operations:
    tag = "For verifiers"
    same = {"304": answer("As it was.", **KEPT)}
    since = [parameter("If-None-Match", "The ETag that is held.", place="header", required=False)]
    things: dict[str, Any] = {"type": "object"}
    jwk_set = {"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array", "items": things}}}
    metadata = operation(tag, "Metadata (RFC 8414)", {"200": answer("Issuer and endpoints.", things)})
    return {
        ("GET", "/.well-known/jwks.json"): operation(
            tag,
            "The key set (RFC 7517)",
            {"200": answer("Keys.", jwk_set, media_type="application/jwk-set+json", **KEPT), **same},
            parameters=since,
        ),
        ("GET", "/.well-known/revocations"): operation(
            tag,
            "Sessions that ended before their tokens did, and keys that were revoked",
            {"200": answer("What to refuse.", named("Revocations"), **KEPT), **same, **refusals(503)},
            description="For verifiers that cannot follow `WatchTrust`: refuse tokens whose `sid` or `kid` is here.",
            parameters=since,
        ),
        ("GET", "/.well-known/openid-configuration"): metadata,
        ("GET", "/.well-known/oauth-authorization-server"): metadata,
    }


def _gateways() -> Operations:
    identity = (
        "Whose. Also `X-Auth-Username`, `-Roles`, `-User-Number`, `-Session`, `-Client`, `-Scopes`, each always there."
    )
    more: Any = {"Set_Cookie": "Twice, where the browser gets its next tokens."}
    responses = {
        "200": answer("It may pass.", X_Auth_Subject=identity, **more),
        "403": answer("Who sends it may not.", named("Refusal"), **more),
        **refusals(429, 503),
    }
    away = {"303": answer("A browser that wants a page may sign in.", Location="Where; it leads back.", **more)}
    stranger: Any = {"WWW_Authenticate": "Bearer", **more}
    told: Any = {"X_Sign_In": "Where a browser that wants a page may sign in; it leads back.", **stranger}
    return {
        ("GET", path): operation(
            "Gateways",
            "Whether a request may pass, and who sends it",
            {
                **responses,
                **(away if path in SENDS_AWAY else {}),
                "401": answer(SAYS[401], named("Refusal"), **(stranger if path in SENDS_AWAY else told)),
            },
            parameters=[
                parameter(
                    name.decode().title(),
                    f"The request's {what}, as the gateway has it.",
                    place="header",
                    required=False,
                )
                for name, what in zip(names, ("method", "target"), strict=True)
            ],
            security=[{}, *BEARER, {"service": []}, {"accessCookie": []}, {"refreshCookie": []}],
        )
        for path, names in SPELT_BY.items()
    }


def _probes() -> Operations:
    tag = "Operations"
    ready = operation(
        tag,
        "Whether it can answer",
        {"200": answer("It can.", _OK), "503": answer("What is missing.", STRING, media_type=TEXT)},
    )
    return {
        ("GET", "/healthz"): operation(tag, "Whether it is alive", {"200": answer("It is.", _OK)}),
        ("GET", "/readyz"): ready,
        ("GET", "/ready"): ready,
        ("GET", "/metrics"): operation(
            tag, "Metrics, for Prometheus", {"200": answer("Exposition format.", STRING, media_type=TEXT)}
        ),
    }


def _descriptions() -> Operations:
    tag = "Descriptions"
    same = {"304": answer("As it was.", **KEPT)}
    since = [parameter("If-None-Match", "The ETag that is held.", place="header", required=False)]
    document: dict[str, Any] = {"type": "object"}
    binary: dict[str, Any] = {}
    return {
        ("GET", "/openapi.json"): operation(
            tag, "This document", {"200": answer("OpenAPI 3.1.", document, **KEPT), **same}, parameters=since
        ),
        ("GET", "/descriptors.binpb"): operation(
            tag,
            "The contract, for gateways that transcode",
            {
                "200": answer(
                    "A FileDescriptorSet with its imports and comments.",
                    binary,
                    media_type="application/octet-stream",
                    **KEPT,
                ),
                **same,
            },
            parameters=since,
        ),
    }
