"""Envoy asks for each request whether it may pass; the gate answers, as it does gateways that ask over HTTP."""

import json
from collections.abc import Iterable, Mapping

import grpc
from auth_client.policy import Verdict

from auth_service.domain.cookies import TokenCookie
from auth_service.domain.errors import AuthError, Exhausted, Unavailable
from auth_service.rpc.call import Context, origin
from auth_service.rpc.ext_authz import SERVICE
from auth_service.rpc.ext_authz import check_pb2 as pb
from auth_service.usecases.gate import IDENTITY_HEADERS, Answered, Asked, Gate

_PERMISSION_DENIED, _UNAVAILABLE, _UNAUTHENTICATED = (
    grpc.StatusCode.PERMISSION_DENIED.value[0],
    grpc.StatusCode.UNAVAILABLE.value[0],
    grpc.StatusCode.UNAUTHENTICATED.value[0],
)


def add_to_server(gate: Gate, server: grpc.aio.Server) -> None:
    """As generated code would."""

    async def check(request: pb.CheckRequest, _context: Context) -> pb.CheckResponse:
        http = request.attributes.request.http
        headers = _headers(http)
        try:
            answered = await gate.ask(_asked(http, headers), origin=origin())
        except (Unavailable, Exhausted) as error:
            seconds = max(1, round(error.retry_after.total_seconds()))
            return _denied(503, _UNAVAILABLE, error, {"retry-after": str(seconds)})
        response = _response(answered, headers)
        if response.HasField("ok_response"):
            _leave_out(gate.cookies.refresh, headers.get("cookie", ()), response.ok_response)
        return response

    handler = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=pb.CheckRequest.FromString,
        response_serializer=pb.CheckResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Check": handler}),))


def _headers(http: pb.AttributeContext.HttpRequest) -> Mapping[str, tuple[str, ...]]:
    """Every value of each header, as far as Envoy keeps them apart."""
    told = {name: (value,) for name, value in http.headers.items()}
    for each in http.header_map.headers:
        value = each.value or each.raw_value.decode("latin-1")
        told[each.key] = (*told.get(each.key, ()), value)
    return told


def _asked(http: pb.AttributeContext.HttpRequest, headers: Mapping[str, tuple[str, ...]]) -> Asked:
    return Asked(
        http.method,
        http.path,
        authorization=headers.get("authorization", ()),
        cookies=headers.get("cookie", ()),
        sent_by=",".join(headers.get("sec-fetch-site", ())),
        page=",".join(headers.get("origin", ())),
        accept=",".join(headers.get("accept", ())),
        mode=",".join(headers.get("sec-fetch-mode", ())),
        host=",".join(headers.get(":authority", ())),
    )


def _response(answered: Answered, sent: Iterable[str]) -> pb.CheckResponse:
    if answered.refusal is not None:
        is_known = answered.verdict is Verdict.REFUSED
        status, code = (403, _PERMISSION_DENIED) if is_known else (401, _UNAUTHENTICATED)
        told = {"www-authenticate": answered.challenge}
        if answered.sign_in:
            status, told = 303, {"location": answered.sign_in}
        response = _denied(status, code, answered.refusal, told)
        # Of headers that are to be added Envoy leaves out a refusal's, and of those that are set it keeps them all.
        response.denied_response.headers.extend(_option("set-cookie", cookie) for cookie in answered.set_cookies)
        return response
    known = {name: value for name, value in answered.identity.items() if value}
    return pb.CheckResponse(
        status=pb.Status(),
        ok_response=pb.OkHttpResponse(
            headers=[_option(name, value) for name, value in known.items()],
            headers_to_remove=_not_to_be_believed(sent, but=known),
            response_headers_to_add=[_option("set-cookie", each, is_added=True) for each in answered.set_cookies],
        ),
    )


def _leave_out(cookie: TokenCookie, sent: Iterable[str], response: pb.OkHttpResponse) -> None:
    """The program behind Envoy has no use for a refresh token, and whoever breaks into it would."""
    before = "; ".join(sent)
    left = cookie.left_out_of(before)
    if left == before:
        return
    if left:
        response.headers.append(_option("cookie", left))
    else:
        response.headers_to_remove.append("cookie")


def _not_to_be_believed(sent: Iterable[str], *, but: Iterable[str]) -> list[str]:
    """Identity headers that the client may have sent and that we do not overwrite, however they are spelt."""
    # Many a program behind Envoy takes x_auth_roles for X-Auth-Roles.
    alike = {name for name in sent if name.replace("_", "-").lower() in IDENTITY_HEADERS}
    return sorted(({*IDENTITY_HEADERS} | alike) - set(but))


def _denied(status: int, code: int, error: AuthError, headers: Mapping[str, str]) -> pb.CheckResponse:
    told = {"cache-control": "no-store", "content-type": "application/json", **headers}
    return pb.CheckResponse(
        status=pb.Status(code=code, message=str(error)),
        denied_response=pb.DeniedHttpResponse(
            status=pb.HttpStatus(code=status),
            headers=[_option(name, value) for name, value in told.items()],
            body=json.dumps({"reason": error.reason, "message": str(error)}),
        ),
    )


def _option(name: str, value: str, *, is_added: bool = False) -> pb.HeaderValueOption:
    """Added to what is there by that name, or instead of it."""
    options = pb.HeaderValueOption
    return options(
        header=pb.HeaderValue(key=name, value=value),
        append=pb.BoolValue(value=is_added),
        append_action=options.APPEND_IF_EXISTS_OR_ADD if is_added else options.OVERWRITE_IF_EXISTS_OR_ADD,
    )
