"""Calling other services over grpclib as somebody: signed in, and staying so."""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import TypeVar

from grpclib.client import Channel
from grpclib.const import Status
from grpclib.events import RecvTrailingMetadata, SendRequest, listen
from grpclib.exceptions import GRPCError

from ..async_session import AsyncSession
from .client import error_from

_Reply = TypeVar("_Reply")
# What the task's last request carried: grpclib's events do not say which request they belong to.
_sent: ContextVar[str] = ContextVar("auth_client.sent", default="")


class Session(AsyncSession):
    """Signs in when first needed and keeps a good access token; lets channels carry it. See AsyncSession."""

    def attach(self, channel: Channel, *, plaintext: bool = False) -> Channel:
        """Let every call on `channel`, to another service, carry the token. Gives back `channel`.

        Raises ValueError if it is not over TLS, unless you say `plaintext=True`, which shows the token to whoever
        listens. grpclib lets nobody send a call again from inside: for that, make it by `call`.
        """
        # grpclib says it nowhere else; where it says nothing, it is not secure.
        if not plaintext and getattr(channel, "_scheme", "http") != "https":
            raise ValueError("the channel is not over TLS: expected one that is, or plaintext=True")
        listen(channel, SendRequest, self._carry)
        listen(channel, RecvTrailingMetadata, self._note)
        return channel

    async def call(
        self,
        method: Callable[..., Awaitable[_Reply]],
        request: object,
        *,
        timeout: float | None = None,
        metadata: Mapping[str, str | bytes] | None = None,
    ) -> _Reply:
        """`await method(request)`, and once more with a new token if the one it had is refused.

        `method` is a stub's, of any kind: grpclib takes and gives lists for streams. Each attempt has `timeout`
        seconds. A call that you `.open()` yourself is not sent again: it fails, and the next one has a new token.
        """
        try:
            return await method(request, timeout=timeout, metadata=metadata)
        except GRPCError as error:
            if not self.is_worth_repeating(error_from(error), _sent.get()):
                raise
        return await method(request, timeout=timeout, metadata=metadata)

    async def _carry(self, event: SendRequest) -> None:
        token = await self.token()
        _sent.set(token)
        event.metadata["authorization"] = f"Bearer {token}"

    async def _note(self, event: RecvTrailingMetadata) -> None:
        if event.status is Status.UNAUTHENTICATED:
            error = GRPCError(event.status, event.status_message, event.status_details)
            self.is_worth_repeating(error_from(error), _sent.get())
