"""`auth_api.v1.KeyService`: the key ring for operators."""

from auth_api.v1 import keys_pb2, keys_pb2_grpc

from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.keys import SigningKey, State
from auth_service.rpc.call import Context, origin
from auth_service.rpc.wire import timestamp
from auth_service.usecases.key_list import KeyList
from auth_service.usecases.signing import SigningKeys

LONGEST_KID = 128
_STATES = {
    State.STANDBY: keys_pb2.SIGNING_KEY_STATE_STANDBY,
    State.ACTIVE: keys_pb2.SIGNING_KEY_STATE_ACTIVE,
    State.RETIRING: keys_pb2.SIGNING_KEY_STATE_RETIRING,
    State.RETIRED: keys_pb2.SIGNING_KEY_STATE_RETIRED,
    State.REVOKED: keys_pb2.SIGNING_KEY_STATE_REVOKED,
}


class KeyServicer(keys_pb2_grpc.KeyServiceServicer):
    def __init__(self, *, keys: SigningKeys, key_list: KeyList) -> None:
        self._keys = keys
        self._key_list = key_list

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

    async def RevokeSigningKey(
        self, request: keys_pb2.RevokeSigningKeyRequest, context: Context
    ) -> keys_pb2.RevokeSigningKeyResponse:
        if not 0 < len(request.kid) <= LONGEST_KID:
            raise InvalidInput(FieldViolation("kid", "expected the kid of a signing key"))
        ring = await self._keys.revoke(
            request.kid,
            origin=origin(),
            ring_version=request.ring_version if request.HasField("ring_version") else None,
        )
        return keys_pb2.RevokeSigningKeyResponse(
            revoked=_message(ring.get(request.kid)), active=_message(ring.active), ring_version=ring.version
        )


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
