"""`auth_api.v1.TrustService`: what verifiers follow. A message that goes to many streams is encoded once."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from weakref import WeakKeyDictionary

from auth_api.v1 import auth_pb2, trust_pb2, trust_pb2_grpc

from auth_service.domain.consumers import Consumer, ConsumerKind
from auth_service.rpc.call import Context, consumer
from auth_service.rpc.wire import duration, timestamp
from auth_service.usecases.key_consumers import KeyConsumers
from auth_service.usecases.published_keys import PublishedKeys
from auth_service.usecases.signing import SigningKeys
from auth_service.usecases.trust import Kind, Told, Trust


class TrustServicer(trust_pb2_grpc.TrustServiceServicer):
    def __init__(self, *, trust: Trust, keys: SigningKeys, consumers: KeyConsumers) -> None:
        self._trust = trust
        self._keys = keys
        self._consumers = consumers
        self._encoded: WeakKeyDictionary[Told, bytes] = WeakKeyDictionary()

    async def WatchTrust(  # type: ignore[override]  # bytes, which the chain passes on as they are
        self, request: trust_pb2.WatchTrustRequest, context: Context
    ) -> AsyncIterator[bytes]:
        follower = consumer(ConsumerKind.STREAM, context)
        messages = self._trust.follow(request.cursor, address=follower.address)
        async with aclosing(messages):
            async for told in messages:
                encoded = self._encoded.get(told)
                if encoded is None:
                    encoded = self._encoded[told] = self._message(told).SerializeToString()
                yield encoded
                self._note(follower, told, showed=request.cursor)

    def _note(self, follower: Consumer, told: Told, *, showed: str) -> None:
        """A message that was written, and whose cursor names the key set: its reader holds that, and all before."""
        published = self._keys.published()
        if f".{published.etag}." in told.cursor:
            self._consumers.seen(follower, published, showed=showed)

    def _message(self, told: Told) -> trust_pb2.WatchTrustResponse:
        message = trust_pb2.WatchTrustResponse(cursor=told.cursor, now=timestamp(told.now), age=duration(told.age))
        heartbeat_interval = duration(self._trust.heartbeat_every)
        keys = _keys(told.keys) if told.keys is not None else None
        revoked = [
            trust_pb2.RevokedSessions(session_ids=session_ids, until=timestamp(until))
            for until, session_ids in told.revoked.items()
        ]
        match told.kind:
            case Kind.SNAPSHOT:
                message.snapshot.CopyFrom(
                    trust_pb2.TrustSnapshotChunk(
                        keys=keys,
                        revoked=revoked,
                        last=told.is_last,
                        heartbeat_interval=heartbeat_interval if told.is_last else None,
                    )
                )
            case Kind.CHANGE:
                message.change.CopyFrom(trust_pb2.TrustChange(keys=keys, revoked=revoked))
            case Kind.HEARTBEAT:
                message.heartbeat.CopyFrom(trust_pb2.TrustHeartbeat(heartbeat_interval=heartbeat_interval))
        return message


def _keys(published: PublishedKeys) -> trust_pb2.TrustedKeys:
    return trust_pb2.TrustedKeys(
        keys=[auth_pb2.JsonWebKey(**key.jwk()) for key in published.keys],
        ring_version=published.version,
        revoked_kids=published.revoked_kids,
    )
