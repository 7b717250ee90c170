"""The AuthClient of each stack against a servicer on loopback that answers as the contract says."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import grpc.aio
import pytest
from auth_api.v1 import auth_pb2, auth_pb2_grpc
from auth_client import AuthError, Code, Experiment, ServiceToken, TokenPair, aio, grpclib, sync
from auth_client.calls import POLICIES
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from tests.client.minting import NOW, jwk
from tests.client.stacks import STACKS, Threaded, auth_client, awaited
from tests.support.ports import free_port

Context = grpc.aio.ServicerContext[object, object]
AuthClient = Any  # Of one of the three stacks.


class Facility(auth_pb2_grpc.AuthServiceServicer):
    """Knows ada; refuses whatever `refusals` says first, once each; counts calls and keeps the last metadata.

    `passwords` are those that it was shown, each with the new one.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.refusals: list[Callable[[Context], Awaitable[None]]] = []
        self.metadata: dict[str, str] = {}
        self.passwords: list[tuple[str, str]] = []

    async def LoginService(
        self, request: auth_pb2.LoginServiceRequest, context: Context
    ) -> auth_pb2.LoginServiceResponse:
        await self._arrive("LoginService", context)
        return auth_pb2.LoginServiceResponse(
            access_token=f"access of {request.api_key}",
            token_type="Bearer",
            expires_in=duration_pb2.Duration(seconds=600),
        )

    async def _arrive(self, name: str, context: Context) -> None:
        self.calls[name] += 1
        self.metadata = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
        if self.refusals:
            await self.refusals.pop(0)(context)

    async def Login(self, request: auth_pb2.LoginRequest, context: Context) -> auth_pb2.LoginResponse:
        self.passwords.append((request.password, request.new_password))
        await self._arrive("Login", context)
        return auth_pb2.LoginResponse(
            access_token=f"access of {request.username}",
            refresh_token="rt1.first",
            token_type="Bearer",
            expires_in=duration_pb2.Duration(seconds=600),
            refresh_expires_in=duration_pb2.Duration(seconds=43_200),
            session_id="session",
        )

    async def Refresh(self, request: auth_pb2.RefreshRequest, context: Context) -> auth_pb2.RefreshResponse:
        await self._arrive("Refresh", context)
        return auth_pb2.RefreshResponse(access_token="next", refresh_token=request.refresh_token + ".next")

    async def Logout(self, request: auth_pb2.LogoutRequest, context: Context) -> auth_pb2.LogoutResponse:
        await self._arrive("Logout", context)
        return auth_pb2.LogoutResponse()

    async def Verify(self, request: auth_pb2.VerifyRequest, context: Context) -> auth_pb2.VerifyResponse:
        await self._arrive("Verify", context)
        reply = auth_pb2.VerifyResponse(subject="ada", roles=["user"], audience=["facility"], key_id="first")
        reply.issued_at.FromSeconds(NOW)
        reply.expires_at.FromSeconds(NOW + 600)
        if request.token == "numbered":
            reply.user_number = 7
        return reply

    async def ListExperiments(
        self, request: auth_pb2.ListExperimentsRequest, context: Context
    ) -> auth_pb2.ListExperimentsResponse:
        await self._arrive("ListExperiments", context)
        start = int(request.page_token or 1)
        numbers = range(start, min(start + request.page_size, 6))
        return auth_pb2.ListExperimentsResponse(
            experiments=[auth_pb2.Experiment(rb_number=number) for number in numbers],
            next_page_token=str(numbers.stop) if numbers.stop < 6 else "",
        )

    async def GetJwks(self, request: auth_pb2.GetJwksRequest, context: Context) -> auth_pb2.GetJwksResponse:
        await self._arrive("GetJwks", context)
        keys = [jwk("first"), jwk("second", use="enc")]
        return auth_pb2.GetJwksResponse(
            keys=[auth_pb2.JsonWebKey(**{name: str(value) for name, value in key.items()}) for key in keys],
            ring_version=4,
        )

    async def GetServerInfo(
        self, request: auth_pb2.GetServerInfoRequest, context: Context
    ) -> auth_pb2.GetServerInfoResponse:
        await self._arrive("GetServerInfo", context)
        return auth_pb2.GetServerInfoResponse(name="auth-service", version="0.1.0", build="unknown", issuer="https://a")


def refusal(
    code: grpc.StatusCode, message: str = "no", *details: object, raw: bytes | None = None
) -> Callable[[Context], Awaitable[None]]:
    async def refuse(context: Context) -> None:
        status = status_pb2.Status(code=code.value[0], message=message)
        for detail in details:
            packed = any_pb2.Any()
            packed.Pack(detail)  # type: ignore[arg-type] # One of google.rpc's messages.
            status.details.append(packed)
        body = status.SerializeToString() if raw is None else raw
        await context.abort(code, message, trailing_metadata=(("grpc-status-details-bin", body),))

    return refuse


@pytest.fixture(params=STACKS)
async def facility(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Facility, AuthClient]]:
    servicer = Facility()
    server = grpc.aio.server()
    auth_pb2_grpc.add_AuthServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with auth_client(request.param, f"127.0.0.1:{port}") as client:
        yield servicer, awaited(request.param, client)
    await server.stop(None)


async def test_login_returns_a_token_pair(facility: tuple[Facility, AuthClient]) -> None:
    _, client = facility

    pair = await client.login("ada", "right")

    assert pair == TokenPair("access of ada", "rt1.first", timedelta(minutes=10), timedelta(hours=12), "session")
    assert "access" not in repr(pair)
    assert "rt1" not in repr(pair)


async def test_whoever_has_to_change_the_password_signs_in_with_a_new_one(
    facility: tuple[Facility, AuthClient],
) -> None:
    servicer, client = facility
    info = error_details_pb2.ErrorInfo(reason="PASSWORD_CHANGE_REQUIRED", domain="auth_api.v1")
    servicer.refusals.append(refusal(grpc.StatusCode.FAILED_PRECONDITION, "the password has to be changed", info))

    with pytest.raises(AuthError) as refused:
        await client.login("ada", "given")
    assert refused.value.reason == "PASSWORD_CHANGE_REQUIRED"
    pair = await client.login("ada", "given", new_password="chosen")

    assert pair.access_token == "access of ada"
    assert servicer.passwords == [("given", ""), ("given", "chosen")]


async def test_refresh_and_logout(facility: tuple[Facility, AuthClient]) -> None:
    servicer, client = facility

    assert (await client.refresh("rt1.first")).refresh_token == "rt1.first.next"
    await client.logout("rt1.first.next")

    assert servicer.calls == {"Refresh": 1, "Logout": 1}


async def test_verify_says_what_the_service_says(facility: tuple[Facility, AuthClient]) -> None:
    _, client = facility

    checked = await client.verify("numbered")

    assert (checked.subject, checked.roles, checked.audience, checked.user_number) == (
        "ada",
        ("user",),
        ("facility",),
        7,
    )
    assert checked.issued_at == datetime.fromtimestamp(NOW, UTC)
    assert checked.expires_at - checked.issued_at == timedelta(minutes=10)
    assert (await client.verify("other")).user_number is None


async def test_experiments_come_page_by_page(facility: tuple[Facility, AuthClient]) -> None:
    servicer, client = facility

    found = [each async for each in client.list_experiments(7, credential="key", page_size=2)]

    assert found == [Experiment(number) for number in range(1, 6)]
    assert servicer.calls["ListExperiments"] == 3
    assert servicer.metadata["authorization"] == "Bearer key"


async def test_key_set_over_grpc_obeys_the_same_rules(facility: tuple[Facility, AuthClient]) -> None:
    _, client = facility

    keys = await client.get_jwks()

    assert (list(keys), keys.version) == (["first"], "4")


async def test_server_info(facility: tuple[Facility, AuthClient]) -> None:
    _, client = facility

    assert (await client.get_server_info()).issuer == "https://a"


async def test_refusal_carries_reason_retry_and_fields(facility: tuple[Facility, AuthClient]) -> None:
    servicer, client = facility
    servicer.refusals.append(
        refusal(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "too much work is waiting",
            error_details_pb2.ErrorInfo(reason="OVERLOADED", domain="auth_api.v1"),
            error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=2, nanos=500_000_000)),
            error_details_pb2.BadRequest(
                field_violations=[error_details_pb2.BadRequest.FieldViolation(field="username", description="too long")]
            ),
            error_details_pb2.Help(),
        )
    )

    with pytest.raises(AuthError) as refused:
        await client.login("ada", "right")

    error = refused.value
    assert (error.code, error.reason) == (Code.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert error.message == "too much work is waiting"
    assert error.retry_after == timedelta(seconds=2.5)
    assert error.field_violations == {"username": "too long"}
    assert "right" not in str(error)


@pytest.mark.parametrize("raw", [b"", b"\xff\xff\xff", None])
async def test_refusal_without_usable_details_is_still_an_auth_error(
    facility: tuple[Facility, AuthClient], raw: bytes | None
) -> None:
    servicer, client = facility
    servicer.refusals.append(refusal(grpc.StatusCode.UNAUTHENTICATED, "no", raw=raw))

    with pytest.raises(AuthError, match="UNAUTHENTICATED: no") as refused:
        await client.verify("x")

    assert (refused.value.reason, refused.value.retry_after, refused.value.field_violations) == ("", None, {})


async def test_reads_are_sent_again_when_the_server_was_away(facility: tuple[Facility, AuthClient]) -> None:
    servicer, client = facility
    servicer.refusals += [refusal(grpc.StatusCode.UNAVAILABLE)] * 2

    assert await client.get_server_info()
    assert servicer.calls["GetServerInfo"] == 3


async def test_login_is_never_sent_again(facility: tuple[Facility, AuthClient]) -> None:
    servicer, client = facility
    servicer.refusals += [refusal(grpc.StatusCode.UNAVAILABLE)] * 3

    with pytest.raises(AuthError):
        await client.login("ada", "right")

    assert servicer.calls == {"Login": 1}


async def test_refresh_is_sent_again_because_the_first_may_have_been_spent(
    facility: tuple[Facility, AuthClient],
) -> None:
    servicer, client = facility
    servicer.refusals += [refusal(grpc.StatusCode.UNAVAILABLE)]

    assert (await client.refresh("rt1.first")).refresh_token == "rt1.first.next"

    assert servicer.calls == {"Refresh": 2}


async def test_attempts_are_bounded(facility: tuple[Facility, AuthClient]) -> None:
    servicer, client = facility
    servicer.refusals += [refusal(grpc.StatusCode.UNAVAILABLE)] * 9

    with pytest.raises(AuthError) as refused:
        await client.verify("x")

    assert (refused.value.code, servicer.calls["Verify"]) == (Code.UNAVAILABLE, POLICIES["Verify"].attempts)


@pytest.mark.parametrize(("seconds", "attempts"), [(0.2, 2), (60, 1)])
async def test_nobody_is_asked_again_before_the_time_that_the_service_named(
    facility: tuple[Facility, AuthClient], seconds: float, attempts: int
) -> None:
    servicer, client = facility
    delay = duration_pb2.Duration()
    delay.FromTimedelta(timedelta(seconds=seconds))
    away = refusal(grpc.StatusCode.UNAVAILABLE, "away", error_details_pb2.RetryInfo(retry_delay=delay))
    servicer.refusals.append(away)
    began = monotonic()

    with suppress(AuthError):
        await client.verify("x")

    assert servicer.calls["Verify"] == attempts
    assert attempts == 1 or monotonic() - began >= seconds


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.name not in ("OK", "UNAVAILABLE")])
async def test_other_refusals_are_final(facility: tuple[Facility, AuthClient], code: grpc.StatusCode) -> None:
    servicer, client = facility
    servicer.refusals.append(refusal(code))

    with pytest.raises(AuthError) as refused:
        await client.verify("x")

    assert (refused.value.code.name, servicer.calls["Verify"]) == (code.name, 1)


async def test_an_api_key_buys_a_token(facility: tuple[Facility, AuthClient]) -> None:
    _, client = facility

    token = await client.login_service("key")

    assert token == ServiceToken("access of key", timedelta(minutes=10))
    assert "key" not in repr(token)


async def test_every_call_has_a_deadline(facility: tuple[Facility, AuthClient]) -> None:
    servicer, client = facility
    left: list[float | None] = []

    async def note(context: Context) -> None:
        left.append(context.time_remaining())

    servicer.refusals += [note] * 7
    await client.login("ada", "right")
    await client.refresh("rt1.first")
    await client.logout("rt1.first")
    await client.verify("x")
    await client.get_jwks()
    await client.get_server_info()
    assert [each async for each in client.list_experiments(7, credential="key", page_size=9)]

    assert len(left) == 7
    assert all(seconds is not None and seconds < 60 for seconds in left)


@pytest.mark.parametrize("stack", STACKS)
async def test_server_that_is_not_there_is_an_auth_error(stack: str) -> None:
    async with auth_client(stack, f"127.0.0.1:{free_port()}", deadline=timedelta(milliseconds=300)) as client:
        with pytest.raises(AuthError) as refused:
            await awaited(stack, client).login("ada", "right")

    assert refused.value.code in {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}
    assert refused.value.reason == ""


async def test_a_password_is_not_sent_in_plain_text_unless_asked() -> None:
    received = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    patience = timedelta(milliseconds=300)
    async with (
        aio.AuthClient(address, deadline=patience) as one,
        grpclib.AuthClient(address, deadline=patience) as another,
    ):
        with sync.AuthClient(address, deadline=patience) as third:
            calls = (one.login("ada", "s3cret"), another.login("ada", "s3cret"), Threaded(third).login("ada", "s3cret"))
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
    server.close()

    assert [type(outcome) for outcome in outcomes] == [AuthError] * 3
    assert received
    assert b"s3cret" not in received


def test_plain_text_and_certificates_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="either"):
        sync.AuthClient("x:1", plaintext=True, credentials=grpc.ssl_channel_credentials())
    with pytest.raises(ValueError, match="either"):
        grpclib.AuthClient("x:1", plaintext=True, ssl_context=ssl.create_default_context())
    with pytest.raises(ValueError, match="host:port"):
        grpclib.AuthClient("nowhere")


def test_every_method_has_a_policy() -> None:
    assert set(POLICIES) == set(auth_pb2.DESCRIPTOR.services_by_name["AuthService"].methods_by_name)
