"""What verifiers fetch: the key set (RFC 7517), the ended sessions, and metadata that tells the truth (RFC 8414)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth_service.domain.addresses import Network
from auth_service.domain.consumers import NAME_HEADER, Consumer, ConsumerKind
from auth_service.domain.keys import KEY_SET_MAX_AGE
from auth_service.usecases.key_consumers import KeyConsumers
from auth_service.usecases.published_keys import PublishedKeys
from auth_service.usecases.revocation_list import RevocationList
from auth_service.usecases.signing import SigningKeys
from auth_service.web.cacheable import cacheable
from auth_service.web.peers import address_of

JWKS_PATH = "/.well-known/jwks.json"
REVOCATIONS_PATH = "/.well-known/revocations"
METADATA_PATHS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
PATHS = (JWKS_PATH, REVOCATIONS_PATH, *METADATA_PATHS)
"""All of them answered from memory."""
MAX_AGE_SECONDS = int(KEY_SET_MAX_AGE.total_seconds())
CAREFUL_MAX_AGE_SECONDS = 60
STALE_IF_ERROR_SECONDS = 86_400
REVOCATIONS_MAX_AGE_SECONDS, REVOCATIONS_STALE_IF_ERROR_SECONDS = 5, 600


def routes(
    *,
    keys: SigningKeys,
    consumers: KeyConsumers,
    revocations: RevocationList,
    issuer: str,
    endpoints: Mapping[str, Any],
    now: Callable[[], datetime],
    trusted_proxies: Sequence[Network] = (),
) -> list[Route]:
    async def jwks(request: Request) -> Response:
        published = keys.published()
        _note(request, published, consumers=consumers, trusted_proxies=trusted_proxies)
        max_age = CAREFUL_MAX_AGE_SECONDS if published.is_careful(now()) else MAX_AGE_SECONDS
        return cacheable(
            request,
            published.document,
            etag=published.etag,
            max_age=max_age,
            stale_if_error=STALE_IF_ERROR_SECONDS,
            media_type="application/jwk-set+json",
        )

    async def revoked(request: Request) -> Response:
        made = await revocations.current()
        return cacheable(
            request,
            made.document,
            etag=made.etag,
            max_age=REVOCATIONS_MAX_AGE_SECONDS,
            stale_if_error=REVOCATIONS_STALE_IF_ERROR_SECONDS,
            media_type="application/json",
        )

    metadata = {
        "issuer": issuer,
        "jwks_uri": issuer + JWKS_PATH,
        # There is no authorization endpoint, and RFC 8414 asks for this list all the same.
        "response_types_supported": [],
        **endpoints,
    }

    async def describe(_request: Request) -> Response:
        headers = {"Cache-Control": f"public, max-age={MAX_AGE_SECONDS}", "Access-Control-Allow-Origin": "*"}
        return JSONResponse(metadata, headers=headers)

    return [
        Route(JWKS_PATH, jwks),
        Route(REVOCATIONS_PATH, revoked),
        *(Route(path, describe) for path in METADATA_PATHS),
    ]


def _note(
    request: Request, published: PublishedKeys, *, consumers: KeyConsumers, trusted_proxies: Sequence[Network]
) -> None:
    """Whoever sends an ETag of ours has its document; whoever gets a body has that. HEAD and `*` tell nothing."""
    headers = request.headers
    showed = headers.get("if-none-match", "")
    if f'"{published.etag}"' not in showed and (request.method == "HEAD" or showed.strip() == "*"):
        return
    consumer = Consumer.of(
        ConsumerKind.HTTP,
        address=address_of(request, trusted_proxies=trusted_proxies),
        user_agent=headers.get("user-agent", ""),
        name=headers.get(NAME_HEADER, ""),
    )
    consumers.seen(consumer, published, showed=showed)
