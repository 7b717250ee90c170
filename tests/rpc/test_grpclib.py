"""The same contract by the other stubs: grpclib, a client that shares no code with grpcio."""

from collections.abc import AsyncIterator

import pytest
from auth_api.v1 import auth_grpc, auth_pb2, keys_grpc, keys_pb2
from google.rpc import error_details_pb2
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from tests.support.service import PORTAL_API_KEY, Service


@pytest.fixture
async def channel(service: Service) -> AsyncIterator[Channel]:
    async with Channel(service.where.grpc.host, service.where.grpc.port) as channel:
        yield channel


async def test_every_story_of_the_contract_is_told_by_grpclib_too(channel: Channel) -> None:
    stub = auth_grpc.AuthServiceStub(channel)
    bearer = {"authorization": f"Bearer {PORTAL_API_KEY}"}

    pair = await stub.Login(auth_pb2.LoginRequest(username="user1001", password="user1001-password"))
    told = await stub.Verify(auth_pb2.VerifyRequest(token=pair.access_token))
    successor = await stub.Refresh(auth_pb2.RefreshRequest(refresh_token=pair.refresh_token))
    listed = await stub.ListExperiments(auth_pb2.ListExperimentsRequest(user_number=1001), metadata=bearer)
    keys = await stub.GetJwks(auth_pb2.GetJwksRequest())
    info = await stub.GetServerInfo(auth_pb2.GetServerInfoRequest())
    ended = await stub.Logout(auth_pb2.LogoutRequest(refresh_token=successor.refresh_token))

    assert (told.user_number, list(told.roles), told.session_id) == (1001, ["user"], pair.session_id)
    assert successor.session_id == pair.session_id
    assert [each.rb_number for each in listed.experiments] == [2200081, 2200082, 2200083]
    assert told.key_id in {key.kid for key in keys.keys}
    assert info.name == "auth-service"
    assert ended == auth_pb2.LogoutResponse()


@pytest.mark.parametrize(
    ("request_", "method", "status", "reason"),
    [
        (auth_pb2.LoginRequest(username="user1001", password="x"), "Login", Status.UNAUTHENTICATED, "BAD_CREDENTIALS"),
        (auth_pb2.LoginRequest(username="", password="x"), "Login", Status.INVALID_ARGUMENT, "INVALID_FIELD"),
        (auth_pb2.VerifyRequest(token="x"), "Verify", Status.UNAUTHENTICATED, "TOKEN_INVALID"),
        (auth_pb2.RefreshRequest(), "Refresh", Status.INVALID_ARGUMENT, "REFRESH_TOKEN_MISSING"),
        (
            auth_pb2.ListExperimentsRequest(user_number=1),
            "ListExperiments",
            Status.UNAUTHENTICATED,
            "CREDENTIALS_MISSING",
        ),
    ],
)
async def test_refusals_carry_their_reason(
    channel: Channel, request_: object, method: str, status: Status, reason: str
) -> None:
    with pytest.raises(GRPCError) as caught:
        await getattr(auth_grpc.AuthServiceStub(channel), method)(request_)

    assert caught.value.status is status
    infos = [each for each in caught.value.details or () if isinstance(each, error_details_pb2.ErrorInfo)]
    assert [(info.domain, info.reason) for info in infos] == [("auth_api.v1", reason)]


async def test_the_key_service_is_closed_to_strangers(channel: Channel) -> None:
    with pytest.raises(GRPCError) as caught:
        await keys_grpc.KeyServiceStub(channel).ListSigningKeys(keys_pb2.ListSigningKeysRequest())

    assert caught.value.status is Status.UNAUTHENTICATED
