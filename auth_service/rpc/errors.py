"""What each error of the domain is on the wire: a status code, an ErrorInfo, and what helps the caller further."""

import asyncio
from typing import Never

import grpc
import structlog
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from auth_service.domain import errors as domain
from auth_service.rpc.call import Context, Handler, current
from auth_service.rpc.wire import duration

log = structlog.get_logger()

DOMAIN = "auth_api.v1"
DETAILS = "grpc-status-details-bin"


class MalformedMessage(domain.AuthError):
    """The bytes are not the message that the method takes."""

    reason = "MALFORMED_MESSAGE"

    def __init__(self, expected: str = "the request of this method, in protobuf") -> None:
        super().__init__(f"the message cannot be read: expected {expected}")


class DeadlineExceeded(domain.AuthError):
    reason = "DEADLINE_EXCEEDED"

    def __init__(self) -> None:
        super().__init__("the call took longer than its deadline")


STATUS: dict[type[domain.AuthError], grpc.StatusCode] = {
    domain.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    MalformedMessage: grpc.StatusCode.INVALID_ARGUMENT,
    domain.RefreshTokenMissing: grpc.StatusCode.INVALID_ARGUMENT,
    domain.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    domain.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    domain.NotFound: grpc.StatusCode.NOT_FOUND,
    domain.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    domain.RingChanged: grpc.StatusCode.ABORTED,
    domain.WrongState: grpc.StatusCode.FAILED_PRECONDITION,
    domain.Unavailable: grpc.StatusCode.UNAVAILABLE,
    domain.Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""By class; a subclass without a row of its own has its parent's."""


def status_of(error: domain.AuthError) -> grpc.StatusCode:
    """Raises LookupError for an error that no row covers, which a test forbids."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    raise LookupError(type(error).__name__)


def translated(method: str, handler: Handler) -> Handler:
    """Turns errors of the domain into statuses, and anything else into one INTERNAL that tells nothing but the call."""

    async def answer(request: object, context: Context) -> object:
        try:
            return await handler(request, context)
        except domain.AuthError as error:
            await refuse(context, error)
        except (grpc.aio.AbortError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("rpc.defect", method=method)
            await _abort(context, grpc.StatusCode.INTERNAL, domain.AuthError("something went wrong on our side"))

    return answer


async def refuse(context: Context, error: domain.AuthError) -> Never:
    """Ends the call with what `error` is on the wire. Raises, when the caller has been told or is gone."""
    current.get().refusal = getattr(error, "detail", error.reason)
    await _abort(context, status_of(error), error)


async def _abort(context: Context, code: grpc.StatusCode, error: domain.AuthError) -> Never:
    request_id = current.get().request_id
    status = status_pb2.Status(code=code.value[0], message=str(error), details=_details(error, request_id))
    try:
        await context.abort(
            code, str(error), trailing_metadata=(("x-request-id", request_id), (DETAILS, status.SerializeToString()))
        )
    except (grpc.aio.InternalError, grpc.aio.UsageError):
        # The caller went away before it could be told, or is being told of something else that ends the call.
        raise asyncio.CancelledError from None


def _details(error: domain.AuthError, request_id: str) -> list[any_pb2.Any]:
    details: list[object] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata={"request_id": request_id})
    ]
    match error:
        case domain.InvalidInput() | domain.AlreadyExists():
            details.append(_bad_request((each.field, each.expected) for each in error.violations))
        case domain.RefreshTokenMissing():
            details.append(_bad_request([("refresh_token", "expected the refresh token that Login or Refresh issued")]))
        case domain.Unavailable() | domain.Exhausted():
            details.append(error_details_pb2.RetryInfo(retry_delay=duration(error.retry_after)))
    return [_packed(each) for each in details]


def _bad_request(violations: object) -> object:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=field, description=expected)
            for field, expected in violations  # type: ignore[attr-defined]  # an iterable of pairs
        ]
    )


def _packed(message: object) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)  # type: ignore[arg-type]  # google.rpc ships no types
    return packed
