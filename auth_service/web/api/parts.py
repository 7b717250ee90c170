"""What operations of the OpenAPI document are made of: responses, bodies, parameters, and what several of them name."""

from collections.abc import Mapping
from typing import Any

Operation = dict[str, Any]
Security = dict[str, list[str]]
Operations = Mapping[tuple[str, str], Operation]
"""By method and path."""

TEXT, JSON, FORM = "text/plain", "application/json", "application/x-www-form-urlencoded"
STRING: Mapping[str, Any] = {"type": "string"}
SAYS = {
    401: "Who calls has to say who they are, or could not show it.",
    403: "Who calls may not.",
    409: "The state of things does not allow it.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    422: "What was sent is not of the shape that was expected.",
    429: "Too often, or too much is waiting. `Retry-After` says when to come again.",
    503: "Something that is needed does not answer. `Retry-After` says when to come again.",
}
KEPT: Any = {"ETag": "For `If-None-Match`.", "Cache_Control": "How long it may be kept."}
BEARER: list[Security] = [{"bearer": []}, {"person": []}]
"""A person's access token, by whichever way they got it."""
CLIENT: list[Security] = [{"client": []}]

SCHEMAS: Mapping[str, Any] = {
    "Refusal": {
        "type": "object",
        "description": "`reason` is one of `ErrorReason`, without its prefix; absent where the request was no request.",
        "required": ["message"],
        "properties": {"reason": STRING, "message": STRING},
    },
    "Forbidden": {
        "type": "object",
        "description": "As the service before this one said no: `detail` where the facility's systems are away.",
        "properties": {"message": STRING, "detail": STRING},
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
                    "properties": {"type": STRING, "loc": {"type": "array", "items": STRING}, "msg": STRING},
                },
            }
        },
    },
    "OAuthError": {
        "type": "object",
        "description": "RFC 6749 section 5.2.",
        "required": ["error"],
        "properties": {"error": STRING, "error_description": STRING},
    },
    "ShownNotice": {
        "type": "object",
        "required": ["show", "message"],
        "properties": {"show": {"type": "boolean"}, "message": STRING},
    },
    "Credentials": {
        "type": "object",
        "required": ["username", "password"],
        "properties": {
            "username": {"type": "string", "minLength": 1},
            "password": {"type": "string", "minLength": 1, "format": "password"},
        },
    },
    "Revocations": {
        "type": "object",
        "required": ["revoked_sessions", "revoked_kids"],
        "properties": {
            "revoked_sessions": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["until", "session_ids"],
                    "properties": {
                        "until": {
                            "type": "integer",
                            "description": "In seconds since 1970: after it no token of these sessions is left.",
                        },
                        "session_ids": {
                            "type": "array",
                            "items": STRING,
                            "description": "Values of the claim `sid`; API keys that were revoked are among them.",
                        },
                    },
                },
            },
            "revoked_kids": {"type": "array", "items": STRING, "description": "Keys that were withdrawn for cause."},
        },
    },
    "Token": {"type": "object", "required": ["token"], "properties": {"token": STRING}},
    "TokenResponse": {
        "type": "object",
        "description": "RFC 6749 section 5.1. No refresh token for a service.",
        "required": ["access_token", "token_type", "expires_in"],
        "properties": {
            "access_token": STRING,
            "token_type": {"type": "string", "const": "Bearer"},
            "expires_in": {"type": "integer"},
            "refresh_token": STRING,
            "scope": STRING,
        },
    },
}
"""What several operations name, beside the contract's messages."""


def named(name: str) -> dict[str, str]:
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
            name.replace("_", "-"): {"description": text, "schema": STRING} for name, text in headers.items()
        }
    return told


def refusals(*statuses: int, schema: str = "Refusal") -> dict[str, Any]:
    """Responses that say no, each with the usual meaning."""
    return {str(each): answer(SAYS[each], named(schema)) for each in statuses}


def operation(tag: str, summary: str, responses: Mapping[str, Any], *, description: str = "", **more: Any) -> Operation:
    return {
        "tags": [tag],
        "summary": summary,
        **({"description": description} if description else {}),
        **more,
        "responses": dict(responses),
        "security": more.get("security", []),
    }


def body(schema: Mapping[str, Any], media_type: str = JSON) -> dict[str, Any]:
    return {"required": True, "content": _content(schema, media_type)}


def parameter(name: str, description: str, *, place: str = "query", required: bool = True, **schema: Any) -> Any:
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": description,
        "schema": schema or dict(STRING),
    }
