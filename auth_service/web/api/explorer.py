"""`/docs`: Swagger UI on `/openapi.json`. Its files come from the package `fastapi-swagger`, which is not imported."""

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from auth_service.web.pages.site import Site

PAGE = "/docs"
_PACKAGE, _DISTRIBUTION = "fastapi_swagger", "fastapi-swagger"
_TYPES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


def routes(site: Site) -> list[Route]:
    # In the address, so that browsers keep the files for ever.
    version = metadata.version(_DISTRIBUTION)

    async def page(_request: Request) -> Response:
        return await site.page("explorer.html", viewer=f"{PAGE}/{version}")

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _TYPES:
            raise HTTPException(404)
        is_this = request.path_params["version"] == version
        return FileResponse(
            _folder() / name,
            media_type=_TYPES[name],
            headers={
                "Cache-Control": "public, max-age=31536000, immutable" if is_this else "no-store",
                "X-Content-Type-Options": "nosniff",
                "Cross-Origin-Resource-Policy": "same-origin",
            },
        )

    return [Route(PAGE, page, methods=["GET"]), Route(f"{PAGE}/{{version}}/{{name}}", file, methods=["GET"])]


def _folder() -> Path:
    spec = find_spec(_PACKAGE)
    assert spec is not None
    return Path((spec.submodule_search_locations or [""])[0]) / "resources"
