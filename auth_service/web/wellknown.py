"""What verifiers fetch: the key set (RFC 7517) and metadata that tells only what is true (RFC 8414)."""

from collections.abc import Callable
from datetime import datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth_service.domain.keys import KEY_SET_MAX_AGE
from auth_service.usecases.signing import SigningKeys

JWKS_PATH = "/.well-known/jwks.json"
MAX_AGE_SECONDS = int(KEY_SET_MAX_AGE.total_seconds())
CAREFUL_MAX_AGE_SECONDS = 60
STALE_IF_ERROR_SECONDS = 86_400


def routes(*, keys: SigningKeys, issuer: str, now: Callable[[], datetime]) -> list[Route]:
    async def jwks(request: Request) -> Response:
        published = keys.published()
        max_age = CAREFUL_MAX_AGE_SECONDS if published.is_careful(now()) else MAX_AGE_SECONDS
        etag = f'"{published.etag}"'
        headers = {
            "Cache-Control": f"public, max-age={max_age}, stale-if-error={STALE_IF_ERROR_SECONDS}",
            "ETag": etag,
            "Access-Control-Allow-Origin": "*",
            "X-Content-Type-Options": "nosniff",
        }
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        return Response(published.document, media_type="application/jwk-set+json", headers=headers)

    metadata = {
        "issuer": issuer,
        "jwks_uri": issuer + JWKS_PATH,
        # There is no authorization endpoint, and RFC 8414 asks for this list all the same.
        "response_types_supported": [],
    }

    async def describe(_request: Request) -> Response:
        headers = {"Cache-Control": f"public, max-age={MAX_AGE_SECONDS}", "Access-Control-Allow-Origin": "*"}
        return JSONResponse(metadata, headers=headers)

    return [
        Route(JWKS_PATH, jwks),
        Route("/.well-known/openid-configuration", describe),
        Route("/.well-known/oauth-authorization-server", describe),
    ]


def _matches(if_none_match: str, etag: str) -> bool:
    """The weak comparison of RFC 9110 section 13.1.2."""
    return if_none_match.strip() == "*" or etag in (
        each.strip().removeprefix("W/") for each in if_none_match.split(",")
    )
