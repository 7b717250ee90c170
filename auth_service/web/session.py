"""A browser's session: its tokens are in cookies that no script reads.

Another site's page cannot call these routes: what a form can send is not JSON, a script needs leave (CORS) for JSON and
for DELETE, and the cookies are SameSite.
"""

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth_service.domain.cookies import SessionCookies
from auth_service.web import errors
from auth_service.web.asking import ask_for
from auth_service.web.bodies import TooLarge, body_of, media_type_of
from auth_service.web.methods import Answer, Methods
from auth_service.web.peers import peer_of, without_bearer

PATH = "/session"
LOGIN = "/auth_api.v1.AuthService/Login"
_NO_STORE = {"Cache-Control": "no-store"}


def routes(methods: Methods, *, cookies: SessionCookies) -> list[Route]:
    ask = partial(ask_for, methods)

    async def sign_in(request: Request) -> Response:
        content_type = media_type_of(request)
        if content_type != "application/json":
            return _told("expected Content-Type: application/json", status=415)
        try:
            body = await body_of(request)
        except TooLarge as error:
            return _told(str(error), status=413)
        # The request of Login, as it is: `username`, `password`, and `newPassword` where one has to be chosen.
        answer = await methods.call(
            LOGIN, body, is_json=True, metadata=without_bearer(request), peer=peer_of(request), timeout=None
        )
        return errors.refused(answer) if answer.code != "ok" else _signed_in(answer, cookies)

    async def sign_out(request: Request) -> Response:
        held = request.headers.getlist("cookie")
        refresh_token, access_token = cookies.refresh.of(held), cookies.access.of(held)
        if refresh_token:
            answer = await ask(request, "AuthService/Logout", refresh_token=refresh_token)
        elif access_token:
            answer = await ended(request, access_token)
        else:
            answer = None
        # The cookies stay as long as somebody could still use what is in them.
        if answer is not None and answer.code not in ("ok", "unauthenticated", "not_found"):
            return errors.refused(answer)
        response = Response(status_code=204, headers=_NO_STORE)
        for cookie in cookies.taken_away:
            response.headers.append("Set-Cookie", cookie)
        return response

    async def ended(request: Request, access_token: str) -> Answer:
        verified = await ask(request, "AuthService/Verify", token=access_token)
        if verified.code != "ok":
            return verified
        session_id = verified.response.session_id
        return await ask(request, "UserService/EndMySession", bearer=access_token, session_id=session_id)

    return [Route(PATH, sign_in, methods=["POST"]), Route(PATH, sign_out, methods=["DELETE"])]


def _signed_in(answer: Answer, cookies: SessionCookies) -> Response:
    told = answer.response
    response = JSONResponse({"expires_in": told.refresh_expires_in.seconds}, headers=_NO_STORE)
    for cookie in cookies_of(told, cookies):
        response.headers.append("Set-Cookie", cookie)
    return response


def cookies_of(signed_in: Any, cookies: SessionCookies) -> tuple[str, str]:
    """`Set-Cookie` values, for the response of Login."""
    return cookies.given(
        signed_in.access_token,
        signed_in.refresh_token,
        seconds=signed_in.expires_in.seconds,
        refresh_seconds=signed_in.refresh_expires_in.seconds,
    )


def _told(message: str, *, status: int) -> Response:
    return JSONResponse({"message": message}, status, headers=_NO_STORE)
