"""Who may call what, for every method that the server itself describes."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from auth_api.v1 import audit_pb2, audit_pb2_grpc, auth_pb2, keys_pb2, permission_pb2
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from auth_service.rpc import server as rpc_server
from auth_service.rpc.permissions import PERMISSIONS, PermissionMissing, check_complete
from tests.rpc.conftest import Start
from tests.support.service import PORTAL_API_KEY, SERVICES, Refusal, Service, admin_token, bearer, refusal

REFLECTION = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")

Metadata = tuple[tuple[str, str | bytes], ...]


async def described(
    service: Service, under: str = REFLECTION[0]
) -> dict[str, list[descriptor_pb2.MethodDescriptorProto]]:
    """The methods of each service, by nothing but reflection."""
    call: Any = service.channel.stream_stream(
        f"/{under}/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    names = [each.name for each in (await call.read()).list_services_response.service]
    found: dict[str, list[descriptor_pb2.MethodDescriptorProto]] = {}
    for name in names:
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name))
        for raw in (await call.read()).file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(raw)
            for each in file.service:
                if f"{file.package}.{each.name}" == name:
                    found[name] = list(each.method)
    await call.done_writing()
    assert await call.read() == grpc.aio.EOF
    return found


def call_of(service: Service, path: str, message: bytes = b"", *, metadata: Metadata = ()) -> Awaitable[bytes]:
    """A call by its path, bytes in and bytes out."""
    return service.raw(path)(message, metadata=metadata)


async def verdict(call: Awaitable[object]) -> tuple[str, str]:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return Refusal.of(error).verdict
    return "OK", ""


@pytest.mark.row("A17")
@pytest.mark.parametrize("under", REFLECTION)
async def test_reflection_answers_list_and_describe_under_both_its_names(service: Service, under: str) -> None:
    found = await described(service, under)

    assert set(SERVICES) < found.keys()
    assert "grpc.health.v1.Health" in found
    assert len(found["auth_api.v1.AuthService"]) == 8
    assert len(found["auth_api.v1.KeyService"]) == 7


@pytest.mark.row("S71")
async def test_reflection_is_off_where_it_is_switched_off(start: Start) -> None:
    service = await start(reflection="false")

    for under in REFLECTION:
        call: Any = service.channel.stream_stream(f"/{under}/ServerReflectionInfo")()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert (await service.login()).session_id


@pytest.mark.row("S62", "S63")
async def test_a_stranger_is_told_what_is_wrong_with_their_credentials_by_every_method(service: Service) -> None:
    user, ended = await service.login("user1001"), await service.login("user1001")
    await service.logout(ended.refresh_token)
    methods = [f"/{name}/{each.name}" for name, methods in (await described(service)).items() for each in methods]
    guarded = [method for method in methods if not PERMISSIONS[method].is_public]
    assert len(guarded) >= 40

    for method in guarded:
        assert await verdict(call_of(service, method)) == ("UNAUTHENTICATED", "CREDENTIALS_MISSING"), method
        for credential, reason in [
            ("garbage", "CREDENTIALS_INVALID"),
            ("e30.e30.e30", "TOKEN_INVALID"),
            (user.access_token[:-4] + "AAAA", "TOKEN_INVALID"),
            (user.refresh_token, "CREDENTIALS_INVALID"),
            (ended.access_token, "TOKEN_REVOKED"),
        ]:
            refused = await verdict(call_of(service, method, metadata=bearer(credential)))
            assert refused == ("UNAUTHENTICATED", reason), method


@pytest.mark.row("E11")
async def test_reflection_shows_who_may_call(service: Service) -> None:
    found = await described(service)

    for name, methods in found.items():
        for method in methods:
            shown = method.options.Extensions[permission_pb2.permission]
            right = PERMISSIONS[f"/{name}/{method.name}"]
            if name.startswith("auth_api."):
                assert (shown.public, shown.signed_in, shown.self, shown.scope, frozenset(shown.roles)) == (
                    *(right.is_public, right.is_for_signed_in, right.self_field, right.scope, right.roles),
                )
                assert (shown.level if shown.HasField("level") else None) == right.level


@pytest.mark.row("E11", "S62")
async def test_a_served_method_without_a_row_refuses_the_start() -> None:
    rows = {method: right for method, right in PERMISSIONS.items() if not method.endswith("/Logout")}

    with pytest.raises(PermissionMissing, match=r"/auth_api\.v1\.AuthService/Logout"):
        check_complete(rpc_server.served_methods(), rows)
    check_complete(rpc_server.served_methods())


@pytest.mark.row("S64")
@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "CREDENTIALS_MISSING"),
        ((("authorization", ""),), "CREDENTIALS_INVALID"),
        ((("authorization", "Bearer"),), "CREDENTIALS_INVALID"),
        ((("authorization", "Bearer "),), "CREDENTIALS_INVALID"),
        ((("authorization", PORTAL_API_KEY),), "CREDENTIALS_INVALID"),
        ((("authorization", f"Basic {PORTAL_API_KEY}"),), "CREDENTIALS_INVALID"),
        ((("authorization", f"Bearer {PORTAL_API_KEY}x"),), "CREDENTIALS_INVALID"),
        ((("authorization", f"Bearer {PORTAL_API_KEY[:-1]}"),), "CREDENTIALS_INVALID"),
        ((("authorization", f"Bearer {PORTAL_API_KEY}"),) * 2, "CREDENTIALS_INVALID"),
        ((("authorization", f"Bearer {PORTAL_API_KEY}"), ("authorization", "Basic x")), "CREDENTIALS_INVALID"),
        ((("authorization", f"Bearer {PORTAL_API_KEY},Bearer {PORTAL_API_KEY}"),), "CREDENTIALS_INVALID"),
        ((("x-forwarded-user", "1001"), ("x-user-number", "1001")), "CREDENTIALS_MISSING"),
        ((("cookie", f"authorization={PORTAL_API_KEY}"),), "CREDENTIALS_MISSING"),
        ((("authorization-bin", f"Bearer {PORTAL_API_KEY}".encode()),), "CREDENTIALS_MISSING"),
        ((("proxy-authorization", f"Bearer {PORTAL_API_KEY}"),), "CREDENTIALS_MISSING"),
    ],
)
async def test_a_caller_is_one_bearer_value_and_nothing_else(service: Service, metadata: Metadata, reason: str) -> None:
    request = auth_pb2.ListExperimentsRequest(user_number=1001)

    refused = await refusal(service.auth.ListExperiments(request, metadata=metadata))

    assert refused.verdict == ("UNAUTHENTICATED", reason)
    assert PORTAL_API_KEY not in refused.message


@pytest.mark.parametrize("credential", ["x", "half.token", PORTAL_API_KEY[:-1]])
async def test_what_is_no_token_is_not_called_a_wrong_key(service: Service, credential: str) -> None:
    request = auth_pb2.ListExperimentsRequest(user_number=1001)

    refused = await refusal(service.auth.ListExperiments(request, metadata=bearer(credential)))

    assert refused.message == "authorization: neither an access token nor a good API key of this service"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_read_in_any_case(service: Service, scheme: str) -> None:
    request = auth_pb2.ListExperimentsRequest(user_number=1001)

    answer = await service.auth.ListExperiments(request, metadata=(("authorization", f"{scheme} {PORTAL_API_KEY}"),))

    assert len(answer.experiments) == 3


async def test_a_token_of_an_ended_session_calls_nobody(service: Service) -> None:
    pair = await service.login()
    await service.logout(pair.refresh_token)

    refused = await refusal(service.experiments(1001, pair.access_token))

    assert refused.verdict == ("UNAUTHENTICATED", "TOKEN_REVOKED")


@pytest.mark.parametrize("credential", ["", "e30.e30.e30", PORTAL_API_KEY])
async def test_public_methods_pay_no_heed_to_who_calls(service: Service, credential: str) -> None:
    request = auth_pb2.LoginRequest(username="user1001", password="user1001-password")

    assert (await service.auth.Login(request, metadata=bearer(credential))).session_id


@pytest.mark.row("S41", "A10")
async def test_a_refresh_belongs_to_whose_token_it_is_whoever_calls(service: Service) -> None:
    mine, theirs = await service.login("user1001"), await service.login("staff1002")

    request = auth_pb2.RefreshRequest(refresh_token=mine.refresh_token)
    pair = await service.auth.Refresh(request, metadata=bearer(theirs.access_token))

    assert (await service.verify(pair.access_token)).user_number == 1001


@pytest.mark.row("S65")
@pytest.mark.parametrize(
    "path",
    [
        "auth_api.v1.KeyService/ListSigningKeys",
        "//auth_api.v1.KeyService/ListSigningKeys",
        "/auth_api.v1.KeyService//ListSigningKeys",
        "/auth_api.v1.KeyService/ListSigningKeys/",
        "/auth_api.v1.KeyService/listsigningkeys",
        "/AUTH_API.V1.KEYSERVICE/ListSigningKeys",
        "/auth_api.v1.KeyService/ListSigningKeys?x=1",
        "/auth_api.v1.KeyService/%4cistSigningKeys",
        "/auth_api.v1.KeyService/./ListSigningKeys",
        "/auth_api.v1.AuthService/../KeyService/ListSigningKeys",
        "/auth_api.v1.KeyService/Unknown",
        "/auth_api.v2.KeyService/ListSigningKeys",
        "/auth_api.v1.ServiceAccountService/CreateApiKey ",
        "/auth_api.v1.UserService/PurgeUser;x",
        "/auth_api.v1.UserService/GetUser\\",
        "auth_api.v1.AuditService/WatchAuditEvents",
        "/",
        "",
    ],
)
async def test_other_spellings_of_a_method_reach_nothing(service: Service, path: str) -> None:
    admin = await admin_token(service)

    code, _ = await verdict(call_of(service, path, metadata=bearer(admin)))

    assert code == "UNIMPLEMENTED"


async def test_administrators_turn_the_key_ring(start: Start) -> None:
    service = await start()
    admin = bearer(await admin_token(service))

    listed = await service.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=admin)
    states = [
        keys_pb2.SigningKeyState.Name(key.state).removeprefix("SIGNING_KEY_STATE_") for key in listed.signing_keys
    ]
    rotated = await service.keys.RotateSigningKey(
        keys_pb2.RotateSigningKeyRequest(ring_version=listed.ring_version), metadata=admin
    )
    stale = await refusal(
        service.keys.RotateSigningKey(
            keys_pb2.RotateSigningKeyRequest(ring_version=listed.ring_version), metadata=admin
        )
    )
    too_early = await refusal(
        service.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(require_published_ahead=True), metadata=admin)
    )

    assert states == ["STANDBY", "ACTIVE"]
    assert [key.size_bits for key in listed.signing_keys] == [2048, 2048]
    assert all(key.private_half_held for key in listed.signing_keys)
    assert rotated.active.kid == listed.signing_keys[0].kid
    assert rotated.demoted.kid == listed.signing_keys[1].kid
    assert rotated.demoted.HasField("verifies_until")
    assert rotated.standby.kid not in {key.kid for key in listed.signing_keys}
    assert rotated.ring_version > listed.ring_version
    assert stale.verdict == ("ABORTED", "RING_CHANGED")
    assert too_early.verdict == ("FAILED_PRECONDITION", "KEY_STATE")


async def test_a_revoked_key_is_gone_and_the_standby_signs(start: Start) -> None:
    service = await start()
    admin = bearer(await admin_token(service))
    listed = await service.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=admin)
    standby, active = listed.signing_keys

    revoked = await service.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=active.kid), metadata=admin)
    refused = await refusal(service.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=admin))
    admin = bearer(await admin_token(service))
    again = await service.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=active.kid), metadata=admin)

    assert (revoked.revoked.kid, revoked.active.kid) == (active.kid, standby.kid)
    assert not revoked.revoked.private_half_held
    assert active.kid not in {key["kid"] for key in await service.jwks()}
    assert refused.verdict == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    assert again.ring_version == revoked.ring_version


@pytest.mark.row("E17")
async def test_turning_the_ring_is_in_the_audit_log(start: Start) -> None:
    service = await start()
    admin = bearer(await admin_token(service))
    rotated = await service.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(), metadata=admin)
    for _ in range(2):
        await service.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=rotated.demoted.kid), metadata=admin)
        admin = bearer(await admin_token(service))

    log = audit_pb2_grpc.AuditServiceStub(service.channel)
    events = (await log.ListAuditEvents(audit_pb2.ListAuditEventsRequest(type="signing_key."), metadata=admin)).events

    assert [(event.type, dict(event.details)) for event in reversed(events)] == [
        ("signing_key.rotated", {"kid": rotated.active.kid, "demoted_kid": rotated.demoted.kid}),
        ("signing_key.revoked", {"kid": rotated.demoted.kid}),
    ]
    assert {event.actor_kind for event in events} == {audit_pb2.ACTOR_KIND_PERSON}
    assert all(event.actor_id and event.request_id and event.address for event in events)


@pytest.mark.parametrize(
    ("kid", "verdict"),
    [
        ("", ("INVALID_ARGUMENT", "INVALID_FIELD")),
        ("x" * 129, ("INVALID_ARGUMENT", "INVALID_FIELD")),
        ("../../etc/passwd", ("NOT_FOUND", "NOT_FOUND")),
        ("'; DROP TABLE signing_key; --", ("NOT_FOUND", "NOT_FOUND")),
        ("\0", ("NOT_FOUND", "NOT_FOUND")),
    ],
)
async def test_revoking_what_is_no_key_changes_nothing(service: Service, kid: str, verdict: tuple[str, str]) -> None:
    admin = bearer(await admin_token(service))
    before = await service.jwks()

    refused = await refusal(service.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=kid), metadata=admin))

    assert refused.verdict == verdict
    assert await service.jwks() == before


async def test_the_ring_is_listed_in_pages_of_its_own(start: Start) -> None:
    service = await start()
    admin = bearer(await admin_token(service))

    first = await service.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(page_size=1), metadata=admin)
    second = await service.keys.ListSigningKeys(
        keys_pb2.ListSigningKeysRequest(page_size=1, page_token=first.next_page_token), metadata=admin
    )
    foreign = await refusal(service.experiments(1001, PORTAL_API_KEY, page_token=first.next_page_token))

    assert len(first.signing_keys) == len(second.signing_keys) == 1
    assert first.signing_keys[0].kid != second.signing_keys[0].kid
    assert second.next_page_token == ""
    assert foreign.fields == {"page_token"}


@pytest.mark.parametrize("given", ["trace-1.A_b", "0" * 36])
async def test_a_plain_request_id_comes_back_in_the_trailers(service: Service, given: str) -> None:
    ok = service.auth.GetServerInfo(auth_pb2.GetServerInfoRequest(), metadata=(("x-request-id", given),))
    await ok
    refused = await refusal(service.auth.Verify(auth_pb2.VerifyRequest(token="x"), metadata=(("x-request-id", given),)))

    assert dict(await ok.trailing_metadata() or ())["x-request-id"] == given
    assert refused.trailers["x-request-id"] == given
    assert refused.details["ErrorInfo"].metadata["request_id"] == given


@pytest.mark.parametrize("given", ["", "with space", "x" * 65, '{"a":1}', "a=b"])
async def test_any_other_request_id_is_replaced(service: Service, given: str) -> None:
    refused = await refusal(service.auth.Verify(auth_pb2.VerifyRequest(token="x"), metadata=(("x-request-id", given),)))

    assert refused.trailers["x-request-id"] != given
    assert json.dumps(refused.trailers["x-request-id"]).strip('"').isalnum()


@pytest.mark.row("A16")
async def test_health_is_told_for_the_server_and_for_each_service(service: Service) -> None:
    check: Callable[..., Awaitable[health_pb2.HealthCheckResponse]] = service.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )

    for name in ("", *SERVICES):
        answer = await check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert (await refusal(check(health_pb2.HealthCheckRequest(service="unknown")))).code is grpc.StatusCode.NOT_FOUND
