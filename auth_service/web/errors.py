"""What each error of the domain is over HTTP."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from auth_service.domain import errors as domain
from auth_service.web.methods import Answer, retry_after

Handler = Callable[[Request, Exception], Awaitable[Response]]
_KEPT = ("retry-after", "allow", "www-authenticate")
"""Headers that an error has whether it is told in JSON or on a page."""


class ErrorPage(Protocol):
    def __call__(self, status: int, *, headers: Mapping[str, str]) -> Awaitable[Response]: ...


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
    "already_exists": 409,
    "aborted": 409,
    "not_found": 404,
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


def retry_header(error: domain.AuthError) -> dict[str, str]:
    """Retry-After, where trying again helps."""
    if isinstance(error, domain.Unavailable | domain.Exhausted):
        return {"Retry-After": str(max(1, round(error.retry_after.total_seconds())))}
    return {}


async def answer(_request: Request, error: Exception) -> Response:
    """The error as JSON: reason and message, Retry-After where trying again helps."""
    assert isinstance(error, domain.AuthError)
    headers = {"Cache-Control": "no-store", **retry_header(error)}
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
    return JSONResponse(body, status_of_code(answer.code), headers=headers)


def status_of_code(code: str) -> int:
    """Of what a method refused."""
    return _BY_CODE.get(code, 500)


def wants_page(request: Request) -> bool:
    """Whether a browser asks, for somebody to read."""
    return any(
        each.partition(";")[0].strip().lower() == "text/html" for each in request.headers.get("accept", "").split(",")
    )


def handlers(error_page: ErrorPage | None) -> Mapping[Any, Handler]:
    """What answers for each kind of error: in JSON, or as a page where somebody reads it."""

    def told(handler: Handler) -> Handler:
        async def answered(request: Request, error: Exception) -> Response:
            response = await handler(request, error)
            if error_page is None or not wants_page(request):
                return response
            kept = {name: value for name, value in response.headers.items() if name in _KEPT}
            return await error_page(response.status_code, headers=kept)

        return answered

    return {
        domain.AuthError: told(answer),
        HTTPException: told(answer_http),
        Exception: told(answer_defect),
        ClientDisconnect: answer_nobody,
    }


async def answer_http(_request: Request, error: Exception) -> Response:
    """What no route answers: an unknown path, a method that the path does not take."""
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"message": error.detail}, error.status_code, headers={**(error.headers or {}), "Cache-Control": "no-store"}
    )


async def answer_defect(_request: Request, _error: Exception) -> Response:
    """What nobody planned for: the log is told, the caller is not."""
    body = {"reason": domain.AuthError.reason, "message": "something went wrong on our side"}
    return JSONResponse(body, HTTPStatus.INTERNAL_SERVER_ERROR, headers={"Cache-Control": "no-store"})


async def answer_nobody(_request: Request, _error: Exception) -> Response:
    """The client went away in the middle of its request: nobody reads this, and nothing is worth a line in the log."""
    return Response(status_code=400)
