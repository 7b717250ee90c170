"""google.rpc details, read from what the service sends and written for what your server refuses."""

from collections.abc import Iterable
from datetime import timedelta

from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from .errors import AuthError, Code
from .guarding import Refusal

TRAILER = "grpc-status-details-bin"
_DOMAIN = "auth_api.v1"


def auth_error(code: Code, message: str, trailers: Iterable[tuple[str, object]]) -> AuthError:
    """The error with what the details say. A proxy's error has none, and broken ones are as good as none."""
    packed = [value for key, value in trailers if key == TRAILER and isinstance(value, bytes)]
    return error_of(code, message, [detail for value in packed for detail in unpacked(value)])


def error_of(code: Code, message: str, details: Iterable[Message]) -> AuthError:
    reason, retry_after, violations = "", None, {}
    for detail in details:
        match detail:
            case error_details_pb2.ErrorInfo():
                reason = detail.reason
            case error_details_pb2.RetryInfo():
                retry_after = detail.retry_delay.ToTimedelta() if detail.HasField("retry_delay") else None
            case error_details_pb2.BadRequest():
                violations = {each.field: each.description for each in detail.field_violations}
    return AuthError(code, reason, message, retry_after=retry_after, field_violations=violations)


def messages(refusal: Refusal) -> list[Message]:
    found: list[Message] = [error_details_pb2.ErrorInfo(reason=refusal.reason, domain=_DOMAIN)]
    if refusal.retry_after is not None:
        found.append(error_details_pb2.RetryInfo(retry_delay=_duration(refusal.retry_after)))
    return found


def packed(refusal: Refusal) -> bytes:
    """The value of the trailer."""
    status = status_pb2.Status(code=refusal.code, message=refusal.message)
    for message in messages(refusal):
        detail = any_pb2.Any()
        detail.Pack(message)
        status.details.append(detail)
    octets: bytes = status.SerializeToString()
    return octets


def unpacked(octets: bytes) -> list[Message]:
    """The details in the value of the trailer that are known here; none if it cannot be read."""
    try:
        details = status_pb2.Status.FromString(octets).details
        return [message for detail in details for kind in _KINDS if detail.Unpack(message := kind())]
    except DecodeError:
        return []


_KINDS: tuple[type[Message], ...] = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.RetryInfo,
    error_details_pb2.BadRequest,
)


def _duration(delta: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(delta)
    return duration
