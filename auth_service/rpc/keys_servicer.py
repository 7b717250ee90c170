"""`auth_api.v1.KeyService`: the key ring for operators."""

from auth_api.v1 import keys_pb2, keys_pb2_grpc

from auth_service.domain.consumers import ConsumerKind
from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.keys import SigningKey, State
from auth_service.domain.timeline import KeyLife
from auth_service.rpc.call import Context, origin
from auth_service.rpc.wire import duration, timestamp
from auth_service.usecases.canaries import Canaries
from auth_service.usecases.key_consumers import ShownConsumer
from auth_service.usecases.key_list import ConsumerList, KeyList
from auth_service.usecases.key_plan import KeyPlans
from auth_service.usecases.key_revocation import KeyRevocation
from auth_service.usecases.signing import SigningKeys

LONGEST_KID = 128
_KINDS = {
    ConsumerKind.HTTP: keys_pb2.KEY_CONSUMER_KIND_HTTP,
    ConsumerKind.STREAM: keys_pb2.KEY_CONSUMER_KIND_STREAM,
    ConsumerKind.GRPC: keys_pb2.KEY_CONSUMER_KIND_GRPC,
}
_STATES = {
    State.STANDBY: keys_pb2.SIGNING_KEY_STATE_STANDBY,
    State.ACTIVE: keys_pb2.SIGNING_KEY_STATE_ACTIVE,
    State.RETIRING: keys_pb2.SIGNING_KEY_STATE_RETIRING,
    State.RETIRED: keys_pb2.SIGNING_KEY_STATE_RETIRED,
    State.REVOKED: keys_pb2.SIGNING_KEY_STATE_REVOKED,
}


class KeyServicer(keys_pb2_grpc.KeyServiceServicer):
    def __init__(
        self,
        *,
        keys: SigningKeys,
        key_list: KeyList,
        consumer_list: ConsumerList,
        revocation: KeyRevocation,
        canaries: Canaries,
        plans: KeyPlans,
    ) -> None:
        self._keys = keys
        self._key_list = key_list
        self._consumer_list = consumer_list
        self._revocation = revocation
        self._canaries = canaries
        self._plans = plans

    async def ListSigningKeys(
        self, request: keys_pb2.ListSigningKeysRequest, context: Context
    ) -> keys_pb2.ListSigningKeysResponse:
        page = self._key_list.page(size=request.page_size, page_token=request.page_token)
        return keys_pb2.ListSigningKeysResponse(
            signing_keys=[_message(each) for each in page.keys],
            next_page_token=page.next_page_token,
            ring_version=page.ring_version,
        )

    async def RotateSigningKey(
        self, request: keys_pb2.RotateSigningKeyRequest, context: Context
    ) -> keys_pb2.RotateSigningKeyResponse:
        ring = await self._keys.rotate(
            origin=origin(),
            ring_version=request.ring_version if request.HasField("ring_version") else None,
            require_published_ahead=request.require_published_ahead,
        )
        return keys_pb2.RotateSigningKeyResponse(
            active=_message(ring.active),
            demoted=_message(ring.last_demoted),
            standby=_message(ring.standby),
            ring_version=ring.version,
        )

    async def RollbackSigningKey(
        self, request: keys_pb2.RollbackSigningKeyRequest, context: Context
    ) -> keys_pb2.RollbackSigningKeyResponse:
        ring = await self._keys.roll_back(
            origin=origin(), ring_version=request.ring_version if request.HasField("ring_version") else None
        )
        return keys_pb2.RollbackSigningKeyResponse(
            active=_message(ring.active),
            demoted=_message(ring.last_demoted),
            standby=_message(ring.standby),
            ring_version=ring.version,
        )

    async def RevokeSigningKey(
        self, request: keys_pb2.RevokeSigningKeyRequest, context: Context
    ) -> keys_pb2.RevokeSigningKeyResponse:
        if not 0 < len(request.kid) <= LONGEST_KID:
            raise InvalidInput(FieldViolation("kid", "expected the kid of a signing key"))
        revoked = await self._revocation.revoke(
            request.kid,
            origin=origin(),
            ring_version=request.ring_version if request.HasField("ring_version") else None,
        )
        return keys_pb2.RevokeSigningKeyResponse(
            revoked=_message(revoked.key),
            active=_message(revoked.ring.active),
            ring_version=revoked.ring.version,
            tokens_until=timestamp(revoked.tokens_until),
            consumers_behind=map(_consumer_message, revoked.holding_older or ()),
            consumers_unknown=revoked.holding_older is None,
        )

    async def ListKeyConsumers(
        self, request: keys_pb2.ListKeyConsumersRequest, context: Context
    ) -> keys_pb2.ListKeyConsumersResponse:
        page = await self._consumer_list.page(size=request.page_size, page_token=request.page_token)
        return keys_pb2.ListKeyConsumersResponse(
            key_consumers=map(_consumer_message, page.consumers),
            next_page_token=page.next_page_token,
            ring_version=page.ring_version,
            standby_kid=page.standby_kid,
            rotation_due_at=timestamp(page.due_at),
            rotation_at_the_latest=timestamp(page.at_the_latest),
        )

    async def GetKeyTimeline(
        self, request: keys_pb2.GetKeyTimelineRequest, context: Context
    ) -> keys_pb2.GetKeyTimelineResponse:
        plan = self._plans.now()
        return keys_pb2.GetKeyTimelineResponse(
            lives=map(_life_message, plan.timeline.lives),
            now=timestamp(plan.timeline.now),
            ring_version=plan.ring_version,
            rotation_at=timestamp(plan.timeline.rotation_at),
            next_rotation_at=timestamp(plan.timeline.next_rotation_at),
            standby_known_at=timestamp(plan.standby_known_at),
            rollback_until=timestamp(plan.rollback_until),
            tokens_until=timestamp(plan.tokens_until),
        )

    async def MintCanary(self, request: keys_pb2.MintCanaryRequest, context: Context) -> keys_pb2.MintCanaryResponse:
        canary = await self._canaries.mint(origin=origin())
        return keys_pb2.MintCanaryResponse(token=canary.token, kid=canary.kid, expires_at=timestamp(canary.expires_at))


def _message(key: SigningKey) -> keys_pb2.SigningKey:
    return keys_pb2.SigningKey(
        kid=key.kid,
        state=_STATES[key.state],
        size_bits=key.size_bits,
        published_at=timestamp(key.published_at),
        activated_at=timestamp(key.activated_at),
        demoted_at=timestamp(key.demoted_at),
        verifies_until=timestamp(key.verifies_until),
        withdrawn_at=timestamp(key.withdrawn_at),
        private_half_held=key.sealed_private is not None,
    )


def _life_message(life: KeyLife) -> keys_pb2.KeyLife:
    return keys_pb2.KeyLife(
        kid=life.kid or "",
        state=_STATES[life.state] if life.state else keys_pb2.SIGNING_KEY_STATE_UNSPECIFIED,
        published_at=timestamp(life.published_at),
        signs_from=timestamp(life.signs_from),
        signs_until=timestamp(life.signs_until),
        leaves_at=timestamp(life.leaves_at),
    )


def _consumer_message(shown: ShownConsumer) -> keys_pb2.KeyConsumer:
    seen = shown.sighting
    return keys_pb2.KeyConsumer(
        kind=_KINDS[seen.consumer.kind],
        address=seen.consumer.address,
        user_agent=seen.consumer.user_agent,
        name=seen.consumer.name,
        first_seen_at=timestamp(seen.first_seen_at),
        last_seen_at=timestamp(seen.last_seen_at),
        times=seen.times,
        interval=duration(seen.interval) if seen.interval is not None else None,
        ring_version=seen.ring_version,
        showed_ring_version=seen.showed_version,
        holds_standby=shown.holds_standby,
        recent=shown.is_recent,
        profile=shown.profile,
    )
