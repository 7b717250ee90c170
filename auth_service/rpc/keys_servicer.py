"""`auth_api.v1.KeyService`: the key ring for operators."""

from datetime import datetime

import structlog
from auth_api.v1 import keys_pb2, keys_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp

from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.keys import KeyRing, SigningKey, State
from auth_service.domain.pages import PageTokens, page_size
from auth_service.domain.policy import Caller, OperatorCalling, PersonCalling, ServiceCalling
from auth_service.rpc.call import Context, known_caller, origin
from auth_service.usecases.signing import SigningKeys

log = structlog.get_logger()

LONGEST_KID = 128
_STATES = {
    State.STANDBY: keys_pb2.SIGNING_KEY_STATE_STANDBY,
    State.ACTIVE: keys_pb2.SIGNING_KEY_STATE_ACTIVE,
    State.RETIRING: keys_pb2.SIGNING_KEY_STATE_RETIRING,
    State.RETIRED: keys_pb2.SIGNING_KEY_STATE_RETIRED,
    State.REVOKED: keys_pb2.SIGNING_KEY_STATE_REVOKED,
}


class KeyServicer(keys_pb2_grpc.KeyServiceServicer):
    def __init__(self, *, keys: SigningKeys, page_tokens: PageTokens) -> None:
        self._keys = keys
        self._page_tokens = page_tokens

    async def ListSigningKeys(
        self, request: keys_pb2.ListSigningKeysRequest, context: Context
    ) -> keys_pb2.ListSigningKeysResponse:
        most = page_size(request.page_size)
        after = self._page_tokens.read(request.page_token, listing="signing keys")
        ring = self._keys.ring
        newest_first = [key.kid for key in reversed(ring.keys)]
        start = newest_first.index(after) + 1 if after in newest_first else 0
        page = newest_first[start : start + most]
        has_more = start + most < len(newest_first)
        return keys_pb2.ListSigningKeysResponse(
            signing_keys=[_message(ring.get(kid)) for kid in page],
            next_page_token=self._page_tokens.write(listing="signing keys", position=page[-1]) if has_more else "",
            ring_version=ring.version,
        )

    async def RotateSigningKey(
        self, request: keys_pb2.RotateSigningKeyRequest, context: Context
    ) -> keys_pb2.RotateSigningKeyResponse:
        ring = await self._keys.rotate(
            origin=origin(),
            ring_version=request.ring_version if request.HasField("ring_version") else None,
            require_published_ahead=request.require_published_ahead,
        )
        log.info("keys.rotated", by=_named(known_caller()), version=ring.version)
        return keys_pb2.RotateSigningKeyResponse(
            active=_message(ring.active),
            demoted=_message(_last_demoted(ring)),
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
        log.warning("keys.revoked", by=_named(known_caller()), kid=request.kid, version=ring.version)
        return keys_pb2.RevokeSigningKeyResponse(
            revoked=_message(ring.get(request.kid)), active=_message(ring.active), ring_version=ring.version
        )


def _last_demoted(ring: KeyRing) -> SigningKey:
    demoted = [(key.demoted_at, key) for key in ring.keys if key.demoted_at is not None]
    return max(demoted, key=lambda each: each[0])[1]


def _message(key: SigningKey) -> keys_pb2.SigningKey:
    return keys_pb2.SigningKey(
        kid=key.kid,
        state=_STATES[key.state],
        size_bits=key.size_bits,
        published_at=_timestamp(key.published_at),
        activated_at=_timestamp(key.activated_at),
        demoted_at=_timestamp(key.demoted_at),
        verifies_until=_timestamp(key.verifies_until),
        withdrawn_at=_timestamp(key.withdrawn_at),
        private_half_held=key.sealed_private is not None,
    )


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def _named(caller: Caller) -> str:
    match caller:
        case PersonCalling(person_id=person_id):
            return str(person_id)
        case ServiceCalling(name=name):
            return name
        case OperatorCalling():
            return "operator"
