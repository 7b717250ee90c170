"""What the routes are that are no methods of the contract: the table that the OpenAPI document is made of.

A test holds that each route has its row here, and each row its route.
"""

from collections.abc import Mapping
from typing import Any

from auth_service.web.authz import SPELT_BY

Operation = dict[str, Any]
Security = dict[str, list[str]]
Operations = Mapping[tuple[str, str], Operation]
"""By method and path."""

TEXT, JSON, FORM = "text/plain", "application/json", "application/x-www-form-urlencoded"
_STRING: Mapping[str, Any] = {"type": "string"}
_OK = {"type": "string", "const": "ok"}
_NUMBERS = {"type": "array", "items": {"type": "integer"}}
_SAYS = {
    401: "Who calls has to say who they are, or could not show it.",
    403: "Who calls may not.",
    409: "The state of things does not allow it.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    422: "What was sent is not of the shape that was expected.",
    429: "Too often, or too much is waiting. `Retry-After` says when to come again.",
    503: "Something that is needed does not answer. `Retry-After` says when to come again.",
}
_KEPT: Any = {"ETag": "For `If-None-Match`.", "Cache_Control": "How long it may be kept."}
BEARER: list[Security] = [{"bearer": []}, {"person": []}]
"""A person's access token, by whichever way they got it."""
CLIENT: list[Security] = [{"client": []}]

SCHEMAS: Mapping[str, Any] = {
    "Refusal": {
        "type": "object",
        "description": "`reason` is one of `ErrorReason`, without its prefix; absent where the request was no request.",
        "required": ["message"],
        "properties": {"reason": _STRING, "message": _STRING},
    },
    "Forbidden": {
        "type": "object",
        "description": "As the service before this one said no: `detail` where the facility's systems are away.",
        "properties": {"message": _STRING, "detail": _STRING},
    },
    "Unprocessable": {
        "type": "object",
        "required": ["detail"],
        "properties": {
            "detail": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["type", "loc", "msg"],
                    "properties": {"type": _STRING, "loc": {"type": "array", "items": _STRING}, "msg": _STRING},
                },
            }
        },
    },
    "OAuthError": {
        "type": "object",
        "description": "RFC 6749 section 5.2.",
        "required": ["error"],
        "properties": {"error": _STRING, "error_description": _STRING},
    },
    "ShownNotice": {
        "type": "object",
        "required": ["show", "message"],
        "properties": {"show": {"type": "boolean"}, "message": _STRING},
    },
    "Credentials": {
        "type": "object",
        "required": ["username", "password"],
        "properties": {
            "username": {"type": "string", "minLength": 1},
            "password": {"type": "string", "minLength": 1, "format": "password"},
        },
    },
    "Token": {"type": "object", "required": ["token"], "properties": {"token": _STRING}},
    "TokenResponse": {
        "type": "object",
        "description": "RFC 6749 section 5.1. No refresh token for a service.",
        "required": ["access_token", "token_type", "expires_in"],
        "properties": {
            "access_token": _STRING,
            "token_type": {"type": "string", "const": "Bearer"},
            "expires_in": {"type": "integer"},
            "refresh_token": _STRING,
            "scope": _STRING,
        },
    },
}
"""What several operations name, beside the contract's messages."""


def _named(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(schema: Mapping[str, Any], media_type: str = JSON) -> dict[str, Any]:
    return {media_type: {"schema": schema}}


def answer(
    description: str, schema: Mapping[str, Any] | None = None, *, media_type: str = JSON, **headers: str
) -> dict[str, Any]:
    """A response; `headers` are what comes with it, by name with _ for -, and what it is."""
    told: dict[str, Any] = {"description": description}
    if schema is not None:
        told["content"] = _content(schema, media_type)
    if headers:
        told["headers"] = {
            name.replace("_", "-"): {"description": text, "schema": _STRING} for name, text in headers.items()
        }
    return told


def refusals(*statuses: int, schema: str = "Refusal") -> dict[str, Any]:
    """Responses that say no, each with the usual meaning."""
    return {str(each): answer(_SAYS[each], _named(schema)) for each in statuses}


def _operation(
    tag: str, summary: str, responses: Mapping[str, Any], *, description: str = "", **more: Any
) -> Operation:
    return {
        "tags": [tag],
        "summary": summary,
        **({"description": description} if description else {}),
        **more,
        "responses": dict(responses),
        "security": more.get("security", []),
    }


def _body(schema: Mapping[str, Any], media_type: str = JSON) -> dict[str, Any]:
    return {"required": True, "content": _content(schema, media_type)}


def _parameter(name: str, description: str, *, place: str = "query", required: bool = True, **schema: Any) -> Any:
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": description,
        "schema": schema or dict(_STRING),
    }


def operations() -> Operations:
    """Every route that is no method of the contract."""
    return {**_facility(), **_sessions(), **_oauth(), **_verifiers(), **_gateways(), **_probes(), **_descriptions()}


def _facility() -> Operations:
    tag = "Facility"
    forbidden = {"403": answer("Forbidden.", _named("Forbidden"))}
    shape = {"422": answer(_SAYS[422], _named("Unprocessable")), "413": answer(_SAYS[413], _named("Forbidden"))}
    elsewhere = refusals(401, 409, 429, 503)
    """401, 409 and 503 only where compatibility is off."""
    token = answer("The access token, bare.", _STRING, Set_Cookie="The refresh token, out of scripts' reach.")
    listed = _operation(
        tag,
        "A person's experiments",
        {
            "200": answer("RB numbers.", _NUMBERS),
            **forbidden,
            **shape,
            **elsewhere,
            "401": answer("No `Authorization` header.", _named("Forbidden")),
        },
        description="For services with the scope `experiments:read`, for the person, and for staff.",
        parameters=[_parameter("user_number", "Whose.", type="integer", format="int64", minimum=1)],
        security=[*BEARER, {"service": ["experiments:read"]}],
    )
    notice = {"200": answer("The notice.", _named("ShownNotice")), **refusals(429, 503)}
    return {
        ("POST", "/login"): _operation(
            tag,
            "Sign in",
            {"200": token, **forbidden, **shape, **elsewhere},
            requestBody=_body(_named("Credentials")),
        ),
        ("POST", "/verify"): _operation(
            tag,
            "Check an access token",
            {"200": answer("It is good.", _OK), **forbidden, **shape, **elsewhere},
            requestBody=_body(_named("Token")),
        ),
        ("POST", "/refresh"): _operation(
            tag,
            "The next access token, for the refresh cookie",
            {"200": token, **forbidden, **shape, **elsewhere},
            description="`token` is the last access token; it may have expired, and decides nothing.",
            requestBody=_body(_named("Token")),
            security=[{"refreshCookie": []}],
        ),
        ("GET", "/experiments"): listed,
        ("GET", "/experiment"): {**listed, "description": "As `/experiments`."},
        ("GET", "/maintenance"): _operation(tag, "Whether there is maintenance now", notice),
        ("GET", "/scheduled_maintenance"): _operation(tag, "Whether there will be maintenance", notice),
    }


def _sessions() -> Operations:
    tag = "Browser sessions"
    expires = {"type": "object", "required": ["expires_in"], "properties": {"expires_in": {"type": "integer"}}}
    return {
        ("POST", "/session"): _operation(
            tag,
            "Sign in, with tokens in cookies that no script reads",
            {
                "200": answer("Signed in.", expires, Set_Cookie="Twice: the access token and the refresh token."),
                **refusals(401, 403, 409, 413, 415, 422, 429, 503),
            },
            requestBody=_body(_named("LoginRequest")),
        ),
        ("DELETE", "/session"): _operation(
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
    no = {"400": answer("The error, by RFC 6749.", _named("OAuthError"))}
    away = refusals(413, 429, 503, schema="OAuthError")
    no_client = {"401": answer("The client could not be authenticated.", _named("OAuthError"))}
    grant = {
        "type": "object",
        "required": ["grant_type"],
        "properties": {
            "grant_type": {"type": "string", "enum": ["password", "refresh_token", "client_credentials"]},
            "username": _STRING,
            "password": {"type": "string", "format": "password"},
            "refresh_token": _STRING,
            "scope": _STRING,
            "client_id": _STRING,
            "client_secret": {"type": "string", "format": "password"},
        },
    }
    token = {
        "type": "object",
        "required": ["token"],
        "properties": {"token": _STRING, "token_type_hint": _STRING, "client_id": _STRING, "client_secret": _STRING},
    }
    active = {"type": "object", "required": ["active"], "properties": {"active": {"type": "boolean"}}}
    claims = {"type": "object", "required": ["sub"], "properties": {"sub": _STRING}}
    userinfo = _operation(
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
        ("POST", "/oauth/token"): _operation(
            tag,
            "Tokens for a grant (RFC 6749)",
            {"200": answer("Tokens.", _named("TokenResponse")), **no, **no_client, **away},
            description="`password` and `refresh_token` for people, by first-party clients, which are public;"
            " `client_credentials` for services: their account's name and an API key.",
            requestBody=_body(grant, FORM),
            security=[{}, *CLIENT],
        ),
        ("POST", "/oauth/introspect"): _operation(
            tag,
            "What a token says (RFC 7662)",
            {"200": answer("Claims; or that it is not active.", active), **no, **no_client, **away},
            requestBody=_body(token, FORM),
            security=[*CLIENT, {"bearer": []}],
        ),
        ("POST", "/oauth/revoke"): _operation(
            tag,
            "End a token and its session (RFC 7009)",
            {"200": answer("It is good for nothing any more, whatever it was."), **no, **no_client, **away},
            requestBody=_body(token, FORM),
            security=[{}, *CLIENT],
        ),
        ("GET", "/oauth/userinfo"): userinfo,
        ("POST", "/oauth/userinfo"): userinfo,
    }


def _verifiers() -> Operations:
    tag = "For verifiers"
    same = {"304": answer("As it was.", **_KEPT)}
    since = [_parameter("If-None-Match", "The ETag that is held.", place="header", required=False)]
    things: dict[str, Any] = {"type": "object"}
    jwk_set = {"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array", "items": things}}}
    metadata = _operation(tag, "Metadata (RFC 8414)", {"200": answer("Issuer and endpoints.", things)})
    return {
        ("GET", "/.well-known/jwks.json"): _operation(
            tag,
            "The key set (RFC 7517)",
            {"200": answer("Keys.", jwk_set, media_type="application/jwk-set+json", **_KEPT), **same},
            parameters=since,
        ),
        ("GET", "/.well-known/revocations"): _operation(
            tag,
            "Sessions that ended before their tokens did",
            {"200": answer("The ids of sessions.", things, **_KEPT), **same, **refusals(503)},
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
        "401": answer(_SAYS[401], _named("Refusal"), WWW_Authenticate="Bearer", **more),
        "403": answer("Who sends it may not.", _named("Refusal"), **more),
        **refusals(429, 503),
    }
    return {
        ("GET", path): _operation(
            "Gateways",
            "Whether a request may pass, and who sends it",
            responses,
            parameters=[
                _parameter(
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
    ready = _operation(
        tag,
        "Whether it can answer",
        {"200": answer("It can.", _OK), "503": answer("What is missing.", _STRING, media_type=TEXT)},
    )
    return {
        ("GET", "/healthz"): _operation(tag, "Whether it is alive", {"200": answer("It is.", _OK)}),
        ("GET", "/readyz"): ready,
        ("GET", "/ready"): ready,
        ("GET", "/metrics"): _operation(
            tag, "Metrics, for Prometheus", {"200": answer("Exposition format.", _STRING, media_type=TEXT)}
        ),
    }


def _descriptions() -> Operations:
    tag = "Descriptions"
    same = {"304": answer("As it was.", **_KEPT)}
    since = [_parameter("If-None-Match", "The ETag that is held.", place="header", required=False)]
    document: dict[str, Any] = {"type": "object"}
    binary: dict[str, Any] = {}
    return {
        ("GET", "/openapi.json"): _operation(
            tag, "This document", {"200": answer("OpenAPI 3.1.", document, **_KEPT), **same}, parameters=since
        ),
        ("GET", "/descriptors.binpb"): _operation(
            tag,
            "The contract, for gateways that transcode",
            {
                "200": answer(
                    "A FileDescriptorSet with its imports and comments.",
                    binary,
                    media_type="application/octet-stream",
                    **_KEPT,
                ),
                **same,
            },
            parameters=since,
        ),
    }
