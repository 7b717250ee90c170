"""Notices about maintenance, as the facility's pages ask for them."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth_service.web import errors
from auth_service.web.asking import ask_for
from auth_service.web.methods import Methods

KINDS = {"/maintenance": "maintenance", "/scheduled_maintenance": "scheduled_maintenance"}
"""The notice that each route tells, by its name in the contract."""


def routes(methods: Methods) -> list[Route]:
    def route(path: str, kind: str) -> Route:
        async def told(request: Request) -> Response:
            answer = await ask_for(methods, request, "MaintenanceService/GetNotices")
            if answer.code != "ok":
                return errors.refused(answer)
            notice = getattr(answer.response, kind)
            return JSONResponse({"show": notice.show, "message": notice.message}, headers={"Cache-Control": "no-store"})

        return Route(path, told, methods=["GET"])

    return [route(path, kind) for path, kind in KINDS.items()]
