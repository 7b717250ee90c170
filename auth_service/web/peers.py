"""Who calls over HTTP, told as gRPC tells it, so that one code decides what to believe of it."""

from collections.abc import Sequence

from starlette.requests import Request

from auth_service.domain.addresses import Network, client_address
from auth_service.domain.audit import Origin
from auth_service.domain.spelling import LONGEST_USER_AGENT, new_id, plain_id, printable

_CARRIED = {
    name.encode(): name
    for name in (
        *("authorization", "user-agent", "x-request-id", "x-forwarded-for", "forwarded"),
        *("traceparent", "tracestate"),
    )
}
"""Headers that mean the same in a gRPC call's metadata. Every one, where there are several: two bearers are refused."""


def metadata_of(request: Request) -> tuple[tuple[str, str], ...]:
    return tuple((_CARRIED[name], value.decode("latin-1")) for name, value in request.headers.raw if name in _CARRIED)


def without_bearer(request: Request) -> tuple[tuple[str, str], ...]:
    """As `metadata_of`, for methods that must not take whatever `Authorization` came along for a person's."""
    return tuple((name, value) for name, value in metadata_of(request) if name != "authorization")


def peer_of(request: Request) -> str:
    """In gRPC's spelling, such as `ipv4:127.0.0.1:50051`; empty for a socket without addresses."""
    if request.client is None:
        return ""
    host, port = request.client
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"


def address_of(request: Request, *, trusted_proxies: Sequence[Network]) -> str:
    """Where the request comes from, as far as anybody is believed; empty for a socket without addresses."""
    address = request.client.host if request.client else ""
    if not trusted_proxies:
        return address
    return client_address(
        address,
        forwarded_for=request.headers.getlist("x-forwarded-for"),
        forwarded=request.headers.getlist("forwarded"),
        trusted=trusted_proxies,
    )


def origin_of(request: Request, *, trusted_proxies: Sequence[Network]) -> Origin:
    """For the audit log; named as a gRPC call is."""
    return Origin(
        address=address_of(request, trusted_proxies=trusted_proxies),
        user_agent=printable(request.headers.get("user-agent", ""), longest=LONGEST_USER_AGENT),
        request_id=plain_id(request.headers.get("x-request-id", "")) or new_id(),
    )
