"""The past and the plan of the ring, through the door."""

import grpc
import pytest
from auth_api.v1 import keys_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.service import Service, admin_token, bearer, refusal

STANDBY, ACTIVE, RETIRING, REVOKED, PLANNED = (
    keys_pb2.SIGNING_KEY_STATE_STANDBY,
    keys_pb2.SIGNING_KEY_STATE_ACTIVE,
    keys_pb2.SIGNING_KEY_STATE_RETIRING,
    keys_pb2.SIGNING_KEY_STATE_REVOKED,
    keys_pb2.SIGNING_KEY_STATE_UNSPECIFIED,
)
ASKED = keys_pb2.GetKeyTimelineRequest()


def at(moment: Timestamp) -> int:
    return moment.ToMicroseconds()


async def test_the_timeline_tells_the_past_and_the_plan(service: Service) -> None:
    admin = bearer(await admin_token(service))
    before = await service.keys.GetKeyTimeline(ASKED, metadata=admin)
    assert [each.state for each in before.lives] == [ACTIVE, STANDBY, PLANNED]
    assert not before.HasField("rollback_until"), "nothing signed before"
    assert at(before.now) < at(before.tokens_until) < at(before.standby_known_at) < at(before.rotation_at)

    rotated = await service.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(), metadata=admin)
    after = await service.keys.GetKeyTimeline(ASKED, metadata=admin)

    assert after.ring_version == rotated.ring_version
    assert [(each.kid, each.state) for each in after.lives] == [
        (rotated.demoted.kid, RETIRING),
        (rotated.active.kid, ACTIVE),
        (rotated.standby.kid, STANDBY),
        ("", PLANNED),
    ]
    demoted, active, standby, planned = after.lives
    assert (demoted.signs_until, demoted.leaves_at) == (rotated.demoted.demoted_at, rotated.demoted.verifies_until)
    assert active.signs_until == standby.signs_from == planned.published_at == after.rotation_at
    assert standby.signs_until == planned.signs_from == after.next_rotation_at
    assert not planned.HasField("leaves_at")


async def test_the_timeline_tells_until_when_the_former_key_can_sign_again(service: Service) -> None:
    admin = bearer(await admin_token(service))
    rotated = await service.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(), metadata=admin)
    plan = await service.keys.GetKeyTimeline(ASKED, metadata=admin)
    assert at(plan.now) < at(plan.rollback_until) <= at(rotated.demoted.verifies_until)

    await service.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=rotated.demoted.kid), metadata=admin)

    admin = bearer(await admin_token(service))
    plan = await service.keys.GetKeyTimeline(ASKED, metadata=admin)
    assert not plan.HasField("rollback_until"), "a revoked key never signs again"
    revoked = next(each for each in plan.lives if each.kid == rotated.demoted.kid)
    assert revoked.state == REVOKED


@pytest.mark.row("B2")
async def test_the_timeline_is_for_administrators(service: Service) -> None:
    person = await service.login("user1001")

    refused = await refusal(service.keys.GetKeyTimeline(ASKED, metadata=bearer(person.access_token)))

    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
