"""Guarding a grpclib server: nobody gets further than the table of rights says."""

import asyncio
from contextlib import suppress
from typing import Any

from google.protobuf.message import DecodeError
from grpclib.const import Status
from grpclib.events import RecvRequest, listen
from grpclib.exceptions import GRPCError
from grpclib.server import Server

from ..details import messages
from ..errors import AuthClientError
from ..guarding import LINGER, current, one_bearer, refusal_of
from ..rights import Rights
from ..verifier import TokenVerifier


class Guard:
    """For `Guard(...).attach(server)`. Behind it, `caller()` says who calls.

    The token is checked before the request is read, and for a stream only then: one that goes on past its token's end
    is yours to bound.
    """

    def __init__(self, verifier: TokenVerifier, rights: Rights) -> None:
        self._verifier = verifier
        self._rights = rights

    def attach(self, server: Server) -> Server:
        """Guard `server`, before it starts. Gives it back."""
        listen(server, RecvRequest, self._admit)
        return server

    async def _admit(self, event: RecvRequest) -> None:
        right = self._rights[event.method_name]
        if right.is_public:
            return
        try:
            token = one_bearer(event.metadata.getall("authorization", ()))
            caller = await self._verifier.verify(token)
            right.check(caller)
        except AuthClientError as error:
            event.method_func = _refusing(error)
            return
        # The method runs in the same task.
        current.set(caller)


def _refusing(error: AuthClientError) -> Any:
    refusal = refusal_of(error)

    async def refuse(stream: Any) -> None:
        with suppress(TimeoutError, DecodeError):
            async with asyncio.timeout(LINGER):
                while await stream.recv_message() is not None:
                    pass
        raise GRPCError(Status(refusal.code.value), refusal.message, messages(refusal))

    return refuse
