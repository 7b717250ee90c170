"""What the facility's first service answered over REST, for consumers that cannot change: bodies, statuses, cookie.

With `is_compatible` off the same routes refuse as the rest of this door does: 401, 503, and a reason.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from auth_client.strict import json_object
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth_service.domain.cookies import TokenCookie
from auth_service.web import errors
from auth_service.web.bodies import TooLarge, body_of, media_type_of
from auth_service.web.methods import Answer, Methods, retry_after
from auth_service.web.peers import metadata_of, peer_of

_AUTH = "/auth_api.v1.AuthService/"
_NO_STORE = {"Cache-Control": "no-store"}
MOST_AT_ONCE = 1000
"""Experiments that one page of ListExperiments holds at most."""

_OUR_FAULT = frozenset({"unavailable", "deadline_exceeded"})


class Unprocessable(Exception):
    """The request is not of the shape that was expected. `problems` as FastAPI words them, without what was sent."""

    def __init__(self, *problems: Mapping[str, Any]) -> None:
        super().__init__()
        self.problems = problems


def routes(methods: Methods, *, cookie: TokenCookie, is_compatible: bool) -> list[Route]:
    async def ask(request: Request, method: str, **fields: Any) -> Answer:
        return await methods.ask(_AUTH + method, fields, metadata=metadata_of(request), peer=peer_of(request))

    async def login(request: Request) -> Response:
        username, password = await _texts(request, "username", "password")
        return signed_in(await ask(request, "Login", username=username, password=password))

    verified = JSONResponse("ok", headers=_NO_STORE)

    async def verify(request: Request) -> Response:
        (token,) = await _texts(request, "token")
        answer = await ask(request, "Verify", token=token)
        return verified if answer.code == "ok" else refused(answer)

    async def refresh(request: Request) -> Response:
        # The access token may have expired, and decides nothing: the cookie's session does.
        await _texts(request, "token")
        return signed_in(await ask(request, "Refresh", refresh_token=cookie.of(request.headers.getlist("cookie"))))

    async def experiments(request: Request) -> Response:
        if not request.headers.get("authorization"):
            return JSONResponse(
                {"detail": "Not authenticated"}, 401, headers={**_NO_STORE, "WWW-Authenticate": "Bearer"}
            )
        number = _whole_number(request, "user_number")
        found: list[int] = []
        page_token = ""
        while True:
            answer = await ask(
                request, "ListExperiments", user_number=number, page_size=MOST_AT_ONCE, page_token=page_token
            )
            if answer.code != "ok":
                return refused(answer, within="query")
            found += [each.rb_number for each in answer.response.experiments]
            page_token = answer.response.next_page_token
            if not page_token:
                return JSONResponse(found, headers=_NO_STORE)

    def signed_in(answer: Answer) -> Response:
        if answer.code != "ok":
            return refused(answer)
        response = JSONResponse(answer.response.access_token, headers=_NO_STORE)
        told = answer.response
        given = cookie.given(told.refresh_token, seconds=told.refresh_expires_in.seconds)
        response.headers.append("Set-Cookie", given)
        return response

    def refused(answer: Answer, *, within: str = "body") -> Response:
        if not is_compatible or answer.code == "resource_exhausted":
            return errors.refused(answer)
        if answer.code == "invalid_argument" and answer.reason != "REFRESH_TOKEN_MISSING":
            return _unprocessable(*_violations(answer, within=within))
        word = "detail" if answer.code in _OUR_FAULT else "message"
        return JSONResponse({word: "Forbidden"}, 403, headers={**_NO_STORE, **retry_after(answer.details)})

    return [
        Route("/login", _shaped(login), methods=["POST"]),
        Route("/verify", _shaped(verify), methods=["POST"]),
        Route("/refresh", _shaped(refresh), methods=["POST"]),
        Route("/experiments", _shaped(experiments), methods=["GET"]),
        Route("/experiment", _shaped(experiments), methods=["GET"]),
    ]


def _shaped(route: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answered(request: Request) -> Response:
        try:
            return await route(request)
        except Unprocessable as error:
            return _unprocessable(*error.problems)
        except TooLarge as error:
            return JSONResponse({"detail": str(error)}, 413, headers=_NO_STORE)

    return answered


async def _texts(request: Request, *names: str) -> tuple[str, ...]:
    """The texts of these names in a JSON body. Raises Unprocessable, TooLarge."""
    content_type = media_type_of(request)
    if content_type != "application/json":
        # Nor may it be: what another site's form can send must not sign anybody in.
        raise Unprocessable(_problem("model_attributes_type", "Input should be a JSON object"))
    try:
        members = json_object(await body_of(request))
    except ValueError:
        raise Unprocessable(_problem("json_invalid", "JSON decode error")) from None
    problems = [
        _problem("string_type", "Input should be a valid string", name)
        if name in members
        else _problem("missing", "Field required", name)
        for name in names
        if not isinstance(members.get(name), str)
    ]
    if problems:
        raise Unprocessable(*problems)
    return tuple(str(members[name]) for name in names)


def _whole_number(request: Request, name: str) -> int:
    given = request.query_params.get(name)
    if given is None:
        raise Unprocessable(_problem("missing", "Field required", name, within="query"))
    digits = given.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 18):
        problem = "Input should be a valid integer, unable to parse string as an integer"
        raise Unprocessable(_problem("int_parsing", problem, name, within="query"))
    return int(given)


def _problem(kind: str, message: str, *where: str, within: str = "body") -> dict[str, Any]:
    return {"type": kind, "loc": [within, *where], "msg": message}


def _violations(answer: Answer, *, within: str) -> list[dict[str, Any]]:
    return [
        _problem("value_error", each["description"], each["field"], within=within)
        for detail in answer.details
        for each in detail.says.get("fieldViolations", ())
    ] or [_problem("value_error", answer.message, within=within)]


def _unprocessable(*problems: Mapping[str, Any]) -> Response:
    return JSONResponse({"detail": list(problems)}, 422, headers=_NO_STORE)
