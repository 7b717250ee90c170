"""What orchestrators and Prometheus ask."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

ALIVE, READY, METRICS = "/healthz", ("/readyz", "/ready"), "/metrics"
PATHS = (ALIVE, *READY, METRICS)
NO_STORE = {"Cache-Control": "no-store"}


def routes(*, is_ready: Callable[[], Awaitable[str]], exposition: Callable[[], tuple[bytes, str]]) -> list[Route]:
    """`is_ready` says what is missing, or "" when nothing is."""

    async def alive(_request: Request) -> Response:
        return JSONResponse("ok", headers=NO_STORE)

    async def ready(_request: Request) -> Response:
        missing = await is_ready()
        if missing:
            return PlainTextResponse(
                f"not ready: {missing}\n", status_code=503, headers={**NO_STORE, "Retry-After": "1"}
            )
        return JSONResponse("ok", headers=NO_STORE)

    async def metrics(_request: Request) -> Response:
        page, content_type = exposition()
        return Response(page, headers={**NO_STORE, "Content-Type": content_type})

    return [Route(ALIVE, alive), *(Route(path, ready) for path in READY), Route(METRICS, metrics)]
