"""Calling other services over grpc.aio as somebody: signed in, and staying so."""

import grpc.aio

from ..async_session import AsyncSession
from .client import Options, open_channel
from .interceptors import signed_in


class Session(AsyncSession):
    """Signs in when first needed and keeps a good access token; opens channels to carry it. See AsyncSession."""

    def channel(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
        options: Options = (),
        interceptors: tuple[grpc.aio.ClientInterceptor, ...] = (),
    ) -> grpc.aio.Channel:
        """A channel to another service, on which every call carries the token. Close it when done.

        Over TLS unless you say `plaintext=True`, which shows the token to whoever listens.
        A call whose token is refused is sent once more with a new one; one whose requests are a stream is not, for they
        are gone: it fails, and the next one has a new token.
        """
        return open_channel(
            target,
            credentials=credentials,
            plaintext=plaintext,
            options=options,
            interceptors=(*signed_in(self), *interceptors),
        )
