"""A FastAPI dependency that knows who calls. Needs `auth-client[fastapi]`."""

from fastapi import HTTPException
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from .asgi import admitted, refused
from .errors import AuthClientError
from .rights import SIGNED_IN, Right
from .token import VerifiedToken
from .verifier import TokenVerifier

__all__ = ["Bearer"]


class Bearer(SecurityBase):
    """`Depends(Bearer(verifier, role("staff")))` is the caller, if they have the right; shown in the OpenAPI schema.

    Refusals are HTTPExceptions, with `reason` and `message` in their detail and `WWW-Authenticate` as in RFC 6750.
    """

    def __init__(self, verifier: TokenVerifier, right: Right = SIGNED_IN) -> None:
        self.model = HTTPBearer(bearerFormat="JWT")
        self.scheme_name = "Bearer"
        self._verifier = verifier
        self._right = right

    async def __call__(self, connection: HTTPConnection) -> VerifiedToken:
        given = [value.encode("latin-1") for value in connection.headers.getlist("authorization")]
        try:
            return await admitted(given, self._verifier, self._right)
        except AuthClientError as error:
            answer = refused(error)
            raise HTTPException(answer.status, answer.body, answer.headers) from None
