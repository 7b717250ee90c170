"""Stylesheet and scripts, from the package. What is in them is in their address, so browsers keep them for ever."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth_service.drawing import key_picture
from auth_service.web.cacheable import matches

TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    name: str
    body: bytes

    @property
    def path(self) -> str:
        return f"/assets/{self.digest}/{self.name}"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.body).hexdigest()[:16]


def assets() -> Mapping[str, Asset]:
    """By name. A few kilobytes."""
    found = (each for each in files("auth_service.web.pages").joinpath("static").iterdir())
    read = [Asset(each.name, each.read_bytes()) for each in found if each.name.endswith(tuple(TYPES))]
    # Where the command line finds it as well, for a file of its own.
    drawn = Asset("key-picture.css", key_picture.STYLE.encode())
    return {each.name: each for each in (*read, drawn)}


def routes(served: Mapping[str, Asset]) -> list[Route]:
    async def answer(request: Request) -> Response:
        asset = served.get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404)
        headers = {
            # Of another release, while replicas are replaced one by one: better ours than none, but not for long.
            "Cache-Control": _FOR_EVER if request.path_params["digest"] == asset.digest else "no-store",
            "ETag": f'"{asset.digest}"',
            "Content-Type": TYPES[f".{asset.name.rpartition('.')[2]}"],
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            # A picture may hold markup, and somebody may open it by itself.
            "Content-Security-Policy": "default-src 'none'",
        }
        if matches(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(asset.body, headers=headers)

    return [Route("/assets/{digest}/{name}", answer)]
