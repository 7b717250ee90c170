"""Keys from `AuthService.GetJwks`. How they are kept is in `fetched_keys`; this is how they are fetched.

What it refuses to do: try twice for one fetch, or read more than 256 KiB.
"""

from datetime import timedelta
from functools import partial
from typing import Unpack

import grpc.aio

from .. import calls
from ..aio.client import Options, check_security, error_from, open_channel
from ..fetched_keys import FetchedKeys, Keeping
from ..keys import LARGEST_KEY_SET, KeySet
from .naming import AGENT, named


class GrpcJwks(FetchedKeys):
    """A key source over gRPC, for where neither HTTP nor a stream is to be had. Use it in one event loop.

    Over TLS, as AuthClient. A set lives for `life`: over gRPC nobody says how long. `consumer_name` as of HttpJwks; for
    `keeping` see FetchedKeys.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
        options: Options = (),
        life: timedelta = timedelta(minutes=5),
        consumer_name: str = "",
        **keeping: Unpack[Keeping],
    ) -> None:
        check_security(credentials, plaintext=plaintext)
        metadata = named(consumer_name)
        bounded = (AGENT, *options, ("grpc.max_receive_message_length", LARGEST_KEY_SET))
        opened = partial(open_channel, target, credentials=credentials, plaintext=plaintext, options=bounded)

        async def fetch(_: KeySet | None) -> tuple[KeySet, float]:
            # A channel per fetch: one every few minutes has no use for a kept connection, and outlives no event loop.
            async with opened() as channel:
                return await _asked(channel, metadata), life.total_seconds()

        super().__init__(fetch, name=target, **keeping)


async def _asked(channel: grpc.aio.Channel, metadata: calls.Metadata) -> KeySet:
    call = calls.get_jwks()
    send = channel.unary_unary(
        call.path,
        request_serializer=type(call.request).SerializeToString,
        response_deserializer=call.reply.FromString,
    )
    try:
        return call.unpack(await send(call.request, metadata=metadata))
    except grpc.aio.AioRpcError as error:
        raise error_from(error) from error
