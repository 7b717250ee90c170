"""Who calls over HTTP, told as gRPC tells it, so that one code decides what to believe of it."""

from starlette.requests import Request

_CARRIED = ("authorization", "user-agent", "x-request-id", "x-forwarded-for", "forwarded", "traceparent", "tracestate")
"""Headers that mean the same in a gRPC call's metadata. Every one, where there are several: two bearers are refused."""


def metadata_of(request: Request) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in request.headers.items() if name in _CARRIED)


def peer_of(request: Request) -> str:
    """In gRPC's spelling, such as `ipv4:127.0.0.1:50051`; empty for a socket without addresses."""
    if request.client is None:
        return ""
    host, port = request.client
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"
