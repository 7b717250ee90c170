"""Guarded servers of three stacks: who gets in, who does not, and what they are told. Real keys, real calls."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest
from auth_client import (
    HEALTH,
    PUBLIC,
    REFLECTION,
    SIGNED_IN,
    AuthError,
    Code,
    FixedKeys,
    KeySet,
    Right,
    Rights,
    TokenVerifier,
    VerifiedToken,
    caller,
    role,
    scope,
)
from auth_client.errors import KeysUnavailable

from tests.client.minting import AUDIENCE, ISSUER, NOW, key_set, token
from tests.client.stacks import COUNT, ECHO, JOIN, METHODS, SAY, STACKS, Metadata, Scans, guarded_server, scans
from tests.support.service import Refusal, refusal

STAFF_ONLY = role("staff")
STAFF = {"roles": ["staff"]}


class Judge:
    """A verifier with keys to order; counts what it was asked."""

    def __init__(self, keys: KeySet | None) -> None:
        self.source = FixedKeys(keys or key_set())
        self.verifier = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=self.source, clock=lambda: NOW)
        self.asked = 0
        self.is_without_keys = keys is None

    async def verify(self, text: str) -> VerifiedToken:
        self.asked += 1
        if self.is_without_keys:
            raise KeysUnavailable("there are none")
        return await self.verifier.verify(text)


def bearing(text: str) -> Metadata:
    return (("authorization", f"Bearer {text}"),)


@pytest.fixture
def judge() -> Judge:
    return Judge(key_set())


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def address(stack: str, judge: Judge) -> AsyncIterator[str]:
    rights = Rights({SAY: SIGNED_IN, COUNT: STAFF_ONLY, JOIN: scope("scans:write") | STAFF_ONLY, ECHO: SIGNED_IN})
    async with guarded_server(stack, judge, rights) as address:
        yield address


@pytest.fixture
async def client(address: str) -> AsyncIterator[Scans]:
    """grpc.aio's, whatever the server: what a guard answers is on the wire."""
    async with scans("aio", address) as client:
        yield client


@pytest.fixture
async def channel(address: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield channel


async def told(call: Any) -> tuple[Code, str]:
    with pytest.raises(AuthError) as refused:
        await call
    return refused.value.code, refused.value.reason


async def test_the_caller_is_known_in_every_kind_of_method(client: Scans) -> None:
    someone = bearing(token(**STAFF))

    assert await client.say("hello", someone) == "ada: hello"
    assert await client.count(3, someone) == ["ada: 0", "ada: 1", "ada: 2"]
    assert await client.join(["a", "b"], someone) == "ada: a,b"
    assert await client.echo(["a", "b"], someone) == ["ada: a", "ada: b"]


async def test_callers_at_the_same_time_are_not_taken_for_each_other(client: Scans) -> None:
    names = [f"person-{number}" for number in range(20)]

    async def one(name: str) -> str:
        return (await client.echo(["x"] * 5, bearing(token(username=name))))[-1]

    assert await asyncio.gather(*map(one, names)) == [f"{name}: x" for name in names]


@pytest.mark.row("S63")
@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "CREDENTIALS_MISSING"),
        (bearing("x") + bearing("y"), "CREDENTIALS_INVALID"),
        ((("authorization", "Basic YWRhOng="),), "CREDENTIALS_INVALID"),
        ((("authorization", "Bearer"),), "CREDENTIALS_INVALID"),
        ((("authorization", ""),), "CREDENTIALS_INVALID"),
        (bearing("x"), "TOKEN_INVALID"),
        (bearing(token(aud=["another"])), "TOKEN_INVALID"),
        (bearing(token(exp=NOW - 600, iat=NOW - 1200)), "TOKEN_EXPIRED"),
        ((("x-authorization", f"Bearer {token()}"),), "CREDENTIALS_MISSING"),
    ],
    ids=["none", "two", "basic", "empty-bearer", "empty", "garbage", "audience", "expired", "elsewhere"],
)
async def test_no_good_token_is_unauthenticated_in_every_kind_of_method(
    client: Scans, metadata: Metadata, reason: str
) -> None:
    refused = (Code.UNAUTHENTICATED, reason)

    assert await told(client.say("x", metadata)) == refused
    assert await told(client.count(3, metadata)) == refused
    assert await told(client.join(["a"], metadata)) == refused
    assert await told(client.echo(["a"], metadata)) == refused


@pytest.mark.row("S64")
async def test_two_good_tokens_are_one_too_many(client: Scans, judge: Judge) -> None:
    assert await told(client.say("x", bearing(token()) * 2)) == (Code.UNAUTHENTICATED, "CREDENTIALS_INVALID")
    assert judge.asked == 0


@pytest.mark.row("S63")
async def test_the_wrong_role_is_denied_in_unary_and_streaming_methods(client: Scans) -> None:
    someone = bearing(token())

    assert await told(client.count(3, someone)) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert await told(client.join(["a"], someone)) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED")


async def test_a_service_gets_in_by_its_scope_and_only_by_that(client: Scans) -> None:
    service = bearing(token(roles=[], scope="scans:read scans:write", username="portal"))

    assert await client.join(["a"], service) == "portal: a"
    assert await told(client.say("x", service)) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED")


async def test_without_keys_the_answer_is_unavailable_and_when_to_come_back(client: Scans, judge: Judge) -> None:
    judge.is_without_keys = True

    with pytest.raises(AuthError) as refused:
        await client.say("x", bearing(token()))

    assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "SIGNING_UNAVAILABLE")
    assert refused.value.retry_after == timedelta(seconds=2)


async def test_a_key_that_was_dropped_gets_nobody_in_from_the_next_call_on(client: Scans, judge: Judge) -> None:
    await client.say("x", bearing(token()))
    judge.source.replace(key_set("another"))

    assert await told(client.say("x", bearing(token()))) == (Code.UNAUTHENTICATED, "TOKEN_INVALID")


async def test_a_stream_is_refused_before_its_first_request(channel: Any) -> None:
    call = channel.stream_stream(ECHO)()

    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_refusal_says_what_the_service_says_and_nothing_of_the_token(channel: Any) -> None:
    one = token(aud=["another"])

    refused: Refusal = await refusal(channel.unary_unary(SAY)(b"", metadata=bearing(one)))

    assert refused.verdict == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert refused.message == "the access token is not valid"
    assert "audience" not in str(refused)


async def test_the_finer_reason_is_for_the_log_and_the_token_is_not(
    client: Scans, caplog: pytest.LogCaptureFixture
) -> None:
    one = token(aud=["another"])

    with caplog.at_level("INFO", "auth_client"):
        await told(client.say("x", bearing(one)))

    assert [record.getMessage() for record in caplog.records if record.name == "auth_client"] == ["refused: audience"]


@pytest.mark.row("S62")
async def test_a_method_without_a_row_is_closed_to_everybody(stack: str, judge: Judge) -> None:
    async with guarded_server(stack, judge, Rights({})) as address, scans("aio", address) as client:
        for roles in (["user"], ["admin", "staff"]):
            someone = bearing(token(roles=roles, scope="scans:write"))
            assert await told(client.say("x", someone)) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED")
        assert await told(client.echo(["x"])) == (Code.UNAUTHENTICATED, "CREDENTIALS_MISSING")


async def test_a_public_method_looks_at_no_token_and_knows_nobody(stack: str, judge: Judge) -> None:
    rights = Rights({}, public=METHODS)
    async with guarded_server(stack, judge, rights) as address, scans("aio", address) as client:
        # The method itself asks who calls, and finds nobody.
        assert (await told(client.say("x", bearing(token()))))[0] is Code.UNKNOWN
    assert judge.asked == 0


@pytest.mark.row("S65")
@pytest.mark.parametrize("path", ["/facility.v1.Scans/say", "/facility.v1.Scans/Say/", "//facility.v1.Scans/Say"])
async def test_another_spelling_never_reaches_the_method(channel: Any, path: str) -> None:
    refused: Refusal = await refusal(channel.unary_unary(path)(b"", metadata=bearing(token(**STAFF))))

    assert refused.code is grpc.StatusCode.UNIMPLEMENTED


async def test_each_stacks_client_reads_each_stacks_refusal_also_while_it_writes(stack: str, address: str) -> None:
    for kind in STACKS:
        async with scans(kind, address) as client:
            assert await told(client.count(3, bearing(token()))) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED")
            for _ in range(10):
                assert await told(client.echo(["x"] * 3)) == (Code.UNAUTHENTICATED, "CREDENTIALS_MISSING")


def test_there_is_no_caller_outside_of_a_call() -> None:
    with pytest.raises(LookupError):
        caller()


@pytest.mark.parametrize("name", ["Say", "facility.v1.Scans/Say", "/facility.v1.Scans", "/a/b/c", ""])
def test_a_row_that_would_guard_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="full name"):
        Rights({name: SIGNED_IN})


def test_a_right_without_names_is_refused() -> None:
    for maker in (role, scope):
        with pytest.raises(ValueError, match="one name at least"):
            maker()


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        (role("b", "a"), "a person with the role `a` or a person with the role `b`"),
        (SIGNED_IN | scope("s"), "a person who is signed in or a service whose key has the scope `s`"),
        (Right(), "nobody"),
    ],
)
def test_a_right_says_who_may(right: Right, expected: str) -> None:
    assert right.expectation == f"expected {expected}"


def test_health_and_reflection_are_open_only_where_they_are_named() -> None:
    rights = Rights({SAY: SIGNED_IN}, public=HEALTH | REFLECTION)

    assert {rights[method] for method in HEALTH | REFLECTION} == {PUBLIC}
    assert {Rights({})[method] for method in HEALTH | REFLECTION} == {Right()}
