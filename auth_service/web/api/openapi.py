"""The OpenAPI document of this door: every route that is served, and no other."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import structlog
from starlette.routing import Route

from auth_service.domain.api_keys import SCOPES
from auth_service.domain.cookies import SessionCookies
from auth_service.domain.policy import Right
from auth_service.web.api.contract import Contract, Message, Method, Service
from auth_service.web.api.operations import operations
from auth_service.web.api.parts import SCHEMAS, Operation, Operations
from auth_service.web.api.schemas import reference, schemas
from auth_service.web.connect import JSON, PROTO, STATUS
from auth_service.web.oauth import TOKEN

log = structlog.get_logger()

_ABOUT = """\
Identity for the services of a facility. Every method of the contract that answers once is here in JSON, by the Connect
protocol's rules, beside routes that OAuth tools, browsers, gateways and older consumers know.

- Names are lowerCamelCase; those of the protos are read, too. 64-bit integers are strings, and read as numbers as well.
  Fields at their default are left out of responses.
- `Authorization: Bearer` takes a person's access token, or a service's API key or access token.
- Paths that take `GET` take `HEAD`. Before any route is asked, what no honest client sends is refused with 400, 414,
  431 or 505, and requests beyond what can be done at once with 503.
"""
_TAGS = {
    "Facility": "What consumers of the facility's first service call, unchanged.",
    "Browser sessions": "Sign-in for pages, with cookies.",
    "OAuth 2.0": "For tools that speak it.",
    "For verifiers": "What services fetch that check tokens themselves.",
    "Gateways": "Forward-auth, for nginx, Caddy and Traefik.",
    "Operations": "What orchestrators and Prometheus ask.",
    "Descriptions": "What this service tells of itself.",
}
_CODES: Mapping[int, str] = {
    400: "`invalid_argument`, `failed_precondition`",
    401: "`unauthenticated`",
    403: "`permission_denied`",
    404: "`not_found`",
    409: "`already_exists`, `aborted`",
    413: "`resource_exhausted`: the body is too large",
    415: "`unknown`: the body is of another media type",
    429: "`resource_exhausted`, with `Retry-After`",
    500: "`internal`: a defect of ours; the request id finds it in the log",
    501: "`unimplemented`: the body is compressed",
    503: "`unavailable`, with `Retry-After`",
    504: "`deadline_exceeded`",
}
_REFUSED = {
    "type": "object",
    "description": "The Connect protocol's error. A detail of type `google.rpc.ErrorInfo` holds the reason, one of"
    " `ErrorReason` without its prefix; `debug` is the detail in JSON.",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string", "enum": list(STATUS)},
        "message": {"type": "string"},
        "details": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "value"],
                "properties": {
                    "type": {"type": "string"},
                    "value": {"type": "string", "contentEncoding": "base64"},
                    "debug": {"type": "object"},
                },
            },
        },
    },
}


def document(
    contract: Contract, served: Iterable[Route], *, version: str, path_prefix: str, cookies: SessionCookies
) -> dict[str, Any]:
    """Routes of `served` that nothing is known of are left out, and so are rows without a route; the log is told."""
    known = {**operations(), **{("POST", path): told for path, told in _methods(contract)}}
    described = _served(known, served, services={f"/{each.full_name}" for each in contract.services})
    paths: dict[str, dict[str, Operation]] = {}
    for (method, path), operation in described.items():
        paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.1",
        "info": {"title": "auth-service", "version": version, "description": _ABOUT},
        "servers": [{"url": path_prefix or "/"}],
        "tags": [
            *({"name": name, "description": text} for name, text in _TAGS.items()),
            *({"name": each.name, "description": each.comment} for each in contract.services if _unary(each)),
        ],
        "paths": paths,
        "components": {
            "schemas": {**_reachable(contract), **SCHEMAS, "Refused": _REFUSED},
            "responses": {str(status): _refusal(text) for status, text in _CODES.items()},
            "securitySchemes": _security_schemes(path_prefix + TOKEN, cookies),
        },
    }


def _served(known: Operations, served: Iterable[Route], *, services: Collection[str]) -> Operations:
    """Those operations whose route is there."""
    found: set[tuple[str, str]] = set()
    for route in served:
        service, _, last = route.path.rpartition("/")
        if last == "{method}" and service in services:
            found |= {each for each in known if each[1].startswith(f"{service}/")}
        else:
            found |= {(method, route.path) for method in route.methods or () if method != "HEAD"}
    if found != known.keys():
        log.error("openapi.differs", undescribed=sorted(found - known.keys()), unserved=sorted(known.keys() - found))
    return {each: told for each, told in known.items() if each in found}


def _unary(service: Service) -> Sequence[Method]:
    return [each for each in service.methods if not each.is_stream]


def _methods(contract: Contract) -> Iterable[tuple[str, Operation]]:
    for service in contract.services:
        for method in _unary(service):
            yield method.path, _method(service, method)


def _method(service: Service, method: Method) -> Operation:
    who = "Anybody may call." if method.right.is_public else f"Who may call: {_who(method.right)}."
    # The binary form of the same message is taken as well; its schema is the protos'.
    request = {JSON: {"schema": reference(method.request)}, PROTO: {"schema": {}}}
    response = {JSON: {"schema": reference(method.response)}, PROTO: {"schema": {}}}
    return {
        "tags": [service.name],
        "operationId": f"{service.name}_{method.name}",
        "summary": method.comment.partition(". ")[0].partition(".\n")[0].replace("\n", " ").rstrip("."),
        "description": f"{method.comment}\n\n{who}",
        "requestBody": {"required": True, "content": request},
        "responses": {
            "200": {"description": "The response.", "content": response},
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in _CODES},
        },
        "security": _security(method.right),
    }


def _who(right: Right) -> str:
    return right.expectation.removeprefix("expected ")


def _security(right: Right) -> list[dict[str, list[str]]]:
    if right.is_public:
        return []
    security: list[dict[str, list[str]]] = [{"bearer": []}]
    if right.is_for_signed_in or right.self_field or right.roles or right.level is not None:
        security.append({"person": []})
    if right.scope:
        security.append({"service": [right.scope]})
    return security


def _refusal(text: str) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": {"$ref": "#/components/schemas/Refused"}}}}


def _security_schemes(token_url: str, cookies: SessionCookies) -> dict[str, Any]:
    flow = {"tokenUrl": token_url}
    return {
        "person": {
            "type": "oauth2",
            "description": "A person, by user name and password. The client is public: no id and no secret.",
            "flows": {"password": {**flow, "refreshUrl": token_url, "scopes": {}}},
        },
        "service": {
            "type": "oauth2",
            "description": "A service: its account's name, and one of its API keys. Without a choice, all its scopes.",
            "flows": {"clientCredentials": {**flow, "scopes": dict.fromkeys(SCOPES, "if the key has it")}},
        },
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token of a person or a service, or a service's API key.",
        },
        "client": {
            "type": "http",
            "scheme": "basic",
            "description": "A service: its account's name, and one of its API keys.",
        },
        "accessCookie": {"type": "apiKey", "in": "cookie", "name": cookies.access.name},
        "refreshCookie": {"type": "apiKey", "in": "cookie", "name": cookies.refresh.name},
    }


def _reachable(contract: Contract) -> Mapping[str, Any]:
    """The schemas that methods which answer once need, and that of reasons, by their names."""
    wanted = {"auth_api.v1.ErrorReason"}
    waiting = [
        name for service in contract.services for each in _unary(service) for name in (each.request, each.response)
    ]
    while waiting:
        name = waiting.pop()
        message = contract.messages.get(name)
        if name in wanted or (message is None and name not in contract.enums):
            continue
        wanted.add(name)
        waiting += [each.type for each in message.fields if each.kind != "scalar"] if message else []
    kept_messages: dict[str, Message] = {name: each for name, each in contract.messages.items() if name in wanted}
    kept_enums = {name: each for name, each in contract.enums.items() if name in wanted}
    return schemas(Contract(contract.services, kept_messages, kept_enums))
