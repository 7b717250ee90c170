"""Sessions of three stacks, signed in at a real service, calling the guarded server of another team."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Event
from time import monotonic, time
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest
from auth_api.v1 import keys_pb2
from auth_client import (
    SIGNED_IN,
    ApiKey,
    AuthError,
    Code,
    HttpJwks,
    KeysUnavailable,
    Password,
    RefreshToken,
    Rights,
    SignInRefused,
    TokenExpired,
    TokenInvalid,
    TokenPair,
    TokenRefused,
    TokenRevoked,
    TokenVerifier,
    VerifiedToken,
    aio,
    grpclib,
    scope,
    sync,
)
from auth_client.aio.client import error_from
from google.protobuf.wrappers_pb2 import StringValue
from grpclib.client import Channel

from auth_service.demo import Facility
from tests.client import minting
from tests.client.jwks_endpoint import JwksEndpoint
from tests.client.stacks import (
    COUNT,
    JOIN,
    METHODS,
    SAY,
    STACKS,
    AioScans,
    auth_client,
    awaited,
    guarded_server,
    scans,
    session,
)
from tests.support.certificates import Authority
from tests.support.conditions import eventually
from tests.support.ports import free_port
from tests.support.service import (
    AUDIENCE,
    ISSUER,
    PORTAL_API_KEY,
    Service,
    admin_token,
    bearer,
    running_service,
    running_stand_in,
)

ADA = Password("user1001", "user1001-password")


class Counting:
    """An AuthClient that counts what it is asked, of whichever stack."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.asked: Counter[str] = Counter()

    def login(self, username: str, password: str, /) -> Any:
        self.asked["login"] += 1
        return self._inner.login(username, password)

    def login_service(self, api_key: str, /) -> Any:
        self.asked["login_service"] += 1
        return self._inner.login_service(api_key)

    def refresh(self, refresh_token: str, /) -> Any:
        self.asked["refresh"] += 1
        return self._inner.refresh(refresh_token)


class Judge:
    """A verifier with the service's keys, that can be told to have other reasons; remembers what it was shown."""

    def __init__(self, verifier: TokenVerifier, keys: HttpJwks | None = None) -> None:
        self._verifier = verifier
        self.keys = keys
        self.seen: list[str] = []
        self.refuses: Callable[[str], TokenRefused | None] = lambda _: None

    async def verify(self, token: str) -> VerifiedToken:
        self.seen.append(token)
        refused = self.refuses(token)
        if refused is not None:
            raise refused
        return await self._verifier.verify(token)


def expired() -> TokenExpired:
    return TokenExpired("late", reason="expired")


def revoked() -> TokenRevoked:
    return TokenRevoked("ended", reason="revoked")


def of_no_known_key() -> TokenInvalid:
    return TokenInvalid("no known key has the kid of the token", reason="unknown_key")


@pytest.fixture(scope="module")
async def facility() -> AsyncIterator[Facility]:
    async with running_stand_in() as facility:
        yield facility


@pytest.fixture(scope="module")
async def service(
    migrated_sqlite: Path, facility: Facility, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    home = tmp_path_factory.mktemp("service")
    await asyncio.to_thread(shutil.copy, migrated_sqlite, home / "auth.db")
    async with running_service(f"sqlite:///{home}/auth.db", facility=facility, data_dir=home) as service:
        yield service


@pytest.fixture
async def judge(service: Service) -> AsyncIterator[Judge]:
    async with HttpJwks(f"http://{service.where.http}/.well-known/jwks.json") as keys:
        yield Judge(TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys), keys)


@pytest.fixture
async def address(judge: Judge) -> AsyncIterator[str]:
    async with guarded_server("aio", judge, Rights(dict.fromkeys(METHODS, SIGNED_IN))) as address:
        yield address


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def auth(stack: str, service: Service) -> AsyncIterator[Counting]:
    async with auth_client(stack, str(service.where.grpc)) as client:
        yield Counting(client)


async def test_a_password_signs_in_once_for_every_kind_of_call(stack: str, auth: Counting, address: str) -> None:
    async with session(stack, auth, ADA) as one, scans(stack, address, one) as client:
        said = (await client.say("x"), await client.count(1), await client.join(["x"]), await client.echo(["x"]))

    assert said == ("user1001: x", ["user1001: 0"], "user1001: x", ["user1001: x"])
    assert auth.asked == {"login": 1}


async def test_the_session_of_a_refresh_token_goes_on_and_can_be_kept(
    stack: str, auth: Counting, service: Service, address: str
) -> None:
    pair = await service.login()
    async with session(stack, auth, RefreshToken(pair.refresh_token)) as one, scans(stack, address, one) as client:
        await client.say("x")
        kept = one.refresh_token

    assert auth.asked == {"refresh": 1}
    assert kept != pair.refresh_token
    assert (await service.refresh(kept)).session_id == pair.session_id


async def test_fifty_calls_at_once_sign_in_once_and_renew_once(
    stack: str, auth: Counting, address: str, judge: Judge
) -> None:
    async with session(stack, auth, ADA) as one, scans(stack, address, one) as client:
        await asyncio.gather(*(client.say("x") for _ in range(50)))
        (first,) = set(judge.seen)
        judge.refuses = lambda token: expired() if token == first else None

        said = await asyncio.gather(*(client.say("x") for _ in range(50)))

    assert set(said) == {"user1001: x"}
    assert auth.asked == {"login": 1, "refresh": 1}


@pytest.mark.parametrize("reason", [expired, revoked, of_no_known_key])
async def test_a_call_that_meets_the_end_of_its_token_is_sent_once_more(
    stack: str, auth: Counting, address: str, judge: Judge, reason: Callable[[], TokenRefused]
) -> None:
    async with session(stack, auth, ADA) as one, scans(stack, address, one) as client:
        await client.say("x")
        first = judge.seen.pop()
        judge.refuses = lambda token: reason() if token == first else None

        assert await client.say("x") == "user1001: x"

    assert [token == first for token in judge.seen] == [True, False]


@pytest.mark.row("S27")
async def test_after_an_emergency_callers_go_on_where_keys_are_fetched(
    stack: str, auth: Counting, service: Service, address: str, judge: Judge
) -> None:
    async with session(stack, auth, ADA) as one, scans(stack, address, one) as client:
        await client.say("x")
        kid = (await judge.verify(judge.seen[0])).key_id
        admin = bearer(await admin_token(service))
        await service.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=kid), metadata=admin)
        assert judge.keys is not None
        await judge.keys.refresh()

        assert await client.say("x") == "user1001: x"

    assert auth.asked == {"login": 1, "refresh": 1}


async def test_a_token_that_expires_between_two_calls_is_not_noticed(
    stack: str, auth: Counting, service: Service
) -> None:
    now = time()
    async with HttpJwks(f"http://{service.where.http}/.well-known/jwks.json") as keys:
        strict = TokenVerifier(
            issuer=ISSUER, audience=AUDIENCE, keys=keys, leeway=timedelta(0), clock=lambda: max(now, time())
        )
        async with (
            guarded_server("aio", Judge(strict), Rights(dict.fromkeys(METHODS, SIGNED_IN))) as address,
            session(stack, auth, ADA) as one,
            scans(stack, address, one) as client,
        ):
            await client.say("x")
            first = strict.verify_now(await awaited(stack, one).token())
            # The server's clock jumps to the token's end; one that is made a second later still has that second.
            await eventually(lambda: time() >= first.iat + 1)
            now = first.exp

            assert await client.say("x") == "user1001: x"

    assert auth.asked == {"login": 1, "refresh": 1}


async def test_a_stream_of_answers_is_begun_again_unnoticed(
    stack: str, auth: Counting, address: str, judge: Judge
) -> None:
    async with session(stack, auth, ADA) as one, scans(stack, address, one) as client:
        await client.say("x")
        first = judge.seen[0]
        judge.refuses = lambda token: expired() if token == first else None

        assert await client.count(3) == ["user1001: 0", "user1001: 1", "user1001: 2"]

    assert auth.asked == {"login": 1, "refresh": 1}


async def test_a_stream_of_requests_is_not_sent_again_but_the_next_one_succeeds(
    stack: str, auth: Counting, address: str, judge: Judge
) -> None:
    async with session(stack, auth, ADA) as one, scans(stack, address, one) as client:
        await client.say("x")
        first = judge.seen[0]
        judge.refuses = lambda token: expired() if token == first else None

        if stack == "grpclib":
            # There the requests are a list, which can be sent again.
            assert await client.join(["x"]) == "user1001: x"
        else:
            with pytest.raises(AuthError, match="TOKEN_EXPIRED"):
                await client.join(["x"])
            await eventually(lambda: one._keeper.is_due(monotonic()))
        assert await client.echo(["x"]) == ["user1001: x"]

    assert auth.asked == {"login": 1, "refresh": 1}


async def test_a_service_that_refuses_every_token_is_asked_twice_and_no_more(
    stack: str, auth: Counting, address: str, judge: Judge
) -> None:
    async with session(stack, auth, ADA) as one, scans(stack, address, one) as client:
        await client.say("x")
        judge.seen.clear()
        judge.refuses = lambda _: revoked()

        for attempts in (2, 3, 4):
            with pytest.raises(AuthError) as refused:
                await client.say("x")
            assert (refused.value.code, refused.value.reason) == (Code.UNAUTHENTICATED, "TOKEN_REVOKED")
            assert len(judge.seen) == attempts

    assert auth.asked == {"login": 1, "refresh": 1}


async def test_a_session_that_was_ended_is_a_clear_error_and_no_loop(
    stack: str, auth: Counting, service: Service, address: str, judge: Judge
) -> None:
    pair = await service.login()
    async with session(stack, auth, RefreshToken(pair.refresh_token)) as one, scans(stack, address, one) as client:
        await client.say("x")
        await service.logout(one.refresh_token)
        judge.seen.clear()
        judge.refuses = lambda _: revoked()

        for _ in range(5):
            with pytest.raises(SignInRefused) as refused:
                await client.say("x")
            assert refused.value.reason == "REFRESH_TOKEN_REVOKED"

    assert auth.asked == {"refresh": 2}
    assert len(judge.seen) == 1


async def test_with_a_password_an_ended_session_is_followed_by_another(
    stack: str, auth: Counting, service: Service, address: str, judge: Judge
) -> None:
    async with session(stack, auth, ADA) as one, scans(stack, address, one) as client:
        await client.say("x")
        await service.logout(one.refresh_token)
        first = judge.seen[0]
        judge.refuses = lambda token: revoked() if token == first else None

        assert await client.say("x") == "user1001: x"

    assert auth.asked == {"login": 2, "refresh": 1}


async def test_a_wrong_password_is_tried_once(stack: str, auth: Counting, address: str, judge: Judge) -> None:
    async with session(stack, auth, Password("user1002", "wrong")) as one, scans(stack, address, one) as client:
        outcomes = await asyncio.gather(*(client.say("x") for _ in range(10)), return_exceptions=True)

    assert {(type(each), getattr(each, "reason", "")) for each in outcomes} == {(SignInRefused, "BAD_CREDENTIALS")}
    assert auth.asked == {"login": 1}
    assert judge.seen == []


async def test_a_service_signs_in_by_its_api_key_and_may_do_what_its_scope_says(
    stack: str, auth: Counting, judge: Judge
) -> None:
    rights = Rights({SAY: scope("experiments:read"), COUNT: SIGNED_IN, JOIN: scope("another")})
    async with (
        guarded_server("aio", judge, rights) as address,
        session(stack, auth, ApiKey(PORTAL_API_KEY)) as one,
        scans(stack, address, one) as client,
    ):
        assert await client.say("x") == ": x"
        for call in (client.count(1), client.join(["x"])):
            with pytest.raises(AuthError, match="PERMISSION_DENIED"):
                await call

    caller = await judge.verify(judge.seen[0])
    assert (caller.client_id, caller.scopes, caller.roles) == ("portal", ("experiments:read",), ())
    assert auth.asked == {"login_service": 1}


async def test_a_wrong_api_key_is_tried_once(stack: str, auth: Counting) -> None:
    async with session(stack, auth, ApiKey("no-such-key")) as one:
        for _ in range(3):
            with pytest.raises(AuthError):
                await awaited(stack, one).token()

    assert auth.asked == {"login_service": 1}


async def test_it_renews_ahead_and_nobody_waits(stack: str, auth: Counting, address: str, judge: Judge) -> None:
    passed = 0.0
    async with (
        session(stack, auth, ADA, clock=lambda: monotonic() + passed) as one,
        scans(stack, address, one) as client,
    ):
        await client.say("x")
        passed = 500.0

        await client.say("x")
        await eventually(lambda: auth.asked["refresh"] == 1)
        await eventually(lambda: not one._keeper.is_due(monotonic() + passed))
        await client.say("x")

    assert auth.asked == {"login": 1, "refresh": 1}
    assert judge.seen[0] != judge.seen[-1]


async def test_an_expired_token_is_renewed_before_it_is_sent(
    stack: str, auth: Counting, address: str, judge: Judge
) -> None:
    passed = 0.0
    async with (
        session(stack, auth, ADA, clock=lambda: monotonic() + passed) as one,
        scans(stack, address, one) as client,
    ):
        await client.say("x")
        passed = 601.0
        await client.say("x")

    assert len(set(judge.seen)) == len(judge.seen) == 2
    assert auth.asked == {"login": 1, "refresh": 1}


async def test_a_service_that_is_away_is_unavailable_after_a_bounded_time(stack: str) -> None:
    async with (
        auth_client(stack, f"127.0.0.1:{free_port()}") as client,
        session(stack, client, RefreshToken("rt1.x")) as one,
    ):
        began = monotonic()
        for _ in range(3):
            with pytest.raises(AuthError) as refused:
                await awaited(stack, one).token()
            assert refused.value.code is Code.UNAVAILABLE

    # The first gives up after four attempts; the others do not ask within a second of that.
    assert monotonic() - began < 15


async def test_another_service_that_is_away_is_its_own_error(stack: str, auth: Counting) -> None:
    async with session(stack, auth, ADA) as one, scans(stack, f"127.0.0.1:{free_port()}", one) as client:
        with pytest.raises(AuthError) as refused:
            await client.say("x")

    assert refused.value.code is Code.UNAVAILABLE


async def test_a_token_of_the_callers_own_is_replaced_not_joined(
    stack: str, auth: Counting, address: str, judge: Judge
) -> None:
    async with session(stack, auth, ADA) as one, scans(stack, address, one) as client:
        await client.say("x", (("authorization", "Bearer another"), ("x-other", "stays")))

    assert "another" not in judge.seen


@pytest.mark.parametrize("stack", ["aio", "grpclib"])
async def test_a_caller_that_gives_up_does_not_take_the_token_of_the_others_away(auth: Counting, stack: str) -> None:
    async with session(stack, auth, ADA) as one:
        impatient, patient = asyncio.create_task(one.token()), asyncio.create_task(one.token())
        await eventually(lambda: auth.asked["login"] == 1)
        impatient.cancel()

        assert await patient

    assert auth.asked == {"login": 1}


async def test_a_stream_that_is_written_piece_by_piece_is_signed_in_too(service: Service, address: str) -> None:
    async with (
        aio.AuthClient(str(service.where.grpc), plaintext=True) as client,
        aio.Session(client, ADA) as one,
        one.channel(address, plaintext=True) as channel,
    ):
        call: Any = AioScans(channel).echoing()
        await call.write(StringValue(value="x"))

        assert (await call.read()).value == "user1001: x"

        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_a_cancelled_stream_is_over(service: Service, address: str) -> None:
    async with (
        aio.AuthClient(str(service.where.grpc), plaintext=True) as client,
        aio.Session(client, ADA) as one,
        one.channel(address, plaintext=True) as channel,
    ):
        call: Any = AioScans(channel).counting(99_999)
        await call.read()
        call.cancel()

        assert call.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await call.read()


async def test_tokens_go_over_tls_and_not_in_plain_text_unless_asked(service: Service, judge: Judge) -> None:
    authority = Authority("tests")
    pair = authority.issue("server")
    server = grpc.ssl_server_credentials([(pair.key, pair.certificate)])
    trusted = grpc.ssl_channel_credentials(authority.pem)
    rights = Rights(dict.fromkeys(METHODS, SIGNED_IN))
    where = str(service.where.grpc)
    async with aio.AuthClient(where, plaintext=True) as client, aio.Session(client, ADA) as one:
        async with (
            guarded_server("aio", judge, rights, credentials=server) as address,
            one.channel(address, credentials=trusted) as channel,
        ):
            assert await AioScans(channel).say("x") == "user1001: x"
        shown = len(judge.seen)
        async with guarded_server("aio", judge, rights) as address, one.channel(address) as channel:
            with pytest.raises(AuthError) as refused:
                await AioScans(channel).say("x")

    assert refused.value.code is Code.UNAVAILABLE
    assert len(judge.seen) == shown


async def test_grpclib_does_not_attach_to_a_channel_in_plain_text_unless_asked() -> None:
    async with grpclib.AuthClient("127.0.0.1:1") as client, grpclib.Session(client, ADA) as one:
        plain, secure = Channel("127.0.0.1", 1), Channel("127.0.0.1", 1, ssl=True)

        assert one.attach(secure) is secure
        with pytest.raises(ValueError, match="TLS"):
            one.attach(plain)
        assert one.attach(plain, plaintext=True) is plain
        plain.close()
        secure.close()


@pytest.mark.parametrize("stack", ["aio", "grpclib"])
async def test_closing_while_somebody_waits_is_an_answer(stack: str) -> None:
    def never(*_: object) -> Any:
        return asyncio.get_running_loop().create_future()

    auth = Counting(SimpleNamespace(login=never))
    async with session(stack, auth, ADA) as one:
        waiting = asyncio.create_task(one.token())
        await eventually(lambda: auth.asked["login"] == 1)

    with pytest.raises(AuthError, match="CANCELLED"):
        await waiting


async def test_a_call_waits_for_its_token_no_longer_than_it_was_given(stack: str, address: str) -> None:
    released = Event()

    def slow(*_: object) -> Any:
        if stack == "sync":
            released.wait()
            return TokenPair("at", "rt1.x", timedelta(minutes=10), timedelta(hours=12), "session")
        return asyncio.get_running_loop().create_future()

    auth = Counting(SimpleNamespace(login=slow))
    async with session(stack, auth, ADA) as one, scans(stack, address, one) as client:
        # Of threads one has to renew, and the others wait.
        renewing = asyncio.create_task(awaited(stack, one).token())
        await eventually(lambda: auth.asked["login"] == 1)

        with pytest.raises(AuthError, match="DEADLINE_EXCEEDED"):
            await client.say("x", timeout=0.05)

        released.set()
        if stack == "sync":
            assert await renewing == "at"

    with suppress(AuthError):
        await renewing
    assert auth.asked == {"login": 1}


async def test_what_is_no_refusal_reaches_whoever_waits(stack: str) -> None:
    def broken(*_: object) -> Any:
        raise ZeroDivisionError

    async with session(stack, Counting(SimpleNamespace(login=broken)), ADA) as one:
        with pytest.raises(ZeroDivisionError):
            await awaited(stack, one).token()


async def test_threads_verify_with_keys_that_are_kept_fresh_in_the_background() -> None:
    late = {"exp": 4_000_000_000, "iat": 1}
    async with JwksEndpoint("first") as endpoint:
        keys = HttpJwks(endpoint.url)
        verifier = TokenVerifier(issuer=minting.ISSUER, audience=minting.AUDIENCE, keys=keys)

        def verified() -> list[str]:
            with sync.BlockingVerifier(verifier, keys) as blocking:
                known = blocking.verify(minting.token(**late))
                endpoint.names = ("first", "second")
                endpoint.headers["ETag"] = '"2"'
                found = blocking.verify(
                    minting.sign(minting.header(kid="second"), minting.claims(**late), key="second")
                )
                with pytest.raises(TokenInvalid, match="kid"):
                    blocking.verify(minting.sign(minting.header(kid="third"), minting.claims(**late), key="third"))
                with pytest.raises(TokenExpired):
                    blocking.verify(minting.token(exp=2, iat=1))
            return [known.key_id, found.key_id]

        assert await asyncio.to_thread(verified) == ["first", "second"]
        assert endpoint.hits == 2


def test_threads_are_told_where_their_verifier_is_not_open_instead_of_waiting_for_ever() -> None:
    keys = HttpJwks(f"http://127.0.0.1:{free_port()}/")
    blocking = sync.BlockingVerifier(TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys), keys)
    with pytest.raises(RuntimeError, match="not open"):
        blocking.verify(minting.token())
    with blocking, pytest.raises(KeysUnavailable):
        blocking.verify(minting.token())
    with pytest.raises(RuntimeError, match="not open"):
        blocking.verify(minting.token())


def test_the_errors_of_a_call_are_read_alike() -> None:
    raised = grpc.aio.AioRpcError(grpc.StatusCode.ABORTED, grpc.aio.Metadata(), grpc.aio.Metadata(), "x")

    assert error_from(raised).code is Code.ABORTED
