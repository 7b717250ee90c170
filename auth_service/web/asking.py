"""Asks a method on somebody's behalf, whatever credentials the request itself came with."""

from typing import Any

from starlette.requests import Request

from auth_service.web.methods import Answer, Methods
from auth_service.web.peers import peer_of, without_bearer


async def ask_for(methods: Methods, request: Request, method: str, /, *, bearer: str = "", **fields: Any) -> Answer:
    """The answer of `method`, such as `AuthService/Logout`, to whoever `bearer` is of; to nobody where it is empty."""
    given = (("authorization", f"Bearer {bearer}"),) if bearer else ()
    metadata = (*without_bearer(request), *given)
    return await methods.ask(f"/auth_api.v1.{method}", fields, metadata=metadata, peer=peer_of(request))
