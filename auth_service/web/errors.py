"""What each error of the domain is over HTTP."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from auth_service.domain import errors as domain
from auth_service.web.methods import Answer, retry_after

STATUS: dict[type[domain.AuthError], HTTPStatus] = {
    domain.InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    domain.RefreshTokenMissing: HTTPStatus.UNPROCESSABLE_ENTITY,
    domain.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    domain.PermissionDenied: HTTPStatus.FORBIDDEN,
    domain.NotFound: HTTPStatus.NOT_FOUND,
    domain.AlreadyExists: HTTPStatus.CONFLICT,
    domain.RingChanged: HTTPStatus.CONFLICT,
    domain.WrongState: HTTPStatus.CONFLICT,
    domain.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    domain.Exhausted: HTTPStatus.TOO_MANY_REQUESTS,
}
"""By class; a subclass without a row of its own has its parent's."""

_BY_CODE = {
    "unauthenticated": 401,
    "permission_denied": 403,
    "invalid_argument": 422,
    "failed_precondition": 409,
    "resource_exhausted": 429,
    "unavailable": 503,
    "deadline_exceeded": 503,
}


def status_of(error: domain.AuthError) -> HTTPStatus:
    """Raises LookupError for an error that no row covers, which a test forbids."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    raise LookupError(type(error).__name__)


async def answer(_request: Request, error: Exception) -> Response:
    """The error as JSON: reason and message, Retry-After where trying again helps."""
    assert isinstance(error, domain.AuthError)
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, domain.Unavailable | domain.Exhausted):
        headers["Retry-After"] = str(max(1, round(error.retry_after.total_seconds())))
    if isinstance(error, domain.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    body = {"reason": error.reason, "message": str(error)}
    return JSONResponse(body, status_code=status_of(error), headers=headers)


def refused(answer: Answer) -> Response:
    """What a method refused, as `answer` tells errors of the domain."""
    headers = {"Cache-Control": "no-store", **retry_after(answer.details)}
    if answer.code == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    body = {"reason": answer.reason, "message": answer.message}
    return JSONResponse(body, _BY_CODE.get(answer.code, 500), headers=headers)


async def answer_http(_request: Request, error: Exception) -> Response:
    """What no route answers: an unknown path, a method that the path does not take."""
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"message": error.detail}, error.status_code, headers={**(error.headers or {}), "Cache-Control": "no-store"}
    )
